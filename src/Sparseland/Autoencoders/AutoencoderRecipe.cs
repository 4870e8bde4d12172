using Sparseland.Tensors;

namespace Sparseland.Autoencoders;

/// <summary>
/// Architectures by name, each with the settings that a training on some hundred thousand to some million tokens begins with: rule, losses, decoder, batch and
/// rate. They are meant for activations scaled to a mean norm of sqrt(d), as <see cref="AutoencoderTrainingOptions.ScaleActivations"/> makes them.
/// </summary>
/// <remarks>
/// The rate is that of a lesson: trainings of billions of tokens want one about twenty times lower. Too high a rate does not diverge, it kills latents.
/// </remarks>
public sealed record AutoencoderRecipe
{
    private const int UsualBatch = 1024;
    private const double UsualRate = 4e-3, RateAtLatents = 3072, HighestRate = 8e-3;

    // Latents choose their tokens well only where a batch has this many entries for each latent; otherwise the one that each must have takes too many.
    private const int EntriesPerLatent = 20;

    /// <summary>Names of the architectures.</summary>
    public static IReadOnlyList<string> Architectures { get; } = ["relu", "topk", "batch-topk", "jumprelu", "gated", "matryoshka", "gradient", "mutual-choice", "feature-choice"];

    /// <summary>
    /// One of <see cref="Architectures"/>: "relu" (l1, free decoder that begins with norm 0.1, gradients clipped at 1), "topk", "batch-topk", "jumprelu" (thresholds and
    /// bandwidth 0.5, the loss pulls L0 to k), "gated" (l1 on the gate), "matryoshka" (batch-topk with prefixes of M/16, M/8, M/4, M/2 and M), "gradient" (topk by
    /// activation and influence, beta 1), "mutual-choice" (batch-topk with the Zipf loss), "feature-choice" (counts of the law (r + 5)^-1, from 30 % of the
    /// steps on). Default "topk".
    /// </summary>
    public string Architecture { get; init; } = "topk";

    /// <summary>M. Default 4,096.</summary>
    public int Latents { get; init; } = 4096;

    /// <summary>Active latents of a token: at most for "topk" and "gradient", in the mean otherwise; "relu" and "gated" have none. Null, the default, for 32.</summary>
    public double? K { get; init; }

    /// <summary>
    /// Weight of the loss that makes codes sparse, for "relu" (lambda of l1), "gated" (of its gate's l1) and "jumprelu" (of (L0/k - 1)^2); the others have
    /// none. How many latents are active follows from it and from the model: "relu" with 1 and "gated" with 3 had an L0 of 33 and 34 on TinyLM's residual stream (1,024 latents, 300,000 tokens), "jumprelu" with k = 32 one of 46. Null, the default, for 1, 3 and 30.
    /// </summary>
    public double? Penalty { get; init; }

    /// <summary>Seed of directions and, by <see cref="ActivationBufferOptions.Seed"/>, of the order. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Tokens of a batch. Null, the default, for 1,024, and for "feature-choice" as many as give each latent twenty entries.</summary>
    public int? Batch { get; init; }

    /// <summary>Highest learning rate. Null, the default, for 4e-3 sqrt(3072/M), at most 8e-3.</summary>
    public double? LearningRate { get; init; }

    /// <summary>Whether the architecture has a k.</summary>
    public bool HasK => Architecture is not ("relu" or "gated");

    /// <summary>Whether a weight decides how sparse codes are.</summary>
    public bool HasPenalty => Architecture is "relu" or "gated" or "jumprelu";

    /// <summary>Whether activations must come with gradients of the model's loss.</summary>
    public bool NeedsGradients => Architecture == "gradient";

    /// <summary>Whether the choice is across a batch, so that thresholds are to be calibrated to L0 = k after the training.</summary>
    public bool ChoosesAcrossBatch => Architecture is "batch-topk" or "matryoshka" or "mutual-choice" or "feature-choice";

    /// <summary>k in use.</summary>
    public double ActiveLatents => K ?? 32;

    /// <summary>Tokens of a batch in use.</summary>
    public int BatchTokens => Batch ?? (Architecture == "feature-choice" ? Math.Max(UsualBatch, (int)Math.Min(1 << 30, Math.Ceiling(EntriesPerLatent * (double)Latents / ActiveLatents / 256) * 256)) : UsualBatch);

