namespace Sparseland.Data.Documentation;

/// <summary>What a documented member is; the letter before the colon of its identifier.</summary>
public enum DocMemberKind
{
    /// <summary>T: class, structure, interface, enumeration or delegate.</summary>
    Type,

    /// <summary>M: method, constructor or operator.</summary>
    Method,

    /// <summary>P: property or indexer.</summary>
    Property,

    /// <summary>F: field or constant of an enumeration.</summary>
    Field,

    /// <summary>E: event.</summary>
    Event,
}

/// <summary>A named piece of documentation: a parameter, a type parameter, or an exception with its condition.</summary>
/// <param name="Name">Name of the parameter, or of the exception's type without its namespace.</param>
/// <param name="Text">Plain words, perhaps empty.</param>
public sealed record DocNote(string Name, string Text);

/// <summary>One member of the .NET reference documentation, all markup turned into plain words.</summary>
/// <param name="Id">Identifier of the XML file, "M:System.String.Trim(System.Char)": unique.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Namespace">"System.Collections.Generic".</param>
/// <param name="Type">Its type without the namespace, nested types with a dot, without type parameters: "List", "Dictionary.Enumerator".</param>
/// <param name="Name">As one would say it: "String.Trim(Char)", "List.Count", "BitArray(Boolean[])" for a constructor.</param>
public sealed record DocMember(string Id, DocMemberKind Kind, string Namespace, string Type, string Name)
{
    /// <summary>What it is or does.</summary>
    public string Summary { get; init; } = "";

    /// <summary>More about it; empty for most members of the reference packs.</summary>
    public string Remarks { get; init; } = "";

    /// <summary>What a method returns or a property holds.</summary>
    public string Returns { get; init; } = "";

    /// <summary>Parameters in the order of the documentation.</summary>
    public IReadOnlyList<DocNote> Parameters { get; init; } = [];

    /// <summary>Type parameters.</summary>
    public IReadOnlyList<DocNote> TypeParameters { get; init; } = [];

    /// <summary>Exceptions and when they are thrown.</summary>
    public IReadOnlyList<DocNote> Exceptions { get; init; } = [];

    /// <summary>Identifiers that the documentation refers to, in its order, each once, the member itself left out.</summary>
    public IReadOnlyList<string> References { get; init; } = [];

    /// <summary>Namespace and type: members with one key describe one type, so a split of the collection keeps them together.</summary>
    public string TypeKey => Namespace.Length == 0 ? Type : $"{Namespace}.{Type}";

    /// <summary>
    /// The member as a short article: its name, its summary, then parameters, result, exceptions and remarks, a line each. Lines end with
    /// "\n"; so does the article.
    /// </summary>
    public string ToText()
    {
        var text = new System.Text.StringBuilder();
        void Line(string line)
        {
            if (line.Length > 0) text.Append(line).Append('\n');
        }

        Line(Name);
        Line(Summary);
        foreach (DocNote note in TypeParameters.Concat(Parameters).Where(n => n.Text.Length > 0)) Line($"{note.Name}: {note.Text}");
        if (Returns.Length > 0) Line($"Returns: {Returns}");
        foreach (DocNote note in Exceptions) Line(note.Text.Length > 0 ? $"Throws {note.Name}: {note.Text}" : $"Throws {note.Name}.");
        Line(Remarks);
        return text.ToString();
    }
}
