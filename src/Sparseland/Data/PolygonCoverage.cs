namespace Sparseland.Data;

/// <summary>
/// How much of each pixel a polygon covers: on four lines through every row, exact along the line. Even-odd rule.
/// </summary>
internal sealed class PolygonCoverage(int size)
{
    private const int Lines = 4;
    private const int MostCrossings = 32;

    private readonly float[] _cover = new float[size * size];

    /// <summary>Shares 0 to 1, row by row, of the polygon that was filled last.</summary>
    internal ReadOnlySpan<float> Cover => _cover;

    internal void Fill(ReadOnlySpan<double[]> loops)
    {
        Array.Clear(_cover);
        Span<double> crossings = stackalloc double[MostCrossings];
        for (int line = 0; line < size * Lines; line++)
        {
            double y = (line + 0.5) / Lines;
            int found = 0;
            foreach (double[] loop in loops)
            {
                double fromX = loop[^2], fromY = loop[^1];
                for (int i = 0; i < loop.Length; i += 2)
                {
                    double toX = loop[i], toY = loop[i + 1];
                    if (fromY <= y != toY <= y && found < MostCrossings)
                        crossings[found++] = fromX + ((y - fromY) / (toY - fromY) * (toX - fromX));
                    (fromX, fromY) = (toX, toY);
                }
            }
            crossings[..found].Sort();
            Span<float> row = _cover.AsSpan(line / Lines * size, size);
            for (int i = 0; i + 1 < found; i += 2)
                Cross(row, crossings[i], crossings[i + 1]);
        }
    }

    private static void Cross(Span<float> row, double from, double to)
    {
        from = Math.Max(from, 0);
        to = Math.Min(to, row.Length);
        for (int column = (int)from; column < to; column++)
            row[column] += (float)((Math.Min(to, column + 1) - Math.Max(from, column)) / Lines);
    }
}
