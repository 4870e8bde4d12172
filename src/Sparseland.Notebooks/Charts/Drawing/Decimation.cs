namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>
/// Fewer points, the same picture: in each pixel column of a line over increasing x only the first, lowest, highest and last
/// point matter, since all others fall on the stroke between them.
/// </summary>
internal static class Decimation
{
    /// <summary>Indices to draw, in order, for points at increasing positions; all of them where there are few.</summary>
    /// <param name="position">Place along the axis in pixels, not decreasing.</param>
    /// <param name="value">Value at each place, finite.</param>
    /// <param name="start">First point of the run.</param>
    /// <param name="end">One past its last.</param>
    /// <param name="columnWidth">Width of a column in pixels.</param>
    public static IReadOnlyList<int> Line(Func<int, double> position, Func<int, double> value, int start, int end, double columnWidth)
    {
        double span = position(end - 1) - position(start);
        if (end - start <= 4 * Math.Max(1, span / columnWidth))
            return [.. Enumerable.Range(start, end - start)];
        var kept = new List<int>();
        int i = start;
        while (i < end)
        {
            double column = Math.Floor(position(i) / columnWidth);
            int first = i, low = i, high = i;
            for (; i < end && Math.Floor(position(i) / columnWidth) == column; i++)
            {
                low = value(i) < value(low) ? i : low;
                high = value(i) > value(high) ? i : high;
            }
            foreach (int index in new SortedSet<int> { first, low, high, i - 1 })
                kept.Add(index);
        }
        return kept;
    }

    /// <summary>Whether values never decrease.</summary>
    public static bool IsIncreasing(IReadOnlyList<double> x)
    {
        for (int i = 1; i < x.Count; i++)
        {
            if (x[i] < x[i - 1])
                return false;
        }
        return true;
    }
}
