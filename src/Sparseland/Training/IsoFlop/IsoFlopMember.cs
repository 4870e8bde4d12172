using System.Globalization;
using Sparseland.Tensors;

namespace Sparseland.Training.IsoFlop;

/// <summary>What stands within a transformed layer, before its last norm and activation or its sum.</summary>
public enum InnerActivation
{
    /// <summary>Nothing: the layer stays one linear map.</summary>
    None,

    /// <summary>A batch norm: linear at inference.</summary>
    Norm,

    /// <summary>A batch norm and ReLU.</summary>
    NormAndRelu,
}

/// <summary>The size of one transformed layer.</summary>
/// <param name="Exact">The size parameter before it is rounded: k, or the rank d.</param>
/// <param name="Size">The size parameter: for a wide layer its outputs, for a parallel one its branches, otherwise its rank.</param>
/// <param name="Weights">Weights that exist, masked ones included.</param>
/// <param name="Active">Weights that are multiplied.</param>
/// <param name="SearchSpace">Weights a mask chooses from.</param>
/// <param name="Dense">Weights of the dense layer.</param>
public sealed record IsoFlopSize(double Exact, int Size, long Weights, long Active, long SearchSpace, long Dense)
{
    /// <summary>Multiply-adds over those of the dense layer: 1 but for rounding.</summary>
    public double Ratio => (double)Active / Dense;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// A larger layer of sparsity s with the multiply-adds of a dense one (Thangarasa, Saxena, Gupta and Lie, ICML 2024, arXiv 2303.11525): one of the family of sparse iso-FLOP transformations. s alone sets its size.
/// </summary>
public abstract record IsoFlopMember
{
    /// <summary>Slack against the last bits of 1/(1 - s).</summary>
    private protected const double Guard = 1e-6;

    private protected IsoFlopMember(string name, double sparsity)
    {
        if (!(sparsity is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "A sparsity lies in [0, 1).");
        (Name, Sparsity) = (name, sparsity);
    }

    /// <summary>Short name.</summary>
    public string Name { get; }

    /// <summary>s, share of masked weights.</summary>
    public double Sparsity { get; }

    /// <summary>1 - s.</summary>
    public double Density => 1 - Sparsity;

    /// <summary>The size of a transformed layer; a k x k kernel belongs to the first factor.</summary>
    /// <param name="inputs">Inputs, or channels in; positive.</param>
    /// <param name="outputs">Outputs, or channels out; positive.</param>
    /// <param name="kernelArea">Height times width of a kernel. Default 1.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the size would be below 1: at this sparsity nothing of so small a layer is multiplied.</exception>
    public IsoFlopSize SizeFor(int inputs, int outputs, int kernelArea = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(kernelArea);
        IsoFlopSize size = Sized(inputs, outputs, kernelArea);
        return size.Active >= 1 ? size : throw new ArgumentException(
            string.Create(CultureInfo.InvariantCulture, $"{this} leaves none of the {size.Dense} weights of a layer of {inputs} inputs and {outputs} outputs; take a lower sparsity or a larger layer."), nameof(outputs));
    }

    /// <inheritdoc/>
    public sealed override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name}, s = {Sparsity}");

    private protected abstract IsoFlopSize Sized(long inputs, long outputs, long area);

    /// <summary>Active weights of n: round((1 - s) n).</summary>
    internal long Kept(long n) => (long)Math.Round(Density * n, MidpointRounding.AwayFromZero);
}

/// <summary>Sparse Wide: all widths of the network times k = sqrt(1/(1 - s)), so that (1 - s) k^2 i o = i o.</summary>
public sealed record SparseWide : IsoFlopMember
{
    /// <summary>Of a sparsity.</summary>
    /// <param name="sparsity">s in [0, 1).</param>
    /// <exception cref="ArgumentOutOfRangeException">It is outside.</exception>
    public SparseWide(double sparsity)
        : base("Sparse Wide", sparsity)
    {
    }

    /// <summary>k.</summary>
    public double Factor => Math.Sqrt(1 / Density);

    /// <summary>A width times k, rounded to the nearest.</summary>
    /// <param name="width">Positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not positive.</exception>
    /// <exception cref="OverflowException">The wider one is beyond int.</exception>
    public int WidthOf(int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        return checked((int)Math.Round(Factor * width, MidpointRounding.AwayFromZero));
    }

