using Sparseland.Models.Tokenizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>
/// BERT (Devlin et al. 2019), an encoder in which every token sees every other: embeddings of token, position and segment, a layer norm, and
/// blocks of y = norm(x + Attention(x)), norm(y + MLP(y)) with the exact GELU. Parameters have the names of Hugging Face's BertModel.
/// <see cref="Encode"/> makes one vector per text from it, as models of sentence-transformers do.
/// </summary>
/// <remarks>
/// Hooks see the places of the decoders but <see cref="Activation.MlpGate"/>, which is refused. The norms stand on the residual stream behind
/// each sum, so what a block adds is normed with what it adds to: <see cref="Activation.AttentionInput"/> is the block's input itself,
/// <see cref="Activation.MlpInput"/> is what the first norm leaves, and <see cref="Activation.ResidualAfter"/> is normed. What stands at
/// padded places is of no meaning; no other place sees it.
/// </remarks>
public sealed partial class BertEncoder : Module<Tensor, Tensor>
{
    private readonly Embedding _tokens;
    private readonly Embedding _positions;
    private readonly Embedding _types;
    private readonly LayerNorm _norm;
    private readonly BertBlock[] _blocks;

    /// <summary>An encoder with random weights: normal with deviation 0.02.</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="vocabulary">WordPiece tokens in the order of their ids, as a vocab.txt has them; pieces inside a word begin with "##", and [PAD], [UNK], [CLS], [SEP] and [MASK] are among them.</param>
    /// <param name="seed">Seed of the weights; 1 by default.</param>
    /// <param name="pooler">Whether it has BERT's own pooler, see <see cref="Pooled"/>; false by default.</param>
    /// <exception cref="ArgumentException">Sizes do not fit each other, or the vocabulary has more tokens than the config.</exception>
    /// <exception cref="FormatException">The vocabulary lacks a special token, or has a token twice.</exception>
    /// <exception cref="PlatformNotSupportedException">The tokenizer needs a Unicode normal form, and the program runs without ICU.</exception>
    public BertEncoder(BertConfig config, IReadOnlyList<string> vocabulary, long seed = 1, bool pooler = false)
        : this(config, WordPieceVocabulary.Of(vocabulary), pooler, device: null) =>
        WeightStart.Normal(this, seed, 0.02, _ => 1);

