using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>
/// A small decoder whose attention is a step over a graph (Buehler 2025, arXiv 2501.02393), or plain softmax attention for comparison: norm, attention, residual, norm, gated MLP, residual.
/// It trains as every language model here, and hooks see its adjacency as <see cref="Activation.AttentionPattern"/>.
/// </summary>
/// <remarks>Names: embed, blocks.0 (attention_norm, attention, mlp_norm, gate, up, down), norm, head. Embeddings and head are untied.</remarks>
public sealed class GraphLM : LanguageModel
{
    private readonly Embedding _embed;
    private readonly GraphBlock[] _blocks;
    private readonly RootMeanSquareNorm _norm;
    private readonly Linear _head;
    private readonly RotaryPositions _positions;

    /// <summary>A decoder with random weights: matrices uniform in +-1/sqrt(inputs), those that add to the residual stream divided by sqrt(2 layers), embeddings normal with deviation 0.1.</summary>
    /// <param name="options">Sizes; null, the default, for those of the record.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">Sizes do not fit one another.</exception>
    public GraphLM(GraphLMOptions? options = null, long seed = 1)
        : base(nameof(GraphLM))
    {
        Options = options ?? new();
        Options.Validate();
        (_embed, _head) = (nn.Embedding(Options.Vocabulary, Options.Width), nn.Linear(Options.Width, Options.Vocabulary, hasBias: false));
        _blocks = [.. Enumerable.Range(0, Options.Layers).Select(_ => new GraphBlock(Options))];
        _norm = new(Options.Width, GraphBlock.Epsilon);
        _positions = new(Options.Context, Options.Width / Options.Heads, Options.RopeTheta);
        register_module("embed", _embed);
        register_module("blocks", nn.ModuleList<nn.Module>([.. _blocks]));
        register_module("norm", _norm);
        register_module("head", _head);

        // What writes to the residual stream: the output matrix, or where there is none the last matrices of the heads' MLPs.
        string last = Options.Attention is GinOptions { OutputMatrix: false } ? "attention.mlp.weight2" : "attention.output.weight";
        GraphStart.Uniform(this, seed, name => name.EndsWith(last, StringComparison.Ordinal) || name.EndsWith("down.weight", StringComparison.Ordinal) ? 1 / Math.Sqrt(2 * Options.Layers) : 1);
    }

    /// <summary>Sizes.</summary>
    public GraphLMOptions Options { get; }

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

    /// <summary>The attention of each block; empty where it is plain.</summary>
    public IReadOnlyList<GraphAttention> Attentions => [.. _blocks.Select(b => b.Graph).OfType<GraphAttention>()];

    internal override WeightLayout Layout => throw new NotSupportedException("A decoder over graphs has no layout of Hugging Face; save it as state_dict.");

    internal override string ConfigJson => throw new NotSupportedException("A decoder over graphs has no config.json of Hugging Face; save it as state_dict.");

    private protected override (int Heads, int HeadDim) KeyValueShape => (Options.Heads, Options.Width / Options.Heads);

    private protected override IReadOnlyList<nn.Module> Modules => _blocks;

    private protected override bool Serves(Activation activation) =>
        activation is Activation.ResidualBefore or Activation.AttentionInput or Activation.AttentionPattern or Activation.AttentionOutput or Activation.MlpInput or Activation.MlpOutput or Activation.ResidualAfter;

    private protected override Tensor Embed(Tensor ids, int position) => _embed.call(ids);

    private protected override Rotation? Rotate(int from, Tensor x) => _positions.At(from, x.shape[1], x.dtype, x.device);

    private protected override Tensor Block(int layer, Tensor x, Rotation? rotation, ModelCall call) => _blocks[layer].Run(layer, x, rotation!.Value, call);

    private protected override Tensor LastNorm(Tensor x) => _norm.call(x);

    private protected override Tensor Scores(Tensor normed) => _head.call(normed);

    private protected override (Tensor Gain, bool Centred, Tensor Unembedding) Direct => (_norm.Gain, false, _head.weight!);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _positions.Dispose();
        base.Dispose(disposing);
    }

    private sealed class GraphBlock : nn.Module
    {
        public const double Epsilon = 1e-5;
        private readonly RootMeanSquareNorm _attentionNorm, _mlpNorm;
        private readonly PlainAttention? _plain;
        private readonly Linear _gate, _up, _down;

        public GraphBlock(GraphLMOptions options)
            : base(nameof(GraphBlock))
        {
            int width = options.Width;
            (_attentionNorm, _mlpNorm) = (new(width, Epsilon), new(width, Epsilon));
            (_gate, _up, _down) = (nn.Linear(width, options.MlpWidth, hasBias: false), nn.Linear(width, options.MlpWidth, hasBias: false), nn.Linear(options.MlpWidth, width, hasBias: false));
            Graph = options.Attention?.Make(width, options.Heads, options.Context, options.RopeTheta);
            _plain = Graph is null ? new(width, options.Heads) : null;
            register_module("attention_norm", _attentionNorm);
            register_module("attention", Graph is null ? _plain! : Graph);
            register_module("mlp_norm", _mlpNorm);
            register_module("gate", _gate);
            register_module("up", _up);
            register_module("down", _down);
        }

        public GraphAttention? Graph { get; }

        public Tensor Run(int layer, Tensor x, Rotation rotation, ModelCall call)
        {
            Tensor normed = call.Hook.At(layer, Activation.AttentionInput, _attentionNorm.call(x));
            x = x + call.Hook.At(layer, Activation.AttentionOutput, Graph?.Run(layer, normed, rotation, call) ?? _plain!.Run(layer, normed, rotation, call));
            normed = call.Hook.At(layer, Activation.MlpInput, _mlpNorm.call(x));
            return x + call.Hook.At(layer, Activation.MlpOutput, _down.call(nn.functional.silu(_gate.call(normed)).mul(_up.call(normed))));
        }
    }

    private sealed class PlainAttention : nn.Module
    {
        private readonly int _heads;
        private readonly Linear _query, _key, _value, _output;

        public PlainAttention(int width, int heads)
            : base(nameof(PlainAttention))
        {
            Linear Matrix(string name)
            {
                Linear matrix = nn.Linear(width, width, hasBias: false);
                register_module(name, matrix);
                return matrix;
            }

            _heads = heads;
            (_query, _key, _value, _output) = (Matrix("query"), Matrix("key"), Matrix("value"), Matrix("output"));
        }

        public Tensor Run(int layer, Tensor x, Rotation rotation, ModelCall call)
        {
            Tensor q = rotation.Apply(CausalAttention.Split(_query.call(x), _heads)), k = rotation.Apply(CausalAttention.Split(_key.call(x), _heads));
            return _output.call(CausalAttention.Join(CausalAttention.Of(q, k, CausalAttention.Split(_value.call(x), _heads), layer, call)));
        }
    }
}
