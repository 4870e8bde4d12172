using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>
/// One sweep of <see cref="UnmixingSteps"/> in one pass over the data: a block of pixels at a time, its abundances are updated and, while its
/// data are in the cache, it adds its share of Y A^T and A A^T, from which the endmembers and the residuals follow without the data. The
/// products are thin, so memory traffic is what a sweep costs.
/// </summary>
/// <remarks>
/// The data are laid out once as the sweeps read them, a block after the other: a row of an image of many pixels would jump to another page
/// for each channel. Blocks are summed in fixed chunks and in order: the result does not depend on the number of threads.
/// </remarks>
internal sealed unsafe class FusedSweep : IDisposable
{
    private const int Block = ThinProducts.Pixels;
    private const int Chunks = 16;

    // Below this share of ||Y_l||^2 the residual is computed from the data: the difference of its parts would have too few digits left.
    private const double LeastShare = 1e-7;
    private readonly Tensor _data, _blocks;
    private readonly int _channels, _pixels, _materials;
    private readonly double[] _power;
    private readonly double[][] _products, _grams;

    public FusedSweep(Tensor Y, int materials)
    {
        (_data, _channels, _pixels, _materials) = (Y, (int)Y.shape[0], (int)Y.shape[1], materials);
        using Tensor squares = Y.square(), power = squares.sum([1L]);
        _power = power.data<double>().ToArray();
        _products = [.. Enumerable.Range(0, Chunks).Select(_ => new double[_channels * materials])];
        _grams = [.. Enumerable.Range(0, Chunks).Select(_ => new double[materials * materials])];
        int blocks = (_pixels + Block - 1) / Block;
        using DisposeScope scope = NewDisposeScope();
        Tensor padded = blocks * Block == _pixels ? Y : nn.functional.pad(Y, [0, ((long)blocks * Block) - _pixels]);
        _blocks = padded.view(_channels, blocks, Block).transpose(0, 1).contiguous().DetachFromDisposeScope();
    }

    public void Dispose() => _blocks.Dispose();

    /// <summary>Updates A in place and then, where asked, M; gives ||(Y - M A)_l||^2 after both.</summary>
    /// <param name="M">[channels, endmembers], contiguous; changed in place.</param>
    /// <param name="A">[endmembers, pixels], contiguous; changed in place.</param>
    /// <param name="weights">u_l [channels].</param>
    /// <param name="penalty">lambda (1-h) A^{-h} [endmembers, pixels], or null for no penalty.</param>
    /// <param name="delta">Weight of the sum to one.</param>
    /// <param name="learnEndmembers">Whether M is updated.</param>
    public double[] Run(Tensor M, Tensor A, double[] weights, Tensor? penalty, double delta, bool learnEndmembers)
    {
        int K = _materials;
        double* m = (double*)TensorMemory.Address(M), a = (double*)TensorMemory.Address(A), y = (double*)TensorMemory.Address(_blocks);
        double* extra = penalty is null ? null : (double*)TensorMemory.Address(penalty);

        // U M [channels, endmembers] and M^T U M + delta^2.
        double[] weighted = new double[_channels * K], curvature = new double[K * K];
        Array.Fill(curvature, delta * delta);
        for (int l = 0; l < _channels; l++)
        {
            for (int k = 0; k < K; k++)
            {
                double w = weighted[(l * K) + k] = m[(l * K) + k] * weights[l];
                for (int j = 0; j < K; j++) curvature[(k * K) + j] += w * m[(l * K) + j];
            }
        }

        (nint yn, nint an, nint en) = ((nint)y, (nint)a, (nint)extra);
        int blocks = (_pixels + Block - 1) / Block, chunks = Math.Min(Chunks, blocks);
        Pieces.Each(chunks, c =>
        {
            double[] product = _products[c], gram = _grams[c];
            Array.Clear(product);
            Array.Clear(gram);
            double[] old = new double[K * Block], above = new double[K * Block];
            fixed (double* w = weighted, curve = curvature, before = old, up = above, p = product, g = gram)
            {
                for (int b = (int)(blocks * c / chunks), to = (int)(blocks * (c + 1) / chunks); b < to; b++)
                {
                    int from = b * Block, width = Math.Min(Block, _pixels - from);
                    double* data = (double*)yn + ((long)b * _channels * Block);
                    ThinProducts.Across(data, w, up, _channels, K);
                    Update((double*)an + from, (double*)en + (en == 0 ? 0 : from), up, before, curve, width, delta * delta);
                    if (learnEndmembers)
                    {
                        // The pixels that fill the last block have no abundances.
                        for (int k = 0; k < K && width < Block; k++) new Span<double>(up + (k * Block) + width, Block - width).Clear();
                        ThinProducts.Along(data, up, p, _channels, K);
                        ThinProducts.Along(up, up, g, K, K);
                    }
                }
            }
        });
        GC.KeepAlive(penalty);
        if (!learnEndmembers) return UnmixingSteps.SquaredResiduals(_data, M, A);
        for (int c = 1; c < chunks; c++)
        {
            VectorMath.AddScaled(_products[c], 1, _products[0]);
            VectorMath.AddScaled(_grams[c], 1, _grams[0]);
        }

        Endmembers(m, _products[0], _grams[0]);
        return Residuals(m, _products[0], _grams[0]) ?? UnmixingSteps.SquaredResiduals(_data, M, A);
    }

