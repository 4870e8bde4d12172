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
/// <remarks>Blocks are summed in fixed chunks and in order: the result does not depend on the number of threads.</remarks>
internal sealed unsafe class FusedSweep
{
    private const int Block = 256;
    private const int Chunks = 16;

    // Below this share of ||Y_l||^2 the residual is computed from the data: the difference of its parts would have too few digits left.
    private const double LeastShare = 1e-7;
    private readonly Tensor _data;
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
    }

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
        double* m = (double*)TensorMemory.Address(M), a = (double*)TensorMemory.Address(A), y = (double*)TensorMemory.Address(_data);
        double* extra = penalty is null ? null : (double*)TensorMemory.Address(penalty);

        // M^T U [endmembers, channels] and M^T U M + delta^2.
        double[] weighted = new double[K * _channels], curvature = new double[K * K];
        for (int l = 0; l < _channels; l++)
        {
            for (int k = 0; k < K; k++) weighted[(k * _channels) + l] = m[(l * K) + k] * weights[l];
        }

        for (int k = 0; k < K; k++)
        {
            for (int j = 0; j < K; j++)
            {
                double sum = delta * delta;
                for (int l = 0; l < _channels; l++) sum += weighted[(k * _channels) + l] * m[(l * K) + j];
                curvature[(k * K) + j] = sum;
            }
        }

        (nint yn, nint an, nint en) = ((nint)y, (nint)a, (nint)extra);
        int blocks = (_pixels + Block - 1) / Block;
        Parallel.For(0, Chunks, c =>
        {
            double[] product = _products[c], gram = _grams[c];
            Array.Clear(product);
            Array.Clear(gram);
            double[] above = new double[K * Block], below = new double[Block * K];
            for (int b = (int)((long)blocks * c / Chunks), to = (int)((long)blocks * (c + 1) / Chunks); b < to; b++)
            {
                int from = b * Block, width = Math.Min(Block, _pixels - from);
                Abundances((double*)yn + from, (double*)an + from, en == 0 ? null : (double*)en + from, weighted, curvature, above, below, width, delta * delta);
                if (learnEndmembers) Accumulate((double*)yn + from, (double*)an + from, product, gram, width);
            }
        });
        GC.KeepAlive(penalty);
        if (!learnEndmembers) return UnmixingSteps.SquaredResiduals(_data, M, A);
        for (int c = 1; c < Chunks; c++)
        {
            for (int i = 0; i < _products[0].Length; i++) _products[0][i] += _products[c][i];
            for (int i = 0; i < _grams[0].Length; i++) _grams[0][i] += _grams[c][i];
        }

        Endmembers(m, _products[0], _grams[0]);
        return Residuals(m, _products[0], _grams[0]) ?? UnmixingSteps.SquaredResiduals(_data, M, A);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Abundances(double* y, double* a, double* extra, double[] weighted, double[] curvature, double[] above, double[] below, int width, double square)
    {
        int K = _materials, step = Vector512<double>.Count, whole = width / step * step;
        Array.Clear(above);
        fixed (double* up = above, down = below, w = weighted)
        {
            for (int l = 0; l < _channels; l++)
            {
                double* row = y + ((long)l * _pixels);
                int p = 0;
                for (; p < whole; p += step)
                {
                    Vector512<double> value = Vector512.Load(row + p);
                    for (int k = 0; k < K; k++)
                    {
                        double* at = up + (k * Block) + p;
                        Vector512.FusedMultiplyAdd(Vector512.Create(w[(k * _channels) + l]), value, Vector512.Load(at)).Store(at);
                    }
                }

                for (; p < width; p++)
                {
                    for (int k = 0; k < K; k++) up[(k * Block) + p] += w[(k * _channels) + l] * row[p];
                }
            }

            // The denominators of a block need its old abundances whole.
            for (int k = 0; k < K; k++)
            {
                for (int p = 0; p < width; p++)
                {
                    double sum = extra is null ? 0 : extra[((long)k * _pixels) + p];
                    for (int j = 0; j < K; j++) sum += curvature[(k * K) + j] * a[((long)j * _pixels) + p];
                    down[(k * Block) + p] = sum;
                }
            }

            for (int k = 0; k < K; k++)
            {
                double* at = a + ((long)k * _pixels);
                for (int p = 0; p < width; p++) at[p] = Math.Max(UnmixingSteps.Floor, (up[(k * Block) + p] + square) * at[p] / down[(k * Block) + p]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Accumulate(double* y, double* a, double[] product, double[] gram, int width)
    {
        int K = _materials;
        for (int l = 0; l < _channels; l++)
        {
            double* row = y + ((long)l * _pixels);
            for (int k = 0; k < K; k++) product[(l * K) + k] += VectorMath.Dot(new(row, width), new(a + ((long)k * _pixels), width));
        }

        for (int k = 0; k < K; k++)
        {
            for (int j = 0; j <= k; j++)
            {
                double sum = VectorMath.Dot(new(a + ((long)k * _pixels), width), new(a + ((long)j * _pixels), width));
                gram[(k * K) + j] += sum;
                if (j != k) gram[(j * K) + k] += sum;
            }
        }
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
