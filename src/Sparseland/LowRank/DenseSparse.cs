using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Settings of <see cref="DenseSparse.Factorize"/>.</summary>
public sealed record DenseSparseOptions
{
    /// <summary>Sweeps of coding and basis update; after the last the rows are coded once more. 0 codes alone. Default 6.</summary>
    public int Sweeps { get; init; } = 6;

    /// <summary>
    /// Whether a row keeps the atoms it had, refitted by least squares, where the pursuit finds worse ones: with it the error never rises. Default true.
    /// </summary>
    public bool KeepBetterSupport { get; init; } = true;

    /// <summary>Seed of the rows that the bases begin with. Default 0.</summary>
    public int Seed { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate() => ArgumentOutOfRangeException.ThrowIfNegative(Sweeps);
}

/// <summary>
/// Dense-sparse factorisation of a weight (DSFormer, Chand et al. 2023): dictionary learning in each block of columns with the rows of the weight as samples, W_k = S_k D_k, s coefficients a row. A sweep codes
/// every row by orthogonal matching pursuit and then fits the basis to the codes by least squares. Block sizes, coder and sweeps are our reading of the paper.
/// </summary>
/// <remarks>With a basis that is the identity it keeps the s largest entries of each row and block; with s = r it is low rank in each block, from the singular value decomposition.</remarks>
public static class DenseSparse
{
    /// <summary>Factors of a matrix, fitted in float64.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="shape">Sizes, those of the matrix.</param>
    /// <param name="options">Sweeps, rule, seed; null for the defaults of the record.</param>
    /// <param name="basis">Bases to begin with [K, r, b], no atom of them zero; null, the default, for rows of W of unit length.</param>
    /// <param name="name">Name of the matrix in messages; null, the default, for none.</param>
    /// <param name="progress">Sweeps done.</param>
    /// <param name="cancel">Checked at every row.</param>
    /// <returns>Factors in the type of W (Float32 where that is a half type); dispose them.</returns>
    /// <exception cref="ArgumentException">Another size or type, NaN or infinity.</exception>
    public static DenseSparseFactors Factorize(
        Tensor W, DenseSparseShape shape, DenseSparseOptions? options = null, Tensor? basis = null, string? name = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (DenseSparseWork work, double scale) = Begin(W, shape, name);
        if (basis is null && shape.NonZeros == shape.Atoms)
        {
            // Nothing is to be chosen, and the best basis is known.
            work.Decompose(cancel);
            return work.ToFactors(scale, [work.Error], W.dtype);
        }

        if (basis is null) work.BasisFromRows(options.Seed);
        else work.TakeBasis(CheckedBasis(basis, shape));
        var errors = new List<double>();
        for (int sweep = 0; sweep < options.Sweeps; sweep++)
        {
            work.Encode(options.KeepBetterSupport, cancel);
            errors.Add(work.Error);
            work.UpdateBasis(cancel);
            progress?.Report(new(sweep + 1, options.Sweeps, FormattableString.Invariant($"squared error {errors[^1]:0.000}")));
        }

        work.Encode(options.KeepBetterSupport, cancel);
        errors.Add(work.Error);
        return work.ToFactors(scale, [.. errors], W.dtype);
    }

    /// <summary>The first half of a sweep: every row chooses its atoms anew by pursuit.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="factors">Bases, and the codes so far; they stay as they are.</param>
    /// <param name="keepBetterSupport">Whether rows keep the atoms they had where those, refitted, are better. Default true.</param>
    /// <param name="cancel">Checked at every row.</param>
    /// <returns>New factors with the same bases, and their error.</returns>
    /// <exception cref="ArgumentException">Another size or type, NaN or infinity, or an atom that is zero.</exception>
    public static DenseSparseFactors Encode(Tensor W, DenseSparseFactors factors, bool keepBetterSupport = true, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(factors);
        using (DisposeScope scope = NewDisposeScope())
        {
            long[] zero = factors.Basis.abs().amax([2]).eq(0).nonzero().reshape(-1).data<long>().ToArray();
            if (zero.Length > 0) throw new ArgumentException($"Atom {zero[1]} of block {zero[0]} is zero; every atom needs a direction, which {nameof(UpdateBasis)} gives it.", nameof(factors));
        }

        return Step(W, factors, work => work.Encode(keepBetterSupport, cancel));
    }

    /// <summary>The second half of a sweep: the bases that fit the codes best, rows of unit length; an atom that no row uses takes the row that is reproduced worst. The error never rises.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="factors">Codes, and the bases so far; they stay as they are.</param>
    /// <param name="cancel">Checked at every block.</param>
    /// <returns>New factors with the same atoms in each row, and their error.</returns>
    /// <exception cref="ArgumentException">Another size or type, NaN or infinity.</exception>
    public static DenseSparseFactors UpdateBasis(Tensor W, DenseSparseFactors factors, CancellationToken cancel = default) => Step(W, factors, work => work.UpdateBasis(cancel));

    /// <summary>The best coefficients on the atoms that each row has, by least squares. The error never rises.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="factors">Bases and atoms; they stay as they are.</param>
    /// <param name="cancel">Checked at every block.</param>
    /// <returns>New factors, and their error.</returns>
    /// <exception cref="ArgumentException">Another size or type, NaN or infinity.</exception>
    public static DenseSparseFactors Refit(Tensor W, DenseSparseFactors factors, CancellationToken cancel = default) => Step(W, factors, work => work.Refit(cancel));

