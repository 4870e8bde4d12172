using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>
/// Llama-style decoder (Touvron et al. 2023): blocks of x += Attention(norm(x)), x += MLP(norm(x)) with root-mean-square norms, rotary
/// positions, query heads that share keys and values, and an MLP down(silu(gate(x)) * up(x)). <see cref="LlamaConfig"/> switches the parts in
/// which Mistral, Qwen 2 and 3, and Gemma 2 differ. Parameters have the names of Hugging Face's LlamaForCausalLM and its relatives, so
/// folders of those architectures load as they are.
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
    /// <param name="seed">Seed of the weights. Default 1.</param>
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
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(l => new LlamaBlock(config, l, device))];
        _norm = new RootMeanSquareNorm(config.Width, config.NormEpsilon, config.NormsAddOne);
        _head = config.TiedEmbeddings ? null : Linear(config.Width, config.Vocabulary, hasBias: false, device: device);
        _positions = new RotaryPositions(config.Context, config.HeadDim, config.RopeTheta, config.Scaling);

        // The names of Hugging Face: model.embed_tokens, model.layers.0.self_attn.q_proj, ..., model.norm, lm_head.
        register_module("model", new NamedModules(("embed_tokens", _embedding), ("layers", ModuleList<Module>([.. _blocks])), ("norm", _norm)));
        if (_head is not null) register_module("lm_head", _head);
    }

    /// <summary>Sizes.</summary>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    public override int Vocabulary => Config.Vocabulary;

    /// <inheritdoc/>
    public override int Context => Config.ScaledContext;

    /// <inheritdoc/>
    public override int Layers => Config.Layers;

    /// <inheritdoc/>
    public override int Width => Config.Width;

    /// <inheritdoc/>
    public override Parameter Embeddings => _embedding.weight!;

    /// <summary>The blocks.</summary>
    public IReadOnlyList<LlamaBlock> Blocks => _blocks;

    /// <summary>Logits of the next token behind each node of a tree that is not in the cache yet; the cache takes these nodes in, in their order.</summary>
    /// <param name="tree">The tree; its text and its first nodes, or none of them, stand in the cache.</param>
    /// <param name="cache">Holds the text before the tree and the nodes read before.</param>
    /// <param name="hook">Reads and replaces activations; null for none.</param>
    /// <returns>[1, nodes read, vocabulary].</returns>
    /// <exception cref="ArgumentException">The cache does not fit the tree, the tree leaves the context, or the model's attention has windows, caps or dynamic positions.</exception>
    public Tensor TreeLogits(TokenTree tree, KeyValueCache cache, IActivationHook? hook = null)
    {
        ArgumentNullException.ThrowIfNull(tree);
        ArgumentNullException.ThrowIfNull(cache);
        if (Config.AttentionCap is not null || Config.Scaling?.Kind == RotaryScalingKind.Dynamic || Enumerable.Range(0, Layers).Any(l => Config.WindowOf(l) is not null))
            throw new ArgumentException("Trees are read by models without windows, caps of the attention and dynamic positions.", nameof(tree));
        if (cache.Count < tree.Start || cache.Count >= tree.Start + tree.Count)
            throw new ArgumentException($"The cache holds {cache.Count} tokens; it must hold the {tree.Start} before the tree, and not yet all of its {tree.Count} nodes.", nameof(cache));
        return LogitsOf(tree, hook, cache);
    }

    /// <summary>
    /// The same weights, copied, with positions for longer texts: <c>WithContext(1024, RotaryScaling.Ntk(12))</c> reads four times the length that the model was
    /// trained on without training, if it only needs what stands near; it does not learn to look further back.
    /// </summary>
    /// <param name="context">Longest sequence of the copy, positive.</param>
    /// <param name="scaling">How positions reach there; null, the default, for as they are.</param>
    /// <returns>A model of its own, to be disposed by the caller.</returns>
    /// <exception cref="ArgumentException">The context is not positive, or the scaling's values do not fit.</exception>
    /// <exception cref="InvalidOperationException">The model has layers of another kind in the place of its own, or scaled positions already.</exception>
    public TinyLM WithContext(int context, RotaryScaling? scaling = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(context);
        if (Config.Scaling is { } there) throw new InvalidOperationException($"The model has {there.Kind} positions already; begin with the model as it was trained.");
        scaling = scaling is { Original: null } ? scaling with { Original = Config.Context } : scaling;
        LlamaConfig longer = Config with { Context = context, Scaling = scaling };
        var copy = new TinyLM(longer, device: null);
        try
        {
            Dictionary<string, Tensor> from = state_dict(), to = copy.state_dict();
            if (to.Keys.FirstOrDefault(name => !from.ContainsKey(name)) is { } missing)
                throw new InvalidOperationException($"The model has no '{missing}': layers were replaced. Merge them first.");
            if (from.Count != to.Count) throw new InvalidOperationException("The model has parameters that a plain decoder has not: layers were replaced. Merge them first.");
            using IDisposable off = no_grad();
            copy.to(Embeddings.dtype).to(Embeddings.device);
            foreach ((string name, Tensor target) in copy.state_dict()) target.copy_(from[name]);
            copy.train(training);
            return copy;
        }
        catch
        {
            copy.Dispose();
            throw;
        }
    }

    internal override WeightLayout Layout => LlamaLayout.Of(Config);

    internal override string ConfigJson => Config.ToJson();

    private protected override (int Heads, int HeadDim) KeyValueShape => (Config.KeyValueHeads, Config.HeadDim);

    private protected override IReadOnlyList<Module> Modules => _blocks;

    private protected override Tensor Embed(Tensor ids, int position)
    {
        Tensor x = _embedding.call(ids);
        return Config.ScaledEmbeddings ? x.mul(Math.Sqrt(Config.Width)) : x;
    }

    private protected override bool Serves(Activation activation) => Enum.IsDefined(activation);

    private protected override Tensor Block(int layer, Tensor x, Rotation? rotation, ModelCall call) => _blocks[layer].Run(layer, x, rotation!.Value, call);

    private protected override void CheckPlainAttention(long keys)
    {
        if (Config.AttentionCap is not null || Enumerable.Range(0, Layers).Any(l => Config.WindowOf(l) < keys))
            throw new ArgumentException("Another attention is for models without caps, and without windows that are shorter than the text.", "attention");
    }

    private protected override Rotation? Rotate(int from, Tensor x) => _positions.At(from, x.shape[1], x.dtype, x.device);

    private protected override Rotation? Rotate(TokenTree tree, Tensor x)
    {
        int first = tree.Count - (int)x.shape[1];
        Rotation all = _positions.At(tree.Start, tree.Depths.Max() + 1, x.dtype, x.device);
        Tensor depths = tensor(tree.Depths.Skip(first).Select(d => (long)d).ToArray(), device: x.device);
        return new(all.Cos.index_select(0, depths), all.Sin.index_select(0, depths), all.Turned, tree.Hidden(first, x.device));
    }

    private protected override Tensor LastNorm(Tensor x) => _norm.call(x);

    private protected override Tensor Scores(Tensor normed)
    {
        Tensor logits = functional.linear(normed, _head?.weight ?? Embeddings);
        return Config.LogitCap is { } cap ? logits.div(cap).tanh().mul(cap) : logits;
    }

    private protected override (Tensor Gain, bool Centred, Tensor Unembedding) Direct => (_norm.Gain, false, _head?.weight ?? Embeddings);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _positions.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>One block of <see cref="TinyLM"/>.</summary>
