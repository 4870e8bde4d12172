using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>
/// GPT-NeoX (Black et al. 2022), the architecture of Pythia: attention and MLP side by side, x += Attention(norm1(x)) + MLP(norm2(x)),
/// rotary positions on a part of each head, one matrix for queries, keys and values. Parameters have the names of Hugging Face's
/// GPTNeoXForCausalLM.
/// </summary>
public sealed class GptNeoX : LanguageModel
{
    private readonly Embedding _tokens;
    private readonly GptNeoXBlock[] _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear? _head;
    private readonly RotaryPositions _positions;

    /// <summary>A decoder with random weights: normal with deviation 0.02, those that add to the residual stream divided by sqrt(2 layers).</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">Sizes do not fit each other.</exception>
    public GptNeoX(GptNeoXConfig config, long seed = 1)
        : this(config, device: null) =>
        WeightStart.Normal(this, seed, 0.02, name => name.EndsWith("dense.weight", StringComparison.Ordinal) || name.EndsWith("4h_to_h.weight", StringComparison.Ordinal) ? 1 / Math.Sqrt(2 * config.Layers) : 1);

    /// <summary>A decoder whose matrices are still to come, on the device "meta", or are whatever TorchSharp makes them.</summary>
    internal GptNeoX(GptNeoXConfig config, Device? device)
        : base(nameof(GptNeoX))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        _tokens = Embedding(config.Vocabulary, config.Width, device: device);
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(_ => new GptNeoXBlock(config, device))];
        _norm = LayerNorm(config.Width, config.NormEpsilon);
        _head = config.TiedEmbeddings ? null : Linear(config.Width, config.Vocabulary, hasBias: false, device: device);
        _positions = new RotaryPositions(config.Context, config.Turned, config.RopeTheta);
        register_module("gpt_neox", new NamedModules(("embed_in", _tokens), ("layers", ModuleList<Module>([.. _blocks])), ("final_layer_norm", _norm)));
        if (_head is not null) register_module("embed_out", _head);
    }

    /// <summary>Sizes.</summary>
    public GptNeoXConfig Config { get; }

    /// <inheritdoc/>
    public override int Vocabulary => Config.Vocabulary;

    /// <inheritdoc/>
    public override int Context => Config.Context;

    /// <inheritdoc/>
    public override int Layers => Config.Layers;

    /// <inheritdoc/>
    public override int Width => Config.Width;

    /// <inheritdoc/>
    public override Parameter Embeddings => _tokens.weight!;

    /// <summary>The blocks.</summary>
    public IReadOnlyList<GptNeoXBlock> Blocks => _blocks;

    /// <summary>"attention.bias" is the causal mask of older files.</summary>
    internal override WeightLayout Layout => new(
        "gpt_neox.",
        _ => false,
        name => name.EndsWith(".attention.bias", StringComparison.Ordinal) || name.EndsWith(".attention.masked_bias", StringComparison.Ordinal)
            || name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal))
    {
        Copy = Config.TiedEmbeddings ? ("gpt_neox.embed_in.weight", "embed_out.weight") : null,
        Blocks = ("layers.", "num_hidden_layers"),
        Asks = name => name == "embed_out.weight" ? "tie_word_embeddings" : "model_type",
        Sizes = name => name.Contains("embed_", StringComparison.Ordinal) ? "vocab_size, hidden_size" : name.Contains(".mlp.", StringComparison.Ordinal) ? "hidden_size, intermediate_size" : "hidden_size",
    };

    internal override string ConfigJson => Config.ToJson();

    private protected override (int Heads, int HeadDim) KeyValueShape => (Config.Heads, Config.HeadDim);

    private protected override IReadOnlyList<Module> Modules => _blocks;

    private protected override Tensor Embed(Tensor ids, int position) => _tokens.call(ids);

    private protected override Tensor Block(int layer, Tensor x, Rotation? rotation, ModelCall call) => _blocks[layer].Run(layer, x, rotation!.Value, call);

    private protected override Rotation? Rotate(int from, Tensor x) => _positions.At(from, x.shape[1], x.dtype, x.device);

    private protected override Tensor LastNorm(Tensor x) => _norm.call(x);

    private protected override Tensor Scores(Tensor normed) => functional.linear(normed, _head?.weight ?? Embeddings);

    private protected override (Tensor Gain, bool Centred, Tensor Unembedding) Direct => (_norm.weight!, true, _head?.weight ?? Embeddings);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _positions.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>One block of <see cref="GptNeoX"/>.</summary>
