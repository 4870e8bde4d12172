using System.Numerics;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// The sizes of a dense-sparse factorisation of W [out, in]. The inputs are K = in / b runs of b neighbours; each run W_k [out, b] is S_k D_k with a small dense basis D_k [r, b] and coefficients S_k [out, r] of
/// which every row has exactly s (DSFormer, Chand et al. 2023, arXiv 2312.13211).
/// </summary>
public sealed record DenseSparseShape
{
    /// <summary>Bits of a number unless another width is asked for.</summary>
    public const int UsualBits = 16;

    /// <summary>A shape.</summary>
    /// <param name="outputs">Rows of W.</param>
    /// <param name="inputs">Columns of W.</param>
    /// <param name="block">b, columns of a block; it divides the inputs.</param>
    /// <param name="atoms">r, rows of a basis, at most out. It may exceed b: then rows choose from more directions than there are dimensions.</param>
    /// <param name="nonZeros">s, atoms that each row takes in each block, from 1 to min(b, r).</param>
    /// <exception cref="ArgumentException">A size out of its range, or a block that does not divide the inputs.</exception>
    public DenseSparseShape(int outputs, int inputs, int block, int atoms, int nonZeros)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        CheckBlock(inputs, block);
        if (atoms < 1 || atoms > outputs)
            throw new ArgumentOutOfRangeException(nameof(atoms), atoms, $"atoms must be from 1 to {outputs}, the rows of the matrix: with more atoms than rows each row could be its own.");
        if (nonZeros < 1 || nonZeros > Math.Min(block, atoms))
            throw new ArgumentOutOfRangeException(nameof(nonZeros), nonZeros, $"nonZeros must be from 1 to {Math.Min(block, atoms)}, the smaller of block and atoms: so many reproduce a block exactly.");
        (Outputs, Inputs, Block, Atoms, NonZeros) = (outputs, inputs, block, atoms, nonZeros);
    }

    /// <summary>Rows of W.</summary>
    public int Outputs { get; }

    /// <summary>Columns of W.</summary>
    public int Inputs { get; }

    /// <summary>b, columns of a block.</summary>
    public int Block { get; }

    /// <summary>r, rows of a basis.</summary>
    public int Atoms { get; }

    /// <summary>s, coefficients of a row in a block.</summary>
    public int NonZeros { get; }

    /// <summary>K = in / b.</summary>
    public int Blocks => Inputs / Block;

    /// <summary>Numbers in all bases, r in.</summary>
    public long BasisCount => (long)Atoms * Inputs;

    /// <summary>Coefficients, out K s.</summary>
    public long CoefficientCount => (long)Outputs * Blocks * NonZeros;

    /// <summary>Bits of an index, ceil(log2 r).</summary>
    public int IndexBits => BitsOf(Atoms);

    /// <summary>Multiply-adds for one token, r in + out K s.</summary>
    public long MacsPerToken => BasisCount + CoefficientCount;

    /// <summary>Bits of bases, coefficients and indices: w r in + out K s (w + ceil(log2 r)).</summary>
    /// <param name="valueBits">w, bits of a number. Default 16.</param>
    public long Bits(int valueBits = UsualBits)
    {
        CheckBits(valueBits);
        return (valueBits * BasisCount) + (CoefficientCount * (valueBits + IndexBits));
    }

    /// <summary>Share of the bits of the dense matrix, whose numbers have as many.</summary>
    /// <param name="valueBits">w, bits of a number. Default 16.</param>
    public double Ratio(int valueBits = UsualBits) => Bits(valueBits) / ((double)valueBits * Outputs * Inputs);

    /// <summary>The shape with the most coefficients that keeps to a share of the dense matrix's bits. What a whole coefficient more would need stays unused: see <see cref="Ratio"/>.</summary>
    /// <param name="outputs">Rows of W.</param>
    /// <param name="inputs">Columns of W.</param>
    /// <param name="ratio">Share of the bits, above 0 and at most 1.</param>
    /// <param name="valueBits">w, bits of a number. Default 16.</param>
    /// <param name="block">b. Default 32.</param>
    /// <param name="atoms">r; null, the default, for 64, or 32 where the matrix has less than 256 rows (and never more than it has).</param>
    /// <exception cref="ArgumentException">A size out of its range, or no coefficient is left: the message says how many atoms would leave one.</exception>
    public static DenseSparseShape ForRatio(int outputs, int inputs, double ratio, int valueBits = UsualBits, int block = 32, int? atoms = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        if (!(ratio is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(ratio), ratio, "ratio must lie above 0 and not above 1.");
        CheckBits(valueBits);
        CheckBlock(inputs, block);
        int r = atoms ?? Math.Min(outputs, outputs < 256 ? 32 : 64);
        if (r < 1 || r > outputs) throw new ArgumentOutOfRangeException(nameof(atoms), r, $"atoms must be from 1 to {outputs}, the rows of the matrix.");
        long Fitting(int a) => (long)Math.Floor(((ratio * valueBits * outputs * inputs) - ((double)valueBits * a * inputs)) / ((double)outputs * (inputs / block) * (valueBits + BitsOf(a))));
        long s = Fitting(r);
        if (s < 1)
        {
            int fits = r;
            while (fits > 0 && Fitting(fits) < 1) fits--;
            throw new ArgumentOutOfRangeException(nameof(ratio), ratio, fits > 0
                ? $"{r} atoms leave no coefficient at this ratio; up to {fits} would."
                : "No number of atoms leaves a coefficient at this ratio; take a larger one or longer blocks.");
        }

        return new(outputs, inputs, block, r, (int)Math.Min(s, Math.Min(block, r)));
    }

    /// <inheritdoc/>
    public override string ToString() => $"DenseSparseShape([{Outputs}, {Inputs}], blocks of {Block}, {NonZeros} of {Atoms} atoms)";

    internal static void CheckBits(int valueBits)
    {
        if (valueBits is < 1 or > 64) throw new ArgumentOutOfRangeException(nameof(valueBits), valueBits, "valueBits must be from 1 to 64.");
    }

    private static int BitsOf(int atoms) => atoms <= 1 ? 0 : BitOperations.Log2((uint)(atoms - 1)) + 1;

    private static void CheckBlock(int inputs, int block)
    {
        if (block < 1 || block > inputs) throw new ArgumentOutOfRangeException(nameof(block), block, $"block must be from 1 to {inputs}, the columns of the matrix.");
        if (inputs % block != 0) throw new ArgumentException($"Blocks of {block} do not divide {inputs} columns; a divisor must be taken.", nameof(block));
    }
}
