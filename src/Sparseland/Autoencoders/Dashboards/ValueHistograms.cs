namespace Sparseland.Autoencoders.Dashboards;

/// <summary>
/// Histograms of the values of all latents in one pass, without knowing their range: a range is a power of two, and where a value lies above it the range
/// is doubled and bins are put together in pairs. The result is that of the final range from the beginning.
/// </summary>
internal sealed class ValueHistograms(int latents)
{
    private const int Bins = 64;
    private readonly int[]?[] _counts = new int[latents][];
    private readonly double[] _range = new double[latents];

    public double[] Sum { get; } = new double[latents];

    public double[] Max { get; } = new double[latents];

    /// <summary>Takes in a value, positive and finite.</summary>
    public void Add(int latent, float value)
    {
        int[] counts = _counts[latent] ??= new int[Bins];
        if (_range[latent] == 0) _range[latent] = Math.ScaleB(1, Math.ILogB(value) + 1);
        while (value >= _range[latent])
        {
            _range[latent] *= 2;
            for (int b = 0; b < Bins / 2; b++) counts[b] = counts[2 * b] + counts[(2 * b) + 1];
            Array.Clear(counts, Bins / 2, Bins / 2);
        }

        counts[(int)(value / _range[latent] * Bins)]++;
        Sum[latent] += value;
        Max[latent] = Math.Max(Max[latent], value);
    }

    /// <summary>Histogram of one latent, up to the bin of its largest value.</summary>
    public ValueHistogram Of(int latent) =>
        _counts[latent] is { } counts ? new(_range[latent] / Bins, counts[..(Array.FindLastIndex(counts, n => n > 0) + 1)]) : new(0, []);
}
