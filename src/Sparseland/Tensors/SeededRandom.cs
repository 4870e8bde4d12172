using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.Tensors;

/// <summary>
/// xoshiro256** (Blackman and Vigna 2021), its state filled by SplitMix64 from a seed and a stream number. System.Random
/// takes one 31-bit seed and promises no sequence across .NET versions; committed figures need both a sequence that stays
/// and independent streams, one per image, so that the number of threads cannot matter.
/// </summary>
internal struct SeededRandom
{
    private ulong a, b, c, d;

    internal SeededRandom(long seed, long stream = 0)
    {
        // The stream is mixed by itself first: seed 1, stream 0 must not be a neighbour of seed 0, stream 1.
        ulong state = (ulong)seed ^ Mix((ulong)stream + 0x9E3779B97F4A7C15);
        a = Next(ref state);
        b = Next(ref state);
        c = Next(ref state);
        d = Next(ref state);

        static ulong Next(ref ulong state) => Mix(state += 0x9E3779B97F4A7C15);
    }

    /// <summary>The finaliser of SplitMix64: a bijection whose every output bit depends on every input bit.</summary>
    internal static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    /// <summary>Uniform on [0, 1), a multiple of 2^-53.</summary>
    internal static double ToUnit(ulong bits) => (bits >> 11) * (1.0 / (1UL << 53));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong NextBits()
    {
        ulong result = BitOperations.RotateLeft(b * 5, 7) * 9;
        ulong shifted = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = BitOperations.RotateLeft(d, 45);
        return result;
    }

    /// <summary>Uniform on [0, 1).</summary>
    internal double NextDouble() => ToUnit(NextBits());

    /// <summary>As many of them, one after the other: what <see cref="NextDouble()"/> would give, with the state in registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void Fill(Span<double> target)
    {
        SeededRandom own = this;
        for (int i = 0; i < target.Length; i++) target[i] = own.NextDouble();
        this = own;
    }

    /// <summary>Uniform on [low, high).</summary>
    internal double NextDouble(double low, double high) => low + ((high - low) * NextDouble());

    /// <summary>Uniform on 0 .. exclusiveMaximum - 1 (at most 2^31 - 1 values, so the bias is below 2^-32).</summary>
    internal int NextInt(int exclusiveMaximum) => (int)Math.BigMul(NextBits(), (ulong)exclusiveMaximum, out _);

    /// <summary>
    /// Standard normal: the cosine half of Box and Muller (1958), two uniforms per draw. The sine half is not kept, so the
    /// state stays four words and a draw depends on nothing but how many came before it.
    /// </summary>
    internal double NextGaussian() => Math.Sqrt(-2 * Math.Log(1 - NextDouble())) * Math.Cos(2 * Math.PI * NextDouble());

    /// <summary>Fisher and Yates: <paramref name="items"/> in a uniformly random order.</summary>
    internal void Shuffle<T>(Span<T> items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = NextInt(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>The numbers 0 to count - 1 in a uniformly random order.</summary>
    internal T[] Permutation<T>(int count)
        where T : INumber<T>
    {
        T[] order = [.. Enumerable.Range(0, count).Select(T.CreateChecked)];
        Shuffle(order.AsSpan());
        return order;
    }
}
