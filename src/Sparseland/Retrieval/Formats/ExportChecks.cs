namespace Sparseland.Retrieval.Formats;

/// <summary>What every file for others asks of documents and vectors before anything is written: a reader would lose, or refuse, the rest.</summary>
internal static class ExportChecks
{
    /// <summary>Documents are there, have texts, and an id each that no other has.</summary>
    public static void Documents(IReadOnlyList<RetrievalDocument> documents)
    {
        var places = new Dictionary<string, int>(documents.Count, StringComparer.Ordinal);
        for (int d = 0; d < documents.Count; d++)
        {
            RetrievalDocument document = documents[d] ?? throw new ArgumentException($"The document at place {d} is null.", nameof(documents));
            if (string.IsNullOrEmpty(document.Id)) throw new ArgumentException($"The document at place {d} has an empty id.", nameof(documents));
            if (!places.TryAdd(document.Id, d)) throw new ArgumentException($"The id '{document.Id}' stands at places {places[document.Id]} and {d}.", nameof(documents));
            if (document.Title is null || document.Text is null) throw new ArgumentException($"Document '{document.Id}' has null for its {(document.Title is null ? "title" : "text")}; an empty one is allowed.", nameof(documents));
        }
    }

    /// <summary>A vector for each document; names of terms that are there, each once.</summary>
    public static void Vectors(IReadOnlyList<RetrievalDocument> documents, IReadOnlyList<SparseVector> vectors, IReadOnlyList<string> names)
    {
        if (documents.Count != vectors.Count) throw new ArgumentException($"{documents.Count} documents, but {vectors.Count} vectors.", nameof(vectors));
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (int t = 0; t < names.Count; t++)
        {
            if (names[t] is null) throw new ArgumentException($"The name of term {t} is null.", nameof(names));
            if (!seen.Add(names[t])) throw new ArgumentException($"The term '{names[t]}' stands twice.", nameof(names));
            if (!IsWellFormed(names[t])) throw new ArgumentException($"The term '{names[t]}' holds half a surrogate pair and is no valid text.", nameof(names));
        }

        for (int d = 0; d < vectors.Count; d++)
        {
            SparseVector vector = vectors[d] ?? throw new ArgumentException($"The vector of document '{documents[d].Id}' is null; an empty one is allowed.", nameof(vectors));
            if (vector.Count > 0 && vector.Terms[^1] >= names.Count) throw new ArgumentException($"Document '{documents[d].Id}' holds term {vector.Terms[^1]}, but there are {names.Count} names.", nameof(vectors));
        }
    }

    /// <summary>Ids and texts are Unicode, which a file of UTF-8 can keep.</summary>
    public static void Texts(IEnumerable<string> texts, string argument)
    {
        if (texts.FirstOrDefault(t => !IsWellFormed(t)) is { } broken) throw new ArgumentException($"'{broken}' holds half a surrogate pair and is no valid text.", argument);
    }

    private static bool IsWellFormed(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1])) i++;
            else return false;
        }

        return true;
    }
}
