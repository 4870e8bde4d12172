namespace Sparseland.Autoencoders;

/// <summary>What is added to the loss of the reconstruction: penalties of codes, work for dead latents.</summary>
public abstract class AuxiliaryLoss
{
    /// <summary>Short name with the settings that matter; a checkpoint is not taken up under other losses.</summary>
    public abstract string Description { get; }

    /// <summary>
    /// Adds the loss's gradients to a pass: <see cref="AutoencoderPass.AddToValues"/> for those of the code's values, <see cref="AutoencoderPass.AddToDecoderRows"/>
    /// for those along the decoder's rows, <see cref="AutoencoderPass.Add"/> for entries that rebuild something of their own,
    /// <see cref="AutoencoderPass.AddTo"/> for parameters of a rule.
    /// </summary>
    /// <param name="pass">The pass, forward done.</param>
    /// <param name="progress">Where the training stands.</param>
    /// <returns>The loss.</returns>
    internal abstract double Apply(AutoencoderPass pass, TrainingProgress progress);
}

/// <summary>Where a training stands.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Steps">Steps in all.</param>
/// <param name="Statistics">What is known of the latents.</param>
internal readonly record struct TrainingProgress(long Step, long Steps, LatentStatistics Statistics);
