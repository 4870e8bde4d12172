using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>
/// GIN-Attention (Buehler 2025, arXiv 2501.02393): each head is a step of a graph isomorphism network (Xu et al. 2019) on the graph of its attention. There are no values: node features are the head's slice of
/// the input, Z = epsilon X + A X, and an MLP of the head follows. Heads are joined; a matrix behind them is optional.
/// </summary>
/// <remarks>With softmax weights and no cut A X is a mean, so this is not as expressive as GIN on sums; an un-normalised cut is.</remarks>
public sealed class GinAttention : GraphAttention
{
    private readonly GinOptions _options;
    private readonly Parameter epsilon;
    private readonly HeadMlp _mlp;
    private readonly Linear? _output;

    /// <summary>An attention with random weights.</summary>
    /// <param name="width">Width of the input, heads * headDim.</param>
    /// <param name="heads">Heads, a divisor of the width; as many of queries as of keys, since slices of the input stand for values.</param>
    /// <param name="options">Settings; null, the default, for those of the record.</param>
    /// <param name="context">Longest text in tokens. Default 128.</param>
    /// <param name="theta">Base of the rotary frequencies. Default 10,000.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">A value is out of its range, or the heads do not divide the width into even parts.</exception>
    public GinAttention(int width, int heads, GinOptions? options = null, int context = 128, double theta = 10_000, long seed = 1)
        : base(nameof(GinAttention), width, heads, options ?? new(), context, theta)
    {
        _options = options ?? new();
        epsilon = nn.Parameter(zeros(1));
        _mlp = new(heads, HeadDim, Math.Max(1, (int)Math.Round(_options.Multiplier * HeadDim)), HeadDim, normed: true, _options.Dropout);
        register_parameter(nameof(epsilon), epsilon);
        register_module("mlp", _mlp);
        if (_options.OutputMatrix)
        {
            _output = nn.Linear(width, width, hasBias: false);
            register_module("output", _output);
        }

        GraphStart.Uniform(this, seed);
    }

    /// <summary>epsilon of the self term.</summary>
    public Parameter Epsilon => epsilon;

    /// <summary>The MLPs of the heads.</summary>
    public HeadMlp Mlp => _mlp;

    /// <inheritdoc/>
    public override Tensor Step(Tensor x, Tensor a)
    {
        CheckStep(x, a);
        using DisposeScope scope = NewDisposeScope();
        Tensor y = CausalAttention.Join(_mlp.call(GraphStep.Summed(Split(x), a, _options.SelfTerm, epsilon)));
        if (_output is not null) y = _output.call(y);
        if (_options.NormToInput) y = y.mul(Whole(x).div(Whole(y).clamp_min(1e-12)));
        return scope.MoveToOuter(y);
    }

    /// <summary>Norm over all tokens and channels of each text [batch, 1, 1].</summary>
    private static Tensor Whole(Tensor x) => x.square().sum([1L, 2L], keepdim: true).sqrt();
}
