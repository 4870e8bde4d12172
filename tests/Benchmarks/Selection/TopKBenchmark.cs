using BenchmarkDotNet.Attributes;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Selection;

/// <summary>
/// Row-wise selection of an SAE's code against libtorch's topk: the same scores, both complete (ours with a
/// <see cref="Support"/>, libtorch's with values and indices).
/// </summary>
[MemoryDiagnoser]
public class TopKBenchmark : IQuickBenchmark
{
    private const int Rows = 2048;
    private Tensor _scores = null!;

    /// <summary>Width of the dictionary.</summary>
    [Params(3072, 6144, 12288, 16384)]
    public int Columns { get; set; }

    /// <summary>Entries kept in each row.</summary>
    [Params(32)]
    public int K { get; set; }

    /// <summary>Normal scores, fixed by a seed.</summary>
    [GlobalSetup]
    public void Setup() => _scores = Normal(Rows, Columns);

    /// <summary>Frees the scores.</summary>
    [GlobalCleanup]
    public void Cleanup() => _scores.Dispose();

    /// <summary>The library.</summary>
    [Benchmark]
    public Support Ours() => Select.TopK(_scores, Budget.PerRow(K));

    /// <summary>libtorch.</summary>
    [Benchmark(Baseline = true)]
    public void LibTorch() => TorchTopK(_scores, K);

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        foreach (int columns in new[] { 3072, 6144, 12288, 16384 })
        {
            foreach (Comparison comparison in At(columns, [32], target: 1.5))
                yield return comparison;
        }
        foreach (Comparison comparison in At(8192, [1, 8, 64, 128, 256, 1024, 4096], target: 0))
            yield return comparison;
        using Tensor relu = Normal(Rows, 8192).relu_();
        relu.masked_fill_(relu.lt(2.9), 0);
        yield return PerRow("TopK [2048, 8192] k=32, mostly zero", relu, 32, 0);
        using Tensor ascending = arange(8192, dtype: ScalarType.Float32).expand(Rows, -1).contiguous();
        yield return PerRow("TopK [2048, 8192] k=32, ascending", ascending, 32, 0);
        using Tensor wide = Normal(1, 1_000_000);
        yield return PerRow("TopK [1, 1000000] k=500000", wide, 500_000, 0);
        using Tensor doubles = Normal(Rows, 8192).to(ScalarType.Float64);
        yield return PerRow("TopK [2048, 8192] k=32, float64", doubles, 32, 0);
    }

    private static IEnumerable<Comparison> At(int columns, int[] ks, double target)
    {
        using Tensor scores = Normal(Rows, columns);
        foreach (int k in ks)
            yield return PerRow($"TopK [{Rows}, {columns}] k={k}", scores, k, target);
    }

    private static Comparison PerRow(string name, Tensor scores, int k, double target) =>
        new(name, () => Select.TopK(scores, Budget.PerRow(k)), "libtorch topk", () => TorchTopK(scores, k), target);

    private static Tensor Normal(int rows, int columns)
    {
        using var generator = new Generator(7);
        return randn(rows, columns, generator: generator);
    }

    /// <summary>Unsorted values and indices: the least that libtorch can be asked for.</summary>
    private static void TorchTopK(Tensor scores, int k)
    {
        (Tensor values, Tensor indices) = scores.topk(k, dim: 1, largest: true, sorted: false);
        values.Dispose();
        indices.Dispose();
    }
}
