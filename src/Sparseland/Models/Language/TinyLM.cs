using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>
/// Llama-style decoder (Touvron et al. 2023): blocks of x += Attention(norm(x)), x += MLP(norm(x)) with root-mean-square norms, rotary
/// positions, query heads that share keys and values, and an MLP down(silu(gate(x)) * up(x)). Parameters have the names of Hugging Face's
/// LlamaForCausalLM, so folders of that architecture load as they are.
/// </summary>
public sealed class TinyLM : LanguageModel
{
    private readonly Embedding _embedding;
    private readonly LlamaBlock[] _blocks;
    private readonly RootMeanSquareNorm _norm;
    private readonly Linear? _head;
    private readonly RotaryPositions _positions;

    /// <summary>A decoder with random weights: normal with deviation 0.02, those that add to the residual stream divided by sqrt(2 layers).</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <exception cref="ArgumentException">Sizes do not fit each other.</exception>
    public TinyLM(LlamaConfig config, long seed = 1)
        : this(config, device: null) =>
        WeightStart.Normal(this, seed, 0.02, name => name.EndsWith("o_proj.weight", StringComparison.Ordinal) || name.EndsWith("down_proj.weight", StringComparison.Ordinal) ? 1 / Math.Sqrt(2 * config.Layers) : 1);

    /// <summary>A decoder whose matrices are still to come, on the device "meta", or are whatever TorchSharp makes them.</summary>
    internal TinyLM(LlamaConfig config, Device? device)
        : base(nameof(TinyLM))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        _embedding = Embedding(config.Vocabulary, config.Width, device: device);
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(_ => new LlamaBlock(config, device))];
        _norm = new RootMeanSquareNorm(config.Width, config.NormEpsilon);
        _head = config.TiedEmbeddings ? null : Linear(config.Width, config.Vocabulary, hasBias: false, device: device);
        _positions = new RotaryPositions(config.Context, config.HeadDim, config.RopeTheta);

        // The names of Hugging Face: model.embed_tokens, model.layers.0.self_attn.q_proj, ..., model.norm, lm_head.
        register_module("model", new NamedModules(("embed_tokens", _embedding), ("layers", ModuleList<Module>([.. _blocks])), ("norm", _norm)));
        if (_head is not null) register_module("lm_head", _head);
    }

    /// <summary>Sizes.</summary>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    public override int Vocabulary => Config.Vocabulary;

    /// <inheritdoc/>
    public override int Context => Config.Context;

    /// <inheritdoc/>
    public override int Layers => Config.Layers;

    /// <inheritdoc/>
    public override int Width => Config.Width;

    /// <inheritdoc/>
    public override Parameter Embeddings => _embedding.weight!;

    /// <summary>The blocks.</summary>
    public IReadOnlyList<LlamaBlock> Blocks => _blocks;

    /// <summary>Names of tensors as files have them.</summary>
    internal static WeightLayout Layout(LlamaConfig config) => new("model.", _ => false, name => name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) || (config.TiedEmbeddings && name == "lm_head.weight"));

    private protected override (int Heads, int HeadDim) KeyValueShape => (Config.KeyValueHeads, Config.HeadDim);

    private protected override Tensor Embed(Tensor ids, int position) => _embedding.call(ids);

    private protected override bool Serves(Activation activation) => Enum.IsDefined(activation);

    private protected override Tensor Block(int layer, Tensor x, Rotation? rotation, IActivationHook? hook, KeyValueCache? cache) => _blocks[layer].Run(layer, x, rotation!.Value, hook, cache);

    private protected override Rotation? Rotate(int from, long tokens) => _positions.At(from, tokens, Embeddings.dtype, Embeddings.device);

    private protected override Tensor Head(Tensor x) => functional.linear(_norm.call(x), _head?.weight ?? Embeddings);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _positions.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>One block of <see cref="TinyLM"/>.</summary>
public sealed class LlamaBlock : Module
{
    private readonly LlamaConfig _config;

