namespace Sparseland.Retrieval;

/// <summary>A document that a search found, by its id outside.</summary>
/// <param name="Id">The document's id.</param>
/// <param name="Score">Its score, finite; higher is better.</param>
public readonly record struct RankedDocument(string Id, double Score);

/// <summary>
/// A document that a search in an index found, by its number there. The order of results is the score, highest first, then the number,
/// lowest first; every search and every fusion keeps to it.
/// </summary>
/// <param name="Document">Number of the document in its index, from 0.</param>
/// <param name="Score">Its score, above 0 in a search by terms.</param>
public readonly record struct Hit(int Document, double Score) : IComparable<Hit>
{
    /// <summary>Negative where this one stands before the other in a list of results.</summary>
    /// <param name="other">The other.</param>
    public int CompareTo(Hit other) => other.Score.CompareTo(Score) is not 0 and var byScore ? byScore : Document.CompareTo(other.Document);

    /// <summary>Whether this one stands before the other.</summary>
    /// <param name="left">This one.</param>
    /// <param name="right">The other.</param>
    public static bool operator <(Hit left, Hit right) => left.CompareTo(right) < 0;

    /// <summary>Whether this one stands behind the other.</summary>
    /// <param name="left">This one.</param>
    /// <param name="right">The other.</param>
    public static bool operator >(Hit left, Hit right) => left.CompareTo(right) > 0;

    /// <summary>Whether this one stands before the other or is the same.</summary>
    /// <param name="left">This one.</param>
    /// <param name="right">The other.</param>
    public static bool operator <=(Hit left, Hit right) => left.CompareTo(right) <= 0;

    /// <summary>Whether this one stands behind the other or is the same.</summary>
    /// <param name="left">This one.</param>
    /// <param name="right">The other.</param>
    public static bool operator >=(Hit left, Hit right) => left.CompareTo(right) >= 0;
}
