using System.Runtime.Intrinsics;
using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// Subsampled randomized Hadamard transform S = P H D / sqrt(m) (Ailon and Chazelle 2006; Tropp 2011): D random signs, H the unscaled
/// Hadamard matrix, P samples m of its rows. Every entry is +-1/sqrt(m), as dense as a Gaussian, and yet S X costs O(n log n) per column.
/// </summary>
/// <remarks>
/// Rows beyond n are zeros up to the next power of two N. Sampling without replacement keeps the scale: sqrt(N/m) times the orthonormal
/// H / sqrt(N) is 1/sqrt(m) too.
/// </remarks>
public sealed unsafe class SrhtSketch : Sketch
{
    private readonly ulong[] _signs;
    private readonly int[] _rows;
    private readonly double _scale;

    /// <summary>Fixes the draw.</summary>
    /// <param name="rows">m; at most N without replacement.</param>
    /// <param name="inputs">n, from 1 to 2^30.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="replacement">Whether a row of H may be sampled twice, as in the paper. Default true.</param>
    /// <param name="pad">Whether n that is no power of two is padded with zeros; false refuses it. Default true.</param>
    /// <exception cref="ArgumentException">A size outside, or n no power of two and padding refused.</exception>
    public SrhtSketch(int rows, int inputs, long seed, bool replacement = true, bool pad = true)
        : base(rows, inputs)
    {
        PaddedInputs = Hadamard.PaddedLength(inputs);
        if (!pad && PaddedInputs != inputs)
            throw new ArgumentException($"inputs is {inputs}; without padding it must be a power of two.", nameof(inputs));
        if (!replacement && rows > PaddedInputs)
        {
            throw new ArgumentOutOfRangeException(
                nameof(rows), rows, $"Without replacement at most the {PaddedInputs} rows of the padded transform can be sampled.");
        }

        Replacement = replacement;
        var random = new SeededRandom(seed, SketchDraws.Rows);
        _rows = SketchDraws.Sample(rows, PaddedInputs, replacement, ref random);
        _signs = SketchDraws.SignBits(inputs, seed, SketchDraws.Signs);
        _scale = 1 / Math.Sqrt(rows);
    }

    /// <inheritdoc/>
    public override string Name => "SRHT";

    /// <summary>N, the power of two that n is padded to.</summary>
    public int PaddedInputs { get; }

    /// <summary>Whether a row may be sampled twice.</summary>
    public bool Replacement { get; }

    /// <summary>Which row of H each row of S is, [m].</summary>
    public IReadOnlyList<int> SampledRows => _rows;

    private protected override void Multiply(Tensor X, Tensor result)
    {
        using Tensor rotated = Rotate(X, PaddedInputs, _signs);
        int columns = (int)X.shape[1];
        double* from = (double*)TensorMemory.Address(rotated), to = (double*)TensorMemory.Address(result);
        for (int i = 0; i < Outputs; i++) Add(from + ((long)_rows[i] * columns), to + ((long)i * columns), columns, _scale);
    }

    private protected override void Transposed(ReadOnlySpan<double> r, Span<double> q)
    {
        double[] all = new double[PaddedInputs];
        for (int i = 0; i < Outputs; i++) all[_rows[i]] += _scale * r[i];
        Hadamard.TransformInPlace(all.AsSpan());
        for (int j = 0; j < Inputs; j++) q[j] = SketchDraws.Sign(_signs, j) * all[j];
    }

    private protected override void Column(int j, Span<double> column)
    {
        double value = _scale * SketchDraws.Sign(_signs, j);
        for (int i = 0; i < column.Length; i++) column[i] = value * Hadamard.Entry(_rows[i], j);
    }

    /// <summary>H D X, X [n, columns] padded with zero rows to [padded, columns]. The caller disposes it.</summary>
    internal static Tensor Rotate(Tensor X, int padded, ulong[] signs)
    {
        int inputs = (int)X.shape[0], columns = (int)X.shape[1];
        Tensor rotated = empty([padded, columns], dtype: ScalarType.Float64);
        nint from = (nint)TensorMemory.Address(X), to = (nint)TensorMemory.Address(rotated);
        const int Chunk = 1024;
        Pieces.For(padded, Chunk, (first, count) =>
        {
            for (int i = (int)first, end = i + count; i < end; i++)
            {
                double* row = (double*)to + ((long)i * columns);
                new Span<double>(row, columns).Clear();
                if (i < inputs) Add((double*)from + ((long)i * columns), row, columns, SketchDraws.Sign(signs, i));
            }
        });
        Hadamard.TransformInPlace(rotated);
        return rotated;
    }

    /// <summary>to += scale from.</summary>
    internal static void Add(double* from, double* to, int length, double scale)
    {
        int k = 0;
        var factor = Vector256.Create(scale);
        for (; k <= length - 4; k += 4)
        {
            var sum = Vector256.Load(to + k) + (factor * Vector256.Load(from + k));
            Vector256.Store(sum, to + k);
        }

        for (; k < length; k++) to[k] += scale * from[k];
    }
}
