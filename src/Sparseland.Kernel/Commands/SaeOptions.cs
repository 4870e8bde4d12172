using System.CommandLine;
using Sparseland.Autoencoders;
using Sparseland.Kernel.Autoencoders;

namespace Sparseland.Kernel.Commands;

/// <summary>Options that the commands on autoencoders share.</summary>
internal static class SaeOptions
{
    public const string Models = "a folder of Hugging Face (config.json, safetensors, tokenizer.json), tinylm for the model that is shipped, or arctic for the text encoder snowflake-arctic-embed-xs";

    /// <summary>The folder of an autoencoder.</summary>
    public static Argument<string> Folder() => new("sae-folder") { Description = "A folder of SAELens or sparsify." };

    /// <summary>--model.</summary>
    public static Option<string> Model() => new("--model") { Description = $"The model: {Models}.", Required = true };

    /// <summary>--site, where a folder names one.</summary>
    public static Option<string?> Site() => new("--site") { Description = $"Place in the model: {HookNames.Example}. By default the one that the folder names." };

    /// <summary>--activation-scale.</summary>
    public static Option<double?> ActivationScale() => new("--activation-scale") { Description = "What activations are multiplied with first, where the folder says that there is such a factor and does not hold it." };

    /// <summary>--norms.</summary>
    public static Option<DecoderNorms> Norms() => new("--norms") { Description = "Rows of the decoder whose norms are not one: fold them into the codes, or keep them.", DefaultValueFactory = _ => DecoderNorms.Fold };

    /// <summary>--text.</summary>
    public static Option<string?> Text() => new("--text")
    {
        Description = "Text to compute activations on: a .jsonl file with a field \"text\" in each line, or a file of plain text; its last twentieth is held out. By default the reference documentation of .NET.",
    };

    /// <summary>--skip-first.</summary>
    public static Option<int> SkipFirst() => new("--skip-first") { Description = "Tokens left out at the beginning of each window; in many models the first has a norm of its own. Decoders only.", DefaultValueFactory = _ => 0 };

    /// <summary>--skip-first, where a folder may say what its training did.</summary>
    public static Option<int?> SkipFirstAsTrained() => new("--skip-first") { Description = "Tokens left out at the beginning of each window. Decoders only. [default: as in the training, if the folder says so]" };

    /// <summary>--max-norm-ratio.</summary>
    public static Option<double?> MaxNormRatio() => new("--max-norm-ratio") { Description = "Leaves out tokens whose norm is above so many medians (10 is usual for real models); their number is said. By default none is left out." };

    /// <summary>--pooled.</summary>
    public static Option<bool> Pooled() => new("--pooled") { Description = "One row for each text, the mean over its tokens. Encoders only." };

    /// <summary>--context.</summary>
    public static Option<int?> Context() => new("--context") { Description = "Tokens of a window. [default: the model's context, at most 256; for encoders 128]" };

    /// <summary>A number of tokens.</summary>
    public static Option<long?> Tokens(string name, string description) => new(name)
    {
        Description = description,
        CustomParser = result =>
        {
            try
            {
                return TokenCount.Parse(result.Tokens[0].Value);
            }
            catch (FormatException e)
            {
                result.AddError($"{name}: {e.Message}");
                return null;
            }
        },
    };

    /// <summary>What the folder says of where it belongs and the command line says otherwise, a line each: widths may fit all the same.</summary>
    public static IEnumerable<string> Differences(SavedAutoencoder saved, Reading reading, HostModel model)
    {
        if (saved.Origin.Model is { } made && made != model.Name) yield return $"the folder names the model '{made}'";
        if (saved.Origin.Site is { } site && site != reading.Site) yield return $"the folder names the place {HookNames.Short(site)}";
    }

    /// <summary>What a command works on, in one line.</summary>
    public static string What(SavedAutoencoder saved, Reading reading, HostModel model) =>
        $"{saved.Autoencoder.Rule.Description}, {saved.Autoencoder.Latents} latents at {HookNames.Short(reading.Site)} of {model.Name}";
}
