using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive.Formatting;

namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// The one place that knows Microsoft.DotNet.Interactive.Formatting: turns any value into a <see cref="MimeBundle"/>
/// with the formatters that users have registered for .NET Interactive.
/// </summary>
public static class ValueFormatting
{
    private const string PlainWrapper = "<div class=\"dni-plaintext\"><pre>";

    /// <summary>All displayed forms of a value.</summary>
    /// <param name="value">Any value; a <see cref="MimeBundle"/> or <see cref="IMimeRenderable"/> is taken as it is.</param>
    /// <param name="mimeTypes">The MIME types to make; none for the type's preferred ones.</param>
    /// <remarks>A formatter that throws gives a text form that says so: a display never ends a cell.</remarks>
    public static MimeBundle Format(object? value, params string[] mimeTypes)
    {
        if (value is MimeBundle bundle)
        {
            return bundle;
        }

        using var shield = CellPlace.EnterShield();
        try
        {
            return value is IMimeRenderable renderable ? renderable.Render() : FormatKnown(value, mimeTypes);
        }
        catch (Exception e)
        {
            // Any exception of user code may surface here (a property getter, ToString, a registered formatter).
            return Text($"{value!.GetType().Name}: formatting failed with {e.GetType().Name}: {e.Message}");
        }
    }

    /// <summary>A bundle of plain text only.</summary>
    public static MimeBundle Text(string text) => new(new Dictionary<string, JsonNode> { [PlainTextFormatter.MimeType] = JsonValue.Create(text) });

    /// <summary>A bundle of HTML and its plain-text stand-in.</summary>
    public static MimeBundle Html(string html, string plainText) => new(new Dictionary<string, JsonNode>
    {
        [HtmlFormatter.MimeType] = JsonValue.Create(html),
        [PlainTextFormatter.MimeType] = JsonValue.Create(plainText),
    });

    private static MimeBundle FormatKnown(object? value, string[] mimeTypes)
    {
        if (value is null || mimeTypes.Length > 0) return FormatWithFormatters(value, mimeTypes);

        // Loading the chart libraries takes a moment: only for values of other libraries.
        if (value.GetType().Assembly.GetName().Name is { } assembly && !assembly.StartsWith("System.", StringComparison.Ordinal) && !value.GetType().Assembly.IsDynamic)
            NotebookFormatters.Register();
        if (IsUsers(value.GetType())) return FormatWithFormatters(value, mimeTypes);
        return NumberForms.TryRender(value) ?? Sequences.TryRender(value) ?? FormatWithFormatters(value, mimeTypes);
    }

    /// <summary>Whether somebody has said how values of this very type are shown.</summary>
    private static bool IsUsers(Type type) => Formatter.RegisteredFormatters(includeDefaults: false).Any(f => f.Type == type && !NotebookFormatters.IsOwn(f));

    private static MimeBundle FormatWithFormatters(object? value, string[] mimeTypes)
    {
        if (mimeTypes.Length == 0)
        {
            mimeTypes = value switch
            {
                null => [PlainTextFormatter.MimeType],
                string => [PlainTextFormatter.MimeType],
                _ => [.. Formatter.GetPreferredMimeTypesFor(value.GetType())],
            };
        }

        var data = new Dictionary<string, JsonNode>();
        foreach (var mimeType in mimeTypes.Append(PlainTextFormatter.MimeType).Distinct())
        {
            data[mimeType] = ToNode(mimeType, value is string text && mimeType == PlainTextFormatter.MimeType ? text : value.ToDisplayString(mimeType));
        }

        // A number needs no kilobyte of HTML and style around it, unless the user has said how to show it.
        if (value is not null && (value.GetType().IsPrimitive || value is decimal)
            && data.TryGetValue(HtmlFormatter.MimeType, out var html) && ((string?)html)?.StartsWith(PlainWrapper, StringComparison.Ordinal) == true)
        {
            data.Remove(HtmlFormatter.MimeType);
        }

        return new MimeBundle(data);
    }

    internal static JsonNode ToNode(string mimeType, string text) =>
        mimeType.EndsWith("json", StringComparison.Ordinal) && JsonNode.Parse(text) is { } json ? json : JsonValue.Create(text);
}
