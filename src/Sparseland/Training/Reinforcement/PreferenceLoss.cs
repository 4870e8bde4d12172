using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Reinforcement;

/// <summary>Losses that learn from pairs of a better and a worse completion of one prompt.</summary>
public static class PreferenceLoss
{
    /// <summary>
    /// DPO (Rafailov et al. 2023, equation 7): the mean over pairs of -log sigmoid(beta [(log pi - log pi_ref)(chosen) - (log pi - log pi_ref)(rejected)]).
    /// </summary>
    /// <param name="chosen">Summed log-probabilities of the better completions under the policy [pairs], with a gradient.</param>
    /// <param name="rejected">Those of the worse ones [pairs], with a gradient.</param>
    /// <param name="referenceChosen">The same under the reference [pairs].</param>
    /// <param name="referenceRejected">The same under the reference [pairs].</param>
    /// <param name="beta">Strength of the tie to the reference, positive and finite. Default 0.1.</param>
    /// <returns>One number.</returns>
    /// <exception cref="ArgumentException">Shapes differ or are no row, a value is not finite, or beta is out of its range.</exception>
    public static Tensor Dpo(Tensor chosen, Tensor rejected, Tensor referenceChosen, Tensor referenceRejected, double beta = 0.1)
    {
        Finite.Positive(beta);
        ArgumentNullException.ThrowIfNull(chosen);
        if (chosen.dim() != 1 || chosen.numel() == 0) throw new ArgumentException($"chosen must be [pairs] and not empty, but is [{string.Join(", ", chosen.shape)}].", nameof(chosen));
        using DisposeScope scope = NewDisposeScope();
        foreach ((Tensor values, string name) in new[] { (chosen, nameof(chosen)), (rejected, nameof(rejected)), (referenceChosen, nameof(referenceChosen)), (referenceRejected, nameof(referenceRejected)) })
        {
            ArgumentNullException.ThrowIfNull(values, name);
            if (!values.shape.SequenceEqual(chosen.shape)) throw new ArgumentException($"{name} is [{string.Join(", ", values.shape)}]; it must be [{chosen.shape[0]}].", name);
            if (!TensorInput.IsFinite(values)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
        }

        Tensor gap = chosen.sub(referenceChosen.detach()).sub(rejected.sub(referenceRejected.detach()));
        return nn.functional.logsigmoid(gap.mul(beta)).mean().neg().MoveToOuterDisposeScope();
    }
}