    internal LlamaBlock(LlamaConfig config, Device? device)
        : base(nameof(LlamaBlock))
    {
        _config = config;
        int queries = config.Heads * config.HeadDim, keys = config.KeyValueHeads * config.HeadDim;
        Linear Matrix(int from, int to) => Linear(from, to, hasBias: false, device: device);
        (Query, Key, Value) = (Matrix(config.Width, queries), Matrix(config.Width, keys), Matrix(config.Width, keys));
        Output = Matrix(queries, config.Width);
        (Gate, Up, Down) = (Matrix(config.Width, config.MlpWidth), Matrix(config.Width, config.MlpWidth), Matrix(config.MlpWidth, config.Width));
        (AttentionNorm, MlpNorm) = (new RootMeanSquareNorm(config.Width, config.NormEpsilon), new RootMeanSquareNorm(config.Width, config.NormEpsilon));
        register_module("input_layernorm", AttentionNorm);
        register_module("self_attn", new NamedModules(("q_proj", Query), ("k_proj", Key), ("v_proj", Value), ("o_proj", Output)));
        register_module("post_attention_layernorm", MlpNorm);
        register_module("mlp", new NamedModules(("gate_proj", Gate), ("up_proj", Up), ("down_proj", Down)));
    }

    /// <summary>Matrix of the queries [heads * headDim, dModel].</summary>
    public Linear Query { get; }

    /// <summary>Matrix of the keys [keyValueHeads * headDim, dModel].</summary>
    public Linear Key { get; }

    /// <summary>Matrix of the values [keyValueHeads * headDim, dModel].</summary>
    public Linear Value { get; }

    /// <summary>Mixes the heads [dModel, heads * headDim].</summary>
    public Linear Output { get; }

    /// <summary>Gate of the MLP [mlpWidth, dModel].</summary>
    public Linear Gate { get; }

    /// <summary>Other factor of the MLP [mlpWidth, dModel].</summary>
    public Linear Up { get; }

    /// <summary>Last matrix of the MLP [dModel, mlpWidth].</summary>
    public Linear Down { get; }

    /// <summary>Norm before the attention.</summary>
    public RootMeanSquareNorm AttentionNorm { get; }

    /// <summary>Norm before the MLP.</summary>
    public RootMeanSquareNorm MlpNorm { get; }

    internal Tensor Run(int layer, Tensor x, Rotation rotation, IActivationHook? hook, KeyValueCache? cache)
    {
        Tensor normed = hook.At(layer, Activation.AttentionInput, AttentionNorm.call(x));
        Tensor attention = Output.call(Attention.Join(Attend(layer, normed, rotation, hook, cache)));
        x = x + hook.At(layer, Activation.AttentionOutput, attention);
        normed = hook.At(layer, Activation.MlpInput, MlpNorm.call(x));
        Tensor gate = hook.At(layer, Activation.MlpGate, Gate.call(normed)), up = hook.At(layer, Activation.MlpUp, Up.call(normed));
        Tensor hidden = hook.At(layer, Activation.MlpHidden, functional.silu(gate).mul(up));
        return x + hook.At(layer, Activation.MlpOutput, Down.call(hidden));
    }

    private Tensor Attend(int layer, Tensor x, Rotation rotation, IActivationHook? hook, KeyValueCache? cache)
    {
        Tensor Split(Linear projection, int heads) => Attention.Split(projection.call(x), heads);
        Tensor q = hook.At(layer, Activation.Queries, rotation.Apply(Split(Query, _config.Heads)));
        Tensor k = hook.At(layer, Activation.Keys, rotation.Apply(Split(Key, _config.KeyValueHeads)));
        Tensor v = hook.At(layer, Activation.Values, Split(Value, _config.KeyValueHeads));
        if (cache is not null) (k, v) = cache.Extend(layer, k, v);
        return Attention.Causal(q, k, v, layer, hook);
    }
}

/// <summary>x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019), over the last dimension.</summary>
public sealed class RootMeanSquareNorm : Module<Tensor, Tensor>
{
    private readonly Scalar _epsilon;

    // Module.to puts a parameter of the new type or device into the field of this name.
    [TorchSharp.Utils.ComponentName(Name = "weight")]
    private Parameter _weight;

    /// <summary>A norm with weights of one.</summary>
    /// <param name="width">Size of the last dimension.</param>
    /// <param name="epsilon">eps.</param>
    public RootMeanSquareNorm(int width, double epsilon)
        : base(nameof(RootMeanSquareNorm))
    {
        _epsilon = epsilon.ToScalar();
        _weight = Parameter(ones(width));
        register_parameter("weight", _weight);
    }

    /// <summary>The weights [width].</summary>
    public Parameter Weight => _weight;

    /// <inheritdoc/>
    public override Tensor forward(Tensor input) => input.mul(input.square().mean([-1L], keepdim: true).add(_epsilon).rsqrt()).mul(Weight);
}