public sealed class LlamaBlock : Module, ILinearPlaces
{
    private readonly LinearPlace _query, _key, _value, _output, _gate, _up, _down;
    private readonly LlamaConfig _config;
    private readonly AttentionRule _rule;

    internal LlamaBlock(LlamaConfig config, int layer, Device? device)
        : base(nameof(LlamaBlock))
    {
        _config = config;
        _rule = new(config.QueryScalar is { } scalar ? 1 / Math.Sqrt(scalar) : null, config.AttentionCap, config.WindowOf(layer));
        int width = config.Width, queries = config.Heads * config.HeadDim, keys = config.KeyValueHeads * config.HeadDim;
        LinearPlace Matrix(int from, int to, bool bias) => new(Linear(from, to, hasBias: bias, device: device));
        RootMeanSquareNorm Norm(int size) => new(size, config.NormEpsilon, config.NormsAddOne);
        bool bias = config.QueryKeyValueBias, mlp = config.MlpBias;
        (_query, _key, _value) = (Matrix(width, queries, bias), Matrix(width, keys, bias), Matrix(width, keys, bias));
        _output = Matrix(queries, width, config.OutputBias);
        (_gate, _up, _down) = (Matrix(width, config.MlpWidth, mlp), Matrix(width, config.MlpWidth, mlp), Matrix(config.MlpWidth, width, mlp));
        (AttentionNorm, MlpNorm) = (Norm(width), Norm(width));
        if (config.HeadNorms) (QueryNorm, KeyNorm) = (Norm(config.HeadDim), Norm(config.HeadDim));
        if (config.OutputNorms) (AttentionOutputNorm, MlpOutputNorm) = (Norm(width), Norm(width));

        register_module("input_layernorm", AttentionNorm);
        (string, Module)[] norms = config.HeadNorms ? [("q_norm", QueryNorm!), ("k_norm", KeyNorm!)] : [];
        register_module("self_attn", NamedModules.Of([("q_proj", _query), ("k_proj", _key), ("v_proj", _value), ("o_proj", _output)], norms));

        // Where outputs have norms, post_attention_layernorm is that of the attention's output and no longer the MLP's input's.
        register_module("post_attention_layernorm", AttentionOutputNorm ?? MlpNorm);
        if (config.OutputNorms)
        {
            register_module("pre_feedforward_layernorm", MlpNorm);
            register_module("post_feedforward_layernorm", MlpOutputNorm!);
        }

        register_module("mlp", NamedModules.Of([("gate_proj", _gate), ("up_proj", _up), ("down_proj", _down)]));
    }

