using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive;
using Microsoft.DotNet.Interactive.Events;
using Microsoft.DotNet.Interactive.Formatting;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Interactive;

/// <summary>Displays and their updates as .NET Interactive's own events, so that progress is redrawn in place.</summary>
/// <remarks>Work on a thread without a context of its own shows its values in the cell that began last.</remarks>
internal sealed class InteractiveHost : INotebookHost
{
    private volatile KernelInvocationContext? last;

    public CancellationToken CellCancelled => Context.CancellationToken;

    private KernelInvocationContext Context =>
        (last = KernelInvocationContext.Current ?? last) ?? throw new InvalidOperationException("Nothing can be displayed here: no cell is running.");

    public void Display(MimeBundle bundle, string displayId)
    {
        KernelInvocationContext context = Context;
        context.Publish(new DisplayedValueProduced(bundle, context.Command, Forms(bundle), displayId));
    }

    public void Update(MimeBundle bundle, string displayId)
    {
        KernelInvocationContext context = Context;
        context.Publish(new DisplayedValueUpdated(bundle, displayId, context.Command, Forms(bundle)));
    }

    public string Ask(string prompt, bool isPassword) => isPassword
        ? Kernel.GetPasswordAsync(prompt).GetAwaiter().GetResult().GetClearTextPassword()
        : Kernel.GetInputAsync(prompt).GetAwaiter().GetResult();

    private static FormattedValue[] Forms(MimeBundle bundle) =>
        [.. bundle.Data.Select(form => new FormattedValue(form.Key, form.Value is JsonValue value && value.TryGetValue(out string? text) ? text : form.Value.ToJsonString()))];
}
