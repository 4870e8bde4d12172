using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>How the scales of a <see cref="SparseGinAdapter"/> begin.</summary>
public enum ScaleStart
{
    /// <summary>Linear in depth, from the first block's scale to the last one's, as released: branches are normed, so the model is not the pretrained one at first.</summary>
    Linear,

    /// <summary>All 0: exactly the pretrained model, and the scales have a gradient all the same.</summary>
    Zero,
}

/// <summary>Settings of a <see cref="SparseGinAdapter"/>.</summary>
public sealed record SparseGinOptions
{
    /// <summary>Width of the graph networks. Default 155.</summary>
    public int Hidden { get; init; } = 155;

    /// <summary>How a block's attention becomes a graph. Default the released thresholds, edges from key to query.</summary>
    public AttentionGraphOptions Graph { get; init; } = new();

    /// <summary>Whether edges begin at tokens drawn among a token itself and those before it, as many and as heavy for each token: a control. The draw is that of the seed, the same in every call of the same sizes. Default false.</summary>
    public bool RandomEdges { get; init; }

    /// <summary>How scales begin. Default linear in depth.</summary>
    public ScaleStart ScaleStart { get; init; }

    /// <summary>Scale of the first block at the start, lambda_initial. Default 0.</summary>
    public double FirstScale { get; init; }

    /// <summary>Scale of the last block at the start, lambda. Default 0.5.</summary>
    public double LastScale { get; init; } = 0.5;

    /// <summary>Share of the graph network's output dropped in training, from 0 to below 1. Default 0.1.</summary>
    public double Dropout { get; init; } = 0.1;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Hidden);
        ArgumentNullException.ThrowIfNull(Graph);
        Graph.Validate();
        if (!Enum.IsDefined(ScaleStart)) throw new ArgumentOutOfRangeException(nameof(ScaleStart), ScaleStart, "There is no such start.");
        if (!double.IsFinite(FirstScale)) throw new ArgumentOutOfRangeException(nameof(FirstScale), FirstScale, "FirstScale must be finite.");
        if (!double.IsFinite(LastScale)) throw new ArgumentOutOfRangeException(nameof(LastScale), LastScale, "LastScale must be finite.");
        if (!(Dropout is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Dropout), Dropout, "Dropout must be from 0 to below 1.");
    }
}

/// <summary>
/// Sparse-GIN (Buehler 2025, arXiv 2501.02393): beside each block of a frozen decoder a small graph network runs on the sparse graph that <see cref="AttentionGraph.FromHeads"/> cuts out of the block's own attention. Its
/// input is the residual stream behind the attention, its normed output times a scale of the block is added before the MLP: z_i = e x_i + sum_j w_ij x_j, y = W2 act(W1 z) + z.
/// </summary>
/// <remarks>
/// It is a hook: given to each call of the model, it is there, and left out, the model is the pretrained one. Gradients pass through it to earlier blocks' graphs too. It trains as a network of its own: give it to a
/// <see cref="Training.TrainingLoop"/> with a loss of <c>model.Logits(ids, hook: adapter)</c>. One call at a time. Names: 0, 1, ... (input, epsilon, first, second, slope1, slope2, output, norm, scale).
/// The act is a PReLU with a slope of its own at each of its two places.
/// </remarks>
public sealed class SparseGinAdapter : nn.Module, IActivationHook
{
    private readonly GraphBranch[] _branches;
    private readonly long _seed;
    private Tensor? _residual;
    private AttentionGraph? _graph;

    /// <summary>Graph networks for a model with random weights, and freezes the model.</summary>
    /// <param name="model">A decoder that can show its attention weights; its parameters ask for no gradient any more.</param>
    /// <param name="options">Settings; null, the default, for those of the record.</param>
    /// <param name="seed">Seed of the weights and of random edges. Default 1.</param>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public SparseGinAdapter(LanguageModel model, SparseGinOptions? options = null, long seed = 1)
        : base(nameof(SparseGinAdapter))
    {
        ArgumentNullException.ThrowIfNull(model);
        (Options, _seed) = (options ?? new(), seed);
        Options.Validate();
        int layers = model.Layers;
        double Start(int layer) => Options.ScaleStart == ScaleStart.Zero ? 0 : layers == 1 ? Options.LastScale : Options.FirstScale + ((Options.LastScale - Options.FirstScale) * layer / (layers - 1));
        _branches = [.. Enumerable.Range(0, layers).Select(l => new GraphBranch(model.Width, Options, Start(l)))];
        for (int l = 0; l < layers; l++) register_module($"{l}", _branches[l]);
        GraphStart.Uniform(this, seed, biases: true);
        foreach (Parameter parameter in model.parameters()) parameter.requires_grad = false;
        if (model.Embeddings.dtype != ScalarType.Float32) this.to(model.Embeddings.dtype);
        if (model.Embeddings.device_type != DeviceType.CPU) this.to(model.Embeddings.device);
    }

    /// <summary>Settings.</summary>
    public SparseGinOptions Options { get; }

    /// <summary>Numbers that are trained.</summary>
    public long ParameterCount => parameters().Sum(p => p.numel());

