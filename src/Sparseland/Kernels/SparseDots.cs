using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sparseland.Kernels;

/// <summary>Inner products of a vector with stored weights, one per path.</summary>
internal static unsafe class SparseDots
{
    /// <summary>sum_k values[k] x[places[k]].</summary>
    /// <typeparam name="T">ushort or int.</typeparam>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Gather<T>(float* x, T* places, float* values, int n, KernelPath path)
        where T : unmanaged
    {
        int k = 0;
        float sum = 0;
        if (path >= KernelPath.Vector256)
        {
            // There is no wider gather than of eight; four sums hide the time that one takes.
            Vector256<float> a = default, b = default, c = default, d = default;
            for (; k + 32 <= n; k += 32)
            {
                a = Vector256.FusedMultiplyAdd(Vector256.Load(values + k), Gather8(x, places + k), a);
                b = Vector256.FusedMultiplyAdd(Vector256.Load(values + k + 8), Gather8(x, places + k + 8), b);
                c = Vector256.FusedMultiplyAdd(Vector256.Load(values + k + 16), Gather8(x, places + k + 16), c);
                d = Vector256.FusedMultiplyAdd(Vector256.Load(values + k + 24), Gather8(x, places + k + 24), d);
            }

            for (; k + 8 <= n; k += 8) a = Vector256.FusedMultiplyAdd(Vector256.Load(values + k), Gather8(x, places + k), a);
            sum = Vector256.Sum(a + b + (c + d));
        }

        for (; k < n; k++) sum = MathF.FusedMultiplyAdd(values[k], x[At(places, k)], sum);
        return sum;
    }

    /// <summary>sum_i a[i] b[i] over a short run, added to running sums: 16 or 8 lanes where the path has them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run(float* a, float* b, int n, KernelPath path, ref Vector512<float> wide, ref Vector256<float> narrow, ref float rest)
    {
        int i = 0;
        if (path == KernelPath.Vector512)
        {
            for (; i + 16 <= n; i += 16) wide = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), wide);
        }

        if (path >= KernelPath.Vector256)
        {
            for (; i + 8 <= n; i += 8) narrow = Vector256.FusedMultiplyAdd(Vector256.Load(a + i), Vector256.Load(b + i), narrow);
        }

        for (; i < n; i++) rest = MathF.FusedMultiplyAdd(a[i], b[i], rest);
    }

    /// <summary>Eight places, widened to 32 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Places8<T>(T* places)
        where T : unmanaged => typeof(T) == typeof(ushort) ? Avx2.ConvertToVector256Int32((ushort*)places) : Vector256.Load((int*)places);

    /// <summary>Eight numbers of x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Gather8<T>(float* x, T* places)
        where T : unmanaged => Avx2.GatherVector256(x, Places8(places), sizeof(float));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int At<T>(T* places, int k)
        where T : unmanaged => typeof(T) == typeof(ushort) ? ((ushort*)places)[k] : ((int*)places)[k];
}
