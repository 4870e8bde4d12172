using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>AdamW without decay over sets of parameters with a rate each, along half a cosine from that rate to a twentieth of it.</summary>
internal sealed class RatedSteps : IDisposable
{
    private const double Last = 1 / 20.0;
    private readonly (Holder Parameters, AdamWOptimizer Optimizer, double Rate)[] _sets;
    private readonly int _steps;

    public RatedSteps(IReadOnlyList<(IReadOnlyList<Parameter> Parameters, double Rate)> sets, int steps)
    {
        _steps = steps;
        _sets = [.. sets.Select(set =>
        {
            var holder = new Holder(set.Parameters);
            return (holder, new AdamWOptimizer(holder, weightDecay: 0), set.Rate);
        })];
    }

    /// <summary>Rate of a step as a share of the largest: 1 at the first, a twentieth at the last.</summary>
    public static double Share(int step, int steps) => steps < 2 ? 1 : Last + ((1 - Last) * (1 + Math.Cos(Math.PI * step / (steps - 1))) / 2);

    /// <summary>Gradients of a loss, and one step along them.</summary>
    public void Step(Tensor loss, int step)
    {
        foreach ((Holder holder, _, _) in _sets) holder.zero_grad();
        GradientPass.Run(loss);
        foreach ((_, AdamWOptimizer optimizer, double rate) in _sets) optimizer.Step(rate * Share(step, _steps));
    }

    public void Dispose()
    {
        foreach ((_, AdamWOptimizer optimizer, _) in _sets) optimizer.Dispose();
    }

    // Not disposed: the parameters belong to the layers.
    private sealed class Holder : nn.Module
    {
        public Holder(IReadOnlyList<Parameter> parameters)
            : base(nameof(Holder))
        {
            for (int i = 0; i < parameters.Count; i++) register_parameter($"p{i}", parameters[i]);
        }
    }
}

/// <summary>Batches of sequences, epoch after epoch in random order; an epoch's rest begins the next one's batch.</summary>
internal sealed class SequenceOrder(int count, int batch, long seed, long stream)
{
    private readonly Queue<long> _waiting = new();
    private SeededRandom _random = new(seed, stream);

    /// <summary>The next batch's sequences; all of them where there are no more than a batch.</summary>
    public long[] Next()
    {
        int size = Math.Min(batch, count);
        while (_waiting.Count < size)
        {
            long[] order = _random.Permutation<long>(count);
            foreach (long i in order) _waiting.Enqueue(i);
        }

        return [.. Enumerable.Range(0, size).Select(_ => _waiting.Dequeue())];
    }
}
