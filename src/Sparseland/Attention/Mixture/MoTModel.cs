using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Mixture;

/// <summary>
/// Mixture of transformers (Liang et al., TMLR 2025, arXiv 2411.04996): one decoder of sequences that mix modalities, in which every weight outside the embeddings exists once per modality. A token uses
/// its own modality's set; only the causal attention itself is shared, over all tokens. No router, and the multiply-adds of a dense decoder. With one modality it is that dense decoder.
/// </summary>
/// <remarks>
/// Names: embed, positions, blocks.0 (query, key, value, output, attention_norm, feed_forward, feed_forward_norm, query_norm, key_norm; each with towers 0, 1, ...), norm, head. Embeddings and head are shared.
/// The last norm is the modality's own too, so it is applied at the end of the last block, where modalities are known: the residual stream behind that block is normed, and <see cref="LanguageModel.FinalNorm"/>
/// changes nothing. Towers start independent of one another. All towers get gradients, of 0 where no token used them: an optimizer's weight decay shrinks those all the same.
/// </remarks>
public sealed class MoTModel : LanguageModel
{
    private readonly Embedding _embed;
    private readonly Embedding? _learned;
    private readonly MoTBlock[] _blocks;
    private readonly UntiedNorm _norm;
    private readonly Linear _head;
    private readonly RotaryPositions? _rotary;

    /// <summary>A decoder with random weights: matrices uniform in +-1/sqrt(inputs), embeddings normal.</summary>
    /// <param name="options">Sizes; null for the defaults.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">Sizes do not fit one another.</exception>
    public MoTModel(MoTOptions? options = null, long seed = 1)
        : base(nameof(MoTModel))
    {
        options ??= new();
        options.Validate();
        Options = options;
        Route = ids => Options.Modalities == 1 ? OneModality(ids) : ModalityMap.FromTokens(ids, Options.Ranges, Options.Modalities);
        (_embed, _head) = (nn.Embedding(options.Vocabulary, options.Width), nn.Linear(options.Width, options.Vocabulary, hasBias: false));
        _blocks = [.. Enumerable.Range(0, options.Layers).Select(_ => new MoTBlock(options))];
        _norm = new(options.Towers(UntiedParts.Norms), options.Width, options.NormEpsilon);
        register_module("embed", _embed);
        if (options.LearnedPositions)
        {
            _learned = nn.Embedding(options.Context, options.Width);
            register_module("positions", _learned);
        }
        else
        {
            _rotary = new(options.Context, options.Width / options.Heads, options.RopeTheta);
        }

        register_module("blocks", nn.ModuleList<nn.Module>([.. _blocks]));
        register_module("norm", _norm);
        register_module("head", _head);
        MixtureStart.Uniform(this, seed);
    }

    /// <summary>Sizes.</summary>
    public MoTOptions Options { get; }

    /// <summary>From token ids [batch, tokens] to the modality of each: by default from <see cref="MoTOptions.Ranges"/>. The map is disposed after the call.</summary>
    public Func<Tensor, ModalityMap> Route { get; set; }

    /// <inheritdoc/>
    public override int Vocabulary => Options.Vocabulary;

    /// <inheritdoc/>
    public override int Context => Options.Context;

    /// <inheritdoc/>
    public override int Layers => Options.Layers;

    /// <inheritdoc/>
    public override int Width => Options.Width;

    /// <inheritdoc/>
    public override Parameter Embeddings => _embed.weight!;

    /// <summary>Numbers that are trained.</summary>
    public long ParameterCount => parameters().Sum(p => p.numel());

    /// <summary>Those of embeddings, positions and head, which all modalities share.</summary>
    public long SharedCount => _embed.weight!.numel() + (_learned?.weight?.numel() ?? 0) + _head.weight.numel();

    /// <summary>Multiply-adds per token of the matrices that the tokens of a batch use, and of the attention over all tokens before.</summary>
    /// <param name="map">Modalities of the tokens.</param>
    /// <exception cref="ArgumentException">Another number of modalities.</exception>
    public double MacsPerToken(ModalityMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        if (map.Modalities != Options.Modalities) throw new ArgumentException($"The map has {map.Modalities} modalities, the model {Options.Modalities}.", nameof(map));
        double tokens = (double)map.Batch * map.Tokens, matrices = 0;
        for (int m = 0; m < map.Modalities; m++) matrices += map.Counts[m] / tokens * _blocks.Sum(b => b.MacsPerToken(m));
        return matrices + _head.weight.numel() + (2.0 * Width * Layers * (map.Tokens + 1) / 2);
    }

