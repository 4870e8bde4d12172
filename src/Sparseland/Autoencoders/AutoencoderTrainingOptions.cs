using Sparseland.Training;

namespace Sparseland.Autoencoders;

/// <summary>
/// Settings of <see cref="AutoencoderTrainer"/>. They begin as those of a lesson: Adam (0.9, 0.999) without decay or clipping, and a rate that falls to zero
/// in a straight line over the last fifth of the steps.
/// </summary>
public record AutoencoderTrainingOptions : TrainingOptions
{
    private readonly long? _warmUp;

    /// <summary>Settings with the defaults of an autoencoder's training: 1000 steps at 4e-3, one in twenty of them warm-up.</summary>
    public AutoencoderTrainingOptions()
    {
        (LearningRate, Plateau, LinearDecay, FinalRate) = (4e-3, 0.8, true, 0);
        (WeightDecay, Beta2, ClipNorm) = (0, 0.999, double.PositiveInfinity);
    }

    /// <summary>
    /// Steps over which the learning rate rises from nothing to <see cref="TrainingOptions.LearningRate"/>. Default a twentieth of
    /// <see cref="TrainingOptions.Steps"/>, rounded down, whatever those are.
    /// </summary>
    public override long WarmUp
    {
        get => _warmUp ?? (Steps / 20);
        init => _warmUp = value;
    }

    /// <summary>
    /// Whether rows of the decoder keep norm one: the part of each row's gradient along the row is removed before a step, and the row divided by its
    /// norm after it. Default true.
    /// </summary>
    public bool UnitDecoder { get; init; } = true;

    /// <summary>What is added to the loss of the reconstruction. Default <see cref="DeadLatentLoss"/> alone.</summary>
    public IReadOnlyList<AuxiliaryLoss> Losses { get; init; } = [new DeadLatentLoss()];

    /// <summary>
    /// Whether activations are multiplied with one constant so that their mean norm is sqrt(d), the scale that rates, penalties and thresholds are meant
    /// on: see <see cref="ActivationScaling"/>. It is measured on the first <see cref="CentreOn"/> activations (20,000 where that is 0) and stays for the
    /// whole run; losses are reported on this scale. False leaves the autoencoder's as it is. Default true.
    /// </summary>
    public bool ScaleActivations { get; init; } = true;

    /// <summary>b_d begins as the mean of so many activations of the first batches; 0 leaves it. Default 20,000.</summary>
    public int CentreOn { get; init; } = 20_000;

    /// <inheritdoc/>
    public override void Validate()
    {
        base.Validate();
        ArgumentNullException.ThrowIfNull(Losses);
        foreach (AuxiliaryLoss loss in Losses) ArgumentNullException.ThrowIfNull(loss, nameof(Losses));
        ArgumentOutOfRangeException.ThrowIfNegative(CentreOn);
    }
}
