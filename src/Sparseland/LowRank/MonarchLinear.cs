using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// A linear layer y = M x + b whose M is a Monarch matrix, trained by its factors: two batched products of small dense matrices. In a network it takes a linear layer's place by
/// <see cref="LinearSlots.Replace"/>; <see cref="Merge"/> makes it dense again, to go on with all directions free (reverse sparsification).
/// </summary>
/// <remarks>It starts as the published layer does, each factor uniform in +-1/sqrt(its last dimension), so that an entry of M has variance 1/(9 in), a third of a default linear layer's.</remarks>
public sealed class MonarchLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    private readonly Parameter right, left;
    private readonly Parameter? bias;

    /// <summary>A layer with a random start.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="seed">Of the start.</param>
    /// <param name="hasBias">Whether there is a b, uniform in +-1/sqrt(in) at the start. Default true.</param>
    /// <param name="matchDense">Whether one factor is made larger by sqrt(3), so that an entry of M has the variance of a default linear layer's. Default false, as published.</param>
    /// <param name="dtype">Float32 or Float64. Default Float32.</param>
    /// <exception cref="ArgumentException">Another type.</exception>
    public MonarchLinear(MonarchShape shape, long seed, bool hasBias = true, bool matchDense = false, ScalarType dtype = ScalarType.Float32)
        : this(shape, Start(shape, seed, hasBias, matchDense, dtype))
    {
    }

    private MonarchLinear(MonarchShape shape, (Tensor Right, Tensor Left, Tensor? Bias) start)
        : base(nameof(MonarchLinear))
    {
        Shape = shape;
        (right, left) = (new Parameter(start.Right.DetachFromDisposeScope()), new Parameter(start.Left.DetachFromDisposeScope()));
        bias = start.Bias is null ? null : new Parameter(start.Bias.DetachFromDisposeScope());
        RegisterComponents();
    }

    /// <summary>The sizes.</summary>
    public MonarchShape Shape { get; }

    /// <summary>R [K, b J, I], a parameter.</summary>
    public Parameter Right => right;

    /// <summary>L [J, outputs of a group, K b], a parameter.</summary>
    public Parameter Left => left;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => bias;

    /// <inheritdoc/>
    public long ParameterCount => Shape.ParameterCount + (bias is null ? 0 : Shape.Outputs);

    /// <inheritdoc/>
    public long MacsPerToken => Shape.ParameterCount;

    /// <summary>The layer of given factors.</summary>
    /// <param name="matrix">The factors, real; copied.</param>
    /// <param name="bias">b [out] of their type; copied. Default null, for none.</param>
    /// <exception cref="ArgumentException">Complex factors, or a bias of another shape or type.</exception>
    public static MonarchLinear FromMatrix(MonarchMatrix matrix, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        if (matrix.Right.is_complex()) throw new ArgumentException($"The factors are {matrix.Right.dtype}; a layer is real.", nameof(matrix));
        if (bias is not null && (bias.dim() != 1 || bias.shape[0] != matrix.Shape.Outputs || bias.dtype != matrix.Right.dtype))
            throw new ArgumentException($"bias must be {matrix.Right.dtype} [{matrix.Shape.Outputs}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return new(matrix.Shape, (matrix.Right.detach().clone(), matrix.Left.detach().clone(), bias?.detach().clone()));
    }

    /// <summary>The layer nearest to a dense one, with its bias (<see cref="Monarch.Project"/>).</summary>
    /// <param name="linear">The dense layer; it stays as it is.</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="name">Name of the layer for messages. Default "weight".</param>
    /// <exception cref="ArgumentException">Other sizes, NaN or infinity.</exception>
    public static MonarchLinear FromDense(Linear linear, MonarchShape shape, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(linear);
        using MonarchProjection nearest = Monarch.Project(linear.weight, shape, name);
        return FromMatrix(nearest.Matrix, linear.bias);
    }

    /// <summary>M x + b.</summary>
    /// <param name="input">[..., in], of the parameters' type.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor product = Monarch.Multiply(input, right, left, Shape);
        return (bias is null ? product : product + bias).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor EffectiveWeight()
    {
        using IDisposable off = no_grad();
        return Monarch.Dense(right, left, Shape);
    }

    /// <inheritdoc/>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, bias);
    }

    /// <inheritdoc/>
    public override string ToString() => $"MonarchLinear({Shape.Inputs} to {Shape.Outputs}, {Shape.InputBlocks} x {Shape.OutputBlocks} slices of rank {Shape.BlockRank})";

    private static (Tensor, Tensor, Tensor?) Start(MonarchShape shape, long seed, bool hasBias, bool matchDense, ScalarType dtype)
    {
        ArgumentNullException.ThrowIfNull(shape);
        if (dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"dtype is {dtype}; it must be Float32 or Float64.", nameof(dtype));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed) ^ 0x3a2c));
        Tensor r = Factors.Uniform(shape.InputBlockSize, shape.RightShape, generator) * (matchDense ? Math.Sqrt(3) : 1);
        Tensor l = Factors.Uniform((long)shape.InputBlocks * shape.BlockRank, shape.LeftShape, generator);
        Tensor? b = hasBias ? Factors.Uniform(shape.Inputs, [shape.Outputs], generator).to(dtype) : null;
        return (r.to(dtype).DetachFromDisposeScope(), l.to(dtype).DetachFromDisposeScope(), b?.DetachFromDisposeScope());
    }
}
