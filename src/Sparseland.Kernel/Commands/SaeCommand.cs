using System.CommandLine;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland sae</c>: autoencoders on the disk and models on the disk.</summary>
internal static class SaeCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create() => new("sae", "Sparse autoencoders of a model's activations: train one, measure one, read its features.")
    {
        SaeTrainCommand.Create(),
        SaeEvalCommand.Create(),
        SaeReportCommand.Create(),
    };
}