    /// <summary>The shape of the smallest error among several, all within a share of the dense matrix's bits.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="ratio">Share of the bits, above 0 and at most 1.</param>
    /// <param name="blocks">Sizes of blocks to try; null, the default, for 16, 32 and 64. What does not fit is passed over.</param>
    /// <param name="atoms">Numbers of atoms to try; null, the default, for 16, 32, 64 and 128.</param>
    /// <param name="valueBits">w, bits of a number. Default 16.</param>
    /// <param name="options">Of each trial; null for the defaults of the record.</param>
    /// <param name="progress">Shapes tried.</param>
    /// <param name="cancel">Checked at every row.</param>
    /// <returns>The shape and its squared error over the squares of W.</returns>
    /// <exception cref="ArgumentException">No shape fits, or the matrix is not finite.</exception>
    public static (DenseSparseShape Shape, double RelativeError) Best(
        Tensor W, double ratio, IReadOnlyList<int>? blocks = null, IReadOnlyList<int>? atoms = null, int valueBits = DenseSparseShape.UsualBits, DenseSparseOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Decomposition.Wide(W, nameof(W));
        if (!(ratio is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(ratio), ratio, "ratio must lie above 0 and not above 1.");
        DenseSparseShape.CheckBits(valueBits);
        (int rows, int columns) = ((int)wide.shape[0], (int)wide.shape[1]);
        var shapes = new List<DenseSparseShape>();
        foreach (int block in blocks ?? [16, 32, 64])
        {
            foreach (int r in atoms ?? [16, 32, 64, 128])
            {
                if (block < 1 || block > columns || columns % block != 0 || r < 1 || r > rows) continue;
                try
                {
                    shapes.Add(DenseSparseShape.ForRatio(rows, columns, ratio, valueBits, block, r));
                }
                catch (ArgumentOutOfRangeException)
                {
                    // No coefficient is left beside so large a basis.
                }
            }
        }

        if (shapes.Count == 0) throw new ArgumentException($"No block and number of atoms leave a coefficient of a matrix [{rows}, {columns}] at the ratio {ratio}.", nameof(ratio));
        (DenseSparseShape Shape, double Error) best = (shapes[0], double.PositiveInfinity);
        for (int i = 0; i < shapes.Count; i++)
        {
            using DenseSparseFactors tried = Factorize(wide, shapes[i], options, cancel: cancel);
            if (tried.RelativeError < best.Error) best = (shapes[i], tried.RelativeError);
            progress?.Report(new(i + 1, shapes.Count, shapes[i].ToString()));
        }

        return best;
    }

    /// <summary>W [out, in] of its factors, with their gradients. In the caller's dispose scope.</summary>
    internal static Tensor Form(DenseSparseShape shape, Tensor basis, Tensor indices, Tensor values) =>
        Form(shape, basis, zeros([shape.Blocks, shape.Outputs, shape.Atoms], dtype: values.dtype).scatter(2, indices, values));

    /// <summary>W [out, in] of bases and coefficients [K, out, r] with their zeros.</summary>
    internal static Tensor Form(DenseSparseShape shape, Tensor basis, Tensor coefficients) => coefficients.bmm(basis).permute(1, 0, 2).reshape(shape.Outputs, shape.Inputs);

    private static DenseSparseFactors Step(Tensor W, DenseSparseFactors factors, Action<DenseSparseWork> step)
    {
        ArgumentNullException.ThrowIfNull(factors);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (DenseSparseWork work, double scale) = Begin(W, factors.Shape, null);
        work.TakeBasis(factors.Basis);
        work.TakeCodes(factors.Indices, factors.Values.to(ScalarType.Float64) / scale);
        step(work);
        return work.ToFactors(scale, [work.Error], factors.Basis.dtype);
    }

    private static (DenseSparseWork Work, double Scale) Begin(Tensor W, DenseSparseShape shape, string? name)
    {
        ArgumentNullException.ThrowIfNull(shape);
        Tensor wide = Decomposition.Wide(W, nameof(W), name);
        if (wide.shape[0] != shape.Outputs || wide.shape[1] != shape.Inputs)
            throw new ArgumentException($"{name ?? "The matrix"} is [{string.Join(", ", wide.shape)}], the shape is for [{shape.Outputs}, {shape.Inputs}].", nameof(shape));
        (Tensor scaled, double scale) = Decomposition.ToUnit(wide);
        return (new(shape, scaled), scale);
    }

    private static Tensor CheckedBasis(Tensor basis, DenseSparseShape shape)
    {
        long[] size = [shape.Blocks, shape.Atoms, shape.Block];
        if (!basis.shape.SequenceEqual(size)) throw new ArgumentException($"basis must be [{string.Join(", ", size)}], but is [{string.Join(", ", basis.shape)}].", nameof(basis));
        Tensor wide = basis.detach().cpu().to(ScalarType.Float64).contiguous();
        if (!TensorInput.IsFinite(wide) || wide.norm(2).eq(0).any().item<bool>()) throw new ArgumentException("basis holds NaN, infinity or an atom that is zero.", nameof(basis));
        return wide;
    }
}
