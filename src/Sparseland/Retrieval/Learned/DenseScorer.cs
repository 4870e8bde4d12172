using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>A dense retriever: one encoder for both sides, pooled and normalised, its cosines over a temperature.</summary>
public sealed class DenseScorer : ITextScorer
{
    private readonly BertEncoder _encoder;

    /// <summary>A retriever over an encoder.</summary>
    /// <param name="encoder">The encoder, with its pooling and its prefix of queries; stays the caller's.</param>
    /// <param name="temperature">What cosines are divided by, above 0. Default 0.05.</param>
    /// <exception cref="ArgumentOutOfRangeException">The temperature is not positive and finite.</exception>
    public DenseScorer(BertEncoder encoder, double temperature = 0.05)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        Finite.Positive(temperature);
        (_encoder, Scale) = (encoder, 1 / temperature);
    }

    /// <inheritdoc/>
    public nn.Module Module => _encoder;

    /// <inheritdoc/>
    public double Scale { get; }

    /// <inheritdoc/>
    public bool Sparse => false;

    /// <inheritdoc/>
    public int[] TokenizeDocument(string text) => _encoder.Tokenize(text);

    /// <inheritdoc/>
    public int[] TokenizeQuery(string text) => _encoder.Tokenize(_encoder.QueryPrefix + text);

    /// <inheritdoc/>
    public Tensor Documents(IReadOnlyList<int[]> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        using DisposeScope scope = NewDisposeScope();
        (Tensor tokens, Tensor? mask) = _encoder.Pad([.. ids]);
        Tensor pooled = _encoder.Pool(_encoder.Hidden(tokens, mask), mask, _encoder.Pooling);
        return nn.functional.normalize(pooled, p: 2, dim: 1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Queries(IReadOnlyList<int[]> ids) => Documents(ids);
}
