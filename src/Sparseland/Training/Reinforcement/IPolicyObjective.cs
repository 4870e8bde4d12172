using Sparseland.Models.Language;

namespace Sparseland.Training.Reinforcement;

/// <summary>What a policy is trained on: each step's data and loss, by the step's number.</summary>
public interface IPolicyObjective
{
    /// <summary>What it is, in one line. A checkpoint keeps it, and is not taken up with another objective.</summary>
    string Description { get; }

    /// <summary>Adds the gradient of a step's loss to what the policy's parameters hold.</summary>
    /// <param name="policy">The network that computes; its samples, if any, come from it.</param>
    /// <param name="step">Number of the step, from 0; what is drawn depends on it and on a seed alone.</param>
    /// <param name="cancel">Checked on the way.</param>
    /// <returns>The loss; null where the step has nothing to say and is left out, without a gradient.</returns>
    double? Gradients(LanguageModel policy, long step, CancellationToken cancel = default);
}
