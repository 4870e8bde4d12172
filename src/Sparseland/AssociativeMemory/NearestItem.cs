using System.Numerics;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// The nearest stored item by Hamming distance, found by comparing with all of them: the exact answer to best match, in time that grows
/// with the number of items. The baseline of the associative memories.
/// </summary>
public sealed class NearestItem
{
    private readonly int wordsPerItem;
    private ulong[] words = [];

    /// <summary>An empty store.</summary>
    /// <param name="inputs">N, size of the field.</param>
    /// <exception cref="ArgumentOutOfRangeException">Below 1.</exception>
    public NearestItem(int inputs)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        Inputs = inputs;
        wordsPerItem = (inputs + 63) / 64;
    }

    /// <summary>Size of the field.</summary>
    public int Inputs { get; }

    /// <summary>Items stored.</summary>
    public int Count { get; private set; }

    /// <summary>Stores an item.</summary>
    /// <param name="active">Active inputs.</param>
    /// <returns>Its number, from 0.</returns>
    /// <exception cref="ArgumentException">Empty, or an input outside the field or named twice.</exception>
    public int Store(int[] active)
    {
        MacGuard.CheckActive(active, Inputs, nameof(active), "input");
        if (words.Length < (Count + 1) * wordsPerItem) Array.Resize(ref words, Math.Max(64 * wordsPerItem, 2 * words.Length));
        Pack(active, words.AsSpan(Count * wordsPerItem, wordsPerItem));
        return Count++;
    }

    /// <summary>The stored item that differs in the fewest inputs; ties go to the first.</summary>
    /// <param name="active">Active inputs.</param>
    /// <returns>Its number and its Hamming distance.</returns>
    /// <exception cref="ArgumentException">Empty, or an input outside the field or named twice.</exception>
    /// <exception cref="InvalidOperationException">Nothing is stored.</exception>
    public (int Item, int Distance) Nearest(int[] active)
    {
        MacGuard.CheckActive(active, Inputs, nameof(active), "input");
        if (Count == 0) throw new InvalidOperationException("Nothing is stored, so nothing is nearest.");
        Span<ulong> query = new ulong[wordsPerItem];
        Pack(active, query);
        (int item, int least) = (0, int.MaxValue);
        for (int i = 0; i < Count; i++)
        {
            ReadOnlySpan<ulong> stored = words.AsSpan(i * wordsPerItem, wordsPerItem);
            int distance = 0;
            for (int w = 0; w < stored.Length; w++) distance += BitOperations.PopCount(stored[w] ^ query[w]);
            if (distance < least) (item, least) = (i, distance);
        }

        return (item, least);
    }

    private static void Pack(int[] active, Span<ulong> words)
    {
        foreach (int i in active) words[i / 64] |= 1UL << (i % 64);
    }
}