    /// <summary>An encoder whose matrices are still to come, on the device "meta", or are whatever TorchSharp makes them.</summary>
    internal BertEncoder(BertConfig config, TextTokenizer words, bool pooler, Device? device)
        : base(nameof(BertEncoder))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        CheckSpecial(words);
        if (words.Vocabulary > config.Vocabulary) throw new ArgumentException($"The vocabulary has {words.Vocabulary} tokens, more than the config's {config.Vocabulary}.", "vocabulary");
        (Config, Tokenizer, MostTokens) = (config, words, config.Context);
        _padding = Math.Max(0, Id(words, PaddingNames));
        if (words.Around == 0) _around = (Id(words, Classification), Id(words, Separator));
        _tokens = Embedding(config.Vocabulary, config.Width, device: device);
        _positions = Embedding(config.Context, config.Width, device: device);
        _types = Embedding(config.TokenTypes, config.Width, device: device);
        _norm = LayerNorm(config.Width, config.NormEpsilon);
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(_ => new BertBlock(config, device))];
        register_module("embeddings", new NamedModules(("word_embeddings", _tokens), ("position_embeddings", _positions), ("token_type_embeddings", _types), ("LayerNorm", _norm)));
        register_module("encoder", new NamedModules(("layer", ModuleList<Module>([.. _blocks]))));
        if (!pooler) return;
        Pooler = Linear(config.Width, config.Width, device: device);
        register_module("pooler", new NamedModules(("dense", Pooler)));
    }

    /// <summary>Sizes.</summary>
    public BertConfig Config { get; }

    /// <summary>Text to ids and back, as the model was trained; <see cref="Tokenize"/> also puts the special tokens around a text and cuts it.</summary>
    public TextTokenizer Tokenizer { get; }

    /// <summary>Embeddings of the tokens [vocabulary, dModel].</summary>
    public Parameter Embeddings => _tokens.weight!;

    /// <summary>The blocks.</summary>
    public IReadOnlyList<BertBlock> Blocks => _blocks;

    /// <summary>BERT's own pooler [dModel, dModel], trained to tell whether two texts belong together; null where the model has none.</summary>
    public Linear? Pooler { get; }

    /// <summary>The residual stream after the last block.</summary>
    /// <param name="input">Token ids [batch, tokens], int64, no padding.</param>
    /// <returns>[batch, tokens, dModel].</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, an id outside the vocabulary, or more tokens than the context.</exception>
    public override Tensor forward(Tensor input) => Hidden(input);

    /// <summary>The residual stream after the last block.</summary>
    /// <param name="ids">Token ids [batch, tokens], int64; any id where nothing stands.</param>
    /// <param name="mask">True where a token stands [batch, tokens]; null where all do.</param>
    /// <param name="types">Segment of each token [batch, tokens], int64, from 0; null for the first segment everywhere.</param>
    /// <param name="hook">Reads and replaces activations; null for none.</param>
    /// <param name="attention">Takes the place of the attention in every block; null, the default, for the model's own.</param>
    /// <returns>[batch, tokens, dModel]; of no meaning where no token stands.</returns>
    /// <exception cref="ArgumentException">
    /// Wrong shape or type, an id outside the vocabulary, more tokens than the context, a row without any token, a hook for a place that the
    /// model has not, or a hook's shape.
    /// </exception>
    public Tensor Hidden(Tensor ids, Tensor? mask = null, Tensor? types = null, IActivationHook? hook = null, IAttentionMethod? attention = null)
    {
        CheckIds(ids, nameof(ids), Config.Vocabulary);
        if (types is not null) CheckIds(types, nameof(types), Config.TokenTypes);
        if (types is not null && !types.shape.SequenceEqual(ids.shape)) throw new ArgumentException($"types are [{Shape(types)}], but ids are [{Shape(ids)}].", nameof(types));
        if (mask is not null) CheckMask(mask, ids.shape);
        hook.Check(Config.Layers, Serves);
        return Run(ids, mask, types, new(hook, Attention: attention), CancellationToken.None);
    }

    /// <summary>BERT's own summary of a text, tanh(Pooler(first token)). Sentence encoders do not use it; see <see cref="Encode"/>.</summary>
    /// <param name="hidden">The residual stream after the last block [batch, tokens, dModel].</param>
    /// <returns>[batch, dModel].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    /// <exception cref="InvalidOperationException">The model has no pooler.</exception>
    public Tensor Pooled(Tensor hidden)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        if (hidden.dim() != 3 || hidden.shape[1] == 0 || hidden.shape[2] != Config.Width) throw new ArgumentException($"hidden must be [batch, tokens, {Config.Width}], but is [{Shape(hidden)}].", nameof(hidden));
        if (Pooler is null) throw new InvalidOperationException("This encoder has no pooler: its files hold none. Encode pools without one.");
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(Pooler.call(hidden.select(1, 0)).tanh());
    }

    /// <summary>Shows a hook the places that it wants, and computes no block above the last of them.</summary>
    /// <param name="ids">Token ids [batch, tokens], int64; any id where nothing stands.</param>
    /// <param name="hook">Reads activations.</param>
    /// <param name="mask">True where a token stands [batch, tokens]; null, the default, where all do.</param>
    /// <param name="cancel">Checked between blocks. Never by default.</param>
    /// <exception cref="ArgumentException">As for <see cref="Hidden"/>.</exception>
    public void Visit(Tensor ids, IActivationHook hook, Tensor? mask = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(hook);
        CheckIds(ids, nameof(ids), Config.Vocabulary);
        if (mask is not null) CheckMask(mask, ids.shape);
        hook.Check(Config.Layers, Serves);
        int last = Enumerable.Range(0, Config.Layers).Last(layer => Enum.GetValues<Activation>().Any(a => Serves(a) && hook.Wants(new(layer, a))));
        using var scope = NewDisposeScope();
        Run(ids, mask, null, new(hook), cancel, last + 1);
    }

    /// <summary><see cref="Hidden"/> of ids that are known to be right, ended between blocks.</summary>
    internal Tensor HiddenOf(Tensor ids, Tensor? mask, CancellationToken cancel) => Run(ids, mask, null, default, cancel);

    private Tensor Run(Tensor ids, Tensor? mask, Tensor? types, ModelCall call, CancellationToken cancel, int? layers = null)
    {
        IActivationHook? hook = call.Hook;
        using var scope = NewDisposeScope();
        Device device = Embeddings.device;
        Tensor Here(Tensor x) => x.device_type == device.type ? x : x.to(device);
        ids = Here(ids);
        Tensor segments = types is null ? _types.weight!.select(0, 0) : _types.call(Here(types));
        Tensor x = _norm.call(_tokens.call(ids) + segments + _positions.weight!.narrow(0, 0, ids.shape[1]));
        Tensor? keys = mask is null ? null : Here(mask).to(ScalarType.Bool).unsqueeze(1).unsqueeze(1);
        for (int layer = 0; layer < (layers ?? _blocks.Length); layer++)
        {
            cancel.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            Tensor before = hook.At(layer, Activation.ResidualBefore, x);
            x = inner.MoveToOuter(hook.At(layer, Activation.ResidualAfter, _blocks[layer].Run(layer, before, keys, call)));
        }

        return scope.MoveToOuter(x);
    }

    private static bool Serves(Activation activation) => activation != Activation.MlpGate && Enum.IsDefined(activation);

    private void CheckIds(Tensor ids, string name, int count)
    {
        ArgumentNullException.ThrowIfNull(ids, name);
        if (ids.dim() != 2 || ids.numel() == 0) throw new ArgumentException($"{name} must be [batch, tokens] and not empty, but are [{Shape(ids)}].", name);
        if (ids.dtype != ScalarType.Int64) throw new ArgumentException($"{name} are {ids.dtype}; they must be Int64.", name);
        if (ids.shape[1] > Config.Context) throw new ArgumentException($"{ids.shape[1]} tokens are more than the context of {Config.Context}.", name);
        using var scope = NewDisposeScope();
        long low = ids.min().item<long>(), high = ids.max().item<long>();
        if (low < 0 || high >= count) throw new ArgumentException($"{name} run from 0 to {count - 1}, but there is {(low < 0 ? low : high)}.", name);
    }

    private static void CheckMask(Tensor mask, long[] shape)
    {
        if (!mask.shape.SequenceEqual(shape)) throw new ArgumentException($"mask is [{Shape(mask)}], but ids are [{string.Join(", ", shape)}].", nameof(mask));
        if (mask.dtype is not (ScalarType.Bool or ScalarType.Int64)) throw new ArgumentException($"mask is {mask.dtype}; it must be Bool, or Int64 of 0 and 1.", nameof(mask));
        using var scope = NewDisposeScope();
        Tensor stands = mask.to(ScalarType.Int64);
        if (stands.min().item<long>() < 0 || stands.max().item<long>() > 1) throw new ArgumentException("mask must hold 0 and 1 only.", nameof(mask));
        if (stands.sum(1).min().item<long>() == 0) throw new ArgumentException("A row of the mask has no token; an empty text still has its two special tokens.", nameof(mask));
    }

    private static string Shape(Tensor x) => string.Join(", ", x.shape);
}
