using Sparseland.Tensors;

namespace Sparseland.FeatureSelection;

/// <summary>Places of a matrix that are not taken, drawn uniformly and without replacement.</summary>
internal static class FreePlaces
{
    /// <summary>Draws some of them.</summary>
    /// <param name="places">Places in all.</param>
    /// <param name="taken">Those that are taken, all different.</param>
    /// <param name="count">How many are wanted.</param>
    /// <param name="random">The source.</param>
    /// <returns>The drawn places, ascending.</returns>
    public static long[] Draw(long places, long[] taken, int count, ref SeededRandom random)
    {
        long free = places - taken.Length;
        if (count > free) throw new ArgumentOutOfRangeException(nameof(count), count, $"Only {free} of {places} places are free.");

        // The k-th free place in rank: a rank is drawn, no place is looked for, however full the matrix is (Floyd's sampling).
        var ranks = new HashSet<long>(count);
        for (long top = free - count; top < free; top++)
        {
            long rank = (long)(random.NextDouble() * (top + 1));
            if (!ranks.Add(rank)) ranks.Add(top);
        }

        long[] drawn = [.. ranks.Order()];
        long[] sorted = [.. taken.Order()];
        int passed = 0;
        for (int i = 0; i < drawn.Length; i++)
        {
            // A free place of rank r is r plus the taken places before it.
            while (passed < sorted.Length && sorted[passed] <= drawn[i] + passed) passed++;
            drawn[i] += passed;
        }

        return drawn;
    }
}
