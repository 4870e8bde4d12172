using System.Diagnostics;
using Sparseland.Kernels;
using Sparseland.Sketching;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Sketching;

/// <summary>
/// The Hadamard transform against a NumPy one (reshape, add, subtract, level by level) on 2^17 x 64 float64; CountSketch, drawn and
/// applied, against scipy.linalg.clarkson_woodruff_transform; and what the kinds of sketch cost beside each other.
/// </summary>
public class SketchBenchmark : IQuickBenchmark
{
    private const int Columns = 64, Rows = 4096;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using PythonPeer? peer = PythonPeer.Start("import numpy as np\nimport scipy.linalg, scipy.sparse");
        peer?.Run("""
            def fwht(x):
                n, c = x.shape
                h = 1
                while h < n:
                    y = x.reshape(n // (2 * h), 2, h, c)
                    x = np.stack((y[:, 0] + y[:, 1], y[:, 0] - y[:, 1]), 1).reshape(n, c)
                    h *= 2
                return x
            def fwht_in_place(x):
                n, c = x.shape
                h = 1
                while h < n:
                    y = x.reshape(n // (2 * h), 2, h, c)
                    a = y[:, 0] - y[:, 1]
                    y[:, 0] += y[:, 1]
                    y[:, 1] = a
                    h *= 2
                return x
            """);
        foreach (int levels in new[] { 12, 15, 17 })
        {
            int n = 1 << levels;
            using var generator = new Generator(1);
            using Tensor x = randn([n, Columns], dtype: ScalarType.Float64, generator: generator), work = x.clone();
            peer?.Put("x", x);
            peer?.Run("w = x.copy()");
            foreach (string way in new[] { "fwht", "fwht_in_place" })
            {
                yield return new Comparison(
                    $"Hadamard transform, {n} x {Columns} float64",
                    () =>
                    {
                        using var scope = NewDisposeScope();
                        work.copy_(x);
                        Hadamard.TransformInPlace(work);
                    },
                    way == "fwht" ? "NumPy reshape" : "NumPy reshape in place",
                    peer is null ? null : () => peer.Run(way == "fwht" ? "y = fwht(x)" : "np.copyto(w, x); y = fwht_in_place(w)"),
                    Note: () => peer is null ? Throughput(work, x) : $"{Throughput(work, x)}; largest difference of the results {Difference(work, peer.Get("y")):0.0E0}");
            }

            yield return new Comparison(
                $"CountSketch to {Rows} rows, drawn and applied, {n} x {Columns}",
                () => new CountSketch(Rows, n, 1).Apply(x).Dispose(),
                "scipy clarkson_woodruff_transform",
                peer is null ? null : () => peer.Run($"y = scipy.linalg.clarkson_woodruff_transform(x, {Rows}, seed=1)"));
        }

        using var source = new Generator(2);
        using Tensor wide = randn([1 << 15, Columns], dtype: ScalarType.Float64, generator: source);
        void Apply(ISketch sketch) => sketch.Apply(wide).Dispose();
        foreach (ISketch sketch in new ISketch[]
        {
            new CountSketch(Rows, 1 << 15, 1), new OsnapSketch(Rows, 1 << 15, 8, 1), new SrhtSketch(Rows, 1 << 15, 1), new GaussianPooledSketch(Rows, 1 << 15, 1),
        })
        {
            yield return new Comparison(
                $"{sketch.Name} to {Rows} rows, {1 << 15} x {Columns}", () => Apply(sketch),
                "dense Gaussian", () => Apply(new GaussianSketch(Rows, 1 << 15, 1)));
        }
    }

    // One read and one write of every number, as if the whole transform were a single pass.
    private static string Throughput(Tensor work, Tensor x)
    {
        var seconds = new List<double>();
        for (int i = 0; i < 5; i++)
        {
            using var scope = NewDisposeScope();
            work.copy_(x);
            long start = Stopwatch.GetTimestamp();
            Hadamard.TransformInPlace(work);
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return $"{2 * 8e-9 * x.numel() / seconds.Order().ElementAt(2):0.0} GB/s of data read and written, in place and without the copy";
    }

    private static double Difference(Tensor ours, double[] theirs)
    {
        using Tensor other = tensor(theirs).view(ours.shape);
        using Tensor difference = other.sub_(ours).abs_().max();
        return difference.item<double>();
    }
}