    /// <summary>Throws where a value is out of its range or the architecture has no such setting.</summary>
    /// <exception cref="ArgumentException">A value is out of its range, or not for this architecture.</exception>
    public void Validate()
    {
        if (!Architectures.Contains(Architecture)) throw new ArgumentException($"The architecture is '{Architecture}'; known are {string.Join(", ", Architectures)}.", nameof(Architecture));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Latents);
        if (K is not null && !HasK) throw new ArgumentException($"k is {K}, but {Architecture} has none: the weight of its penalty decides how many latents are active.", nameof(K));
        if (Penalty is not null && !HasPenalty) throw new ArgumentException($"The penalty is {Penalty}, but {Architecture} has none: k decides how many latents are active.", nameof(Penalty));
        Finite.Positive(Penalty);
        if (HasK && !(ActiveLatents > 0 && ActiveLatents <= Latents)) throw new ArgumentOutOfRangeException(nameof(K), ActiveLatents, $"k must lie above 0 and not above the {Latents} latents.");
        if (Architecture is "topk" or "gradient" && ActiveLatents != Math.Floor(ActiveLatents)) throw new ArgumentException($"k is {ActiveLatents}; {Architecture} gives each token a whole number of latents.", nameof(K));
        if (Batch is <= 0) throw new ArgumentOutOfRangeException(nameof(Batch), Batch, "The batch must be positive.");
        Finite.Positive(LearningRate);
        if (ChoosesAcrossBatch && Math.Round(ActiveLatents * BatchTokens) < 1)
            throw new ArgumentException(FormattableString.Invariant($"k is {ActiveLatents}, so a batch of {BatchTokens} tokens has no entry to give away; take a larger k or batch."), nameof(K));
        if (Architecture == "feature-choice") FeatureCounts.CheckFloor(Latents, (int)Math.Round(ActiveLatents * BatchTokens), BatchTokens, 1);
    }

    /// <summary>A new autoencoder.</summary>
    /// <param name="width">d.</param>
    /// <exception cref="ArgumentException">A value is out of its range, or not for this architecture.</exception>
    public SparseAutoencoder Create(int width)
    {
        Validate();
        double k = ActiveLatents;
        CodeRule rule = Architecture switch
        {
            "relu" => new ReluRule(),
            "topk" => new TopKRule((int)k),
            "batch-topk" => new BatchTopKRule(k),
            "jumprelu" => new JumpReluRule(Latents, 0.5, 0.5),
            "gated" => new GatedRule(Latents),
            "matryoshka" => new MatryoshkaRule(k, [.. new[] { 16, 8, 4, 2, 1 }.Select(part => Latents / part).Where(w => w > 0).Distinct()]),
            "gradient" => new GradientTopKRule((int)k),
            "mutual-choice" => new MutualChoiceRule(k),
            _ => new FeatureChoiceRule(Latents, k, Law),
        };
        return new(width, Latents, rule, Seed, decoderNorm: Architecture == "relu" ? 0.1 : 1);
    }

    /// <summary>Settings of the training.</summary>
    /// <param name="steps">Steps in all.</param>
    /// <exception cref="ArgumentException">A value is out of its range, or not for this architecture.</exception>
    public AutoencoderTrainingOptions Training(long steps)
    {
        Validate();
        var options = new AutoencoderTrainingOptions
        {
            Steps = steps, WarmUp = steps / 20, Seed = Seed, LearningRate = LearningRate ?? Math.Min(HighestRate, UsualRate * Math.Sqrt(RateAtLatents / Latents)),
        };
        return Architecture switch
        {
            "relu" => options with { UnitDecoder = false, ClipNorm = 1, Losses = [new L1Penalty(Penalty ?? 1)] },
            "gated" => options with { Losses = [new GatedPenalty(Penalty ?? 3)] },
            "jumprelu" => options with { Losses = [new L0Penalty(Penalty ?? 30, ActiveLatents), new DeadLatentLoss()] },
            "mutual-choice" => options with { Losses = [new ZipfLoss(Law)] },
            _ => options,
        };
    }

    private static ZipfLaw Law => new(1, 5);
}