    /// <summary>Sizes of the decoder that the block belongs to.</summary>
    public LlamaConfig Config => _config;

    /// <summary>Matrix of the queries [heads * headDim, dModel].</summary>
    public Linear Query => _query.Linear;

    /// <summary>Matrix of the keys [keyValueHeads * headDim, dModel].</summary>
    public Linear Key => _key.Linear;

    /// <summary>Matrix of the values [keyValueHeads * headDim, dModel].</summary>
    public Linear Value => _value.Linear;

    /// <summary>Mixes the heads [dModel, heads * headDim].</summary>
    public Linear Output => _output.Linear;

    /// <summary>Gate of the MLP [mlpWidth, dModel].</summary>
    public Linear Gate => _gate.Linear;

    /// <summary>Other factor of the MLP [mlpWidth, dModel].</summary>
    public Linear Up => _up.Linear;

    /// <summary>Last matrix of the MLP [dModel, mlpWidth].</summary>
    public Linear Down => _down.Linear;

    /// <summary>Norm before the attention.</summary>
    public RootMeanSquareNorm AttentionNorm { get; }

    /// <summary>Norm before the MLP.</summary>
    public RootMeanSquareNorm MlpNorm { get; }

    /// <summary>Norm of each head's queries; null where there is none.</summary>
    public RootMeanSquareNorm? QueryNorm { get; }

    /// <summary>Norm of each head's keys; null where there is none.</summary>
    public RootMeanSquareNorm? KeyNorm { get; }

    /// <summary>Norm of what the attention adds to the residual stream; null where there is none.</summary>
    public RootMeanSquareNorm? AttentionOutputNorm { get; }

    /// <summary>Norm of what the MLP adds to the residual stream; null where there is none.</summary>
    public RootMeanSquareNorm? MlpOutputNorm { get; }

    IEnumerable<(string Path, LinearPlace Place)> ILinearPlaces.Places =>
    [
        ("self_attn.q_proj", _query), ("self_attn.k_proj", _key), ("self_attn.v_proj", _value), ("self_attn.o_proj", _output),
        ("mlp.gate_proj", _gate), ("mlp.up_proj", _up), ("mlp.down_proj", _down),
    ];

    internal Tensor Run(int layer, Tensor x, Rotation rotation, ModelCall call)
    {
        IActivationHook? hook = call.Hook;
        Tensor normed = hook.At(layer, Activation.AttentionInput, AttentionNorm.call(x));
        Tensor attention = Normed(AttentionOutputNorm, _output.call(CausalAttention.Join(Attend(layer, normed, rotation, call))));
        x = x + hook.At(layer, Activation.AttentionOutput, attention);
        normed = hook.At(layer, Activation.MlpInput, MlpNorm.call(x));
        Tensor gate = hook.At(layer, Activation.MlpGate, _gate.call(normed)), up = hook.At(layer, Activation.MlpUp, _up.call(normed));
        Tensor open = _config.Activation == GateActivation.Silu ? functional.silu(gate) : functional.gelu(gate, TorchSharp.Modules.GELU.Approximate.tanh);
        Tensor hidden = hook.At(layer, Activation.MlpHidden, open.mul(up));
        return x + hook.At(layer, Activation.MlpOutput, Normed(MlpOutputNorm, _down.call(hidden)));
    }

    private static Tensor Normed(RootMeanSquareNorm? norm, Tensor x) => norm is null ? x : norm.call(x);

    private Tensor Attend(int layer, Tensor x, Rotation rotation, ModelCall call)
    {
        IActivationHook? hook = call.Hook;
        Tensor Split(LinearPlace projection, int heads) => CausalAttention.Split(projection.call(x), heads);
        Tensor q = hook.At(layer, Activation.Queries, rotation.Apply(Normed(QueryNorm, Split(_query, _config.Heads))));
        Tensor k = hook.At(layer, Activation.Keys, rotation.Apply(Normed(KeyNorm, Split(_key, _config.KeyValueHeads))));
        Tensor v = hook.At(layer, Activation.Values, Split(_value, _config.KeyValueHeads));
        return CausalAttention.Of(q, k, v, layer, call, rotation.Hidden is null ? _rule : _rule with { Hidden = rotation.Hidden });
    }
}
