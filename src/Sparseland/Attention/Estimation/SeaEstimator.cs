using Sparseland.Attention.Features;
using Sparseland.Models;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Estimation;

/// <summary>
/// Says in linear time where the heads of a block will look (SEA, Lee, Kim, Willette and Hwang, ICLR 2024, the causal form): a linear attention summarises what stands before each query, a small
/// network turns the summary into a row of K cells, and a causal convolution over tokens and cells lets neighbouring rows and all heads tell each other.
/// </summary>
/// <remarks>
/// Steps are public: <see cref="Context"/>, <see cref="Encode"/>, <see cref="Scores"/>, <see cref="ScaleAndMix"/>; <see cref="Estimate"/> is all of them. Computed in Float32 whatever the queries
/// are. The seed of the features is saved with the weights.
/// </remarks>
public sealed class SeaEstimator : nn.Module
{
    private const int Coarse = 4;

    // Named as registered: conversions replace registered fields.
    private readonly Parameter positions;
    private readonly Linear encode;
    private readonly LayerNorm encodeNorm;
    private readonly Linear decode;
    private readonly LayerNorm imageNorm;
    private readonly CausalConv2d first;
    private readonly CausalConv2d second;
    private readonly CausalConv2d merge;
    private readonly LayerNorm cellNorm;
    private readonly Linear weigh;
    private readonly Tensor featureSeed;
    private ReluFeatures _features;

