using Sparseland.Tensors;

namespace Sparseland.Autoencoders;

/// <summary>What is added to the loss of the reconstruction: penalties of codes, work for dead latents.</summary>
public abstract class AuxiliaryLoss
{
    /// <summary>Short name with the settings that matter; a checkpoint is not taken up under other losses.</summary>
    public abstract string Description { get; }

    /// <summary>Throws where the loss does not fit an autoencoder, before a training begins.</summary>
    /// <param name="autoencoder">What is to be trained.</param>
    internal virtual void Check(SparseAutoencoder autoencoder)
    {
    }

    /// <summary>
    /// Adds the loss's gradients to a pass: <see cref="AutoencoderPass.AddToValues"/> for those of the code's values, <see cref="AutoencoderPass.AddToDecoderRows"/>
    /// for those along the decoder's rows, <see cref="AutoencoderPass.Add"/> for entries that rebuild something of their own,
    /// <see cref="AutoencoderPass.AddTo"/> for parameters of a rule.
    /// </summary>
    /// <param name="pass">The pass, forward done.</param>
    /// <param name="progress">Where the training stands.</param>
    /// <returns>The loss.</returns>
    internal abstract double Apply(AutoencoderPass pass, TrainingProgress progress);

    /// <summary>Range of a penalty's weight and of the share of the steps over which it climbs.</summary>
    private protected static void CheckWeight(double weight, double warmUp)
    {
        Finite.NotNegative(weight);
        if (!(warmUp is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(warmUp), warmUp, "warmUp must be from 0 to 1.");
    }
}

/// <summary>Where a training stands.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Steps">Steps in all.</param>
/// <param name="Statistics">What is known of the latents.</param>
/// <param name="Accumulate">Mini-batches of a step.</param>
internal readonly record struct TrainingProgress(long Step, long Steps, LatentStatistics Statistics, int Accumulate = 1)
{
    /// <summary>Climbs linearly to 1 over a share of the steps and stays.</summary>
    public double Ramp(double share) => share > 0 ? Math.Min(1, (Step + 1) / (share * Steps)) : 1;
}
