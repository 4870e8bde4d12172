using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>Codes with at most k atoms each, as atoms and coefficients.</summary>
/// <param name="Indices">[samples, k] int64: atoms in the order of their selection, -1 where a sample stopped early.</param>
/// <param name="Values">[samples, k]: their coefficients, 0 where a sample stopped early.</param>
/// <param name="Atoms">Number of atoms of the dictionary.</param>
/// <param name="ResidualNormSquared">||x - a D||^2 of each sample [samples], from the recursion; infinite where the square leaves the type.</param>
/// <param name="StoppedEarly">
/// Samples that stopped before k atoms, or above the wanted error: residual zero, or the next atom depends on those selected.
/// </param>
public sealed record PursuitResult(Tensor Indices, Tensor Values, int Atoms, Tensor ResidualNormSquared, int StoppedEarly) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Indices, Values, ResidualNormSquared);

    /// <summary>Mean number of atoms per sample.</summary>
    public double ActiveUnits
    {
        get
        {
            using Tensor selected = Indices.ge(0), count = selected.sum();
            return (double)count.item<long>() / Indices.shape[0];
        }
    }

    /// <summary>The codes as a dense tensor [samples, atoms].</summary>
    public Tensor ToDense()
    {
        using var scope = NewDisposeScope();

        // Where fewer atoms were taken the index is -1 and the value 0: added to the first atom it changes nothing.
        Tensor dense = zeros([Indices.shape[0], Atoms], dtype: Values.dtype);
        return dense.scatter_add_(1, Indices.clamp(0), Values).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Indices.Dispose();
        Values.Dispose();
        ResidualNormSquared.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Orthogonal matching pursuit with k atoms, or down to an error, for many samples (Tropp and Gilbert 2007), on the Gram matrix with a
/// progressive Cholesky factor (Rubinstein, Zibulevsky and Elad 2008).
/// </summary>
/// <remarks>
/// Instead of solving with the factor in every step, each selected atom's column of the orthogonalized Gram matrix is kept,
/// w_k = (G_j - sum_i L_ki w_i)/L_kk. The factor's next row can be read off those columns (L_ki = w_i[j]), the correlations lose
/// c_k w_k and the residual c_k^2, all in one pass over the atoms; one triangular solve at the end gives the coefficients.
/// The selections are those of the textbook's algorithm.
/// </remarks>
public static unsafe class BatchOmp
{
    private const int SamplesPerBlock = 4096;
    private const int SamplesPerChunk = 64;

    /// <summary>Codes with k atoms each.</summary>
    /// <param name="X">[samples, features], float32 or float64.</param>
    /// <param name="dictionary">[atoms, features] of the same type. Atoms need not have unit norm; selection uses the normalized ones.</param>
    /// <param name="atomsPerSample">k, at most min(features, atoms).</param>
    /// <param name="cancel">Checked at every sample.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit, or k is out of its range.</exception>
    public static PursuitResult Encode(Tensor X, Tensor dictionary, int atomsPerSample, CancellationToken cancel = default)
    {
        CodingInput.Check(X, dictionary);
        long most = Math.Min(dictionary.shape[0], dictionary.shape[1]);
        if (atomsPerSample < 1 || atomsPerSample > most)
        {
            throw new ArgumentOutOfRangeException(
                nameof(atomsPerSample), atomsPerSample, $"atomsPerSample must be from 1 to min(atoms, features) = {most}.");
        }

        return X.dtype == ScalarType.Float64
            ? Run<double>(X, dictionary, atomsPerSample, 0, cancel)
            : Run<float>(X, dictionary, atomsPerSample, 0, cancel);
    }

    /// <summary>Codes with as many atoms as it takes to bring ||x - a D||^2 down to an error: tol of scikit-learn, eps of SPAMS.</summary>
    /// <param name="X">[samples, features], float32 or float64.</param>
    /// <param name="dictionary">[atoms, features] of the same type.</param>
    /// <param name="squaredError">Wanted ||x - a D||^2 of each sample: the square of the norm, not the norm. Positive.</param>
    /// <param name="cancel">Checked at every sample.</param>
    /// <returns>k is the most atoms that could be needed, min(atoms, features).</returns>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit, or the error is not positive and finite.</exception>
    public static PursuitResult EncodeToError(Tensor X, Tensor dictionary, double squaredError, CancellationToken cancel = default)
    {
        CodingInput.Check(X, dictionary);
        Finite.Positive(squaredError);
        int most = (int)Math.Min(dictionary.shape[0], dictionary.shape[1]);
        return X.dtype == ScalarType.Float64
            ? Run<double>(X, dictionary, most, squaredError, cancel)
            : Run<float>(X, dictionary, most, squaredError, cancel);
    }

    private static PursuitResult Run<T>(Tensor X, Tensor dictionary, int k, double squaredError, CancellationToken cancel)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        using var scope = NewDisposeScope();
        int samples = (int)X.shape[0], atoms = (int)dictionary.shape[0], width = (atoms + 15) / 16 * 16;

        // Padding atoms are zero, so they are never selected and never change.
        Tensor norms = dictionary.norm(1, keepdim: true);
        Tensor unit = zeros([width, dictionary.shape[1]], dtype: X.dtype);
        unit.narrow(0, 0, atoms).copy_(dictionary.div(norms));
        Tensor transposed = unit.t().contiguous(), gram = SmallProduct.Multiply(unit, transposed);
        Tensor indices = full([samples, k], -1L, dtype: ScalarType.Int64), values = zeros([samples, k], dtype: X.dtype);
        Tensor residuals = X.mul(X).sum(1);
        using Tensor? scales = Scales(X, residuals);
        double[]? factors = null;
        if (scales is not null)
        {
            X = X.mul(scales);
            residuals = X.mul(X).sum(1);
            factors = scales.to(ScalarType.Float64).view(-1).data<double>().ToArray();
        }

        int early = 0;
        fixed (byte* g = gram.bytes, index = indices.bytes, value = values.bytes, residual = residuals.bytes)
        {
            (nint gp, nint ip, nint vp, nint rp) = ((nint)g, (nint)index, (nint)value, (nint)residual);
            for (int from = 0; from < samples; from += SamplesPerBlock)
            {
                cancel.ThrowIfCancellationRequested();
                int count = Math.Min(SamplesPerBlock, samples - from), start = from;
                using Tensor rows = X.narrow(0, from, count), correlations = SmallProduct.Multiply(rows, transposed);
                fixed (byte* q = correlations.bytes)
                {
                    nint qp = (nint)q;
                    var stoppable = new ParallelOptions { CancellationToken = cancel };
                    Parallel.For(0, (count + SamplesPerChunk - 1) / SamplesPerChunk, stoppable, () => new Workspace<T>(k, width), (c, _, work) =>
                    {
                        int to = Math.Min(count, (c + 1) * SamplesPerChunk);
                        for (int s = c * SamplesPerChunk; s < to; s++)
                        {
                            cancel.ThrowIfCancellationRequested();
                            long at = (long)start + s;
                            double wanted = factors is null ? squaredError : squaredError * factors[at] * factors[at];
                            bool whole = work.Pursue(
                                (T*)gp, (T*)qp + (long)s * width, width, k, T.CreateTruncating(wanted), (long*)ip + at * k, (T*)vp + at * k, (T*)rp + at);
                            if (!whole) work.Early++;
                        }

                        return work;
                    }, work =>
                    {
                        Interlocked.Add(ref early, work.Early);
                        work.Dispose();
                    });
                }
            }
        }

        // Back to the caller's scale of atoms; index -1 wraps to a harmless 0 coefficient.
        Tensor scale = norms.view(-1).index_select(0, indices.clamp(0).view(-1)).view(samples, k);
        values.div_(scale);
        if (scales is not null)
        {
            values.div_(scales);
            residuals.div_(scales.view(-1)).div_(scales.view(-1));
        }

        return new PursuitResult(
            indices.MoveToOuterDisposeScope(), values.MoveToOuterDisposeScope(), atoms, residuals.MoveToOuterDisposeScope(), early);
    }

    /// <summary>
    /// A power of two for each sample that brings it near one, or null where no square is near the ends of its type: samples of 1e20 or
    /// 1e-30 have squares that float32 does not know.
    /// </summary>
    private static Tensor? Scales(Tensor X, Tensor squares)
    {
        double range = X.dtype == ScalarType.Float64 ? 1e200 : 1e24;
        double least = squares.min().to(ScalarType.Float64).item<double>(), most = squares.max().to(ScalarType.Float64).item<double>();
        if (least >= 1 / range && most <= range) return null;
        Tensor largest = X.abs().amax([1], keepdim: true).to(ScalarType.Float64);
        Tensor exponent = where(largest.eq(0), zeros_like(largest), largest.log2().floor()).clamp(-1000, 1000);

        // float32 has no 2^-140; a sample of such numbers is scaled as far as it goes.
        return exponent.neg().clamp(X.dtype == ScalarType.Float64 ? -1000 : -126, X.dtype == ScalarType.Float64 ? 1000 : 126).exp2().to(X.dtype).DetachFromDisposeScope();
    }

    /// <summary>One thread's memory: orthogonalized columns, factor, projections.</summary>
    private sealed class Workspace<T>(int k, int width) : IDisposable
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        private readonly T* _columns = (T*)NativeMemory.AlignedAlloc((nuint)k * (nuint)width * (nuint)sizeof(T), 64);
        private readonly T* _factor = (T*)NativeMemory.AlignedAlloc((nuint)k * (nuint)k * (nuint)sizeof(T), 64);
        private readonly T* _projections = (T*)NativeMemory.AlignedAlloc((nuint)k * (nuint)sizeof(T), 64);

        public int Early { get; set; }

        public void Dispose()
        {
            NativeMemory.AlignedFree(_columns);
            NativeMemory.AlignedFree(_factor);
            NativeMemory.AlignedFree(_projections);
        }

        /// <summary>Pursues one sample, whose correlations are overwritten. False where it stopped before k atoms and above the error.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public bool Pursue(T* gram, T* correlations, int width, int k, T squaredError, long* indices, T* values, T* residual)
        {
            T tolerance = T.CreateTruncating(typeof(T) == typeof(double) ? 1e-14 : 1e-6);
            T floor = *residual * T.CreateTruncating(typeof(T) == typeof(double) ? 1e-30 : 1e-13);
            int count = 0;
            while (count < k && (*residual > squaredError || squaredError == T.Zero))
            {
                int atom = LargestMagnitude(correlations, width);
                T top = correlations[atom];
                T* row = _factor + count * k;
                T pivot = gram[(long)atom * width + atom];
                for (int i = 0; i < count; i++)
                {
                    row[i] = _columns[(long)i * width + atom];
                    pivot -= row[i] * row[i];
                }

                if (top * top <= floor || pivot <= tolerance || *residual <= T.Zero) break;
                T diagonal = T.Sqrt(pivot), projection = top / diagonal;
                row[count] = diagonal;
                _projections[count] = projection;
                indices[count] = atom;
                *residual = T.Max(T.Zero, *residual - projection * projection);
                count++;
                if (count < k) Orthogonalize(gram + (long)atom * width, row, count - 1, correlations, projection, width);
            }

            Solve(values, count, k);
            return squaredError > T.Zero ? *residual <= squaredError : count == k;
        }

        /// <summary>w_k = (G_j - sum_i L_ki w_i)/L_kk and correlations -= c_k w_k, in one pass.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Orthogonalize(T* gramRow, T* row, int k, T* correlations, T projection, int width)
        {
            Vector512<T> inverse = Vector512.Create(T.One / row[k]), negated = Vector512.Create(-projection);
            T* target = _columns + (long)k * width;
            for (int at = 0; at < width; at += Vector512<T>.Count)
            {
                Vector512<T> w = Vector512.Load(gramRow + at);
                T* column = _columns + at;
                for (int i = 0; i < k; i++, column += width) w = SparseStrips.MultiplyAdd(Vector512.Create(-row[i]), Vector512.Load(column), w);
                w *= inverse;
                w.Store(target + at);
                SparseStrips.MultiplyAdd(negated, w, Vector512.Load(correlations + at)).Store(correlations + at);
            }
        }

        /// <summary>Coefficients from L^T a = c.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Solve(T* values, int count, int k)
        {
            for (int i = count - 1; i >= 0; i--)
            {
                T sum = _projections[i];
                for (int j = i + 1; j < count; j++) sum -= _factor[j * k + i] * values[j];
                values[i] = sum / _factor[i * k + i];
            }
        }

        /// <summary>First index of the largest magnitude.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static int LargestMagnitude(T* values, int width)
        {
            Vector512<T> top = Vector512<T>.Zero;
            for (int i = 0; i < width; i += Vector512<T>.Count) top = Vector512.MaxNumber(top, Vector512.Abs(Vector512.Load(values + i)));
            T max = T.Zero;
            for (int lane = 0; lane < Vector512<T>.Count; lane++) max = T.Max(max, top[lane]);
            Vector512<T> wanted = Vector512.Create(max);
            for (int i = 0; i < width; i += Vector512<T>.Count)
            {
                ulong hit = Vector512.Equals(Vector512.Abs(Vector512.Load(values + i)), wanted).ExtractMostSignificantBits();
                if (hit != 0) return i + BitOperations.TrailingZeroCount(hit);
            }

            return 0;
        }
    }
}