public sealed class GptNeoXBlock : Module, ILinearPlaces
{
    private readonly LinearPlace _queryKeyValue, _output, _up, _down;
    private readonly GptNeoXConfig _config;

    internal GptNeoXBlock(GptNeoXConfig config, Device? device)
        : base(nameof(GptNeoXBlock))
    {
        _config = config;
        (AttentionNorm, MlpNorm) = (LayerNorm(config.Width, config.NormEpsilon), LayerNorm(config.Width, config.NormEpsilon));
        (_queryKeyValue, _output) = (new(Linear(config.Width, 3 * config.Width, device: device)), new(Linear(config.Width, config.Width, device: device)));
        (_up, _down) = (new(Linear(config.Width, config.MlpWidth, device: device)), new(Linear(config.MlpWidth, config.Width, device: device)));
        register_module("input_layernorm", AttentionNorm);
        register_module("post_attention_layernorm", MlpNorm);
        register_module("attention", NamedModules.Of([("query_key_value", _queryKeyValue), ("dense", _output)]));
        register_module("mlp", NamedModules.Of([("dense_h_to_4h", _up), ("dense_4h_to_h", _down)]));
    }

    /// <summary>Head after head its query, key and value [3 dModel, dModel].</summary>
    public Linear QueryKeyValue => _queryKeyValue.Linear;

    /// <summary>Mixes the heads [dModel, dModel].</summary>
    public Linear Output => _output.Linear;

    /// <summary>First matrix of the MLP [mlpWidth, dModel].</summary>
    public Linear Up => _up.Linear;

    /// <summary>Last matrix of the MLP [dModel, mlpWidth].</summary>
    public Linear Down => _down.Linear;

    /// <summary>Norm before the attention.</summary>
    public LayerNorm AttentionNorm { get; }

    /// <summary>Norm before the MLP.</summary>
    public LayerNorm MlpNorm { get; }

    IEnumerable<(string Path, LinearPlace Place)> ILinearPlaces.Places =>
        [("attention.query_key_value", _queryKeyValue), ("attention.dense", _output), ("mlp.dense_h_to_4h", _up), ("mlp.dense_4h_to_h", _down)];

    internal Tensor Run(int layer, Tensor x, Rotation rotation, ModelCall call)
    {
        IActivationHook? hook = call.Hook;
        Tensor normed = hook.At(layer, Activation.AttentionInput, AttentionNorm.call(x));
        Tensor after = x + hook.At(layer, Activation.AttentionOutput, _output.call(CausalAttention.Join(Attend(layer, normed, rotation, call))));
        normed = hook.At(layer, Activation.MlpInput, MlpNorm.call(_config.ParallelResidual ? x : after));
        Tensor up = hook.At(layer, Activation.MlpUp, _up.call(normed));
        Tensor hidden = hook.At(layer, Activation.MlpHidden, functional.gelu(up));
        return after + hook.At(layer, Activation.MlpOutput, _down.call(hidden));
    }

    private Tensor Attend(int layer, Tensor x, Rotation rotation, ModelCall call)
    {
        IActivationHook? hook = call.Hook;
        Tensor[] parts = CausalAttention.Split(_queryKeyValue.call(x), _config.Heads).chunk(3, 3);
        Tensor q = hook.At(layer, Activation.Queries, rotation.Apply(parts[0]));
        Tensor k = hook.At(layer, Activation.Keys, rotation.Apply(parts[1]));
        Tensor v = hook.At(layer, Activation.Values, parts[2]);
        return CausalAttention.Of(q, k, v, layer, call);
    }
}
