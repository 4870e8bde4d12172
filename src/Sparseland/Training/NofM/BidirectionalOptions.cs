using Sparseland.Tensors;

namespace Sparseland.Training.NofM;

/// <summary>Settings of <see cref="BidirectionalNofM"/>.</summary>
public sealed record BidirectionalOptions
{
    /// <summary>lambda: added to the gradient of forward-pruned weights, times the weight, as in SR-STE; finite and not negative. Default 0.</summary>
    public double Pull { get; init; }

    /// <summary>Whether a pruned output gradient is multiplied, output by output, so that the sum of its absolute values over the samples is kept; of SDGP only. Default false.</summary>
    public bool RescaleGradient { get; init; }

    /// <summary>From which weight the mask along the outputs is chosen. Default the dense one.</summary>
    public BackwardMask BackwardMask { get; init; }

    /// <summary>Seed of random masks. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Whether the first and the last layer of the network may be among the layers. Default false: they are the most sensitive ones, and their sizes seldom fit.</summary>
    public bool Force { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        Finite.NotNegative(Pull);
        if (!Enum.IsDefined(BackwardMask)) throw new ArgumentOutOfRangeException(nameof(BackwardMask), BackwardMask, "There is no such mask.");
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
