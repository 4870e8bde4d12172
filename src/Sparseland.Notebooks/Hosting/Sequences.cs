using System.Collections;
using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive.Formatting;

namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// The beginning of a sequence of unknown length: its first values, as many as come in two seconds. A sequence that never ends, or a slow
/// one, must not hold a cell.
/// </summary>
internal static class Sequences
{
    private const int Most = 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>The forms of a lazy sequence, or null where the value is none.</summary>
    public static MimeBundle? TryRender(object value)
    {
        if (value is not IEnumerable sequence || value is string or ICollection or JsonNode || IsCollection(value.GetType())) return null;
        var values = new List<object?>();
        string state = "and so on";
        Exception? failure = null;

        // A thread of its own: what does not come in time is left to itself.
        var reader = new Thread(() =>
        {
            try
            {
                foreach (object? item in sequence)
                {
                    lock (values)
                    {
                        if (values.Count == Most) return;
                        values.Add(item);
                    }
                }

                state = "";
            }
            catch (Exception e)
            {
                // The sequence is the user's code; what it throws is shown below what it gave.
                failure = e;
            }
        }) { IsBackground = true, Name = "sequence" };
        reader.Start();
        bool ended = reader.Join(Patience);
        object?[] shown;
        lock (values) shown = [.. values];
        string note = !ended ? $"the next value did not come within {Patience.TotalSeconds:0} s"
            : failure is not null ? $"then {failure.GetType().Name}: {failure.Message}" : state;
        Type[] types = [.. shown.Select(v => v?.GetType() ?? typeof(object)).Distinct()];
        Array list = Array.CreateInstance(types.Length == 1 ? types[0] : typeof(object), shown.Length);
        Array.Copy(shown, list, shown.Length);
        MimeBundle bundle = ValueFormatting.Format(list);
        if (note.Length == 0) return bundle;
        var data = bundle.Data.ToDictionary(form => form.Key, form => form.Value);
        data[PlainTextFormatter.MimeType] = JsonValue.Create($"{data[PlainTextFormatter.MimeType]} ... {note}");
        if (data.TryGetValue(HtmlFormatter.MimeType, out JsonNode? html)) data[HtmlFormatter.MimeType] = JsonValue.Create($"{html}<div>... {Markup.Escape(note)}</div>");
        return new MimeBundle(data);
    }

    // Sets, dictionaries, lists of any kind have an end and are quick.
    private static bool IsCollection(Type type) =>
        type.GetInterfaces().Any(i => i.IsGenericType && i.GetGenericTypeDefinition() is var open && (open == typeof(ICollection<>) || open == typeof(IReadOnlyCollection<>)));
}
