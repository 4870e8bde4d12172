using Microsoft.DotNet.Interactive.Commands;

namespace Sparseland.Interactive;

/// <summary>#!scale [quick | lesson | full].</summary>
public sealed class ScaleCommand : KernelDirectiveCommand
{
    /// <summary>The new scale; null or empty to show the present one.</summary>
    public string? To { get; set; }
}
