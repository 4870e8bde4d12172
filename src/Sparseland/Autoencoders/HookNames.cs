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

    private static readonly (string Name, Activation Place)[] s_huggingFace =
    [
        ("", Activation.ResidualAfter), (".mlp", Activation.MlpOutput), (".self_attn", Activation.AttentionOutput), (".attn", Activation.AttentionOutput), (".attention", Activation.AttentionOutput),
    ];

    /// <summary>The place that a name means: "blocks.3.hook_resid_post", or "layers.3", "h.3.mlp" for the output of that module.</summary>
    /// <param name="name">The name.</param>
    /// <returns>The place; null where the name is another.</returns>
    public static ActivationSite? Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (TransformerLens().Match(name) is { Success: true } lens) return Find(s_transformerLens, lens);
        return HuggingFace().Match(name) is { Success: true } face ? Find(s_huggingFace, face) : null;
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

    private static ActivationSite? Find((string Name, Activation Place)[] known, Match match)
    {
        foreach ((string name, Activation place) in known)
        {
            if (name == match.Groups[2].Value && int.TryParse(match.Groups[1].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int layer)) return new(layer, place);
        }

        return null;
    }

    [GeneratedRegex(@"^blocks\.(\d+)\.(.+)$")]
    private static partial Regex TransformerLens();

    [GeneratedRegex(@"^(?:model\.|transformer\.|gpt_neox\.)?(?:layers|h)\.(\d+)(.*)$")]
    private static partial Regex HuggingFace();
}
