using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// A retriever with two sides, each of which makes a vector of a text; the score is their inner product times <see cref="Scale"/>. Dense, siamese
/// sparse, inference-free and uniCOIL models differ in nothing else, so one training serves them all.
/// </summary>
public interface ITextScorer
{
    /// <summary>What is trained.</summary>
    nn.Module Module { get; }

    /// <summary>What products are multiplied with before a softmax: one over the temperature.</summary>
    double Scale { get; }

    /// <summary>Whether vectors are sparse, so that a penalty on them makes sense.</summary>
    bool Sparse { get; }

    /// <summary>Token ids of a text as the document's side wants them.</summary>
    /// <param name="text">A text, perhaps empty.</param>
    int[] TokenizeDocument(string text);

    /// <summary>Token ids of a text as the query's side wants them.</summary>
    /// <param name="text">A text, perhaps empty.</param>
    int[] TokenizeQuery(string text);

    /// <summary>Vectors of documents, with a gradient.</summary>
    /// <param name="ids">Of <see cref="TokenizeDocument"/>.</param>
    /// <returns>[documents, width].</returns>
    Tensor Documents(IReadOnlyList<int[]> ids);

    /// <summary>Vectors of queries, with a gradient where they are learned.</summary>
    /// <param name="ids">Of <see cref="TokenizeQuery"/>.</param>
    /// <returns>[queries, width].</returns>
    Tensor Queries(IReadOnlyList<int[]> ids);
}
