namespace Sparseland.Retrieval.Analysis;

/// <summary>A term of a text and where it stands.</summary>
/// <param name="Text">The term as the index knows it: lower case, stemmed where the analyzer stems.</param>
/// <param name="Position">
/// Place of its word in the text, from 0. A removed stop word keeps its place, so places may have gaps; a whole word that also stands in
/// parts has the place of its last part.
/// </param>
public readonly record struct Token(string Text, int Position);

/// <summary>Takes the terms of a text one by one, without a string for each.</summary>
public interface ITokenSink
{
    /// <summary>The next term.</summary>
    /// <param name="text">The term; valid during the call only.</param>
    /// <param name="position">Its place, as <see cref="Token.Position"/>; never less than that of the term before.</param>
    void Add(ReadOnlySpan<char> text, int position);
}
