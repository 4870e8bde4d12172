using System.Numerics;
using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// Balanced Gaussian-pooled transform S = B G Pi F D J (Song and Zhang 2026): pad to N = m q, random signs D, the orthonormal Hadamard
/// transform F, a random permutation Pi, independent N(0, 1) weights G, and sums B over m consecutive blocks of length q.
/// </summary>
/// <remarks>
/// Once the Hadamard stage is fixed the rows of S are independent Gaussian vectors, and E[S^T S] = I exactly. That independence is what
/// the plain SRHT lacks. Cost: one transform and N multiplications per column.
/// </remarks>
public sealed unsafe class GaussianPooledSketch : Sketch
{
    private readonly ulong[] _signs;
    private readonly int[] _order;
    private readonly double[] _weights;

    /// <summary>Fixes the draw.</summary>
    /// <param name="rows">m, a power of two.</param>
    /// <param name="inputs">n, from 1 to 2^30.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentException">A size outside, or m no power of two.</exception>
    public GaussianPooledSketch(int rows, int inputs, long seed)
        : base(rows, inputs)
    {
        if (!BitOperations.IsPow2(rows))
            throw new ArgumentException($"rows is {rows}; the blocks of a power of two are equal only where their number is one too.", nameof(rows));
        PaddedInputs = Math.Max(Hadamard.PaddedLength(inputs), rows);
        _signs = SketchDraws.SignBits(inputs, seed, SketchDraws.Signs);
        _order = new SeededRandom(seed, SketchDraws.Order).Permutation<int>(PaddedInputs);
        var random = new SeededRandom(seed, SketchDraws.Weights);
        _weights = new double[PaddedInputs];
        double scale = 1 / Math.Sqrt(PaddedInputs);
        for (int p = 0; p < _weights.Length; p++) _weights[p] = scale * random.NextGaussian();
    }

    /// <inheritdoc/>
    public override string Name => "Gaussian-pooled";

    /// <summary>N, the power of two that n is padded to; at least m.</summary>
    public int PaddedInputs { get; }

    /// <summary>q = N / m, rows of the transform in a sum.</summary>
    public int BlockLength => PaddedInputs / Outputs;

    private protected override void Multiply(Tensor X, Tensor result)
    {
        using Tensor rotated = SrhtSketch.Rotate(X, PaddedInputs, _signs);
        int columns = (int)X.shape[1];
        nint from = (nint)TensorMemory.Address(rotated), to = (nint)TensorMemory.Address(result);
        Pieces.Each(Outputs, i =>
        {
            double* sum = (double*)to + (i * columns);
            for (long p = i * BlockLength; p < (i + 1) * BlockLength; p++)
                SrhtSketch.Add((double*)from + ((long)_order[p] * columns), sum, columns, _weights[p]);
        });
    }

    private protected override void Transposed(ReadOnlySpan<double> r, Span<double> q)
    {
        double[] all = new double[PaddedInputs];
        for (int p = 0; p < all.Length; p++) all[_order[p]] = _weights[p] * r[p / BlockLength];
        Hadamard.TransformInPlace(all.AsSpan());
        for (int j = 0; j < Inputs; j++) q[j] = SketchDraws.Sign(_signs, j) * all[j];
    }

    private protected override void Column(int j, Span<double> column)
    {
        double sign = SketchDraws.Sign(_signs, j);
        for (int i = 0, p = 0; i < column.Length; i++)
        {
            double sum = 0;
            for (int end = p + BlockLength; p < end; p++) sum += Hadamard.Entry(_order[p], j) * _weights[p];
            column[i] = sign * sum;
        }
    }
}
