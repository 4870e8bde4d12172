using Sparseland.Tensors;

namespace Sparseland.ActivationSparsity;

/// <summary>When a drafted token stays.</summary>
public enum Acceptance
{
    /// <summary>Where the full model gives it at least <see cref="CorrectionOptions.MinLikelihood"/>.</summary>
    Likelihood,

    /// <summary>Where it is the full model's most likely token: the text is then the full model's greedy text.</summary>
    Argmax,
}

/// <summary>How a sparse model's text is checked by the full one.</summary>
public sealed record CorrectionOptions
{
    /// <summary>K, tokens of one check: the last one that the full model has written and K - 1 drafted ones. At least 2. Default 16.</summary>
    public int KernelSize { get; init; } = 16;

    /// <summary>r, the least likelihood under the full model with which a drafted token stays, in [0, 1]. Default 0.1.</summary>
    public double MinLikelihood { get; init; } = 0.1;

    /// <summary>Temperature of these likelihoods. Default 0.6.</summary>
    public double Temperature { get; init; } = 0.6;

    /// <summary>When a drafted token stays. Default <see cref="Acceptance.Likelihood"/>.</summary>
    public Acceptance Accept { get; init; } = Acceptance.Likelihood;

    /// <summary>Candidates at each drafted place: the sparse model's most likely branches, its greedy one among them; the longest accepted branch stays. Default 1, no branches.</summary>
    public int TreeWidth { get; init; } = 1;

    /// <summary>Most new tokens. Default 100.</summary>
    public int NewTokens { get; init; } = 100;

    /// <summary>The text ends behind this token, once a check has accepted it. Default null, it goes on.</summary>
    public int? StopAt { get; init; }

    /// <summary>Refuses options out of their range.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public void Validate()
    {
        if (KernelSize < 2) throw new ArgumentOutOfRangeException(nameof(KernelSize), KernelSize, "KernelSize must be at least 2: one token of the full model and one drafted.");
        if (!(MinLikelihood is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(MinLikelihood), MinLikelihood, "MinLikelihood must lie in [0, 1].");
        Finite.Positive(Temperature);
        if (!Enum.IsDefined(Accept)) throw new ArgumentOutOfRangeException(nameof(Accept), Accept, "Accept must be Likelihood or Argmax.");
        if (TreeWidth < 1) throw new ArgumentOutOfRangeException(nameof(TreeWidth), TreeWidth, "TreeWidth must be at least 1.");
        if (NewTokens < 1) throw new ArgumentOutOfRangeException(nameof(NewTokens), NewTokens, "NewTokens must be at least 1.");
    }
}
