using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// Dead-leaves images: disks fall on one another, the latest hides the earlier ones. With radius density r^-3 between two
/// cut-offs they share with photographs the power spectrum near 1/f^2, edges, occlusion and heavy tails.
/// </summary>
/// <remarks>
/// Model: Matheron 1968; scaling radii: Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001. Drawing
/// front to back until no pixel is bare gives an exact sample of the stationary model (Kendall and Thonnes, "Perfect
/// simulation in stochastic geometry", 1999): what falls behind a full cover cannot be seen, however much falls. Centres
/// are uniform over the image widened by the largest radius on every side, so the border is like the middle.
/// The power law of the spectrum holds for wavelengths between 2 pi MinRadius and 2 MaxRadius; at shorter ones it bends
/// towards the 1/f^3 of bare edges. Measured at 256 x 256: slope -2.1 from 4 to 30 cycles with the defaults, -1.9 from 4 to
/// 80 with MinRadius 1. Eight such images take about 0.2 s on one core.
/// </remarks>
public static class DeadLeaves
{
    /// <summary>Images of the same kind from one seed, each with its own stream of random numbers.</summary>
    /// <param name="count">Number of images, at least 1.</param>
    /// <param name="seed">Seed. Image i is the same whatever <paramref name="count"/> and the number of threads.</param>
    /// <param name="options">Size and radii; null for the defaults (256 x 256, radii ~ r^-3 in [3, 80]).</param>
    /// <param name="progress">Told of every finished image.</param>
    /// <param name="cancellation">Stops between disks.</param>
    /// <returns>float64 [count, height, width], intensities in [0, 1].</returns>
    /// <exception cref="ArgumentOutOfRangeException">The count or an option is out of its range.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static Tensor Generate(
        int count, int seed, DeadLeavesOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancellation = default)
    {
        options ??= new DeadLeavesOptions();
        options.Validate();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        long pixels = (long)options.Height * options.Width;
        if (pixels * count > Array.MaxLength)
            throw new ArgumentOutOfRangeException(nameof(count), count, $"{count} images of {options.Height} x {options.Width} have more than {Array.MaxLength} pixels.");

        double[] values = new double[pixels * count];
        int done = 0;
        object gate = new();
        Parallel.For(0, count, new ParallelOptions { CancellationToken = cancellation }, index =>
        {
            Render(values.AsSpan((int)(index * pixels), (int)pixels), options, seed, index, cancellation);
            lock (gate)
                progress?.Report(new ProgressReport(++done, count, "dead leaves"));
        });
        return tensor(values, [count, options.Height, options.Width]);
    }

    /// <summary>
    /// The endless sequence of disks of one image, front to back: radius from the power law, centre uniform over the
    /// widened image, grey uniform on [0, 1). Many of them miss the image.
    /// </summary>
    /// <param name="options">Size and radii.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="index">Number of the image within the seed. Default 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static IEnumerable<Disk> Disks(DeadLeavesOptions options, int seed, int index = 0)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return Endless();

        IEnumerable<Disk> Endless()
        {
            var random = new SeededRandom(seed, index);
            while (true)
                yield return Next(options, ref random);
        }
    }

    /// <summary>Radius below which a share of the disks lies: the quantile function of r^-alpha between the cut-offs.</summary>
    /// <param name="share">From 0 to 1.</param>
    /// <param name="options">Cut-offs and exponent.</param>
    public static double RadiusQuantile(double share, DeadLeavesOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!(share is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(share), share, "A share lies between 0 and 1.");
        // In units of the smaller radius, so that no power under- or overflows.
        double ratio = options.MaxRadius / options.MinRadius;
        double power = 1 - options.Alpha;
        double scaled = Math.Abs(power) < 1e-9
            ? Math.Pow(ratio, share)
            : Math.Pow(1 - share + (share * Math.Pow(ratio, power)), 1 / power);
        return Math.Clamp(options.MinRadius * scaled, options.MinRadius, options.MaxRadius);
    }

    /// <summary>Draws one image.</summary>
    /// <param name="image">Receives height x width intensities, row-major.</param>
    /// <param name="options">Size and radii.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="index">Number of the image within the seed. Default 0.</param>
    /// <param name="cancellation">Stops between disks.</param>
    /// <returns>Disks drawn until the image was covered, the hidden ones among them included.</returns>
    /// <exception cref="ArgumentException">The span has another length.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static long Render(Span<double> image, DeadLeavesOptions options, int seed, int index = 0, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (image.Length != (long)options.Height * options.Width)
            throw new ArgumentException($"An image of {options.Height} x {options.Width} has {(long)options.Height * options.Width} pixels, not {image.Length}.", nameof(image));

        var canvas = new LeafCanvas(options);
        var random = new SeededRandom(seed, index);
        long disks = 0;
        while (canvas.Bare > 0)
        {
            if ((disks++ & 1023) == 0)
                cancellation.ThrowIfCancellationRequested();
            canvas.PutBehind(Next(options, ref random));
        }
        canvas.AverageInto(image);
        return disks;
    }

    private static Disk Next(DeadLeavesOptions options, ref SeededRandom random)
    {
        double margin = options.MaxRadius;
        return new Disk(
            Radius: RadiusQuantile(random.NextDouble(), options),
            X: random.NextDouble(-margin, options.Width + margin),
            Y: random.NextDouble(-margin, options.Height + margin),
            Grey: random.NextDouble(),
            Texture: random.NextBits());
    }
}
