using Sparseland.Tensors;

namespace Sparseland.Models.Tokenizers;

/// <summary>One text or two as a model reads them, with the special tokens around them.</summary>
/// <param name="Ids">Token ids.</param>
/// <param name="Types">For each token its segment: 0, and for the second text what the tokenizer's template says (1 for BERT).</param>
public sealed record TokenSequence(int[] Ids, int[] Types)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