    /// <summary>A mixture whose towers are all copies of one dense decoder ("upcycling"): it computes the same function.</summary>
    /// <param name="dense">A model of one modality; it stays as it is.</param>
    /// <param name="modalities">Modalities, at least 2.</param>
    /// <param name="ranges">Token ids of each modality; null for those of the dense model's options. Default null.</param>
    /// <param name="untie">What each modality has for itself. Default everything.</param>
    /// <exception cref="ArgumentException">The model is not dense, or a number does not fit.</exception>
    public static MoTModel FromDense(MoTModel dense, int modalities, IReadOnlyList<TokenRange>? ranges = null, UntiedParts untie = UntiedParts.All)
    {
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentOutOfRangeException.ThrowIfLessThan(modalities, 2);
        if (dense.Options.Modalities != 1) throw new ArgumentException($"The model has {dense.Options.Modalities} modalities; copies are made of a dense one.", nameof(dense));
        var model = new MoTModel(dense.Options with { Modalities = modalities, Ranges = ranges ?? dense.Options.Ranges, Untie = untie });
        model.to(dense.Embeddings.device, dense.Embeddings.dtype);
        Dictionary<string, Parameter> from = dense.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        using IDisposable off = no_grad();
        foreach ((string name, Parameter parameter) in model.named_parameters()) parameter.copy_(from[OfTower(name, 0)]);
        return model;
    }

    /// <summary>A dense decoder with the weights of one tower.</summary>
    /// <param name="modality">Modality of the tower, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such modality.</exception>
    public MoTModel ToDense(int modality)
    {
        if (modality < 0 || modality >= Options.Modalities) throw new ArgumentOutOfRangeException(nameof(modality), modality, $"The model has modalities 0 to {Options.Modalities - 1}.");
        var dense = new MoTModel(Options with { Modalities = 1 });
        dense.to(Embeddings.device, Embeddings.dtype);
        Dictionary<string, Parameter> own = named_parameters().ToDictionary(p => p.name, p => p.parameter);
        using IDisposable off = no_grad();
        foreach ((string name, Parameter parameter) in dense.named_parameters()) parameter.copy_(own.TryGetValue(OfTower(name, modality), out Parameter? tower) ? tower : own[name]);
        return dense;
    }

    /// <summary>The tower that a parameter belongs to; null for embeddings, positions and head. A layer that is not untied has tower 0 alone, which all modalities share.</summary>
    /// <param name="name">Name of the parameter.</param>
    public static int? TowerOf(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        string[] parts = name.Split('.');
        return parts.Length > 2 && int.TryParse(parts[^2], out int tower) ? tower : null;
    }

    /// <summary>The same name in another tower: blocks.0.query.1.weight for blocks.0.query.0.weight.</summary>
    private static string OfTower(string name, int tower)
    {
        string[] parts = name.Split('.');
        if (TowerOf(name) is not null) parts[^2] = tower.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return string.Join('.', parts);
    }

    private static ModalityMap OneModality(Tensor ids)
    {
        using Tensor labels = zeros_like(ids);
        return new(labels, 1);
    }

    internal override WeightLayout Layout => throw new NotSupportedException("A mixture of transformers has no layout of Hugging Face; save it as state_dict.");

    internal override string ConfigJson => throw new NotSupportedException("A mixture of transformers has no config.json of Hugging Face; save it as state_dict.");

    private protected override (int Heads, int HeadDim) KeyValueShape => (Options.Heads, Options.Width / Options.Heads);

    private protected override IReadOnlyList<nn.Module> Modules => _blocks;

    private protected override bool Serves(Activation activation) =>
        activation is Activation.ResidualBefore or Activation.Queries or Activation.Keys or Activation.Values or Activation.AttentionPattern or Activation.HeadOutputs or Activation.AttentionOutput or Activation.MlpOutput or Activation.ResidualAfter;

    private protected override Tensor Embed(Tensor ids, int position) =>
        _learned is null ? _embed.call(ids) : _embed.call(ids) + _learned.weight!.narrow(0, position, ids.shape[1]);

    private protected override object? Prepare(Tensor ids)
    {
        ModalityMap map = Route(ids) ?? throw new InvalidOperationException("Route gave no map.");
        string? wrong = map.Batch != ids.shape[0] || map.Tokens != ids.shape[1] ? $"The map is of [{map.Batch}, {map.Tokens}] tokens, the ids are [{string.Join(", ", ids.shape)}]."
            : map.Modalities != Options.Modalities ? $"The map has {map.Modalities} modalities, the model {Options.Modalities}." : null;
        if (wrong is null) return map;

        // Nobody else has it yet.
        map.Dispose();
        throw new ArgumentException(wrong, nameof(ids));
    }

    private protected override Rotation? Rotate(int from, Tensor x) => _rotary?.At(from, x.shape[1], x.dtype, x.device);

    private protected override Tensor Block(int layer, Tensor x, Rotation? rotation, ModelCall call)
    {
        ModalityMap map = call.State as ModalityMap ?? throw new NotSupportedException("A block of a mixture of transformers must know the modality of each token; run the whole model.");
        return _blocks[layer].Run(layer, x, rotation, call, map, layer == Layers - 1 ? _norm : null);
    }

    private protected override Tensor LastNorm(Tensor x) => x.alias();

