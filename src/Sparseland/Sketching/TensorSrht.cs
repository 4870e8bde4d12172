using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// Tensor SRHT (Song, Ye, Yin, Zhang 2023): S (a (x) c) = P ((H D_1 a) (x) (H D_2 c)) / sqrt(m), an SRHT of length n_1 n_2 whose signs are
/// a product. A Kronecker product A_1 (x) A_2 is sketched from its factors and never formed.
/// </summary>
public sealed unsafe class TensorSrht : Sketch
{
    private readonly ulong[] _firstSigns, _secondSigns;
    private readonly int[] _pairs;
    private readonly double _scale;

    /// <summary>Fixes the draw.</summary>
    /// <param name="rows">m; at most N_1 N_2 without replacement.</param>
    /// <param name="firstInputs">n_1, rows of the first factor.</param>
    /// <param name="secondInputs">n_2, rows of the second factor; padded, N_1 N_2 is at most 2^30.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="replacement">Whether a pair of rows may be sampled twice. Default true.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size outside.</exception>
    public TensorSrht(int rows, int firstInputs, int secondInputs, long seed, bool replacement = true)
        : base(rows, Product(firstInputs, secondInputs))
    {
        (FirstInputs, SecondInputs) = (firstInputs, secondInputs);
        (PaddedFirst, PaddedSecond) = (Hadamard.PaddedLength(firstInputs), Hadamard.PaddedLength(secondInputs));
        int padded = PaddedFirst * PaddedSecond;
        if (!replacement && rows > padded)
            throw new ArgumentOutOfRangeException(nameof(rows), rows, $"Without replacement at most the {padded} pairs of padded rows can be sampled.");
        var random = new SeededRandom(seed, SketchDraws.Rows);
        _pairs = SketchDraws.Sample(rows, padded, replacement, ref random);
        _firstSigns = SketchDraws.SignBits(firstInputs, seed, SketchDraws.Signs);
        _secondSigns = SketchDraws.SignBits(secondInputs, seed, SketchDraws.Signs + 1);
        _scale = 1 / Math.Sqrt(rows);
    }

    /// <inheritdoc/>
    public override string Name => "tensor SRHT";

    /// <summary>n_1.</summary>
    public int FirstInputs { get; }

    /// <summary>n_2.</summary>
    public int SecondInputs { get; }

    /// <summary>N_1, the power of two that n_1 is padded to.</summary>
    public int PaddedFirst { get; }

    /// <summary>N_2, the power of two that n_2 is padded to.</summary>
    public int PaddedSecond { get; }

    /// <summary>S (A_1 (x) A_2): the factors are transformed, then m pairs of their rows multiplied. O(n_1 d_1 log n_1 + n_2 d_2 log n_2 + m d_1 d_2).</summary>
    /// <param name="A1">[n_1, d_1], float64.</param>
    /// <param name="A2">[n_2, d_2], float64.</param>
    /// <returns>[m, d_1 d_2], columns in the order of the Kronecker product; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public Tensor ApplyKronecker(Tensor A1, Tensor A2)
    {
        CheckFactor(A1, nameof(A1), FirstInputs);
        CheckFactor(A2, nameof(A2), SecondInputs);
        using var scope = NewDisposeScope();
        Tensor first = SrhtSketch.Rotate(A1.detach().contiguous(), PaddedFirst, _firstSigns);
        Tensor second = SrhtSketch.Rotate(A2.detach().contiguous(), PaddedSecond, _secondSigns);
        Tensor left = first.index_select(0, tensor([.. _pairs.Select(p => (long)(p / PaddedSecond))]));
        Tensor right = second.index_select(0, tensor([.. _pairs.Select(p => (long)(p % PaddedSecond))]));
        return left.unsqueeze(2).mul(right.unsqueeze(1)).mul_(_scale).view(Outputs, -1).MoveToOuterDisposeScope();
    }

    // H_(N1 N2) = H_N1 (x) H_N2 with Sylvester's order: one transform of the padded product is the product of the transforms.
    private protected override void Multiply(Tensor X, Tensor result)
    {
        int columns = (int)X.shape[1];
        using Tensor padded = zeros([PaddedFirst, PaddedSecond, columns], dtype: ScalarType.Float64);
        double* from = (double*)TensorMemory.Address(X), all = (double*)TensorMemory.Address(padded), to = (double*)TensorMemory.Address(result);
        for (int j = 0; j < Inputs; j++) SrhtSketch.Add(from + ((long)j * columns), all + ((long)Place(j) * columns), columns, SignOf(j));
        using Tensor rotated = padded.view((long)PaddedFirst * PaddedSecond, columns);
        Hadamard.TransformInPlace(rotated);
        for (int i = 0; i < Outputs; i++) SrhtSketch.Add(all + ((long)_pairs[i] * columns), to + ((long)i * columns), columns, _scale);
    }

    private protected override void Transposed(ReadOnlySpan<double> r, Span<double> q)
    {
        double[] all = new double[PaddedFirst * PaddedSecond];
        for (int i = 0; i < Outputs; i++) all[_pairs[i]] += _scale * r[i];
        Hadamard.TransformInPlace(all.AsSpan());
        for (int j = 0; j < Inputs; j++) q[j] = SignOf(j) * all[Place(j)];
    }

    private protected override void Column(int j, Span<double> column)
    {
        (int first, int second) = (j / SecondInputs, j % SecondInputs);
        double value = _scale * SignOf(j);
        for (int i = 0; i < column.Length; i++)
            column[i] = value * Hadamard.Entry(_pairs[i] / PaddedSecond, first) * Hadamard.Entry(_pairs[i] % PaddedSecond, second);
    }

    private int Place(int j) => (j / SecondInputs * PaddedSecond) + (j % SecondInputs);

    private double SignOf(int j) => SketchDraws.Sign(_firstSigns, j / SecondInputs) * SketchDraws.Sign(_secondSigns, j % SecondInputs);

    private static int Product(int first, int second)
    {
        if (first < 1) throw new ArgumentOutOfRangeException("firstInputs", first, "A factor needs at least 1 row.");
        if (second < 1) throw new ArgumentOutOfRangeException("secondInputs", second, "A factor needs at least 1 row.");
        if ((long)Hadamard.PaddedLength(first) * Hadamard.PaddedLength(second) > 1 << 30)
            throw new ArgumentOutOfRangeException("secondInputs", second, $"The padded product of {first} and {second} rows is more than 2^30.");
        return first * second;
    }

    private static void CheckFactor(Tensor factor, string name, int rows)
    {
        SketchInput.CheckValues(factor, name, "[rows, columns]", 2, 2);
        if (factor.shape[0] != rows) throw new ArgumentException($"{name} has {factor.shape[0]} rows, but the sketch has {rows}.", name);
    }
}
