using System.Text.Json.Nodes;
using Sparseland.Models.Language;
using Sparseland.Tensors;

namespace Sparseland.Autoencoders;

/// <summary>What was measured when an autoencoder was made here, as its folder keeps it (metadata.sparseland of cfg.json); null where it is not said.</summary>
public sealed record AutoencoderFigures
{
    /// <summary>The rule of the training with its settings, also where the folder holds thresholds in its place. Default null.</summary>
    public string? Rule { get; init; }

    /// <summary>Scaling of the activations that was folded into the weights. Default null.</summary>
    public double? FoldedScaling { get; init; }

    /// <summary>The place. Default null.</summary>
    public ActivationSite? Site { get; init; }

    /// <summary>Seed of the training. Default null.</summary>
    public long? Seed { get; init; }

    /// <summary>Tokens that it was trained on, repeated ones counted each time. Default null.</summary>
    public long? Tokens { get; init; }

    /// <summary>Tokens of a window of the text. Default null.</summary>
    public int? Context { get; init; }

    /// <summary>Tokens that were left out at the beginning of each window. Default null.</summary>
    public int? SkipFirst { get; init; }

    /// <summary>Tokens of a norm above so many medians were left out (<see cref="OrdinaryTokens"/>). Default null.</summary>
    public double? MaxNormRatio { get; init; }

    /// <summary>Whether each text of an encoder gave one row, the mean over its tokens. Default null.</summary>
    public bool? Pooled { get; init; }

    /// <summary>Held-out tokens that the figures below were measured on. Default null.</summary>
    public long? HeldOutTokens { get; init; }

    /// <summary>Mean number of active latents of a held-out token. Default null.</summary>
    public double? L0 { get; init; }

    /// <summary>Fraction of variance unexplained on held-out tokens. Default null.</summary>
    public double? Fvu { get; init; }

    /// <summary>Cross-entropy that is lost when the reconstruction takes the activation's place, in nats a token. Default null.</summary>
    public double? CrossEntropyIncrease { get; init; }

    /// <summary>Mean KL(clean || spliced) of a token, in nats. Default null.</summary>
    public double? KullbackLeibler { get; init; }

    /// <summary>Share of latents that are active on no held-out token. Default null.</summary>
    public double? DeadShare { get; init; }

    /// <summary>Keys that are not known here, kept for writing them again. Default null.</summary>
    public JsonObject? Unused { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    internal static AutoencoderFigures? Read(FolderConfig parent, string name)
    {
        if (!parent.Has(name)) return null;
        FolderConfig config = parent.Within(name);
        string? site = config.Text("site");
        var figures = new AutoencoderFigures
        {
            Rule = config.Text("rule"), FoldedScaling = config.Number("folded_scaling"), Site = site is null ? null : HookNames.Parse(site), Seed = config.Whole("seed"),
            Tokens = config.Whole("tokens"), Context = config.Integer("context"), SkipFirst = config.Integer("skip_first"), MaxNormRatio = config.Number("max_norm_ratio"),
            Pooled = config.Has("pooled") ? config.Flag("pooled", absent: false) : null, HeldOutTokens = config.Whole("held_out_tokens"), L0 = config.Number("l0"), Fvu = config.Number("fvu"),
            CrossEntropyIncrease = config.Number("cross_entropy_increase"), KullbackLeibler = config.Number("kl"), DeadShare = config.Number("dead_share"),
        };
        return config.Unused() is { Count: > 0 } rest ? figures with { Unused = rest } : figures;
    }

    /// <summary>The object that a config keeps; figures that are not known, or not finite and so no JSON, are left out.</summary>
    internal JsonObject ToJson()
    {
        JsonObject json = Unused?.DeepClone() as JsonObject ?? [];
        void Put(string name, JsonNode? value)
        {
            if (value is not null) json[name] = value;
        }

        static JsonNode? Finite(double? value) => value is { } number && double.IsFinite(number) ? number : null;
        Put("rule", Rule);
        Put("folded_scaling", Finite(FoldedScaling));
        Put("site", Site is { } site ? HookNames.Short(site) : null);
        Put("seed", Seed);
        Put("tokens", Tokens);
        Put("context", Context);
        Put("skip_first", SkipFirst);
        Put("max_norm_ratio", Finite(MaxNormRatio));
        Put("pooled", Pooled);
        Put("held_out_tokens", HeldOutTokens);
        Put("l0", Finite(L0));
        Put("fvu", Finite(Fvu));
        Put("cross_entropy_increase", Finite(CrossEntropyIncrease));
        Put("kl", Finite(KullbackLeibler));
        Put("dead_share", Finite(DeadShare));
        return json;
    }
}
