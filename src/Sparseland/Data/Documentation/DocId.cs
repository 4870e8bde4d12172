using System.Text;

namespace Sparseland.Data.Documentation;

/// <summary>Reads identifiers of XML documentation ("M:System.String.Trim(System.Char)") and says them in short.</summary>
internal static class DocId
{
    /// <summary>The kind of a letter before the colon, or null for what is no member (N: namespace, "!:" an error).</summary>
    public static DocMemberKind? KindOf(string id) => id.Length < 3 || id[1] != ':' ? null : id[0] switch
    {
        'T' => DocMemberKind.Type,
        'M' => DocMemberKind.Method,
        'P' => DocMemberKind.Property,
        'F' => DocMemberKind.Field,
        'E' => DocMemberKind.Event,
        _ => null,
    };

    /// <summary>The dotted path without kind, parameters and arities: "System.Collections.Generic.List.Add".</summary>
    public static string Path(string id)
    {
        int end = id.IndexOf('(', StringComparison.Ordinal);
        string path = end < 0 ? id[2..] : id[2..end];
        int conversion = path.IndexOf('~', StringComparison.Ordinal);
        return WithoutArity(conversion < 0 ? path : path[..conversion]);
    }

    /// <summary>Type parameters are counted by `1 and ``2; a reader does not say them.</summary>
    public static string WithoutArity(string path)
    {
        if (!path.Contains('`', StringComparison.Ordinal)) return path;
        var result = new StringBuilder(path.Length);
        for (int i = 0; i < path.Length; i++)
        {
            if (path[i] != '`')
            {
                result.Append(path[i]);
                continue;
            }

            while (i + 1 < path.Length && (path[i + 1] == '`' || char.IsAsciiDigit(path[i + 1]))) i++;
        }

        return result.ToString();
    }

    /// <summary>Namespace and type of a member's path: the longest beginning that is a known type, else all but the last part.</summary>
    /// <param name="path">From <see cref="Path"/>.</param>
    /// <param name="isType">Whether the path is itself a type's.</param>
    /// <param name="types">Paths of all types.</param>
    public static (string Namespace, string Type) Split(string path, bool isType, IReadOnlySet<string> types)
    {
        string type = path;
        if (!isType)
        {
            // An explicit implementation names its interface in the member, with '#' for dots, so the last dot is the right one.
            int last = path.LastIndexOf('.');
            type = last < 0 ? path : path[..last];
        }

        int start = type.LastIndexOf('.');
        while (start > 0 && types.Contains(type[..start])) start = type.LastIndexOf('.', start - 1);
        return start < 0 ? ("", type) : (type[..start], type[(start + 1)..]);
    }

    /// <summary>As one would say it: "BitArray", "String.Trim", "List.Count"; a constructor by its type.</summary>
    public static string ShortName(string id)
    {
        DocMemberKind? kind = KindOf(id);
        if (kind is null) return id.Length > 2 && id[1] == ':' ? id[2..] : id;
        string path = Path(id);
        string[] parts = path.Split('.');
        if (kind == DocMemberKind.Type || parts.Length < 2) return parts[^1];
        string member = parts[^1].Replace('#', '.');
        if (member.Length > 1 && member.LastIndexOf('.') is > 0 and int dot) member = member[(dot + 1)..];
        return member is ".ctor" or ".cctor" or "ctor" ? parts[^2] : $"{parts[^2]}.{member}";
    }

    /// <summary>Types of the parameters in short, "(Boolean[], List)", or "" for none.</summary>
    public static string ShortParameters(string id)
    {
        int start = id.IndexOf('(', StringComparison.Ordinal);
        if (start < 0) return "";
        int end = id.LastIndexOf(')');
        var names = new List<string>();
        var current = new StringBuilder();
        int depth = 0;
        foreach (char c in id.AsSpan(start + 1, Math.Max(0, end - start - 1)))
        {
            // The arguments of a type parameter are left out: List{System.Int32} is said List.
            if (c is '{') depth++;
            else if (c is '}') depth--;
            else if (c is ',' && depth == 0)
            {
                names.Add(Last(current.ToString()));
                current.Clear();
            }
            else if (depth == 0) current.Append(c);
        }

        if (current.Length > 0) names.Add(Last(current.ToString()));
        return $"({string.Join(", ", names)})";

        static string Last(string type)
        {
            // A type parameter is only a number here.
            if (type.StartsWith('`')) return "T" + type[^1..].Replace("]", "[]", StringComparison.Ordinal).Replace("@", "", StringComparison.Ordinal).Trim('0', '1', '2', '3', '4', '5', '6', '7', '8', '9');
            string plain = WithoutArity(type).TrimEnd('@', '*');
            int bracket = plain.IndexOf('[', StringComparison.Ordinal);
            string suffix = bracket < 0 ? "" : "[]";
            string name = bracket < 0 ? plain : plain[..bracket];
            return name[(name.LastIndexOf('.') + 1)..] + suffix;
        }
    }
}
