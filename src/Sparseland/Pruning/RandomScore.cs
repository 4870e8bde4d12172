using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Scores that know nothing, uniform from a seed: what any other score must beat. Ranked globally they give every layer about the total's density.</summary>
public static class RandomScore
{
    /// <summary>Scores of all prunable weights, Float64.</summary>
    /// <param name="model">The network.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentException">Nothing to prune.</exception>
    public static ParameterScores Of(nn.Module model, long seed)
    {
        using DisposeScope scope = NewDisposeScope();
        return new("random", PrunableWeights.Of(model).Select((pair, i) => KeyValuePair.Create(pair.Key, TopologyContext.RandomScores(pair.Value.shape, seed, 9_700 + i))));
    }
}
