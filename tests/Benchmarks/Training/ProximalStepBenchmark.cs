using BenchmarkDotNet.Attributes;
using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>
/// What the proximal step adds to training: an epoch with the envelope against the same epoch by libtorch's SGD with weight decay (target:
/// below 5 % more on the convolutional network), and the step alone against the epoch's gradients.
/// </summary>
[MemoryDiagnoser]
public class ProximalStepBenchmark : IQuickBenchmark
{
    private const int Batch = 64;
    private const int Batches = 8;
    private const double Rate = 0.01;

    private Case _case = null!;

    /// <summary>The convolutional network of the notebook.</summary>
    [GlobalSetup]
    public void Setup() => _case = Convolutional();

    /// <summary>Frees it.</summary>
    [GlobalCleanup]
    public void Cleanup() => _case.Dispose();

    /// <summary>Gradients, gradient step, prox.</summary>
    [Benchmark]
    public void Proximal() => _case.Proximal();

    /// <summary>Gradients and libtorch's step.</summary>
    [Benchmark(Baseline = true)]
    public void Sgd() => _case.Sgd();

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        // Two threads of libtorch wait for each other on a busy machine, and the waiting drowns what is measured here.
        int threads = get_num_threads();
        set_num_threads(1);
        foreach ((Func<Case> make, bool isTarget) in new[] { (Convolutional, true), ((Func<Case>)Perceptron, false) })
        {
            using Case one = make();
            yield return new Comparison(
                $"{Batches} steps with the envelope, {one.Name}, batch {Batch}", one.Proximal, "libtorch SGD with weight decay", one.Sgd, isTarget ? 1 / 1.05 : 0);
            yield return new Comparison($"{Batches} proximal steps alone, {one.Name}", one.ProxOnly, "gradients of as many batches", one.Gradients, isTarget ? 20 : 0);
        }

        set_num_threads(threads);
    }

    private static Case Convolutional()
    {
        Sequential Make() => SmallClassifiers.Cnn(28, [32, 64, 64], 10, 1);
        return new Case("CNN 32-64-64", Make, net => [.. Enumerable.Range(1, 3).Select(i =>
            GroupSpec.Filters(net.Layer<Conv2d>($"conv{i}"), net.Layer<BatchNorm2d>($"bn{i}")))], 1, 28, 28);
    }

    private static Case Perceptron()
        => new("MLP 784-256-10", () => SmallClassifiers.Mlp([784, 256, 10], 1), net => [GroupSpec.Rows(net.Layer<Linear>("fc1"))], 784);

    private sealed class Case : IDisposable
    {
        private readonly Sequential _plain;
        private readonly Sequential _network;
        private readonly ProximalSgd _optimizer;
        private readonly optim.Optimizer _sgd;
        private readonly Tensor _x;
        private readonly Tensor _labels;

        public Case(string name, Func<Sequential> make, Func<Sequential, IReadOnlyList<GroupSpec>> groups, params long[] sample)
        {
            Name = name;
            (_plain, _network) = (make(), make());
            RegularizedGroups[] parts = [.. groups(_network).Select(spec => new RegularizedGroups(spec, new EnvelopeRegularizer(KeepGroups.Share(0.25), 0.1)))];
            _sgd = optim.SGD(_plain.parameters(), Rate, weight_decay: 0.1);
            using var generator = new Generator(3);
            _x = randn([Batch, .. sample], generator: generator);
            _labels = randint(0, 10, [Batch], dtype: ScalarType.Int64, generator: generator);
            _optimizer = new ProximalSgd(_network, parts, ["head"]);
        }

        public string Name { get; }

        public void Proximal()
        {
            for (int i = 0; i < Batches; i++)
            {
                Gradients(_network);
                _optimizer.Step(Rate);
            }
        }

        public void ProxOnly()
        {
            for (int i = 0; i < Batches; i++) _optimizer.Prox(Rate);
        }

        public void Gradients()
        {
            for (int i = 0; i < Batches; i++) Gradients(_network);
        }

        public void Sgd()
        {
            for (int i = 0; i < Batches; i++)
            {
                Gradients(_plain);
                _sgd.step();
            }
        }

        private void Gradients(Sequential network)
        {
            using DisposeScope scope = NewDisposeScope();
            network.zero_grad();
            Tensor loss = nn.functional.cross_entropy(network.call(_x), _labels);
            loss.backward();
            loss.item<float>();
        }

        public void Dispose()
        {
            _sgd.Dispose();
            _optimizer.Dispose();
            _plain.Dispose();
            _network.Dispose();
            _x.Dispose();
            _labels.Dispose();
        }
    }
}
