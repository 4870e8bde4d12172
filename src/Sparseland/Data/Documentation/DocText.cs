using System.Text;
using System.Xml.Linq;

namespace Sparseland.Data.Documentation;

/// <summary>Turns the markup of XML documentation into plain words.</summary>
internal static class DocText
{
    /// <summary>The words of an element: references by the names of what they refer to, one line per paragraph, single spaces.</summary>
    public static string Of(XElement? element)
    {
        if (element is null) return "";
        var text = new StringBuilder();
        Append(element, text);
        return Tidy(text);
    }

    /// <summary>Identifiers that an element and all in it refer to.</summary>
    public static IEnumerable<string> References(XElement element) =>
        element.DescendantsAndSelf().Select(Target).Where(id => id is not null && DocId.KindOf(id) is not null)!;

    private static string? Target(XElement element)
    {
        if ((string?)element.Attribute("cref") is { } cref) return cref;
        return element.Name.LocalName == "xref" && (string?)element.Attribute("uid") is { } uid ? $"T:{uid}" : null;
    }

    private static void Append(XElement element, StringBuilder text)
    {
        foreach (XNode node in element.Nodes())
        {
            if (node is XText words) text.Append(words.Value.Replace('\n', ' '));
            else if (node is XElement child) AppendElement(child, text);
        }
    }

    private static void AppendElement(XElement child, StringBuilder text)
    {
        switch (child.Name.LocalName)
        {
            case "see" or "seealso" or "xref" when !child.Nodes().Any():
                text.Append((string?)child.Attribute("langword") ?? (Target(child) is { } id ? DocId.ShortName(id) : (string?)child.Attribute("href") ?? ""));
                break;
            case "paramref" or "typeparamref":
                text.Append((string?)child.Attribute("name"));
                break;
            case "para" or "p" or "div" or "list" or "ul" or "item" or "li" or "listheader" or "br" or "example" or "code" when !IsWord(child):
                text.Append('\n');
                Append(child, text);
                text.Append('\n');
                break;
            case "term":
                Append(child, text);
                text.Append(": ");
                break;
            default:
                Append(child, text);
                break;
        }
    }

    // Many authors write <code>null</code> where <c>null</c> is meant; a line of its own would break the sentence.
    private static bool IsWord(XElement element) => element.Name.LocalName == "code" && !element.Value.Trim().Contains('\n', StringComparison.Ordinal);

    private static string Tidy(StringBuilder text)
    {
        var result = new StringBuilder(text.Length);
        bool space = false, line = false;
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (c == '\n') line = true;
            else if (char.IsWhiteSpace(c)) space = true;
            else
            {
                if (result.Length > 0 && line) result.Append('\n');
                else if (result.Length > 0 && space) result.Append(' ');
                result.Append(c);
                space = line = false;
            }
        }

        return result.ToString();
    }
}
