using BenchmarkDotNet.Attributes;
using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Kernels;

/// <summary>
/// One token through a layer of which only the columns of kept inputs are read, against libtorch's dense float32 product on the same number of threads. The target is 1.6
/// times its speed for 1,024 outputs of 4,096 inputs at half of them. Warm: the same matrix again; cold: copies in turn, 256 MB together, so that memory is read.
/// </summary>
[MemoryDiagnoser]
public class SparseColumnsBenchmark : IQuickBenchmark
{
    private const long Cold = 256L << 20;
    private readonly Tensor _dense = SparseVectorBenchmark.Normal(1024, 4096);
    private readonly Tensor _x = SparseVectorBenchmark.Normal(1, 4096)[0].clone();
    private Tensor _turned = null!;
    private Support _kept = null!;

    /// <summary>Half of the inputs.</summary>
    [GlobalSetup]
    public void Setup() => (_turned, _kept) = (_dense.t().contiguous(), Select.TopK(_x.abs(), Budget.PerRow(2048)));

    /// <summary>Frees the tensors.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _dense.Dispose();
        _turned.Dispose();
        _x.Dispose();
    }

    /// <summary>The library.</summary>
    [Benchmark]
    public void Ours() => SparseColumns.Multiply(_turned, _x, _kept).Dispose();

    /// <summary>Dense.</summary>
    [Benchmark(Baseline = true)]
    public void Libtorch() => _dense.mv(_x).Dispose();

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        int all = get_num_threads();
        foreach (int threads in new[] { 1, all }.Distinct())
        {
            set_num_threads(threads);
            MachineLimits limits = MachineLimits.Measure(threads);
            Console.WriteLine(limits);
            foreach ((int outputs, int inputs) in new[] { (1024, 4096), (4096, 4096) })
            {
                foreach (double density in new[] { 1, 0.5, 0.25 })
                {
                    foreach (bool cold in new[] { false, true })
                        yield return Of(outputs, inputs, density, cold, threads, limits);
                }
            }
        }

        set_num_threads(all);
    }

    private static Comparison Of(int outputs, int inputs, double density, bool cold, int threads, MachineLimits limits)
    {
        int copies = cold ? (int)Math.Max(2, Cold / (4L * outputs * inputs)) : 1, kept = (int)(density * inputs), a = 0, b = 0;
        Tensor[] dense = [.. Enumerable.Range(0, copies).Select(_ => SparseVectorBenchmark.Normal(outputs, inputs))], turned = [.. dense.Select(d => d.t().contiguous())];
        Tensor x = SparseVectorBenchmark.Normal(1, inputs)[0].clone();
        Support support = Select.TopK(x.abs(), Budget.PerRow(kept));
        double bytes = 4.0 * kept * outputs, seconds = double.PositiveInfinity;
        void Ours()
        {
            long start = System.Diagnostics.Stopwatch.GetTimestamp();
            SparseColumns.Multiply(turned[a++ % copies], x, support).Dispose();
            seconds = Math.Min(seconds, System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return new Comparison(
            $"columns [{outputs}, {inputs}] density {density:P0} {(cold ? "cold" : "warm")}, {threads} threads, {bytes / 1e6:F1} MB", Ours, "libtorch dense mv",
            () => dense[b++ % copies].mv(x).Dispose(), outputs == 1024 && density == 0.5 ? 1.6 : 0,
            () =>
            {
                double share = limits.LeastSeconds(bytes) / seconds;
                foreach (Tensor tensor in dense.Concat(turned)) tensor.Dispose();
                return FormattableString.Invariant($"fastest {seconds * 1e6:F0} us, {share:P0} of the bandwidth of memory");
            });
    }
}
