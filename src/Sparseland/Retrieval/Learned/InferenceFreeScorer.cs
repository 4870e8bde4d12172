using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>An inference-free retriever (Geng et al. 2024): documents by a network, queries by a table.</summary>
public sealed class InferenceFreeScorer : ITextScorer
{
    /// <summary>A retriever of both.</summary>
    /// <param name="documents">The encoder of the documents; stays the caller's.</param>
    /// <param name="queries">The table of the queries, made with the same encoder.</param>
    /// <exception cref="ArgumentException">The table is of another vocabulary.</exception>
    public InferenceFreeScorer(SpladeEncoder documents, QueryTable queries)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(queries);
        if (queries.Weights.Length != documents.Body.Config.Vocabulary)
            throw new ArgumentException($"The table has {queries.Weights.Length} tokens, the encoder {documents.Body.Config.Vocabulary}: it belongs to another model.", nameof(queries));
        (Encoder, Table) = (documents, queries);
    }

    /// <summary>Of the documents.</summary>
    public SpladeEncoder Encoder { get; }

    /// <summary>Of the queries.</summary>
    public QueryTable Table { get; }

    /// <inheritdoc/>
    public nn.Module Module => Encoder;

    /// <inheritdoc/>
    public double Scale => 1;

    /// <inheritdoc/>
    public bool Sparse => true;

    /// <inheritdoc/>
    public int[] TokenizeDocument(string text) => Encoder.TokenizeDocument(text);

    /// <inheritdoc/>
    public int[] TokenizeQuery(string text) => Encoder.Body.Tokenize(text);

    /// <inheritdoc/>
    public Tensor Documents(IReadOnlyList<int[]> ids) => Encoder.Documents(ids);

    /// <inheritdoc/>
    public Tensor Queries(IReadOnlyList<int[]> ids) => Table.Rows(ids);
}
