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

    // Levels of sequences within sequences, and how many values are looked at to find them.
    private const int Deepest = 20, MostLooks = 2_000;
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

    /// <summary>
    /// Whether sequences within the value nest deeper than anybody would read: a tree that yields itself. Formatters go down such a value
    /// before they write a word.
    /// </summary>
    public static bool NestWithoutEnd(object value)
    {
        int looks = MostLooks;
        return Nests(value, 0);

        bool Nests(object? item, int depth)
        {
            // Iterators within a value are shown by name and not read.
            if (item is not IEnumerable sequence || item is string or JsonNode || item.GetType().Name.StartsWith('<')) return false;
            if (depth > Deepest) return true;
            int count = 0;
            foreach (object? inner in sequence)
            {
                if (--looks <= 0 || ++count > Most) return false;
                if (Nests(inner, depth + 1)) return true;
            }

            return false;
        }
    }

    // Sets, dictionaries, lists of any kind have an end and are quick.
    private static bool IsCollection(Type type) =>
        type.GetInterfaces().Any(i => i.IsGenericType && i.GetGenericTypeDefinition() is var open && (open == typeof(ICollection<>) || open == typeof(IReadOnlyCollection<>)));
}
