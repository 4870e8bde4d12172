using Sparseland.Tensors;

namespace Sparseland.Sketching;

/// <summary>
/// Random numbers of the room. Every use has streams of its own: the rows that a sketch samples and the rows that hold an instance's
/// spikes must not be the same draws because a user took one seed for both.
/// </summary>
internal static class SketchDraws
{
    public const long Dense = 1L << 40, Signs = 2L << 40, Rows = 3L << 40, Weights = 4L << 40, Order = 5L << 40, Instance = 6L << 40;

    /// <summary>n independent signs, 64 from each draw; set bit is -1.</summary>
    public static ulong[] SignBits(int n, long seed, long stream)
    {
        var random = new SeededRandom(seed, stream);
        ulong[] bits = new ulong[((long)n + 63) / 64];
        for (int i = 0; i < bits.Length; i++) bits[i] = random.NextBits();
        return bits;
    }

    /// <summary>+1 or -1.</summary>
    public static double Sign(ulong[] bits, int i) => 1 - (2.0 * ((bits[i >> 6] >> (i & 63)) & 1));

    /// <summary><paramref name="count"/> numbers from 0 .. n - 1, uniform, with replacement or all different.</summary>
    public static int[] Sample(int count, int n, bool replacement, ref SeededRandom random)
    {
        int[] sample = new int[count];
        if (replacement)
        {
            for (int i = 0; i < count; i++) sample[i] = random.NextInt(n);
            return sample;
        }

        // Floyd: after step j the set is a uniform sample of 0 .. j. O(count) memory whatever n is.
        var seen = new HashSet<int>(count);
        for (int i = 0, j = n - count; i < count; i++, j++)
        {
            int draw = random.NextInt(j + 1);
            sample[i] = seen.Add(draw) ? draw : j;
            if (sample[i] == j) seen.Add(j);
        }

        return sample;
    }
}