    /// <summary>Draws weights and features. Positions start normal, matrices uniform up to 1 / sqrt(inputs) on both sides of 0, biases 0.</summary>
    /// <param name="heads">Query heads of the block, H.</param>
    /// <param name="headDim">Width of queries, keys and values, d.</param>
    /// <param name="options">Sizes; null, the default, for those of the record.</param>
    /// <param name="seed">Seed of weights and features. Default 1.</param>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public SeaEstimator(int heads, int headDim, SeaOptions? options = null, long seed = 1)
        : base(nameof(SeaEstimator))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(headDim);
        Options = options ?? new();
        Options.Validate();
        (Heads, HeadDim) = (heads, headDim);
        int count = Options.Features ?? Math.Max(1, (int)Math.Round(headDim * Math.Log(headDim) / 8)), coarse = Options.Cells / Coarse;
        _features = new(headDim, count, seed);
        using DisposeScope scope = NewDisposeScope();
        featureSeed = tensor(seed).DetachFromDisposeScope();
        positions = new Parameter(zeros(Options.MaxTokens, headDim).DetachFromDisposeScope());
        positions.DetachFromDisposeScope();
        encode = nn.Linear(3 * headDim, 2 * headDim);
        encodeNorm = nn.LayerNorm(2 * headDim);
        decode = nn.Linear(2 * headDim, 2 * coarse);
        imageNorm = nn.LayerNorm(coarse);
        first = new(2 * heads, 2 * heads, kernel: 3, dilation: 2);
        second = new(2 * heads, 2 * heads, kernel: 3, dilation: 2);
        merge = new(2 * heads, heads, kernel: 1);
        cellNorm = nn.LayerNorm(Options.Cells);
        weigh = nn.Linear(2 * headDim, 2);
        RegisterComponents();
        if (!named_buffers().Any(b => b.name == nameof(featureSeed))) register_buffer(nameof(featureSeed), featureSeed);
        Start(seed);
    }

    /// <summary>Sizes.</summary>
    public SeaOptions Options { get; }

    /// <summary>Query heads, H.</summary>
    public int Heads { get; }

    /// <summary>Width of queries, keys and values, d.</summary>
    public int HeadDim { get; }

    /// <summary>Cells of a row, K.</summary>
    public int Cells => Options.Cells;

    /// <summary>The features of the linear attention: relu(W x d^-1/4) + 1e-3, W with orthogonal rows.</summary>
    public ReluFeatures Features
    {
        get
        {
            // After weights were loaded the seed may be another.
            long seed = get_buffer(nameof(featureSeed))!.item<long>();
            return _features.Seed == seed ? _features : _features = (ReluFeatures)_features.Redraw(seed);
        }
    }

    /// <summary>Draws other features; the published training does so every 1,000 steps.</summary>
    /// <param name="seed">Seed of the draw.</param>
    public void Redraw(long seed)
    {
        using IDisposable off = no_grad();
        get_buffer(nameof(featureSeed))!.fill_(seed);
    }

    /// <summary>Step 1: c_i = sum over j up to i of f(q_i) . f(k_j) [p_j, v_j] over the sum of f(q_i) . f(k_j), p the table of positions. By prefix sums.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, headDim].</param>
    /// <returns>[batch, heads, tokens, 2 headDim]: where the query looks, and what it sees there.</returns>
    /// <exception cref="ArgumentException">Another number of heads or width, more tokens than positions, or a value that is not finite.</exception>
    public Tensor Context(Tensor q, Tensor k, Tensor v)
    {
        AttentionShape shape = HeadInput.Check(q, k, v, causal: true);
        if (shape.Heads != Heads || shape.HeadDim != HeadDim || shape.ValueDim != HeadDim)
        {
            throw new ArgumentException(
                $"The estimator is of {Heads} heads of width {HeadDim}; queries are [{string.Join(", ", q.shape)}], values [{string.Join(", ", v.shape)}].", nameof(q));
        }

        if (shape.Tokens > Options.MaxTokens) throw new ArgumentException($"The text has {shape.Tokens} tokens, the table of positions {Options.MaxTokens}.", nameof(q));
        using DisposeScope scope = NewDisposeScope();
        (q, k, v) = (q.to(ScalarType.Float32), Spread(k.to(ScalarType.Float32)), Spread(v.to(ScalarType.Float32)));
        Tensor p = positions.narrow(0, 0, shape.Tokens).expand(v.shape);
        return scope.MoveToOuter(LinearAttention.AttendCausal(q, k, cat([p, v], 3), Features));
    }

    /// <summary>Step 2: t_i = GELU(LayerNorm(Linear([c_i, v_i]))), the same for all heads.</summary>
    /// <param name="context">c [batch, heads, tokens, 2 headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, headDim].</param>
    /// <returns>[batch, heads, tokens, 2 headDim].</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit.</exception>
    public Tensor Encode(Tensor context, Tensor v)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(v);
        CheckEncoded(context, nameof(context));
        if (v.dim() != 4 || v.shape[1] == 0 || Heads % v.shape[1] != 0 || v.shape[0] != context.shape[0] || v.shape[2] != context.shape[2] || v.shape[3] != HeadDim)
            throw new ArgumentException($"v [{string.Join(", ", v.shape)}] does not fit a context of [{string.Join(", ", context.shape)}].", nameof(v));
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(nn.functional.gelu(encodeNorm.call(encode.call(cat([context, Spread(v.to(context.dtype))], 3)))));
    }

    /// <summary>Steps 3 and 4: two channels of K / 4 cells a head, the convolutions over tokens and cells with the channels of all heads, and K scores of each head and token.</summary>
    /// <param name="encoded">t [batch, heads, tokens, 2 headDim].</param>
    /// <returns>[batch, heads, tokens, cells].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public Tensor Scores(Tensor encoded)
    {
        CheckEncoded(encoded, nameof(encoded));
        using DisposeScope scope = NewDisposeScope();
        (long batch, long tokens, long coarse) = (encoded.shape[0], encoded.shape[2], Cells / Coarse);
        Tensor image = decode.call(encoded).view(batch, Heads, tokens, 2, coarse).permute(0, 1, 3, 2, 4).reshape(batch, 2 * Heads, tokens, coarse);
        image = first.call(imageNorm.call(image)).relu();
        image = second.call(image).relu();

        // A 1 x 1 convolution and repetition of cells change places without a difference; this order computes a quarter.
        return scope.MoveToOuter(cellNorm.call(merge.call(image).unsqueeze(-1).expand(-1, -1, -1, -1, Coarse).flatten(3)));
    }

    /// <summary>s0 and s1 of steps 8 and 9: how much the sparse rows count, and how much beside the running mean.</summary>
    /// <param name="encoded">t [batch, heads, tokens, 2 headDim].</param>
    /// <returns>Both [batch, heads, tokens], before the sigmoid.</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public (Tensor Scale, Tensor Mix) ScaleAndMix(Tensor encoded)
    {
        CheckEncoded(encoded, nameof(encoded));
        using DisposeScope scope = NewDisposeScope();
        Tensor both = weigh.call(encoded);
        return (scope.MoveToOuter(both.select(3, 0)), scope.MoveToOuter(both.select(3, 1)));
    }

    /// <summary>Steps 1 to 4: the estimate of a block's attention, in time and memory linear in tokens.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, headDim].</param>
    /// <exception cref="ArgumentException">As for <see cref="Context"/>.</exception>
    public SeaEstimate Estimate(Tensor q, Tensor k, Tensor v)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor scores, Tensor scale, Tensor mix) = Estimated(q, k, v);
        return new(scores, scale, mix);
    }

    /// <summary><see cref="Estimate"/> in the current scope.</summary>
    internal (Tensor Scores, Tensor Scale, Tensor Mix) Estimated(Tensor q, Tensor k, Tensor v)
    {
        Tensor encoded = Encode(Context(q, k, v), v);
        (Tensor scale, Tensor mix) = ScaleAndMix(encoded);
        return (Scores(encoded), scale, mix);
    }

    /// <summary>Key and value heads as often as query heads share them, as a view: gradients of repetition are slow.</summary>
    private Tensor Spread(Tensor x) => x.shape[1] == Heads ? x : x.unsqueeze(2).expand(-1, -1, Heads / x.shape[1], -1, -1).flatten(1, 2);

    private void CheckEncoded(Tensor x, string name)
    {
        ArgumentNullException.ThrowIfNull(x, name);
        if (x.dim() != 4 || x.shape[1] != Heads || x.shape[3] != 2 * HeadDim || x.numel() == 0)
            throw new ArgumentException($"{name} must be [batch, {Heads}, tokens, {2 * HeadDim}], but is [{string.Join(", ", x.shape)}].", name);
    }

    private void Start(long seed)
    {
        using var generator = new Generator(unchecked((ulong)seed));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((string name, Parameter parameter) in named_parameters().OrderBy(p => p.name, StringComparer.Ordinal))
        {
            if (name == nameof(positions)) parameter.copy_(randn(parameter.shape, generator: generator));
            else if (parameter.dim() > 1)
            {
                double reach = 1 / Math.Sqrt((double)parameter.numel() / parameter.shape[0]);
                parameter.copy_(rand(parameter.shape, generator: generator).mul_(2 * reach).sub_(reach));
            }
            else if (name.EndsWith("bias", StringComparison.Ordinal)) parameter.zero_();
        }
    }
}
