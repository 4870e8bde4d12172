using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Scores the active weights of a layer: those with the lowest scores are dropped.</summary>
public interface IDropScore
{
    /// <summary>Short name.</summary>
    string Name { get; }

    /// <summary>Whether it looks at the gradient.</summary>
    bool NeedsGradient { get; }

    /// <summary>Whether it looks at the running average of the gradients. False unless a rule says otherwise.</summary>
    bool NeedsAverage => false;

    /// <summary>A score for every place, finite where the mask is true; of the weights' shape, Float32 or Float64. The caller disposes it.</summary>
    /// <param name="layer">The layer.</param>
    Tensor Of(TopologyContext layer);

    /// <summary>How many are dropped where so many are planned: a rule that counts by itself (by sign) says here what it means to drop.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="planned">What the schedule plans.</param>
    long CountOf(TopologyContext layer, long planned) => planned;
}

/// <summary>Scores the places where a weight may grow: those with the highest scores do.</summary>
public interface IGrowScore
{
    /// <summary>Short name.</summary>
    string Name { get; }

    /// <summary>Whether it looks at the gradient.</summary>
    bool NeedsGradient { get; }

    /// <summary>Whether it looks at the running average of the gradients. False unless a rule says otherwise.</summary>
    bool NeedsAverage => false;

    /// <summary>A score for every place, finite where a weight may grow; of the weights' shape, Float32 or Float64. The caller disposes it.</summary>
    /// <param name="layer">The layer.</param>
    Tensor Of(TopologyContext layer);
}
