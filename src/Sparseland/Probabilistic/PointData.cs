using Sparseland.Tensors;

namespace Sparseland.Probabilistic;

/// <summary>The points that an E-step looks at: some rows of a matrix, with noise that depends on nothing but seed, step and row.</summary>
/// <param name="values">Row-major matrix.</param>
/// <param name="features">Columns.</param>
/// <param name="rows">Rows to look at; null for all.</param>
/// <param name="noise">Standard deviation of noise added to each value.</param>
/// <param name="noiseSeed">Seed of it.</param>
internal sealed class PointData(double[] values, int features, int[]? rows = null, double noise = 0, long noiseSeed = 0)
{
    public int Count => rows?.Length ?? values.Length / features;

    /// <summary>A point; the scratch receives it where it is not in memory as it is.</summary>
    public ReadOnlySpan<double> Row(int n, Span<double> scratch)
    {
        int row = rows?[n] ?? n;
        ReadOnlySpan<double> clean = values.AsSpan(row * features, features);
        if (noise == 0) return clean;
        var random = new SeededRandom(noiseSeed, row);
        for (int d = 0; d < features; d++) scratch[d] = clean[d] + (noise * random.NextGaussian());
        return scratch[..features];
    }
}
