using BenchmarkDotNet.Attributes;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Selection;

/// <summary>
/// The budgets of pruning on one weight matrix against the shortest libtorch recipe of the same choice. libtorch's
/// recipes end with its indices; ours with a <see cref="Support"/>.
/// </summary>
[MemoryDiagnoser]
public class BudgetBenchmark : IQuickBenchmark
{
    private const int Size = 2048;
    private Tensor _scores = null!;
    private Budget _budget = null!;

    /// <summary>Which budget.</summary>
    [Params("PerRow", "PerColumn", "Global", "NofM", "Groups")]
    public string Shape { get; set; } = "PerRow";

    /// <summary>Squared normal scores, fixed by a seed.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _scores = Squares();
        _budget = All().First(entry => entry.Budget.ToString().StartsWith(Shape, StringComparison.Ordinal)).Budget;
    }

    /// <summary>Frees the scores.</summary>
    [GlobalCleanup]
    public void Cleanup() => _scores.Dispose();

    /// <summary>The library.</summary>
    [Benchmark]
    public Support Ours() => Select.TopK(_scores, _budget);

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using Tensor scores = Squares();
        foreach ((Budget budget, Func<Tensor, Tensor> recipe) in All())
        {
            bool groups = budget is BlocksBudget;
            yield return new Comparison($"{budget} of [{Size}, {Size}]", () => Select.TopK(scores, budget), "libtorch", LibTorch, groups ? 1.5 : 0);

            // Whole groups become single indices when these are read, which libtorch's recipe leaves to its caller.
            if (groups)
                yield return new Comparison($"{budget} of [{Size}, {Size}], indices read", () => _ = Select.TopK(scores, budget).ColumnIndices.Length, "libtorch", LibTorch);

            void LibTorch()
            {
                using DisposeScope scope = NewDisposeScope();
                recipe(scores);
            }
        }
    }

    private static IEnumerable<(Budget Budget, Func<Tensor, Tensor> LibTorch)> All() =>
    [
        (Budget.PerRow(Size / 2), scores => scores.topk(Size / 2, 1, largest: true, sorted: false).indexes),
        (Budget.PerColumn(32), scores => scores.topk(32, 0, largest: true, sorted: false).indexes),
        (Budget.Global(Size * Size / 2), scores => scores.view(-1).topk(Size * Size / 2, 0, largest: true, sorted: false).indexes),
        (Budget.Global(Size * 32), scores => scores.view(-1).topk(Size * 32, 0, largest: true, sorted: false).indexes),
        (Budget.NofM(2, 4), scores => scores.view(-1, 4).topk(2, 1, largest: true, sorted: false).indexes),
        (Budget.NofM(16, 64), scores => scores.view(-1, 64).topk(16, 1, largest: true, sorted: false).indexes),
        (Budget.Groups(16, 32), scores => scores.view(Size, -1, 16).sum(2).topk(32, 1, largest: true, sorted: false).indexes),
        (Budget.Groups(32, 16), scores => scores.view(Size, -1, 32).sum(2).topk(16, 1, largest: true, sorted: false).indexes),
        (Budget.Groups(64, 8), scores => scores.view(Size, -1, 64).sum(2).topk(8, 1, largest: true, sorted: false).indexes),
    ];

    private static Tensor Squares()
    {
        using DisposeScope scope = NewDisposeScope();
        var generator = new Generator(7);
        return randn(Size, Size, generator: generator).square().MoveToOuterDisposeScope();
    }
}
