using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>How <see cref="FarPairs"/> vary. Lengths are in pixels of a 28 x 28 image.</summary>
public sealed record FarPairsOptions
{
    /// <summary>Smallest distance of the two marks, at least 5. Default 8.</summary>
    public double MinDistance { get; init; } = 8;

    /// <summary>Largest distance of the two marks, not below <see cref="MinDistance"/> and at most 26. Default 24.</summary>
    public double MaxDistance { get; init; } = 24;

    /// <summary>Standard deviation of the noise added to each value before clipping to 0 .. 1; from 0 to 1. Default 0.1.</summary>
    public double Noise { get; init; } = 0.1;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public void Validate()
    {
        if (!(MinDistance >= 5)) throw new ArgumentOutOfRangeException(nameof(MinDistance), MinDistance, $"{nameof(MinDistance)} must be at least 5 pixels, so that marks do not touch.");
        if (!(MaxDistance >= MinDistance && MaxDistance <= 26)) throw new ArgumentOutOfRangeException(nameof(MaxDistance), MaxDistance, $"{nameof(MaxDistance)} must be from {nameof(MinDistance)} = {MinDistance} to 26 pixels.");
        if (!(Noise is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Noise), Noise, $"{nameof(Noise)} must be from 0 to 1.");
    }
}

/// <summary>Pairs of marks with their distances.</summary>
/// <param name="Images">[samples, 28, 28], 0 to 1.</param>
/// <param name="Labels">[samples], int64: 0 different, 1 alike.</param>
/// <param name="Distances">Pixels between the centres of the two marks, one per image.</param>
public sealed record FarPairSet(Tensor Images, Tensor Labels, IReadOnlyList<double> Distances) : LabelledImages(Images, Labels, FarPairs.ClassNames)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Two small marks, each an upright or a lying bar, at a random distance on an empty grey image; the class says whether they are alike. No place alone knows it, and neither does a count of places:
/// something must bring the two together over their distance. Sample i depends on the seed and on i alone.
/// </summary>
public static class FarPairs
{
    /// <summary>Rows and columns of an image.</summary>
    public const int Size = 28;

    /// <summary>"different", "alike".</summary>
    public static IReadOnlyList<string> ClassNames { get; } = ["different", "alike"];

    /// <summary>Draws pairs; marks, places and directions are uniform.</summary>
    /// <param name="samples">How many, at least 1.</param>
    /// <param name="seed">Same seed, same images, bit for bit.</param>
    /// <param name="options">How they vary; null for the defaults.</param>
    /// <param name="cancel">Stops between samples.</param>
    /// <returns>Grey images [samples, 28, 28].</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="samples"/> is below 1 or an option is out of range.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was signalled.</exception>
    public static FarPairSet Generate(int samples, long seed, FarPairsOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 1);
        options ??= new();
        options.Validate();
        const int pixels = Size * Size;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(samples, Array.MaxLength / pixels);
        using DisposeScope scope = NewDisposeScope();
        Tensor images = empty(samples, Size, Size);
        nint memory = TensorMemory.StartOf(images);
        var labels = new long[samples];
        var distances = new double[samples];
        Parallel.For(0, samples, new ParallelOptions { CancellationToken = cancel }, i =>
        {
            var random = new SeededRandom(seed, i);
            (labels[i], distances[i]) = Draw(TensorMemory.Part<float>(memory, (long)i * pixels, pixels), ref random, options);
        });
        return new(images.MoveToOuterDisposeScope(), tensor(labels).MoveToOuterDisposeScope(), distances);
    }

    private static (long Label, double Distance) Draw(Span<float> image, ref SeededRandom random, FarPairsOptions options)
    {
        image.Fill(0.3f);
        bool first = random.NextInt(2) == 1, second = random.NextInt(2) == 1;
        double wanted = random.NextDouble(options.MinDistance, options.MaxDistance);
        while (true)
        {
            // Centres on whole pixels, three from the rim; the second anew until it lies inside.
            (double sin, double cos) = Math.SinCos(random.NextDouble(0, 2 * Math.PI));
            int row = 3 + random.NextInt(Size - 6), column = 3 + random.NextInt(Size - 6), dy = (int)Math.Round(wanted * sin), dx = (int)Math.Round(wanted * cos);
            if (row + dy is < 3 or > Size - 4 || column + dx is < 3 or > Size - 4) continue;
            Bar(image, row, column, first);
            Bar(image, row + dy, column + dx, second);
            foreach (ref float value in image) value = Math.Clamp(value + (float)(options.Noise * random.NextGaussian()), 0, 1);
            return (first == second ? 1 : 0, Math.Sqrt((dy * dy) + (dx * dx)));
        }
    }

    /// <summary>Five pixels in a row or in a column, two wide.</summary>
    private static void Bar(Span<float> image, int row, int column, bool upright)
    {
        for (int along = -2; along <= 2; along++)
        {
            for (int across = 0; across < 2; across++) image[upright ? ((row + along) * Size) + column + across : ((row + across) * Size) + column + along] = 0.9f;
        }
    }
}