    private protected override IsoFlopSize Sized(long inputs, long outputs, long area)
    {
        long weights = area * WidthOf((int)inputs) * WidthOf((int)outputs);
        return new(Factor, WidthOf((int)outputs), weights, Kept(weights), weights, area * inputs * outputs);
    }
}

/// <summary>Sparse Parallel: the sum of k = 1/(1 - s) branches sigma(W_j x), each of density 1 - s.</summary>
public sealed record SparseParallel : IsoFlopMember
{
    /// <summary>Of a sparsity.</summary>
    /// <param name="sparsity">s in [0, 1), such that 1/(1 - s) is a whole number.</param>
    /// <param name="inner">What stands in each branch before the sum. Default norm and ReLU; with less the branches are one linear map at inference.</param>
    /// <exception cref="ArgumentException">It is outside, or 1/(1 - s) is no whole number: rounding k and keeping s would change the cost.</exception>
    public SparseParallel(double sparsity, InnerActivation inner = InnerActivation.NormAndRelu)
        : base("Sparse Parallel", sparsity)
    {
        double k = 1 / Density;
        Branches = (int)Math.Round(k);
        if (Math.Abs(k - Branches) > Guard)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"1/(1 - {sparsity}) = {k:G6} is no whole number of branches; take a sparsity of {1 - (1.0 / Branches):G6}."), nameof(sparsity));
        if (!Enum.IsDefined(inner)) throw new ArgumentOutOfRangeException(nameof(inner), inner, "inner is None, Norm or NormAndRelu.");
        Inner = inner;
    }

    /// <summary>k.</summary>
    public int Branches { get; }

    /// <summary>What stands in each branch before the sum.</summary>
    public InnerActivation Inner { get; }

    private protected override IsoFlopSize Sized(long inputs, long outputs, long area)
    {
        long one = area * inputs * outputs;
        return new(1 / Density, Branches, Branches * one, Branches * Kept(one), Branches * one, one);
    }
}

/// <summary>Sparse Factorized: sigma(V sigma(U x)), U [d, i] and V [o, d] both of density 1 - s, d = i o/((i + o)(1 - s)) rounded up. At s = 0 a dense factorization, which is not the dense layer.</summary>
public sealed record SparseFactorized : IsoFlopMember
{
    /// <summary>Of a sparsity.</summary>
    /// <param name="sparsity">s in [0, 1).</param>
    /// <param name="inner">What stands between the factors. Default norm and ReLU.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside.</exception>
    public SparseFactorized(double sparsity, InnerActivation inner = InnerActivation.NormAndRelu)
        : base("Sparse Factorized", sparsity)
    {
        if (!Enum.IsDefined(inner)) throw new ArgumentOutOfRangeException(nameof(inner), inner, "inner is None, Norm or NormAndRelu.");
        Inner = inner;
    }

    /// <summary>What stands between the factors.</summary>
    public InnerActivation Inner { get; }

    private protected override IsoFlopSize Sized(long inputs, long outputs, long area)
    {
        double exact = (double)(area * inputs * outputs) / (((area * inputs) + outputs) * Density);
        long rank = (long)Math.Ceiling(exact - Guard), first = rank * area * inputs, second = rank * outputs;
        return new(exact, checked((int)rank), first + second, Kept(first) + Kept(second), first + second, area * inputs * outputs);
    }
}

/// <summary>Sparse Doped: sigma((W + V U) x), W of density 1 - s, U [d, i] and V [o, d] dense, d = s i o/(i + o) rounded down; where that is 0 the layer is W alone.</summary>
public sealed record SparseDoped : IsoFlopMember
{
    /// <summary>Of a sparsity.</summary>
    /// <param name="sparsity">s in [0, 1).</param>
    /// <exception cref="ArgumentOutOfRangeException">It is outside.</exception>
    public SparseDoped(double sparsity)
        : base("Sparse Doped", sparsity)
    {
    }

    private protected override IsoFlopSize Sized(long inputs, long outputs, long area)
    {
        double exact = Sparsity * (area * inputs * outputs) / ((area * inputs) + outputs);
        long rank = (long)Math.Floor(exact + Guard), one = area * inputs * outputs, factors = rank * ((area * inputs) + outputs);
        return new(exact, checked((int)rank), one + factors, Kept(one) + factors, one, one);
    }
}
