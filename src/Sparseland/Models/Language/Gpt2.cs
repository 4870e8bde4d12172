using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>
/// GPT-2 (Radford et al. 2019): blocks of x += Attention(norm(x)), x += MLP(norm(x)) with layer norms, learned positions, and an MLP
/// proj(gelu(fc(x))). Parameters have the names of Hugging Face's GPT2LMHeadModel. Its files hold matrices as [in, out]; here they
/// are [out, in] as in every other model, turned when they are read.
/// </summary>
public sealed class Gpt2 : LanguageModel
{
    private readonly Embedding _tokens;
    private readonly Embedding _positions;
    private readonly Gpt2Block[] _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear? _head;

    /// <summary>A decoder with random weights: normal with deviation 0.02, those that add to the residual stream divided by sqrt(2 layers).</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">Sizes do not fit each other.</exception>
    public Gpt2(Gpt2Config config, long seed = 1)
        : this(config, device: null) =>
        WeightStart.Normal(this, seed, 0.02, name => name.EndsWith("c_proj.weight", StringComparison.Ordinal) ? 1 / Math.Sqrt(2 * config.Layers) : 1);

    /// <summary>A decoder whose matrices are still to come, on the device "meta", or are whatever TorchSharp makes them.</summary>
    internal Gpt2(Gpt2Config config, Device? device)
        : base(nameof(Gpt2))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        (_tokens, _positions) = (Embedding(config.Vocabulary, config.Width, device: device), Embedding(config.Context, config.Width, device: device));
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(_ => new Gpt2Block(config, device))];
        _norm = LayerNorm(config.Width, config.NormEpsilon);
        _head = config.TiedEmbeddings ? null : Linear(config.Width, config.Vocabulary, hasBias: false, device: device);
        register_module("transformer", new NamedModules(("wte", _tokens), ("wpe", _positions), ("h", ModuleList<Module>([.. _blocks])), ("ln_f", _norm)));
        if (_head is not null) register_module("lm_head", _head);
    }

    /// <summary>Sizes.</summary>
    public Gpt2Config Config { get; }

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
    public IReadOnlyList<Gpt2Block> Blocks => _blocks;

    /// <summary>"attn.bias" is the causal mask of older files.</summary>
    internal override WeightLayout Layout => new(
        "transformer.",
        name => name.Contains(".c_", StringComparison.Ordinal) && name.EndsWith(".weight", StringComparison.Ordinal),
        name => name.EndsWith(".attn.bias", StringComparison.Ordinal) || name.EndsWith(".attn.masked_bias", StringComparison.Ordinal))
    {
        Copy = Config.TiedEmbeddings ? ("transformer.wte.weight", "lm_head.weight") : null,
        Blocks = ("h.", "n_layer"),
        Asks = name => name == "lm_head.weight" ? "tie_word_embeddings" : "model_type",
        Sizes = name => name.Contains("wte.", StringComparison.Ordinal) || name == "lm_head.weight" ? "vocab_size, n_embd"
            : name.Contains("wpe.", StringComparison.Ordinal) ? "n_positions, n_embd" : name.Contains(".mlp.", StringComparison.Ordinal) ? "n_embd, n_inner" : "n_embd",
    };

    internal override string ConfigJson => Config.ToJson();

    private protected override (int Heads, int HeadDim) KeyValueShape => (Config.Heads, Config.HeadDim);

    private protected override IReadOnlyList<Module> Modules => _blocks;

    private protected override Tensor Embed(Tensor ids, int position) => _tokens.call(ids).add(_positions.weight!.narrow(0, position, ids.shape[1]));

    private protected override Tensor Block(int layer, Tensor x, Rotation? rotation, ModelCall call) => _blocks[layer].Run(layer, x, call);

    private protected override Tensor LastNorm(Tensor x) => _norm.call(x);

    private protected override Tensor Scores(Tensor normed) => functional.linear(normed, _head?.weight ?? Embeddings);

    private protected override (Tensor Gain, bool Centred, Tensor Unembedding) Direct => (_norm.weight!, true, _head?.weight ?? Embeddings);
}

/// <summary>One block of <see cref="Gpt2"/>.</summary>
public sealed class Gpt2Block : Module, ILinearPlaces
{
    private readonly LinearPlace _queryKeyValue, _output, _up, _down;
    private readonly Gpt2Config _config;

    internal Gpt2Block(Gpt2Config config, Device? device)
        : base(nameof(Gpt2Block))
    {
        _config = config;
        (AttentionNorm, MlpNorm) = (LayerNorm(config.Width, config.NormEpsilon), LayerNorm(config.Width, config.NormEpsilon));
        (_queryKeyValue, _output) = (new(Linear(config.Width, 3 * config.Width, device: device)), new(Linear(config.Width, config.Width, device: device)));
        (_up, _down) = (new(Linear(config.Width, config.MlpWidth, device: device)), new(Linear(config.MlpWidth, config.Width, device: device)));
        register_module("ln_1", AttentionNorm);
        register_module("attn", NamedModules.Of([("c_attn", _queryKeyValue), ("c_proj", _output)]));
        register_module("ln_2", MlpNorm);
        register_module("mlp", NamedModules.Of([("c_fc", _up), ("c_proj", _down)]));
    }

    /// <summary>Queries of all heads, then keys, then values [3 dModel, dModel].</summary>
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

    IEnumerable<(string Path, LinearPlace Place)> ILinearPlaces.Places => [("attn.c_attn", _queryKeyValue), ("attn.c_proj", _output), ("mlp.c_fc", _up), ("mlp.c_proj", _down)];

    internal Tensor Run(int layer, Tensor x, ModelCall call)
    {
        IActivationHook? hook = call.Hook;
        Tensor normed = hook.At(layer, Activation.AttentionInput, AttentionNorm.call(x));
        x = x + hook.At(layer, Activation.AttentionOutput, _output.call(CausalAttention.Join(Attend(layer, normed, call))));
        normed = hook.At(layer, Activation.MlpInput, MlpNorm.call(x));
        Tensor up = hook.At(layer, Activation.MlpUp, _up.call(normed));
        Tensor hidden = hook.At(layer, Activation.MlpHidden, functional.gelu(up, TorchSharp.Modules.GELU.Approximate.tanh));
        return x + hook.At(layer, Activation.MlpOutput, _down.call(hidden));
    }

    private Tensor Attend(int layer, Tensor x, ModelCall call)
    {
        IActivationHook? hook = call.Hook;
        Tensor[] parts = _queryKeyValue.call(x).chunk(3, 2);
        Tensor Split(Tensor part) => CausalAttention.Split(part, _config.Heads);
        Tensor q = hook.At(layer, Activation.Queries, Split(parts[0])), k = hook.At(layer, Activation.Keys, Split(parts[1])), v = hook.At(layer, Activation.Values, Split(parts[2]));
        return CausalAttention.Of(q, k, v, layer, call);
    }
}
