using Sparseland.Models.Tokenizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>
/// A decoder that tells classes of texts apart: the residual stream after its last block, or after an earlier one, each token's vector divided by its root mean square, averaged over the tokens
/// of a text, then a linear head. Shorter texts of a batch are filled up with <see cref="Padding"/> behind, which nothing before it sees.
/// </summary>
public sealed class PooledClassifier : Module<Tensor, Tensor>
{
    /// <summary>Stands where a text has no token any more.</summary>
    public const long Padding = -1;

    private const double Epsilon = 1e-6;
    private readonly LanguageModel _model;
    private readonly Linear _head;

    /// <summary>A head, zero at first, on a decoder.</summary>
    /// <param name="model">The decoder; it becomes a part of this and is disposed with it.</param>
    /// <param name="classes">Classes, at least 2.</param>
    /// <param name="blocks">The first so many blocks compute, the others are passed over. Null, the default, for all.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than two classes, or blocks that there are not.</exception>
    public PooledClassifier(LanguageModel model, int classes, int? blocks = null)
        : base(nameof(PooledClassifier))
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, 2);
        Blocks = blocks ?? model.Layers;
        if (Blocks < 1 || Blocks > model.Layers) throw new ArgumentOutOfRangeException(nameof(blocks), blocks, $"The model has {model.Layers} blocks.");
        (_model, _head) = (model, Linear(model.Width, classes, dtype: model.Embeddings.dtype, device: model.Embeddings.device));
        using IDisposable off = no_grad();
        _head.weight!.zero_();
        _head.bias!.zero_();
        register_module("decoder", _model);
        register_module("head", _head);
    }

    /// <summary>The decoder.</summary>
    public LanguageModel Decoder => _model;

    /// <summary>Blocks that compute.</summary>
    public int Blocks { get; }

    /// <summary>The head [classes, dModel]; its parameters are "head.weight" and "head.bias".</summary>
    public Linear Head => _head;

    /// <summary>Texts as one matrix of tokens.</summary>
    /// <param name="texts">The texts; each must have a token.</param>
    /// <param name="tokenizer">The decoder's.</param>
    /// <param name="most">Tokens of a text that count, from its beginning; positive.</param>
    /// <param name="cancel">Checked within texts.</param>
    /// <returns>Int64 [texts, tokens of the longest], filled up with <see cref="Padding"/>.</returns>
    /// <exception cref="ArgumentException">No texts, or one without tokens.</exception>
    public static Tensor Encode(IReadOnlyList<string> texts, TextTokenizer tokenizer, int most, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most);
        if (texts.Count == 0) throw new ArgumentException("There is no text.", nameof(texts));
        int[][] tokens = [.. texts.Select(text => tokenizer.Encode(text, most: most, cancel: cancel))];
        int empty = Array.FindIndex(tokens, t => t.Length == 0), longest = tokens.Max(t => t.Length);
        if (empty >= 0) throw new ArgumentException($"Text {empty} has no token.", nameof(texts));
        long[] ids = new long[tokens.Length * longest];
        Array.Fill(ids, Padding);
        for (int i = 0; i < tokens.Length; i++)
        {
            for (int j = 0; j < tokens[i].Length; j++) ids[(i * longest) + j] = tokens[i][j];
        }

        return tensor(ids, [tokens.Length, longest]);
    }

    /// <summary>Logits of the classes.</summary>
    /// <param name="input">Token ids [batch, tokens], int64, <see cref="Padding"/> behind the end of a text.</param>
    /// <returns>[batch, classes].</returns>
    /// <exception cref="ArgumentException">Another shape or type, a text without tokens or with padding inside, or what the decoder refuses.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        if (input.dim() != 2 || input.numel() == 0 || input.dtype != ScalarType.Int64)
            throw new ArgumentException($"input must be Int64 [batch, tokens] and not empty, but is {input.dtype} [{string.Join(", ", input.shape)}].", nameof(input));
        Tensor real = input.ne(Padding), lengths = real.sum(1, keepdim: true);
        if (lengths.min().item<long>() == 0) throw new ArgumentException("A text has no token.", nameof(input));
        if (input.shape[1] > 1 && real.narrow(1, 1, input.shape[1] - 1).logical_and(real.narrow(1, 0, input.shape[1] - 1).logical_not()).any().item<bool>())
            throw new ArgumentException("A text has padding before a token; padding stands behind the end.", nameof(input));
        long longest = lengths.max().item<long>();
        (input, real) = (input.narrow(1, 0, longest), real.narrow(1, 0, longest));
        Tensor x = _model.EmbedTokens(input.masked_fill(real.logical_not(), 0));
        for (int layer = 0; layer < Blocks; layer++) x = _model.RunBlock(layer, x);
        Tensor scaled = x * x.square().mean([-1L], keepdim: true).add(Epsilon.ToScalar()).rsqrt(), share = real.to(x.dtype) / lengths;
        return _head.call((scaled * share.unsqueeze(-1)).sum(1)).MoveToOuterDisposeScope();
    }
}
