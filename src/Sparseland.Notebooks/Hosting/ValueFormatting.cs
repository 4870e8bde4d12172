using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive.Formatting;

namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// The one place that knows Microsoft.DotNet.Interactive.Formatting: turns any value into a <see cref="MimeBundle"/>
/// with the formatters that users have registered for .NET Interactive.
/// </summary>
public static class ValueFormatting
{
    // Text of one value, where nobody has said how it is shown; and how much of it is kept where that was not enough.
    private const int MostCharacters = 1_000_000, ShownOfEndless = 2_000;
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
            while (e is System.Reflection.TargetInvocationException { InnerException: { } inner }) e = inner;
            // libtorch puts its own frames below the first line of its message.
            string message = e is System.Runtime.InteropServices.ExternalException ? e.Message.Split('\n')[0] : e.Message;
            return Text($"{value!.GetType().Name}: formatting failed with {e.GetType().Name}: {message}");
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
        if (value is not string && !value.GetType().IsPrimitive) NotebookFormatters.RegisterNumbers();

        // Loading the chart libraries takes a moment: only for values of other libraries.
        if (value.GetType().Assembly.GetName().Name is { } assembly && !assembly.StartsWith("System.", StringComparison.Ordinal) && !value.GetType().Assembly.IsDynamic)
            NotebookFormatters.Register();
        if (IsUsers(value.GetType())) return FormatWithFormatters(value, mimeTypes);
        if ((NumberForms.TryRender(value) ?? Sequences.TryRender(value)) is { } form) return form;
        return IsSequenceOfSequences(value) && Sequences.NestWithoutEnd(value)
            ? Text($"{TypeNames.CSharp(value.GetType())}, which contains itself or nests without end")
            : FormatWithFormatters(value, mimeTypes);
    }

    /// <summary>Whether somebody has said how values of this very type are shown.</summary>
    private static bool IsUsers(Type type) => Formatter.RegisteredFormatters(includeDefaults: false).Any(f => f.Type == type && !NotebookFormatters.IsOwn(f));

    // A sequence of numbers has nothing to look into.
    private static bool IsSequenceOfSequences(object value) =>
        value is System.Collections.IEnumerable and not string && (value.GetType().GetElementType() is not { } element || !element.IsValueType);

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
            if (TextOf(value, mimeType) is { } text) data[mimeType] = ToNode(mimeType, text);
        }

        // A number needs no kilobyte of HTML and style around it, unless the user has said how to show it.
        if (value is not null && (value.GetType().IsPrimitive || value is decimal)
            && data.TryGetValue(HtmlFormatter.MimeType, out var html) && ((string?)html)?.StartsWith(PlainWrapper, StringComparison.Ordinal) == true)
        {
            data.Remove(HtmlFormatter.MimeType);
        }

        return new MimeBundle(data);
    }

    /// <summary>What the formatters write; of a value without end the beginning as plain text, and nothing of another type.</summary>
    private static string? TextOf(object? value, string mimeType)
    {
        bool isPlain = mimeType == PlainTextFormatter.MimeType;
        if (value is null) return value.ToDisplayString(mimeType);
        if (isPlain && value is string text) return text;

        // Whoever registers a formatter may write as much as a page holds: a chart brings its library.
        bool isOwn = Formatter.RegisteredFormatters(includeDefaults: false).Any(f => f.Type != typeof(object) && f.Type.IsInstanceOfType(value));
        using var writer = new BoundedText(isOwn ? int.MaxValue : MostCharacters);
        try
        {
            using var context = new FormatContext(writer);
            writer.Follow(() => context.Depth);
            value.FormatTo(context, mimeType);
            return writer.ToString();
        }
        catch (Exception e) when (e.GetBaseException() is BoundedText.EndOfTextException)
        {
            // Formatters made by reflection wrap what they throw.
            string start = writer.ToString();
            return isPlain ? $"{start[..Math.Min(start.Length, ShownOfEndless)]}\n... {TypeNames.CSharp(value.GetType())} is not shown whole: {e.GetBaseException().Message}" : null;
        }
    }

    internal static JsonNode ToNode(string mimeType, string text) =>
        mimeType.EndsWith("json", StringComparison.Ordinal) && JsonNode.Parse(text) is { } json ? json : JsonValue.Create(text);
}
