using System.Globalization;
using System.Text.RegularExpressions;
using Sparseland.Models.Language;

namespace Sparseland.Autoencoders;

/// <summary>Names of places in a model, as TransformerLens and Hugging Face say them, and ours.</summary>
public static partial class HookNames
{
    private static readonly (string Name, Activation Place)[] s_transformerLens =
    [
        ("hook_resid_pre", Activation.ResidualBefore), ("hook_resid_post", Activation.ResidualAfter), ("hook_mlp_out", Activation.MlpOutput),
        ("hook_attn_out", Activation.AttentionOutput), ("attn.hook_z", Activation.HeadOutputs), ("mlp.hook_post", Activation.MlpHidden),
    ];

    private static readonly (string Name, Activation Place)[] s_short =
    [
        ("resid_pre", Activation.ResidualBefore), ("resid_post", Activation.ResidualAfter), ("mlp_out", Activation.MlpOutput),
        ("attn_out", Activation.AttentionOutput), ("z", Activation.HeadOutputs), ("mlp_post", Activation.MlpHidden),
    ];

    private static readonly (string Name, Activation Place)[] s_huggingFace =
    [
        ("", Activation.ResidualAfter), (".mlp", Activation.MlpOutput), (".self_attn", Activation.AttentionOutput), (".attn", Activation.AttentionOutput), (".attention", Activation.AttentionOutput),
    ];

    /// <summary>A name and what it means, for messages.</summary>
    internal const string Example = "resid_post.1 (the residual stream after block 1), mlp_out.2, attn_out.0, blocks.3.hook_resid_pre or layers.3";

    /// <summary>The place that a name means: "resid_post.3", "blocks.3.hook_resid_post", or "layers.3", "h.3.mlp" for the output of that module.</summary>
    /// <param name="name">The name.</param>
    /// <returns>The place; null where the name is another.</returns>
    public static ActivationSite? Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (Brief().Match(name) is { Success: true } brief && Find(s_short, brief.Groups[2].Value, brief.Groups[1].Value) is { } site) return site;
        if (TransformerLens().Match(name) is { Success: true } lens) return Find(s_transformerLens, lens.Groups[1].Value, lens.Groups[2].Value);
        return HuggingFace().Match(name) is { Success: true } face ? Find(s_huggingFace, face.Groups[1].Value, face.Groups[2].Value) : null;
    }

    /// <summary>The name of TransformerLens.</summary>
    /// <param name="site">The place.</param>
    /// <exception cref="ArgumentException">It has none.</exception>
    public static string Of(ActivationSite site)
    {
        string? name = s_transformerLens.FirstOrDefault(pair => pair.Place == site.Activation).Name;
        return name is null
            ? throw new ArgumentException($"{site.Activation} has no name in TransformerLens; known are {string.Join(", ", s_transformerLens.Select(pair => pair.Place))}.", nameof(site))
            : string.Create(CultureInfo.InvariantCulture, $"blocks.{site.Layer}.{name}");
    }

    /// <summary>The short name, such as "resid_post.1"; where there is none, the place in words.</summary>
    /// <param name="site">The place.</param>
    public static string Short(ActivationSite site)
    {
        string? name = s_short.FirstOrDefault(pair => pair.Place == site.Activation).Name;
        return name is null ? Name(site) : string.Create(CultureInfo.InvariantCulture, $"{name}.{site.Layer}");
    }

    /// <summary>The place in words, for messages.</summary>
    internal static string Name(ActivationSite site) => string.Create(CultureInfo.InvariantCulture, $"{site.Activation} of block {site.Layer}");

    private static ActivationSite? Find((string Name, Activation Place)[] known, string number, string wanted)
    {
        foreach ((string name, Activation place) in known)
        {
            if (name == wanted && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int layer)) return new(layer, place);
        }

        return null;
    }

    [GeneratedRegex(@"^([a-z]+(?:_[a-z]+)?)\.(\d+)\z")]
    private static partial Regex Brief();

    [GeneratedRegex(@"^blocks\.(\d+)\.(.+)\z")]
    private static partial Regex TransformerLens();

    [GeneratedRegex(@"^(?:model\.|transformer\.|gpt_neox\.)?(?:layers|h)\.(\d+)(.*)\z")]
    private static partial Regex HuggingFace();
}
