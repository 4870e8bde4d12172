using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// A linear layer of dense-sparse factors (DSFormer, Chand et al. 2023): y = sum over blocks of S_k (D_k x_k) + b, S_k with s coefficients a row. Trained as it is, the atoms of each row stay and bases and coefficients move: the
/// paper's "conventional" training. <see cref="StraightThroughFactorizer"/> lets the atoms move too.
/// </summary>
/// <remarks>
/// The atoms are part of the saved state: coefficients mean nothing without them. A state that is loaded brings its own, which are checked when the layer is next used. A fingerprint of them is saved beside
/// them, so that a forward pass reads one number to know whether they are still those that it knows.
/// </remarks>
public sealed class DenseSparseLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device.
    private readonly Parameter basis, values;
    private readonly Parameter? bias;
    private readonly Tensor indices, fingerprint;

    // What the factored product needs of the atoms, and the fingerprint of those that it was made of.
    private TurnedSupport _places = null!;
    private long? _followed;

    /// <summary>A layer of given factors.</summary>
    /// <param name="factors">Bases, atoms and coefficients; copied.</param>
    /// <param name="bias">b [out] of their type; copied. Null, the default, for none.</param>
    /// <param name="mode">How products are computed. Default <see cref="ForwardMode.FormWeight"/>.</param>
    /// <exception cref="ArgumentException">A bias of another length or type, or no such mode.</exception>
    public DenseSparseLinear(DenseSparseFactors factors, Tensor? bias = null, ForwardMode mode = ForwardMode.FormWeight)
        : base(nameof(DenseSparseLinear))
    {
        ArgumentNullException.ThrowIfNull(factors);
        if (!Enum.IsDefined(mode)) throw new ArgumentOutOfRangeException(nameof(mode), mode, "No such mode.");
        (Shape, Mode) = (factors.Shape, mode);
        if (bias is not null && (bias.dim() != 1 || bias.shape[0] != Shape.Outputs || bias.dtype != factors.Basis.dtype))
            throw new ArgumentException($"bias must be {factors.Basis.dtype} [{Shape.Outputs}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (basis, values) = (LinearOf.Owned(factors.Basis.clone()), LinearOf.Owned(factors.Values.clone()));
        this.bias = bias is null ? null : LinearOf.Owned(bias.detach().cpu().clone());
        indices = factors.Indices.clone().DetachFromDisposeScope();
        fingerprint = tensor(new[] { FingerprintOf(indices.data<long>().ToArray()) }).DetachFromDisposeScope();
        Follow();
        register_parameter("basis", basis);
        register_parameter("values", values);
        if (this.bias is not null) register_parameter("bias", this.bias);
        register_buffer("indices", indices);
        register_buffer("fingerprint", fingerprint);
    }

    /// <summary>Sizes.</summary>
    public DenseSparseShape Shape { get; }

    /// <summary>D [K, r, b].</summary>
    public Parameter Basis => basis;

    /// <summary>Coefficients [K, out, s].</summary>
    public Parameter Values => values;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>Atoms [K, out, s], Int64, ascending in each row. They belong to the layer and change only where a state is loaded.</summary>
    public Tensor Indices => indices;

    /// <summary>How products are computed; may be changed at any time. A layer of a half type always forms its weight.</summary>
    public ForwardMode Mode { get; set; }

    /// <summary>Bases, coefficients and bias; indices are no numbers that are trained (<see cref="DenseSparseShape.Bits"/> counts them).</summary>
    public long ParameterCount => Shape.BasisCount + Shape.CoefficientCount + (bias?.numel() ?? 0);

    /// <summary>Multiply-adds of the factored form, r in + out K s.</summary>
    public long MacsPerToken => Shape.MacsPerToken;

    /// <summary>A dense layer factored (<see cref="DenseSparse.Factorize"/>), with its bias; in Float32 where the layer is of a half type.</summary>
    /// <param name="linear">The layer; it stays as it is.</param>
    /// <param name="shape">Sizes, those of its weight.</param>
    /// <param name="options">Sweeps, rule, seed; null for the defaults of the record.</param>
    /// <param name="name">Name of the layer in messages; null, the default, for none.</param>
    /// <param name="cancel">Checked at every row.</param>
    /// <exception cref="ArgumentException">Another size, or NaN or infinity in the weight.</exception>
    public static DenseSparseLinear FromDense(Linear linear, DenseSparseShape shape, DenseSparseOptions? options = null, string? name = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(linear);
        using DenseSparseFactors factors = DenseSparse.Factorize(linear.weight!, shape, options, name: name, cancel: cancel);
        return Of(factors, linear.bias);
    }

    /// <summary>A layer of given factors with a bias of any type.</summary>
    internal static DenseSparseLinear Of(DenseSparseFactors factors, Tensor? bias)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return new(factors, bias is null || bias.dtype == factors.Basis.dtype ? bias : bias.detach().to(factors.Basis.dtype));
    }

    /// <summary>sum over blocks of S_k (D_k x_k) + b.</summary>
    /// <param name="input">[..., in], of the layer's type, on the CPU.</param>
    /// <returns>[..., out], with gradients for the input and the parameters.</returns>
    /// <exception cref="ArgumentException">Another width, type or device.</exception>
    /// <exception cref="InvalidDataException">A state was loaded whose indices are no atoms, not ascending in a row, or not those of its fingerprint.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != Shape.Inputs) throw new ArgumentException($"input must be [..., {Shape.Inputs}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        if (input.dtype != values.dtype || input.device_type != DeviceType.CPU) throw new ArgumentException($"input is {input.dtype} on {input.device_type}; it must be {values.dtype} on the CPU.", nameof(input));
        Follow();
        using DisposeScope scope = NewDisposeScope();
        long tokens = 1;
        foreach (long length in input.shape[..^1]) tokens *= length;
        if (!IsFactored(tokens)) return nn.functional.linear(input, DenseSparse.Form(Shape, basis, indices, values), bias).MoveToOuterDisposeScope();

        // All coefficients are one sparse matrix [out, K r], whose rows hold a block's atoms after another's.
        Tensor blocks = input.reshape(tokens, Shape.Blocks, Shape.Block).transpose(0, 1);
        Tensor thin = blocks.bmm(basis.transpose(1, 2)).transpose(0, 1).reshape(tokens, (long)Shape.Blocks * Shape.Atoms);
        Tensor product = FixedSupportLinear.Multiply(thin, values.transpose(0, 1).reshape(-1), _places).reshape([.. input.shape[..^1], Shape.Outputs]);
        return (bias is null ? product : product + bias).MoveToOuterDisposeScope();
    }

    /// <summary>Whether W is left unformed for so many tokens.</summary>
    /// <param name="tokens">Tokens of a batch.</param>
    public bool IsFactored(long tokens) => values.dtype is ScalarType.Float32 or ScalarType.Float64 && Mode switch
    {
        ForwardMode.Factored => true,
        ForwardMode.FormWeight => false,
        _ => tokens * (Shape.BasisCount + (LowRankSparseLinear.SparseCost * Shape.CoefficientCount)) < (tokens + Shape.Atoms) * FlopAccount.Dense(Shape.Outputs, Shape.Inputs),
    };

    /// <summary>The factors as they are now, in Float32 where the layer is of a half type; dispose them.</summary>
    public DenseSparseFactors Factors() => DenseSparseFactors.Of(Shape, basis, indices, values);

    /// <inheritdoc/>
    public Tensor EffectiveWeight()
    {
        Follow();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return DenseSparse.Form(Shape, basis, indices, values).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, bias);
    }

    /// <inheritdoc/>
    public override string ToString() => $"DenseSparseLinear([{Shape.Outputs}, {Shape.Inputs}], blocks of {Shape.Block}, {Shape.NonZeros} of {Shape.Atoms} atoms)";

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            indices.Dispose();
            fingerprint.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>Makes what the factored product needs of the atoms; again where a state with others was loaded.</summary>
    private void Follow()
    {
        long mark = fingerprint.item<long>();
        if (mark == _followed) return;
        using DisposeScope scope = NewDisposeScope();
        Tensor here = indices.cpu().contiguous();
        ReadOnlySpan<long> now = TensorMemory.Read<long>(here);
        LoadedIndices.Check(now, Shape.NonZeros, Shape.Atoms, ToString(), "atom");
        if (FingerprintOf(now) != mark) throw new InvalidDataException($"A state was loaded into {this} whose indices do not fit their fingerprint.");
        (_places, _followed) = (new(SupportOf(Shape, here)), mark);
        GC.KeepAlive(here);
    }

    private static long FingerprintOf(ReadOnlySpan<long> indices)
    {
        ulong mixed = (ulong)indices.Length;
        foreach (long index in indices) mixed = SeededRandom.Mix(mixed ^ (ulong)index);
        return (long)mixed;
    }

    private static Support SupportOf(DenseSparseShape shape, Tensor indices)
    {
        int perRow = shape.Blocks * shape.NonZeros;
        int[] offsets = [.. Enumerable.Range(0, shape.Outputs + 1).Select(row => row * perRow)];
        Tensor first = arange(shape.Blocks, dtype: ScalarType.Int64).mul_(shape.Atoms).view(-1, 1, 1);
        return new(shape.Outputs, shape.Blocks * shape.Atoms, offsets, (indices + first).transpose(0, 1).reshape(-1).to(ScalarType.Int32).data<int>().ToArray());
    }
}
