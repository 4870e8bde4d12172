using Sparseland.Tensors;

namespace Sparseland.Pruning;

/// <summary>Settings of <see cref="PstLinear"/>. Parts that are off have no parameters, so that magnitude pruning and LoRA are this layer too.</summary>
public sealed record PstOptions
{
    /// <summary>r1, the rank of the weight's change U V, from 1 to the smaller side of the layer. Default 8.</summary>
    public int WeightRank { get; init; } = 8;

    /// <summary>r2, the rank of the score's part A B, from 1 to the smaller side of the layer. Default 8.</summary>
    public int ScoreRank { get; init; } = 8;

    /// <summary>beta, the factor of U V. Default 1.</summary>
    public double Beta { get; init; } = 1;

    /// <summary>alpha1, the factor of A B; 0 leaves it out. Default 1.</summary>
    public double AlphaLowRank { get; init; } = 1;

    /// <summary>alpha2, the factor of the rows' and columns' scores R and C; 0 leaves them out. Default 1.</summary>
    public double AlphaStructured { get; init; } = 1;

    /// <summary>
    /// Whether the importance passes its gradient through the magnitude too, sign(W') (G * W') to W', as the published code does. Default true; without it, and
    /// without A, B, R and C, the mask is a constant to the gradient: magnitude pruning.
    /// </summary>
    public bool MagnitudeGradient { get; init; } = true;

    /// <summary>
    /// Forward passes for which a mask stays in training, 1 for a new one at each; a step has one, or as many as mini-batches that it accumulates. In between the mask lags
    /// behind importance and sparsity, and after a checkpoint is taken up it is chosen at once. Default 1.
    /// </summary>
    public int MaskEvery { get; init; } = 1;

    /// <summary>Seed of U and A. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Importance |W'| alone and no gradient through the mask, W' = W + U V: magnitude pruning along a schedule (MaP), and LoRA where the sparsity stays 0.</summary>
    public static PstOptions Magnitude { get; } = new() { AlphaLowRank = 0, AlphaStructured = 0, MagnitudeGradient = false };

    /// <summary>Parameters that a layer trains: (r1 + r2 + 1)(n + k) where all parts are on.</summary>
    /// <param name="outputs">n, positive.</param>
    /// <param name="inputs">k, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size that is not positive.</exception>
    public long Parameters(long outputs, long inputs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        return (WeightRank + (AlphaLowRank == 0 ? 0 : ScoreRank) + (AlphaStructured == 0 ? 0 : 1)) * (outputs + inputs);
    }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(WeightRank);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(ScoreRank);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaskEvery);
        foreach ((double value, string name) in new[] { (Beta, nameof(Beta)), (AlphaLowRank, nameof(AlphaLowRank)), (AlphaStructured, nameof(AlphaStructured)) })
        {
            if (!double.IsFinite(value)) throw new ArgumentOutOfRangeException(name, value, $"{name} must be finite.");
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
