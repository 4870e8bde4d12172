namespace Sparseland.Retrieval.Feedback;

/// <summary>The counts of terms in documents, which feedback by terms reads: an index that keeps them, or the counts themselves.</summary>
public interface IDocumentTerms
{
    /// <summary>Number of documents.</summary>
    int Documents { get; }

    /// <summary>Counts of a document's terms.</summary>
    /// <param name="document">Number of the document, from 0.</param>
    SparseVector Counts(int document);

    /// <summary>Number of documents that hold a term.</summary>
    /// <param name="term">Number of the term.</param>
    int DocumentFrequency(int term);

    /// <summary>Text of a term.</summary>
    /// <param name="term">Number of the term.</param>
    string Term(int term);
}

/// <summary>Counts of terms held in memory.</summary>
public sealed class DocumentTerms : IDocumentTerms
{
    private readonly IReadOnlyList<SparseVector> _counts;
    private readonly IReadOnlyList<string> _terms;
    private readonly int[] _frequencies;

    /// <summary>Takes counts.</summary>
    /// <param name="counts">One vector for each document.</param>
    /// <param name="terms">Text of each term, by number.</param>
    /// <exception cref="ArgumentException">A term without text, or a count below 0.</exception>
    public DocumentTerms(IReadOnlyList<SparseVector> counts, IReadOnlyList<string> terms)
    {
        ArgumentNullException.ThrowIfNull(counts);
        ArgumentNullException.ThrowIfNull(terms);
        _frequencies = new int[terms.Count];
        for (int d = 0; d < counts.Count; d++)
        {
            ArgumentNullException.ThrowIfNull(counts[d], nameof(counts));
            for (int i = 0; i < counts[d].Count; i++)
            {
                int term = counts[d].Terms[i];
                if (term >= terms.Count) throw new ArgumentException($"Document {d} holds term {term}, but there are {terms.Count} terms.", nameof(counts));
                if (counts[d].Weights[i] < 0) throw new ArgumentException($"Document {d} holds term {term} {counts[d].Weights[i]} times.", nameof(counts));
                _frequencies[term]++;
            }
        }

        (_counts, _terms) = (counts, terms);
    }

    /// <inheritdoc/>
    public int Documents => _counts.Count;

    /// <inheritdoc/>
    public SparseVector Counts(int document) => _counts[document];

    /// <inheritdoc/>
    public int DocumentFrequency(int term) => _frequencies[term];

    /// <inheritdoc/>
    public string Term(int term) => _terms[term];
}
