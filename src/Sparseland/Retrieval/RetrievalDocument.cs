namespace Sparseland.Retrieval;

/// <summary>A document of a collection.</summary>
/// <param name="Id">Its id outside, as qrels and runs name it: not empty, unique in its collection.</param>
/// <param name="Text">Its text, perhaps empty: such a document is kept, and never found.</param>
public sealed record RetrievalDocument(string Id, string Text)
{
    /// <summary>Its title; empty, the default, where it has none.</summary>
    public string Title { get; init; } = "";

    /// <summary>What is indexed and encoded: the title, a line break and the text, or the one that is there.</summary>
    public string Contents => Title.Length == 0 ? Text : Text.Length == 0 ? Title : $"{Title}\n{Text}";
}