    private protected override Tensor Scores(Tensor normed) => _head.call(normed);

    private protected override (Tensor Gain, bool Centred, Tensor Unembedding) Direct => (ones(Width, dtype: Embeddings.dtype), false, _head.weight);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _rotary?.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>One block; rows stay sorted by modality wherever no token looks at another.</summary>
    private sealed class MoTBlock : nn.Module
    {
        private readonly MoTOptions _options;
        private readonly UntiedLinear _query, _key, _value, _output;
        private readonly UntiedNorm _attentionNorm, _feedForwardNorm;
        private readonly UntiedNorm? _queryNorm, _keyNorm;
        private readonly UntiedFeedForward? _feedForward;
        private readonly ExpertChoice? _experts;

        public MoTBlock(MoTOptions options)
            : base(nameof(MoTBlock))
        {
            _options = options;
            (int width, int towers, int norms) = (options.Width, options.Towers(UntiedParts.Attention), options.Towers(UntiedParts.Norms));
            (_query, _key, _value, _output) = (new(towers, width, width), new(towers, width, width), new(towers, width, width), new(towers, width, width));
            (_attentionNorm, _feedForwardNorm) = (new(norms, width, options.NormEpsilon), new(norms, width, options.NormEpsilon));
            foreach ((string name, nn.Module module) in new (string, nn.Module)[] { ("query", _query), ("key", _key), ("value", _value), ("output", _output), ("attention_norm", _attentionNorm), ("feed_forward_norm", _feedForwardNorm) }) register_module(name, module);
            if (options.QueryKeyNorm)
            {
                (_queryNorm, _keyNorm) = (new(towers, width / options.Heads, options.NormEpsilon), new(towers, width / options.Heads, options.NormEpsilon));
                register_module("query_norm", _queryNorm);
                register_module("key_norm", _keyNorm);
            }

            if (options.Experts > 0)
            {
                _experts = new(width, options.MlpWidth, options.Experts);
                register_module("experts", _experts);
            }
            else
            {
                _feedForward = new(options.Towers(UntiedParts.FeedForward), width, options.MlpWidth);
                register_module("feed_forward", _feedForward);
            }
        }

        public long MacsPerToken(int modality) =>
            _query.MacsPerToken(modality) + _key.MacsPerToken(modality) + _value.MacsPerToken(modality) + _output.MacsPerToken(modality) + (_feedForward?.MacsPerToken(modality) ?? _experts!.MacsPerToken);

        public Tensor Run(int layer, Tensor x, Rotation? rotation, ModelCall call, ModalityMap map, UntiedNorm? last)
        {
            (long batch, long tokens, int width, int heads) = (x.shape[0], x.shape[1], _options.Width, _options.Heads);
            bool input = _options.Norms == NormPlacement.Input;
            Tensor sorted = map.Gather(x.reshape(batch * tokens, width)), h = input ? _attentionNorm.Sorted(sorted, map) : sorted;
            Tensor Headed(UntiedNorm? norm, Tensor t) => norm is null ? t : norm.Sorted(t.view(-1, heads, width / heads), map).flatten(1);

            // One scatter for queries, keys and values together; positions and attention know the order of the batch only.
            Tensor all = map.Scatter(cat([Headed(_queryNorm, _query.Sorted(h, map)), Headed(_keyNorm, _key.Sorted(h, map)), _value.Sorted(h, map)], 1));
            Tensor[] parts = [.. all.view(batch, tokens, 3 * width).chunk(3, 2).Select(p => CausalAttention.Split(p, heads))];
            Tensor q = call.Hook.At(layer, Activation.Queries, rotation?.Apply(parts[0]) ?? parts[0]), k = call.Hook.At(layer, Activation.Keys, rotation?.Apply(parts[1]) ?? parts[1]);
            Tensor attended = CausalAttention.Of(q, k, call.Hook.At(layer, Activation.Values, parts[2]), layer, call);

            Tensor o = _output.Sorted(map.Gather(CausalAttention.Join(attended).reshape(batch * tokens, width)), map);
            sorted = sorted + Seen(Activation.AttentionOutput, input ? o : _attentionNorm.Sorted(o, map));
            Tensor f = input ? _feedForwardNorm.Sorted(sorted, map) : sorted;
            f = _feedForward is null ? map.Gather(_experts!.call(map.Scatter(f))) : _feedForward.Sorted(f, map);
            sorted = sorted + Seen(Activation.MlpOutput, input ? f : _feedForwardNorm.Sorted(f, map));
            return map.Scatter(last is null ? sorted : last.Sorted(sorted, map)).view(batch, tokens, width);

            Tensor Seen(Activation at, Tensor value) => call.Hook is null || !call.Hook.Wants(new(layer, at))
                ? value
                : map.Gather(call.Hook.At(layer, at, map.Scatter(value).view(batch, tokens, width)).reshape(batch * tokens, width));
        }
    }
}
