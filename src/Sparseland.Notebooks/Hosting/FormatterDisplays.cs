using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive.Formatting;

namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// <c>x.Display()</c>, <c>text.DisplayAs("text/html")</c> and <c>shown.Update(y)</c> are methods of the formatting library, which tells
/// whoever listens: here they reach the cell that called them.
/// </summary>
internal static class FormatterDisplays
{
    private static int s_listening;

    /// <summary>Listens; a second call does nothing.</summary>
    public static void Listen()
    {
        if (Interlocked.Exchange(ref s_listening, 1) == 0) Formatter.SubscribeToDisplayedValues(Show);
    }

    private static void Show(Microsoft.DotNet.Interactive.Formatting.DisplayedValue shown)
    {
        if (NotebookHost.Current is not { } host) return;
        MimeBundle bundle = BundleOf(shown);
        if (shown.IsUpdated) host.Update(bundle, shown.DisplayId);
        else host.Display(bundle, shown.DisplayId);
    }

    private static MimeBundle BundleOf(Microsoft.DotNet.Interactive.Formatting.DisplayedValue shown)
    {
        if (shown.Value is not null and not string && NumberForms.TryRender(shown.Value) is { } numbers) return numbers;
        var data = new Dictionary<string, JsonNode>();
        foreach (FormattedValue form in shown.FormattedValues) data[form.MimeType] = ValueFormatting.ToNode(form.MimeType, form.Value);
        if (data.Count == 0) return ValueFormatting.Format(shown.Value);
        data.TryAdd(PlainTextFormatter.MimeType, JsonValue.Create(shown.Value is string text ? text : shown.Value.ToDisplayString(PlainTextFormatter.MimeType)));
        return new MimeBundle(data);
    }
}
