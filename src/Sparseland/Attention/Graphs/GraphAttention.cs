using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>
/// A causal attention whose product with the values is a step over a graph (Buehler 2025, arXiv 2501.02393): <see cref="Adjacency"/> makes one weighted graph per head,
/// A = cut(softmax(alpha Q K^T / (sqrt(headDim) temperature))), and <see cref="Step"/> sends messages along it. alpha is one trained number, 1 at first.
/// </summary>
/// <remarks>The whole matrix of weights is needed: there is no fused kernel, no cache, and memory grows with the square of the text. Names: query, key, sharpening, threshold where it is trained.</remarks>
public abstract class GraphAttention : nn.Module<Tensor, Tensor>
{
    private readonly Linear _query, _key;
    private readonly RotaryPositions _positions;
    private readonly int _context;

    /// <summary>Queries, keys and positions.</summary>
    private protected GraphAttention(string name, int width, int heads, GraphAttentionOptions options, int context, double theta)
        : base(name)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(context);
        Finite.Positive(theta);
        options.Validate();
        if (width % heads != 0 || width / heads % 2 != 0) throw new ArgumentException($"{heads} heads must divide the width {width} into heads of even width: node features are slices of the input.", nameof(heads));
        (Width, Heads, Common, _context) = (width, heads, options, context);
        (_query, _key) = (nn.Linear(width, width, hasBias: false), nn.Linear(width, width, hasBias: false));
        _positions = new(context, width / heads, theta);
        register_module("query", _query);
        register_module("key", _key);
        register_parameter("sharpening", nn.Parameter(ones(1)));
        if (options.Cut.Trains) register_parameter("threshold", nn.Parameter(full([1], options.Cut.Threshold)));
    }

    /// <summary>Width of the input, heads * headDim.</summary>
    public int Width { get; }

    /// <summary>Heads.</summary>
    public int Heads { get; }

    /// <summary>Width of a head.</summary>
    public int HeadDim => Width / Heads;

    // Both asked for by name: a module that changes its type gives its parameters new tensors, and fills only the fields of the derived class.

    /// <summary>alpha.</summary>
    public Parameter Sharpening => get_parameter("sharpening")!;

    /// <summary>t of the cut where it is trained; else null.</summary>
    public Parameter? Threshold => get_parameter("threshold");

    /// <summary>What all such attentions have.</summary>
    private protected GraphAttentionOptions Common { get; }

    /// <summary>The adjacency of each head, cut.</summary>
    /// <param name="x">Normed input of a block [batch, tokens, width].</param>
    /// <returns>[batch, heads, tokens, tokens].</returns>
    /// <exception cref="ArgumentException">Another width or type, or more tokens than the context.</exception>
    public Tensor Adjacency(Tensor x)
    {
        CheckInput(x);
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(Cut(x, _positions.At(0, x.shape[1], x.dtype, x.device)));
    }

    /// <summary>Messages along a graph, and what a node makes of them.</summary>
    /// <param name="x">Normed input of a block [batch, tokens, width].</param>
    /// <param name="a">Adjacency of each head [batch, heads, tokens, tokens].</param>
    /// <returns>[batch, tokens, width].</returns>
    /// <exception cref="ArgumentException">Another width, or an adjacency of another shape or type.</exception>
    public abstract Tensor Step(Tensor x, Tensor a);

    /// <summary>Adjacency and step.</summary>
    /// <param name="input">Normed input of a block [batch, tokens, width].</param>
    /// <returns>[batch, tokens, width].</returns>
    /// <exception cref="ArgumentException">Another width or type, or more tokens than the context.</exception>
    public override Tensor forward(Tensor input)
    {
        CheckInput(input);
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(Step(input, Cut(input, _positions.At(0, input.shape[1], input.dtype, input.device))));
    }

    /// <summary>Within a model: a hook may read and replace the adjacency.</summary>
    internal Tensor Run(int layer, Tensor normed, Rotation rotation, ModelCall call)
    {
        if (call.Cache is not null) throw new ArgumentException("An attention over graphs reads whole texts; it takes no cache.", "cache");
        if (call.Attention is not null) throw new ArgumentException("An attention over graphs cannot be replaced by another method.", "attention");
        return Step(normed, call.Hook.At(layer, Activation.AttentionPattern, Cut(normed, rotation)));
    }

    /// <summary>[batch, heads, tokens, headDim].</summary>
    private protected Tensor Split(Tensor x) => CausalAttention.Split(x, Heads);

    private Tensor Cut(Tensor x, Rotation rotation)
    {
        Tensor q = rotation.Apply(Split(_query.call(x))), k = rotation.Apply(Split(_key.call(x)));
        Tensor scores = q.mul(Sharpening.mul(1 / (Math.Sqrt(HeadDim) * Common.Temperature))).MatMul(k.transpose(2, 3));
        Tensor a = Common.Scores == AdjacencyScores.Relu
            ? scores.relu().tril()
            : scores.masked_fill(ones(x.shape[1], x.shape[1], dtype: ScalarType.Bool, device: x.device).triu(1), double.NegativeInfinity).softmax(-1);
        return Common.Cut.Kind == CutKind.None ? a : Common.Cut.Apply(a, Threshold);
    }

    /// <summary>Refuses what a step cannot be made of.</summary>
    private protected void CheckStep(Tensor x, Tensor a)
    {
        CheckInput(x);
        ArgumentNullException.ThrowIfNull(a);
        long[] wanted = [x.shape[0], Heads, x.shape[1], x.shape[1]];
        if (!a.shape.SequenceEqual(wanted)) throw new ArgumentException($"The adjacency must be [{string.Join(", ", wanted)}], but is [{string.Join(", ", a.shape)}].", nameof(a));
        if (a.dtype != x.dtype) throw new ArgumentException($"The adjacency is {a.dtype}, the input {x.dtype}.", nameof(a));
    }

    private void CheckInput(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() != 3 || x.shape[2] != Width || x.numel() == 0) throw new ArgumentException($"The input must be [batch, tokens, {Width}] and not empty, but is [{string.Join(", ", x.shape)}].", nameof(x));
        if (x.shape[1] > _context) throw new ArgumentException($"The text has {x.shape[1]} tokens, the context {_context}.", nameof(x));
        if (x.dtype != Sharpening.dtype) throw new ArgumentException($"The input is {x.dtype}, the layer {Sharpening.dtype}.", nameof(x));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _positions.Dispose();
        base.Dispose(disposing);
    }
}
