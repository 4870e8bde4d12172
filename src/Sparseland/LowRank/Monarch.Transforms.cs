using System.Numerics;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Transforms that are Monarch matrices, exactly.</summary>
public static partial class Monarch
{
    /// <summary>The Kronecker product A (x) B, whose entry ((l, j), (k, i)) is A[l, k] B[j, i]: slices of rank 1.</summary>
    /// <param name="a">A [l, k].</param>
    /// <param name="b">B [j, i], of the same type.</param>
    /// <exception cref="ArgumentException">No matrices, empty, or of two types.</exception>
    public static MonarchMatrix Kronecker(Tensor a, Tensor b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.dim() != 2 || a.numel() == 0) throw new ArgumentException($"a must be a matrix that is not empty, but is [{string.Join(", ", a.shape)}].", nameof(a));
        if (b.dim() != 2 || b.numel() == 0) throw new ArgumentException($"b must be a matrix that is not empty, but is [{string.Join(", ", b.shape)}].", nameof(b));
        if (a.dtype != b.dtype) throw new ArgumentException($"Both must be of one type, but they are {a.dtype} and {b.dtype}.", nameof(b));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (int l, int k, int j, int i) = ((int)a.shape[0], (int)a.shape[1], (int)b.shape[0], (int)b.shape[1]);
        var shape = new MonarchShape(checked(k * i), checked(l * j), k, j);
        return new(shape, b.detach().expand(k, j, i).clone(), a.detach().expand(j, l, k).clone());
    }

    /// <summary>The Hadamard matrix of Sylvester, entries +-1, Float64: a Kronecker product of two smaller ones.</summary>
    /// <param name="n">A power of two.</param>
    /// <exception cref="ArgumentException">No power of two.</exception>
    public static MonarchMatrix Hadamard(int n)
    {
        if (n < 1 || !BitOperations.IsPow2(n)) throw new ArgumentOutOfRangeException(nameof(n), n, "n must be a power of two.");
        int small = 1 << (BitOperations.Log2((uint)n) / 2);
        using DisposeScope scope = NewDisposeScope();
        return Kronecker(Sylvester(n / small), Sylvester(small));

        static Tensor Sylvester(int m)
        {
            double[] entries = new double[m * m];
            for (int i = 0; i < entries.Length; i++) entries[i] = Kernels.Hadamard.Entry(i / m, i % m);
            return tensor(entries, m, m);
        }
    }

    /// <summary>
    /// The discrete Fourier transform of length n = m^2 with its columns in stride order, F[:, P], ComplexFloat64, not scaled: F x = M (P x) with P = <see cref="StridePermutation"/>(m, m). F itself is
    /// no Monarch matrix. With w = exp(-2 pi i / n): R[k, j, i] = w^(m i j), L[j, l, k] = w^(k (l m + j)), the two halves of a Cooley-Tukey step.
    /// </summary>
    /// <param name="n">A square number.</param>
    /// <exception cref="ArgumentException">No square number.</exception>
    public static MonarchMatrix Fourier(int n)
    {
        MonarchShape shape = MonarchShape.ForSquare(n);
        int m = shape.InputBlocks;
        using DisposeScope scope = NewDisposeScope();
        // In two halves: libtorch's tensor of an array of Complex lives in the array's own memory, which the collector takes back.
        double[] right = new double[2 * n * m], left = new double[2 * n * m];
        for (int a = 0, at = 0; a < m; a++)
        {
            for (int b = 0; b < m; b++)
            {
                for (int c = 0; c < m; c++, at++)
                {
                    Root(right, at, (long)m * b * c);      // [k, j, i]
                    Root(left, at, (long)c * ((b * m) + a));       // [j, l, k]
                }
            }
        }

        return new(shape, Joined(right), Joined(left));

        // The exponent is reduced first: a large angle would lose digits.
        void Root(double[] halves, int at, long power) => (halves[n * m + at], halves[at]) = Math.SinCos(-2 * Math.PI * (power % n) / n);

        Tensor Joined(double[] halves)
        {
            Tensor both = tensor(halves, 2, m, m, m);
            return complex(both[0], both[1]);
        }
    }

    /// <summary>A circular convolution as the product of two Monarch matrices: C = A B^* with A = conj(M) D / n and B = conj(M), M of <see cref="Fourier"/> and D the kernel's transform in stride order.</summary>
    /// <param name="kernel">[n], n a square number: the first column of the circulant matrix C; Float32 or Float64, finite.</param>
    /// <exception cref="ArgumentException">Another shape, type or length, NaN or infinity.</exception>
    public static MonarchConvolution Convolution(Tensor kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        if (kernel.dim() != 1 || kernel.numel() == 0) throw new ArgumentException($"kernel must be [n] and not empty, but is [{string.Join(", ", kernel.shape)}].", nameof(kernel));
        if (kernel.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"kernel is {kernel.dtype}; it must be Float32 or Float64.", nameof(kernel));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor h = kernel.detach().cpu().to(ScalarType.Float64);
        if (!TensorInput.IsFinite(h)) throw new ArgumentException("kernel holds NaN or infinity.", nameof(kernel));
        int n = (int)h.shape[0];
        using MonarchMatrix fourier = Fourier(n);
        (MonarchShape shape, int m) = (fourier.Shape, fourier.Shape.InputBlocks);
        // Scaling the columns of M scales the inputs of its right factor.
        Tensor spectrum = new StridePermutation(m, m).Apply(fft.fft_(h)).view(m, 1, m) / n;
        Tensor conjugate = fourier.Right.conj().resolve_conj(), left = fourier.Left.conj().resolve_conj();
        return new(new(shape, conjugate * spectrum, left.clone()), new(shape, conjugate.clone(), left.clone()));
    }
}

/// <summary>A circular convolution as two Monarch matrices, C = Left Right^*.</summary>
/// <param name="Left">conj(M) D / n.</param>
/// <param name="Right">conj(M).</param>
public sealed record MonarchConvolution(MonarchMatrix Left, MonarchMatrix Right) : IDisposable
{
    /// <summary>C x, each row of a batch of real signals convolved with the kernel.</summary>
    /// <param name="signal">[..., n], Float32 or Float64.</param>
    /// <returns>[..., n] of the signal's type.</returns>
    /// <exception cref="ArgumentException">Another length or type.</exception>
    public Tensor Apply(Tensor signal)
    {
        ArgumentNullException.ThrowIfNull(signal);
        if (signal.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"signal is {signal.dtype}; it must be Float32 or Float64.", nameof(signal));
        using DisposeScope scope = NewDisposeScope();
        return Left.Multiply(Right.MultiplyAdjoint(signal)).real.to(signal.dtype).contiguous().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"MonarchConvolution of {Left.Shape.Inputs} numbers";
}
