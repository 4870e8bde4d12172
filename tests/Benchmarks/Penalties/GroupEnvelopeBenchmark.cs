using BenchmarkDotNet.Attributes;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Penalties;

/// <summary>
/// Prox of the group envelope, 10 million float64 numbers in 100,000 groups, against our group lasso's (one pass for the norms and one
/// to scale as well, without a level to find) and against numpy, which sorts all corners. And the level alone, as groups grow.
/// </summary>
[MemoryDiagnoser]
public class GroupEnvelopeBenchmark : IQuickBenchmark
{
    private const int Size = 100;
    private const string Numpy = """
        def level(a, k, c):
            points = np.sort(np.concatenate([c / a, (1 + c) / a]))
            low, high = 0, len(points) - 1
            total = lambda tau: np.clip(tau * a - c, 0, 1).sum()
            while high - low > 1:
                middle = (low + high) // 2
                if total(points[middle]) < k: low = middle
                else: high = middle
            start, end = total(points[low]), total(points[high])
            return points[low] + (k - start) / (end - start) * (points[high] - points[low])
        def prox(z, k, c):
            a = np.sqrt(np.einsum('ij,ij->i', z, z))
            u = np.clip(level(a, k, c) * a - c, 0, 1)
            return z * (u / (u + c))[:, None]
        """;

    private double[] _z = [];
    private double[] _x = [];
    private GroupEnvelope _envelope = null!;
    private GroupLasso _lasso = null!;

    /// <summary>Number of groups of 100.</summary>
    [Params(1_000, 100_000)]
    public int Groups { get; set; } = 100_000;

    /// <summary>Normal numbers; a tenth of the groups is wanted, and the lasso drops about half.</summary>
    [GlobalSetup]
    public void Setup()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        Tensor z = randn([Groups, Size], dtype: ScalarType.Float64, generator: generator).mul(rand([Groups, 1], dtype: ScalarType.Float64, generator: generator));
        _z = z.data<double>().ToArray();
        _x = new double[_z.Length];
        GroupPartition groups = GroupPartition.Consecutive(_z.Length, Size);
        _envelope = new GroupEnvelope(groups, Groups / 10, 0.1);
        _lasso = new GroupLasso(groups, 0.5);
    }

    /// <summary>Ours.</summary>
    [Benchmark]
    public void Envelope() => _envelope.Prox<double>(_z, 1, _x);

    /// <summary>The yardstick.</summary>
    [Benchmark(Baseline = true)]
    public void Lasso() => _lasso.Prox<double>(_z, 1, _x);

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        Setup();
        // 1.5 times the lasso's time is a ratio of 1/1.5.
        yield return new Comparison(
            $"envelope prox, {_z.Length} numbers in {Groups} groups", Envelope, "our group lasso prox", Lasso, 1 / 1.5, () => $"groups left: envelope {Left(Envelope)}, group lasso {Left(Lasso)}");

        using (PythonPeer? python = PythonPeer.Start("import numpy as np"))
        {
            python?.Run(Numpy);
            using (Tensor z = tensor(_z, [Groups, Size])) python?.Put("z", z);
            string Difference()
            {
                Envelope();
                double[] theirs = python!.Get("x");
                double worst = 0;
                for (int i = 0; i < theirs.Length; i++) worst = Math.Max(worst, Math.Abs(theirs[i] - _x[i]));
                return $"largest difference {worst:E1}";
            }

            yield return new Comparison(
                $"envelope prox, {_z.Length} numbers in {Groups} groups", Envelope, "numpy", python is null ? null : () => python.Run($"x = prox(z, {Groups / 10}, 0.1)"),
                Note: python is null ? null : Difference);
        }

        foreach (int m in new[] { 1_000, 10_000, 100_000, 1_000_000 })
        {
            var random = new Random(6);
            double[] norms = [.. Enumerable.Range(0, m).Select(_ => random.NextDouble())], scales = new double[m], copy = new double[m];
            yield return new Comparison($"cost: level and factors of {m} norms", () => EnvelopeLevel.Scales(norms, m / 10, 0.1, scales), "sorting them", () =>
            {
                norms.CopyTo(copy, 0);
                Array.Sort(copy);
            });
        }
    }

    private int Left(Action prox)
    {
        prox();
        return Enumerable.Range(0, Groups).Count(g => _x.AsSpan(g * Size, Size).ContainsAnyExcept(0.0));
    }
}
