namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>Labels beside the ends of curves, moved apart where they would overlap.</summary>
internal static class EndLabels
{
    /// <summary>Places as near to the wished ones as a minimum distance and the range allow; same order as given.</summary>
    /// <param name="wished">Wished centre of each label.</param>
    /// <param name="distance">Smallest distance between two centres.</param>
    /// <param name="from">Lowest allowed centre.</param>
    /// <param name="to">Highest allowed centre; the range must be able to hold all labels.</param>
    public static double[] Spread(IReadOnlyList<double> wished, double distance, double from, double to)
    {
        int[] order = [.. Enumerable.Range(0, wished.Count).OrderBy(i => wished[i]).ThenBy(i => i)];
        // Labels that touch form a block; a block sits at the mean of its members' wishes (isotonic regression).
        var blocks = new List<(double Start, int Count)>();
        for (int k = 0; k < order.Length; k++)
        {
            blocks.Add((wished[order[k]], 1));
            while (blocks.Count > 1 && blocks[^2].Start + (blocks[^2].Count * distance) > blocks[^1].Start)
            {
                var (a, b) = (blocks[^2], blocks[^1]);
                double start = ((a.Start * a.Count) + ((b.Start - (a.Count * distance)) * b.Count)) / (a.Count + b.Count);
                blocks.RemoveAt(blocks.Count - 1);
                blocks[^1] = (start, a.Count + b.Count);
            }
        }
        var places = new double[order.Length];
        int next = 0;
        foreach (var (start, count) in blocks)
        {
            for (int k = 0; k < count; k++)
                places[next++] = start + (k * distance);
        }
        for (int k = 0; k < places.Length; k++)
            places[k] = Math.Max(places[k], from + (k * distance));
        for (int k = places.Length - 1; k >= 0; k--)
            places[k] = Math.Min(places[k], to - ((places.Length - 1 - k) * distance));
        var result = new double[order.Length];
        for (int k = 0; k < order.Length; k++)
            result[order[k]] = places[k];
        return result;
    }
}
