using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Tensors;

/// <summary>
/// Inner loops of the solvers and of unmixing. TensorPrimitives has them too, but its code is compiled in steps like any other package's: a
/// solver's first calls would spend most of their time in loops that are not yet optimised. These are compiled in full at once.
/// </summary>
internal static unsafe class VectorMath
{
    /// <summary>x^T y, in eight times four sums of one fixed order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        if (x.Length != y.Length) throw new ArgumentException($"The lengths {x.Length} and {y.Length} must agree.", nameof(y));
        fixed (double* a = x, b = y)
        {
            int n = x.Length, i = 0;
            Vector512<double> s0 = default, s1 = default, s2 = default, s3 = default;
            for (; i + 32 <= n; i += 32)
            {
                s0 = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), s0);
                s1 = Vector512.FusedMultiplyAdd(Vector512.Load(a + i + 8), Vector512.Load(b + i + 8), s1);
                s2 = Vector512.FusedMultiplyAdd(Vector512.Load(a + i + 16), Vector512.Load(b + i + 16), s2);
                s3 = Vector512.FusedMultiplyAdd(Vector512.Load(a + i + 24), Vector512.Load(b + i + 24), s3);
            }

            for (; i + 8 <= n; i += 8) s0 = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), s0);
            double sum = Vector512.Sum((s0 + s1) + (s2 + s3));
            for (; i < n; i++) sum = Math.FusedMultiplyAdd(a[i], b[i], sum);
            return sum;
        }
    }

    /// <summary>target += factor x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddScaled(ReadOnlySpan<double> x, double factor, Span<double> target)
    {
        if (x.Length != target.Length) throw new ArgumentException($"The lengths {x.Length} and {target.Length} must agree.", nameof(target));
        fixed (double* a = x, t = target)
        {
            int n = x.Length, i = 0;
            Vector512<double> f = Vector512.Create(factor);
            for (; i + 8 <= n; i += 8) Vector512.FusedMultiplyAdd(f, Vector512.Load(a + i), Vector512.Load(t + i)).Store(t + i);
            for (; i < n; i++) t[i] = Math.FusedMultiplyAdd(factor, a[i], t[i]);
        }
    }
}
