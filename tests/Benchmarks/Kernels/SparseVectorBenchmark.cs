using BenchmarkDotNet.Attributes;
using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Kernels;

/// <summary>
/// One vector times a compressed matrix against libtorch's dense float32 product: one thread on both sides, the same matrix again and again. Memory
/// is what it takes: 4,096 x 11,008 float32 is 180 MB. GQSA's target at half the groups is twice libtorch's dense speed.
/// </summary>
[MemoryDiagnoser]
public class SparseVectorBenchmark : IQuickBenchmark
{
    internal const int Size = 16;
    private SparseMatrix _matrix = null!;
    private Tensor _dense = null!;
    private Tensor _x = null!;

    /// <summary>GQSA's groups at half sparsity.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _dense = Normal(4096, 11008);
        _x = Normal(1, 11008)[0];
        _matrix = GroupSparseQuantMatrix.From(_dense, Groups(4096, 11008, 0.5));
    }

    /// <summary>Frees the tensors.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _dense.Dispose();
        _x.Dispose();
    }

    /// <summary>The library.</summary>
    [Benchmark]
    public void Ours() => _matrix.Multiply(_x).Dispose();

    /// <summary>Dense.</summary>
    [Benchmark(Baseline = true)]
    public void Libtorch() => _dense.mv(_x).Dispose();

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        int threads = get_num_threads();
        set_num_threads(1);
        foreach ((int rows, int columns) in new[] { (2048, 2048), (4096, 11008) })
        {
            foreach (double sparsity in new[] { 0, 0.5, 0.8 })
            {
                using Tensor dense = Normal(rows, columns), x = Normal(1, columns)[0].clone();
                Support groups = Groups(rows, columns, sparsity);
                var gqsa = GroupSparseQuantMatrix.From(dense, groups);
                float[] input = x.data<float>().ToArray(), y = new float[rows];
                string shape = $"[{rows}, {columns}] x vector, {sparsity:P0} pruned";
                foreach (Schedule schedule in new[] { Schedule.RowSplit, Schedule.TaskCentric })
                {
                    yield return new Comparison(
                        $"GQSA W4G16 {schedule} {shape}, {gqsa.Bytes / 1e6:F1} MB", () => gqsa.Multiply(input, y, schedule), "libtorch dense mv", () => dense.mv(x).Dispose(),
                        columns > 4096 && sparsity == 0.5 ? 2 : 0);
                }

                using Tensor mask = sparsity == 0 ? ones([rows, columns], dtype: ScalarType.Bool) : groups.ToMask().repeat_interleave(Size, 1), pruned = dense * mask;
                foreach (SparseMatrix matrix in (SparseMatrix[])[CsrMatrix.FromDense(pruned), BitmapMatrix.FromDense(pruned), BlockMatrix.FromDense(pruned, 1, Size)])
                    yield return new Comparison($"{matrix.Format} {shape}, {matrix.Bytes / 1e6:F1} MB", () => matrix.Multiply(input, y), "libtorch dense mv", () => dense.mv(x).Dispose());
                if (sparsity == 0.5)
                {
                    using Tensor two = dense * Select.TopK(dense.abs(), Budget.NofM(2, 4)).ToMask();
                    NofMMatrix pairs = NofMMatrix.FromDense(two, 2, 4);
                    yield return new Comparison($"2:4 {shape}, {pairs.Bytes / 1e6:F1} MB", () => pairs.Multiply(input, y), "libtorch dense mv", () => dense.mv(x).Dispose());
                }
            }
        }

        set_num_threads(threads);
    }

    internal static Support Groups(int rows, int columns, double sparsity)
    {
        using Tensor scores = Normal(rows, columns / Size);
        return Select.TopK(scores, Budget.Global((int)((1 - sparsity) * rows * columns / Size)));
    }

    internal static Tensor Normal(long rows, long columns)
    {
        using var generator = new Generator(7);
        return randn([rows, columns], generator: generator);
    }
}