    /// <summary>The scale of each block as it is now.</summary>
    public IReadOnlyList<double> Scales => [.. _branches.Select(b => b.ScaleNow)];

    /// <inheritdoc/>
    IReadOnlyCollection<ActivationSite> IActivationHook.Named => [.. Enumerable.Range(0, _branches.Length).SelectMany(l => new ActivationSite[] { new(l, Activation.ResidualBefore), new(l, Activation.AttentionPattern), new(l, Activation.AttentionOutput) })];

    /// <inheritdoc/>
    public bool Wants(ActivationSite site) => site.Layer < _branches.Length && site.Activation is Activation.ResidualBefore or Activation.AttentionPattern or Activation.AttentionOutput;

    /// <inheritdoc/>
    public void Begin(int position)
    {
        // A call that failed halfway leaves its graph.
        Forget();
        if (position != 0) throw new ArgumentException($"The text goes on behind {position} tokens in a cache, but a graph is over whole texts; give no cache.", nameof(position));
    }

    /// <summary>Reads residual stream and attention weights, and adds the branch to the attention's output.</summary>
    /// <param name="site">The place.</param>
    /// <param name="value">Its value.</param>
    /// <exception cref="InvalidOperationException">The attention showed no weights.</exception>
    public Tensor? Visit(ActivationSite site, Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        switch (site.Activation)
        {
            case Activation.ResidualBefore:
                _residual = value;
                return null;
            case Activation.AttentionPattern:
                if (value.shape[2] != value.shape[3]) throw new ArgumentException($"The attention has {value.shape[2]} queries and {value.shape[3]} keys, but a graph is over whole texts.", nameof(value));
                AttentionGraph cut = AttentionGraph.FromHeads(value, Options.Graph);
                _graph?.Dispose();
                _graph = cut;
                if (Options.RandomEdges)
                {
                    _graph = cut.Shuffled(unchecked((_seed * 1_000_003) + site.Layer));
                    cut.Dispose();
                }

                return null;
            default:
                if (_graph is null || _residual is null) throw new InvalidOperationException($"Block {site.Layer} showed no attention weights; a fused attention has none.");
                try
                {
                    return value + Branch(site.Layer, _residual + value, _graph);
                }
                finally
                {
                    Forget();
                }
        }
    }

    /// <summary>What one block's graph network adds.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="residual">Residual stream behind the attention [batch, tokens, dModel].</param>
    /// <param name="graph">The graph.</param>
    /// <returns>[batch, tokens, dModel].</returns>
    /// <exception cref="ArgumentException">There is no such block, or the graph is of other texts.</exception>
    public Tensor Branch(int layer, Tensor residual, AttentionGraph graph)
    {
        ArgumentNullException.ThrowIfNull(residual);
        ArgumentNullException.ThrowIfNull(graph);
        if (layer < 0 || layer >= _branches.Length) throw new ArgumentOutOfRangeException(nameof(layer), layer, $"There are blocks 0 to {_branches.Length - 1}.");
        return _branches[layer].Of(residual, graph);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) Forget();
        base.Dispose(disposing);
    }

    private void Forget()
    {
        _graph?.Dispose();
        (_residual, _graph) = (null, null);
    }

    private sealed class GraphBranch : nn.Module
    {
        private readonly Linear _input, _first, _second, _output;
        private readonly RootMeanSquareNorm _norm;
        private readonly Parameter epsilon, slope1, slope2, scale;
        private readonly double _dropout;

        public GraphBranch(int width, SparseGinOptions options, double start)
            : base(nameof(GraphBranch))
        {
            int hidden = options.Hidden;
            (_input, _first, _second, _output) = (nn.Linear(width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, width));
            (_norm, _dropout) = (new(width, 1e-5), options.Dropout);
            (epsilon, slope1, slope2, scale) = (nn.Parameter(zeros(1)), nn.Parameter(full([1], 0.25)), nn.Parameter(full([1], 0.25)), nn.Parameter(full([1], start)));
            foreach ((string name, nn.Module module) in new (string, nn.Module)[] { ("input", _input), ("first", _first), ("second", _second), ("output", _output), ("norm", _norm) }) register_module(name, module);
            register_parameter(nameof(epsilon), epsilon);
            register_parameter(nameof(slope1), slope1);
            register_parameter(nameof(slope2), slope2);
            register_parameter(nameof(scale), scale);
        }

        public double ScaleNow
        {
            get
            {
                using DisposeScope scope = NewDisposeScope();
                return scale.detach().to(ScalarType.Float64).item<double>();
            }
        }

        public Tensor Of(Tensor residual, AttentionGraph graph)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor x = _input.call(residual), z = graph.Propagate(x).add(x.mul(epsilon));
            Tensor y = Act(_second.call(Act(_first.call(z), slope1)).add(z), slope2);
            if (_dropout > 0 && training) y = nn.functional.dropout(y, _dropout, training: true);
            return scope.MoveToOuter(_norm.call(_output.call(y)).mul(scale));
        }

        /// <summary>PReLU.</summary>
        private static Tensor Act(Tensor x, Tensor slope) => x.clamp_min(0).add(x.clamp_max(0).mul(slope));
    }
}
