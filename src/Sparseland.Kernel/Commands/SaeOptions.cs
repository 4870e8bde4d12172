using System.CommandLine;
using Sparseland.Kernel.Autoencoders;

namespace Sparseland.Kernel.Commands;

/// <summary>Options that the commands on autoencoders share.</summary>
internal static class SaeOptions
{
    public const string Models = "a folder of Hugging Face (config.json, safetensors, tokenizer.json), tinylm for the model that is shipped, or arctic for the text encoder snowflake-arctic-embed-xs";

    /// <summary>--text.</summary>
    public static Option<string?> Text() => new("--text")
    {
        Description = "Text to compute activations on: a .jsonl file with a field \"text\" in each line, or a file of plain text; its last twentieth is held out. By default the reference documentation of .NET.",
    };

    /// <summary>--docs.</summary>
    public static Option<string?> Docs() => new("--docs") { Description = "Folder of the .NET SDK (it holds packs/) or of documentation files; by default it is searched." };

    /// <summary>--skip-first.</summary>
    public static Option<int> SkipFirst() => new("--skip-first") { Description = "Tokens left out at the beginning of each window; in many models the first has a norm of its own. Decoders only.", DefaultValueFactory = _ => 0 };

    /// <summary>--max-norm-ratio.</summary>
    public static Option<double?> MaxNormRatio() => new("--max-norm-ratio") { Description = "Leaves out tokens whose norm is above so many medians (10 is usual for real models); their number is said. By default none is left out." };

    /// <summary>--pooled.</summary>
    public static Option<bool> Pooled() => new("--pooled") { Description = "One row for each text, the mean over its tokens. Encoders only." };

    /// <summary>--context.</summary>
    public static Option<int?> Context() => new("--context") { Description = "Tokens of a window. [default: the model's context, at most 256; for encoders 128]" };

    /// <summary>--threads.</summary>
    public static Option<int?> Threads() => new("--threads") { Description = "Threads of libtorch; a resumed training is the same bit for bit only with the same number." };

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

    /// <summary>Sets the threads of libtorch where they are given.</summary>
    public static void UseThreads(int? threads)
    {
        if (threads is not { } wanted) return;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(wanted, "--threads");
        TorchSharp.torch.set_num_threads(wanted);
    }
}