    /// <summary>A .* (up + square) ./ (curvature A + extra) for the pixels of a block, at least the floor; `up` then holds the new A too.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Update(double* a, double* extra, double* up, double* old, double* curvature, int width, double square)
    {
        int K = _materials;
        for (int k = 0; k < K; k++)
        {
            new ReadOnlySpan<double>(a + ((long)k * _pixels), width).CopyTo(new Span<double>(old + (k * Block), width));
            new Span<double>(old + (k * Block) + width, Block - width).Clear();
        }

        Vector512<double> floor = Vector512.Create(UnmixingSteps.Floor), plus = Vector512.Create(square);
        for (int p = 0; p < width; p += 8)
        {
            for (int k = 0; k < K; k++)
            {
                Vector512<double> below = default;
                for (int j = 0; j < K; j++) below = Vector512.FusedMultiplyAdd(Vector512.Create(curvature[(k * K) + j]), Vector512.Load(old + (j * Block) + p), below);
                double* at = up + (k * Block) + p;
                if (extra != null)
                {
                    double* slope = extra + ((long)k * _pixels) + p;
                    if (p + 8 <= width) below += Vector512.Load(slope);
                    else for (int i = 0; p + i < width; i++) below = below.WithElement(i, below[i] + slope[i]);
                }

                Vector512.Max(floor, (Vector512.Load(at) + plus) * Vector512.Load(old + (k * Block) + p) / below).Store(at);
            }
        }

        for (int k = 0; k < K; k++) new ReadOnlySpan<double>(up + (k * Block), width).CopyTo(new Span<double>(a + ((long)k * _pixels), width));
    }

    private void Endmembers(double* m, double[] product, double[] gram)
    {
        int K = _materials;
        double[] row = new double[K];
        for (int l = 0; l < _channels; l++)
        {
            for (int k = 0; k < K; k++)
            {
                double below = 0;
                for (int j = 0; j < K; j++) below += m[(l * K) + j] * gram[(j * K) + k];
                row[k] = Math.Max(UnmixingSteps.Floor, product[(l * K) + k] * m[(l * K) + k] / below);
            }

            for (int k = 0; k < K; k++) m[(l * K) + k] = row[k];
        }
    }

    /// <summary>||Y_l||^2 - 2 M_l (Y A^T)_l + M_l A A^T M_l^T; null where that has too few digits.</summary>
    private double[]? Residuals(double* m, double[] product, double[] gram)
    {
        int K = _materials;
        double[] squares = new double[_channels];
        for (int l = 0; l < _channels; l++)
        {
            double cross = 0, fitted = 0;
            for (int k = 0; k < K; k++)
            {
                double sum = 0;
                for (int j = 0; j < K; j++) sum += gram[(k * K) + j] * m[(l * K) + j];
                cross += product[(l * K) + k] * m[(l * K) + k];
                fitted += sum * m[(l * K) + k];
            }

            squares[l] = _power[l] - (2 * cross) + fitted;
            if (!(squares[l] > LeastShare * _power[l])) return null;
        }

        return squares;
    }
}
