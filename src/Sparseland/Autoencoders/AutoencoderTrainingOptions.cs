using Sparseland.Training;

namespace Sparseland.Autoencoders;

/// <summary>
/// Settings of <see cref="AutoencoderTrainer"/>. They begin as those of a lesson: Adam (0.9, 0.999) without decay or clipping, and a rate that falls to zero
/// in a straight line over the last fifth of the steps.
/// </summary>
public record AutoencoderTrainingOptions : TrainingOptions
{
    /// <summary>Settings with the defaults of an autoencoder's training: 1000 steps at 4e-3, 50 of them warm-up.</summary>
    public AutoencoderTrainingOptions()
    {
        (LearningRate, WarmUp, Plateau, LinearDecay, FinalRate) = (4e-3, 50, 0.8, true, 0);
        (WeightDecay, Beta2, ClipNorm) = (0, 0.999, double.PositiveInfinity);
    }

    /// <summary>
    /// Whether rows of the decoder keep norm one: the part of each row's gradient along the row is removed before a step, and the row divided by its
    /// norm after it. Default true.
    /// </summary>
    public bool UnitDecoder { get; init; } = true;

    /// <summary>alpha, the weight of the loss that wakes dead latents (<see cref="DeadLatentLoss"/>); 0 for none. Default 1/32.</summary>
    public double DeadLatentWeight { get; init; } = 1.0 / 32;

    /// <summary>A latent is dead when it has been silent for so many tokens; null for a tenth of all tokens of the training, at least 20,000. Default null.</summary>
    public long? DeadAfter { get; init; }

    /// <summary>b_d begins as the mean of so many activations of the first batches; 0 leaves it. Default 20,000.</summary>
    public int CentreOn { get; init; } = 20_000;

    /// <inheritdoc/>
    public override void Validate()
    {
        base.Validate();
        if (!(DeadLatentWeight >= 0) || !double.IsFinite(DeadLatentWeight)) throw new ArgumentOutOfRangeException(nameof(DeadLatentWeight), DeadLatentWeight, "DeadLatentWeight must be finite and not negative.");
        if (DeadAfter is <= 0) throw new ArgumentOutOfRangeException(nameof(DeadAfter), DeadAfter, "DeadAfter must be positive.");
        ArgumentOutOfRangeException.ThrowIfNegative(CentreOn);
    }
}
