using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>
/// y_j = W_j . x for one token and a few of the outputs j: only the rows of W of these outputs are read. What <see cref="SparseColumns"/> is for inputs this is for outputs.
/// </summary>
/// <remarks>Each output is a sum by itself in a fixed order, so the bits of a result do not depend on what else is chosen or on the number of threads.</remarks>
public static unsafe class SparseRows
{
    // So many multiplications are worth handing to another thread.
    private const long OneThread = 1 << 18;

    /// <summary>y_j = W_j . x for the chosen j; the other places of y stay as they are.</summary>
    /// <param name="W">Row-major [out, in].</param>
    /// <param name="x">[in].</param>
    /// <param name="chosen">Places in y, strictly ascending.</param>
    /// <param name="y">[out]; apart from the others.</param>
    /// <exception cref="ArgumentException">A length does not fit, a place is out of range or order, or y shares memory with an input.</exception>
    public static void Multiply(ReadOnlySpan<float> W, ReadOnlySpan<float> x, ReadOnlySpan<int> chosen, Span<float> y)
    {
        if (W.Length != (long)x.Length * y.Length) throw new ArgumentException($"W must have {y.Length} x {x.Length} numbers, but has {W.Length}.", nameof(W));
        if (y.Overlaps(W) || y.Overlaps(x)) throw new ArgumentException("y shares memory with an input, which would change while it is read.", nameof(y));
        int before = -1;
        for (int i = 0; i < chosen.Length; i++)
        {
            if (chosen[i] <= before || chosen[i] >= y.Length)
                throw new ArgumentException($"chosen has {chosen[i]} after {before} at {i}: places ascend strictly within 0 to {y.Length - 1}.", nameof(chosen));
            before = chosen[i];
        }

        fixed (float* w = W, px = x, py = y)
        fixed (int* places = chosen) Run(w, px, places, chosen.Length, py, x.Length, KernelPaths.Widest);
    }

    /// <summary>One token without checks.</summary>
    internal static void Run(float* weight, float* x, int* chosen, int count, float* y, int inputs, KernelPath path)
    {
        int threads = (int)Math.Min(TorchSharp.torch.get_num_threads(), (long)count * inputs / OneThread);
        if (threads < 2)
        {
            Part(weight, x, chosen, 0, count, y, inputs, path);
            return;
        }

        (nint w, nint a, nint c, nint b) = ((nint)weight, (nint)x, (nint)chosen, (nint)y);
        int pieces = 2 * threads;
        int At(int piece) => (int)((long)count * piece / pieces);
        Parallel.For(0, pieces, new ParallelOptions { MaxDegreeOfParallelism = threads }, piece => Part((float*)w, (float*)a, (int*)c, At(piece), At(piece + 1), (float*)b, inputs, path));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Part(float* weight, float* x, int* chosen, int from, int to, float* y, int inputs, KernelPath path)
    {
        for (int k = from; k < to; k++)
        {
            (Vector512<float> wide, Vector256<float> narrow, float rest) = (default, default, 0);
            SparseDots.Run(weight + ((long)chosen[k] * inputs), x, inputs, path, ref wide, ref narrow, ref rest);
            y[chosen[k]] = Vector512.Sum(wide) + Vector256.Sum(narrow) + rest;
        }
    }
}
