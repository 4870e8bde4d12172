using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using TorchSharp;

namespace Sparseland.Kernels;

/// <summary>
/// What this machine can do at most, measured: how fast it reads, computes and gathers. A kernel that reads b bytes, computes f operations and gathers g numbers cannot take less than the longest of
/// the three (roofline, Williams et al. 2009).
/// </summary>
/// <param name="Threads">Threads that worked together.</param>
/// <param name="MemoryBandwidth">Bytes read from memory in a second: sums over 256 MB.</param>
/// <param name="CacheBandwidth">Bytes read from the second cache in a second: sums over 512 KB a thread.</param>
/// <param name="FloatRate">Float32 operations in a second, a fused multiplication and addition counting two: on registers.</param>
/// <param name="GatherRate">Float32 numbers gathered in a second from a table of 16 KB.</param>
public sealed unsafe record MachineLimits(int Threads, double MemoryBandwidth, double CacheBandwidth, double FloatRate, double GatherRate)
{
    private const long Memory = 256L << 20;
    private const int Cache = 512 << 10;
    private const int Table = 4096;
    private const int Repeats = 5;
    private static readonly Lock s_gate = new();
    private static readonly Dictionary<int, MachineLimits> s_known = [];

    /// <summary>Measures, or gives what was measured before in this process: about a second.</summary>
    /// <param name="threads">Threads; 0, the default, for as many as libtorch has here.</param>
    /// <exception cref="ArgumentOutOfRangeException">threads is negative.</exception>
    public static MachineLimits Measure(int threads = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        if (threads == 0) threads = torch.get_num_threads();
        lock (s_gate)
        {
            if (!s_known.TryGetValue(threads, out MachineLimits? limits)) s_known[threads] = limits = Now(threads);
            return limits;
        }
    }

    /// <summary>Least time of a kernel, in seconds: the longest of reading, computing and gathering.</summary>
    /// <param name="bytes">Bytes that must be read once.</param>
    /// <param name="operations">Float32 operations. Default 0.</param>
    /// <param name="gathers">Numbers gathered. Default 0.</param>
    /// <param name="cached">Whether the bytes are in the second cache. Default false: in memory.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative.</exception>
    public double LeastSeconds(double bytes, double operations = 0, double gathers = 0, bool cached = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfNegative(operations);
        ArgumentOutOfRangeException.ThrowIfNegative(gathers);
        return Math.Max(bytes / (cached ? CacheBandwidth : MemoryBandwidth), Math.Max(operations / FloatRate, gathers / GatherRate));
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant(
        $"{Threads} threads: {MemoryBandwidth / 1e9:0.0} GB/s from memory, {CacheBandwidth / 1e9:0} GB/s from cache, {FloatRate / 1e9:0} GFLOP/s, {GatherRate / 1e9:0.0} G gathers/s");

    private static MachineLimits Now(int threads)
    {
        nuint each = (nuint)(Memory / threads / 64 * 64);
        float*[] parts = new float*[threads];
        try
        {
            for (int t = 0; t < threads; t++)
            {
                parts[t] = (float*)NativeMemory.AlignedAlloc(each, 64);
                new Span<float>(parts[t], checked((int)(each / sizeof(float)))).Fill(1);
            }

            double memory = Best(threads, t => Sum(parts[t], (long)each / sizeof(float))) is var slow ? (double)each * threads / slow : 0;
            const int Rounds = 64, Multiplications = 1 << 20, Gathers = 1 << 18;
            double cache = (double)Cache * Rounds * threads / Best(threads, t =>
            {
                float sum = 0;
                for (int round = 0; round < Rounds; round++) sum += Sum(parts[t], Cache / sizeof(float));
                return sum;
            });
            double rate = (double)Multiplications * 2 * 8 * Vector512<float>.Count * threads / Best(threads, _ => Multiply(Multiplications));
            double gather = (double)Gathers * 16 * threads / Best(threads, t => Gather(parts[t], Gathers));
            return new(threads, memory, cache, rate, gather);
        }
        finally
        {
            foreach (float* part in parts) NativeMemory.AlignedFree(part);
        }
    }

    /// <summary>Shortest time in which all threads did their part.</summary>
    private static double Best(int threads, Func<int, float> part)
    {
        double best = double.PositiveInfinity;
        float[] sums = new float[threads];
        for (int repeat = 0; repeat < Repeats; repeat++)
        {
            // All begin together: the time in which threads are found for the work does not count.
            using var ready = new Barrier(threads);
            long[] begun = new long[threads], ended = new long[threads];
            Thread[] all = [.. Enumerable.Range(0, threads).Select(t => new Thread(() =>
            {
                ready.SignalAndWait();
                begun[t] = Stopwatch.GetTimestamp();
                sums[t] = part(t);
                ended[t] = Stopwatch.GetTimestamp();
            }))];
            foreach (Thread thread in all) thread.Start();
            foreach (Thread thread in all) thread.Join();
            best = Math.Min(best, Stopwatch.GetElapsedTime(begun.Min(), ended.Max()).TotalSeconds);
        }

        GC.KeepAlive(sums);
        return best;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Sum(float* from, long count)
    {
        Vector512<float> a = default, b = default, c = default, d = default;
        int step = Vector512<float>.Count;
        for (long i = 0; i + (4 * step) <= count; i += 4 * step)
        {
            a += Vector512.Load(from + i);
            b += Vector512.Load(from + i + step);
            c += Vector512.Load(from + i + (2 * step));
            d += Vector512.Load(from + i + (3 * step));
        }

        return Vector512.Sum(a + b + c + d);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Multiply(int times)
    {
        Vector512<float> x = Vector512.Create(0.999f), y = Vector512.Create(1e-3f);
        Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x;
        for (int i = 0; i < times; i++)
        {
            a = Vector512.FusedMultiplyAdd(a, x, y);
            b = Vector512.FusedMultiplyAdd(b, x, y);
            c = Vector512.FusedMultiplyAdd(c, x, y);
            d = Vector512.FusedMultiplyAdd(d, x, y);
            e = Vector512.FusedMultiplyAdd(e, x, y);
            f = Vector512.FusedMultiplyAdd(f, x, y);
            g = Vector512.FusedMultiplyAdd(g, x, y);
            h = Vector512.FusedMultiplyAdd(h, x, y);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Gather(float* table, int times)
    {
        float sum = 0;
        if (!Avx2.IsSupported)
        {
            uint at = 1;
            for (int i = 0; i < times * 16; i++) sum += table[(at = (at * 1664525) + 1013904223) % Table];
            return sum;
        }

        Vector256<int> mask = Vector256.Create(Table - 1), step = Vector256.Create(97), p = Vector256.Create(0, 511, 1022, 1533, 2044, 2555, 3066, 3577), q = p + Vector256.Create(256);
        Vector256<float> a = default, b = default;
        for (int i = 0; i < times; i++)
        {
            a += Avx2.GatherVector256(table, p & mask, sizeof(float));
            b += Avx2.GatherVector256(table, q & mask, sizeof(float));
            p += step;
            q += step;
        }

        return Vector256.Sum(a + b);
    }
}
