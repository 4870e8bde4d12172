namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// How a posting's value becomes its contribution to a score. All models have one form, so one kernel serves them all: with the value f of a
/// posting, the term's weight w and the document's norm n the contribution is w f / (f + n), or w f for a model without norms.
/// </summary>
public interface IImpactModel
{
    /// <summary>Weight of a term, at least 0.</summary>
    /// <param name="documents">Documents of the index.</param>
    /// <param name="documentFrequency">Documents that hold the term, at least 1.</param>
    double TermWeight(int documents, int documentFrequency);

    /// <summary>Norm of each document, above or equal 0; null where values count as they are.</summary>
    /// <param name="lengths">Length of each document.</param>
    /// <param name="totalTerms">All terms of all documents, counted with repetition.</param>
    double[]? Norms(ReadOnlySpan<int> lengths, long totalTerms);
}

/// <summary>Values are impacts already: learned vectors and quantised scores.</summary>
/// <param name="Scale">What a value of 1 is worth. Default 1.</param>
public sealed record GivenImpacts(double Scale = 1) : IImpactModel
{
    /// <inheritdoc/>
    public double TermWeight(int documents, int documentFrequency) => Scale;

    /// <inheritdoc/>
    public double[]? Norms(ReadOnlySpan<int> lengths, long totalTerms) => null;
}
