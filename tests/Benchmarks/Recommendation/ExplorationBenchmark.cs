using BenchmarkDotNet.Attributes;
using Sparseland.Recommendation;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Recommendation;

/// <summary>
/// What moving a mask costs, at a table of a million weights: one exploration against two training steps of LightGCN on the same table (target: less),
/// and against libtorch's topk, which breaks ties as it likes.
/// </summary>
[MemoryDiagnoser]
public class ExplorationBenchmark : IQuickBenchmark
{
    private const int Users = 20_000;
    private const int Items = 11_250;
    private const int Width = 32;
    private const double Ratio = 0.3;

    private Case _case = null!;

    /// <summary>A table of which a fifth is active.</summary>
    [GlobalSetup]
    public void Setup() => _case = new();

    /// <summary>Frees it.</summary>
    [GlobalCleanup]
    public void Cleanup() => _case.Dispose();

    /// <summary>What is pruned and what grows.</summary>
    [Benchmark]
    public int Explore() => _case.Explore();

    /// <summary>The same by libtorch.</summary>
    [Benchmark]
    public long TopK() => _case.TopK();

    /// <summary>Two steps of training.</summary>
    [Benchmark(Baseline = true)]
    public void TwoSteps() => _case.TwoSteps();

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        int threads = get_num_threads();
        set_num_threads(1);
        using (Case one = new())
        {
            yield return new Comparison($"exploration of [{Users + Items}, {Width}] at density 0.2", () => one.Explore(), "two steps of LightGCN, batch 512", one.TwoSteps, 1);
            yield return new Comparison($"exploration of [{Users + Items}, {Width}] at density 0.2", () => one.Explore(), "libtorch topk", () => one.TopK(), Note: one.Agree);
        }

        set_num_threads(threads);
    }

    private sealed class Case : IDisposable
    {
        private readonly LightGcn _model;
        private readonly DynamicSparseLearning _training;
        private readonly Tensor _weight;
        private readonly Tensor _mask;
        private readonly Tensor _gradient;

        public Case()
        {
            var random = new Random(1);
            Interactions training = Interactions.Of(Users, Items, Enumerable.Range(0, Users * 20).Select(i => (i / 20, random.Next(Items))));
            _model = new LightGcn(training, Width, 2);
            _training = new(_model, new TripleBatches(training, 512), _model.Gradients, new() { Steps = 1_000_000, ClipNorm = double.PositiveInfinity, WeightDecay = 0 }, new() { Density = 0.2, Interval = 1_000_000 });
            using IDisposable off = no_grad();
            using var generator = new Generator(3);
            (_weight, _mask) = (_model.Table.detach().clone(), _training.Masks["table"].clone());
            _gradient = randn(_weight.shape, generator: generator);
        }

        public int Explore() => DynamicSparseLearning.Explore(_weight, _mask, _gradient, Ratio).Grown.Count;

        public long TopK()
        {
            using DisposeScope scope = NewDisposeScope();
            return ByTopK().to(ScalarType.Int64).sum().item<long>();
        }

        public string Agree()
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor ours = DynamicSparseLearning.Explore(_weight, _mask, _gradient, Ratio).Active.ToMask();
            return $"{ours.ne(ByTopK()).to(ScalarType.Int64).sum().item<long>()} places differ";
        }

        public void TwoSteps()
        {
            _training.Step();
            _training.Step();
        }

        public void Dispose()
        {
            _training.Dispose();
            _model.Dispose();
            _weight.Dispose();
            _mask.Dispose();
            _gradient.Dispose();
        }

        private Tensor ByTopK()
        {
            int count = (int)Math.Ceiling(Ratio * _training.Masks.Active);
            Tensor kept = _mask.clone().flatten(), grown = kept.clone();
            Tensor smallest = _weight.abs().masked_fill(_mask.logical_not(), double.PositiveInfinity).flatten().topk(count, largest: false).indexes;
            kept.index_fill_(0, smallest, false);
            Tensor largest = _gradient.abs().flatten().masked_fill(kept, double.NegativeInfinity).topk(count).indexes;
            return kept.index_fill_(0, largest, true).reshape(_mask.shape);
        }
    }
}
