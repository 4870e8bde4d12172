using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>Binary inputs as sorted arrays of active features: random ones, pairs of given overlap, graded families, sequences.</summary>
public static class BinaryPatterns
{
    /// <summary>Independent inputs with a fixed number of active features.</summary>
    /// <param name="inputs">N, size of the field.</param>
    /// <param name="active">S, active features of each, 1 to N.</param>
    /// <param name="count">How many.</param>
    /// <param name="seed">Same seed, same inputs.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of range.</exception>
    public static int[][] Random(int inputs, int active, int count, long seed)
    {
        Check(inputs, active);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            var random = new SeededRandom(seed, i);
            return Some(Enumerable.Range(0, inputs), active, ref random);
        })];
    }

    /// <summary>An input of the same size that shares exactly some features with another.</summary>
    /// <param name="pattern">The other.</param>
    /// <param name="inputs">N, size of the field.</param>
    /// <param name="shared">How many of its features stay; the others are replaced by features that it does not have.</param>
    /// <param name="seed">Same seed, same choice.</param>
    /// <exception cref="ArgumentException">The pattern is malformed, or the field has too few other features.</exception>
    public static int[] WithOverlap(int[] pattern, int inputs, int shared, long seed)
    {
        Check(inputs, 1);
        MacGuard.CheckActive(pattern, inputs, nameof(pattern), "feature");
        ArgumentOutOfRangeException.ThrowIfNegative(shared);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(shared, pattern.Length);
        int replaced = pattern.Length - shared;
        if (replaced > inputs - pattern.Length)
            throw new ArgumentException($"{replaced} features are to be replaced, but the field has only {inputs - pattern.Length} others.", nameof(shared));
        var random = new SeededRandom(seed);
        int[] kept = Some(pattern, shared, ref random), fresh = Some(Enumerable.Range(0, inputs).Except(pattern), replaced, ref random);
        return [.. kept.Concat(fresh).Order()];
    }

    /// <summary>
    /// Families of inputs: member j of n keeps all but the share j / (n - 1) * mostReplaced of its prototype's features, so members of
    /// one family overlap from much to little, and families only by chance.
    /// </summary>
    /// <param name="inputs">N, size of the field.</param>
    /// <param name="active">S, active features of each.</param>
    /// <param name="families">Number of families.</param>
    /// <param name="members">Members of each, at least 2; the first is the prototype.</param>
    /// <param name="seed">Same seed, same inputs.</param>
    /// <param name="mostReplaced">Share that the last member has replaced, 0 to 1. Default 0.7.</param>
    /// <returns>[families * members], family after family.</returns>
    /// <exception cref="ArgumentException">A number is out of range.</exception>
    public static int[][] GradedFamilies(int inputs, int active, int families, int members, long seed, double mostReplaced = 0.7)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(members, 2);
        if (!(mostReplaced is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(mostReplaced), mostReplaced, "mostReplaced must be from 0 to 1.");
        int[][] prototypes = Random(inputs, active, families, seed);
        return [.. from f in Enumerable.Range(0, families)
            from j in Enumerable.Range(0, members)
            let replaced = (int)Math.Round(active * mostReplaced * j / (members - 1))
            select WithOverlap(prototypes[f], inputs, active - replaced, Mixed(seed, f, j))];
    }

    /// <summary>Sequences of random frames, where every second sequence has one frame in common with the one before.</summary>
    /// <param name="inputs">N, size of the field.</param>
    /// <param name="active">S, active features of each frame.</param>
    /// <param name="sequences">How many.</param>
    /// <param name="frames">Frames of each.</param>
    /// <param name="seed">Same seed, same sequences; more sequences have the first in common with fewer.</param>
    /// <param name="sharedFrame">Place of the common frame, from 0; -1 for none. Default -1.</param>
    /// <returns>[sequences][frames].</returns>
    /// <exception cref="ArgumentException">A number is out of range.</exception>
    public static int[][][] Sequences(int inputs, int active, int sequences, int frames, long seed, int sharedFrame = -1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sequences, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(frames, 1);
        if (sharedFrame < -1 || sharedFrame >= frames)
            throw new ArgumentOutOfRangeException(nameof(sharedFrame), sharedFrame, $"sharedFrame must be from 0 to {frames - 1}, or -1.");
        int[][][] all = [.. Random(inputs, active, sequences * frames, seed).Chunk(frames)];
        if (sharedFrame >= 0)
        {
            for (int s = 1; s < sequences; s += 2) all[s][sharedFrame] = [.. all[s - 1][sharedFrame]];
        }

        return all;
    }

    private static long Mixed(long seed, int a, int b) => (long)SeededRandom.Mix((ulong)seed + SeededRandom.Mix(((ulong)(uint)a << 32) | (uint)b));

    private static int[] Some(IEnumerable<int> from, int count, ref SeededRandom random)
    {
        int[] all = [.. from];
        random.Shuffle<int>(all);
        Array.Resize(ref all, count);
        Array.Sort(all);
        return all;
    }

    private static void Check(int inputs, int active)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(active, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(active, inputs);
    }
}
