using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// From grey images to the patches that sparse coding learns from: standardise each image, whiten, scale all together, cut
/// patches (Olshausen and Field 1997; the order and the variance 0.1 as in Rentzeperis et al. 2023).
/// </summary>
public static class ImagePatches
{
    /// <summary>Dead-leaves images with the default radii (r^-3 in [3, 80]); see <see cref="DeadLeaves.Generate"/> for others.</summary>
    /// <param name="size">Height and width, at least 1.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="count">Number of images, at least 1. Default 8.</param>
    /// <returns>float64 [count, size, size], intensities in [0, 1].</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument is out of its range.</exception>
    public static Tensor DeadLeaves(int size, int seed, int count = 8) =>
        Data.DeadLeaves.Generate(count, seed, new DeadLeavesOptions { Height = size, Width = size });

    /// <summary>
    /// Each image minus its mean, divided by its standard deviation (over its pixels, divisor height x width). A scaling of
    /// the image to [0, 1] beforehand would cancel here.
    /// </summary>
    /// <param name="images">[count, height, width], float32 or float64.</param>
    /// <returns>Images of the same shape and type.</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, a value that is not finite, or an image without variance.</exception>
    public static Tensor Standardize(Tensor images)
    {
        ImageStack.Validate(images);
        using DisposeScope scope = NewDisposeScope();
        Tensor centred = images - images.mean([1, 2], keepdim: true);
        Tensor deviation = centred.square().mean([1, 2], keepdim: true).sqrt();
        // Rounding leaves a constant image a tiny deviation, in proportion to its grey.
        double rounding = images.dtype == ScalarType.Float64 ? 1e-13 : 1e-5;
        Tensor flat = deviation <= rounding * images.abs().amax([1, 2], keepdim: true);
        if (flat.any().item<bool>())
            throw new ArgumentException($"Image {flat.flatten().to(ScalarType.Int32).argmax().item<long>()} has no variance: all its pixels are equal.", nameof(images));
        return (centred / deviation).MoveToOuterDisposeScope();
    }

    /// <summary>Scales all images by one factor, so that the mean over images of the pixel variance is as given.</summary>
    /// <param name="images">[count, height, width], float32 or float64.</param>
    /// <param name="variance">Finite and above 0. Default 0.1.</param>
    /// <returns>Images of the same shape and type.</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, a value that is not finite, or no variance in any image.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The variance is not finite or not above 0.</exception>
    public static Tensor ScaleToVariance(Tensor images, double variance = 0.1)
    {
        ImageStack.Validate(images);
        ValidateVariance(variance);
        using DisposeScope scope = NewDisposeScope();
        Tensor centred = images - images.mean([1, 2], keepdim: true);
        double now = centred.square().mean().to(ScalarType.Float64).item<double>();
        if (!(now > 0))
            throw new ArgumentException("No image has variance: there is nothing to scale.", nameof(images));
        return (images * Math.Sqrt(variance / now)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The three steps in order: <see cref="Standardize"/>, <see cref="RetinalFilter.Apply"/>, <see cref="ScaleToVariance"/>.
    /// </summary>
    /// <param name="images">[count, height, width], float32 or float64.</param>
    /// <param name="f0">Cut-off frequency of the filter as a share of the height. Default 0.4.</param>
    /// <param name="variance">Mean over images of the pixel variance of the result. Default 0.1.</param>
    /// <returns>Whitened images of the same shape and type.</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, a value that is not finite, or an image without variance.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The cut-off or the variance is not finite or not above 0.</exception>
    public static Tensor WhitenRetinal(Tensor images, double f0 = 0.4, double variance = 0.1)
    {
        RetinalFilter.ValidateCutoff(f0, nameof(f0));
        ValidateVariance(variance);
        using DisposeScope scope = NewDisposeScope();
        return ScaleToVariance(RetinalFilter.Apply(Standardize(images), f0), variance).MoveToOuterDisposeScope();
    }

    /// <summary>Random places, each image and each place within it equally likely, drawn with replacement.</summary>
    /// <param name="imageCount">Number of images.</param>
    /// <param name="height">Rows of an image.</param>
    /// <param name="width">Columns of an image.</param>
    /// <param name="patchSize">Height and width of a patch, from 1 to the smaller side of the image.</param>
    /// <param name="count">Number of places, at least 1.</param>
    /// <param name="seed">Seed; the first places do not depend on <paramref name="count"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument is out of its range.</exception>
    public static PatchPosition[] Positions(int imageCount, int height, int width, int patchSize, int count, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(imageCount);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(patchSize);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        if (patchSize > Math.Min(height, width))
            throw new ArgumentOutOfRangeException(nameof(patchSize), patchSize, $"A patch of {patchSize} x {patchSize} does not fit into an image of {height} x {width}.");
        var random = new SeededRandom(seed);
        var positions = new PatchPosition[count];
        for (int i = 0; i < count; i++)
            positions[i] = new PatchPosition(random.NextInt(imageCount), random.NextInt(height - patchSize + 1), random.NextInt(width - patchSize + 1));
        return positions;
    }

    /// <summary>Cuts the patches at the given places.</summary>
    /// <param name="images">[count, height, width], float32 or float64, finite.</param>
    /// <param name="patchSize">Height and width of a patch.</param>
    /// <param name="positions">At least one place.</param>
    /// <returns>[positions, patchSize * patchSize], each patch row-major, in the type and on the device of the images.</returns>
    /// <exception cref="ArgumentException">Wrong shape or type of the images, a value that is not finite, or no place.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A patch would reach beyond its image.</exception>
    public static Tensor Extract(Tensor images, int patchSize, IReadOnlyList<PatchPosition> positions)
    {
        (int count, int height, int width) = ImageStack.Validate(images);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(patchSize);
        ArgumentNullException.ThrowIfNull(positions);
        if (positions.Count == 0)
            throw new ArgumentException("There is no patch to cut.", nameof(positions));
        long[] starts = new long[positions.Count];
        for (int i = 0; i < starts.Length; i++)
        {
            PatchPosition p = positions[i];
            if (p.Image < 0 || p.Image >= count || p.Row < 0 || p.Row > height - patchSize || p.Column < 0 || p.Column > width - patchSize)
                throw new ArgumentOutOfRangeException(nameof(positions), p, $"Place {i}: a {patchSize} x {patchSize} patch there is not within images [{count}, {height}, {width}].");
            starts[i] = (((long)p.Image * height) + p.Row) * width + p.Column;
        }

        using DisposeScope scope = NewDisposeScope();
        Tensor line = arange(patchSize, dtype: ScalarType.Int64);
        Tensor offsets = ((line.unsqueeze(1) * width) + line.unsqueeze(0)).reshape(1, -1);
        Tensor pixels = (tensor(starts, [starts.Length, 1]) + offsets).to(images.device);
        return images.reshape(-1).index_select(0, pixels.reshape(-1)).reshape(starts.Length, (long)patchSize * patchSize).MoveToOuterDisposeScope();
    }

    /// <summary>Random patches: <see cref="Positions"/>, then <see cref="Extract"/>.</summary>
    /// <param name="images">[count, height, width], float32 or float64, finite.</param>
    /// <param name="patchSize">Height and width of a patch, from 1 to the smaller side of the image.</param>
    /// <param name="count">Number of patches, at least 1.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="subtractMean">Whether each patch loses its own mean. Default true.</param>
    /// <returns>[count, patchSize * patchSize], each patch row-major, in the type and on the device of the images.</returns>
    /// <exception cref="ArgumentException">Wrong shape or type of the images, or a value that is not finite.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The patch does not fit, or a count is not positive.</exception>
    public static Tensor Sample(Tensor images, int patchSize, int count, int seed, bool subtractMean = true)
    {
        (int imageCount, int height, int width) = ImageStack.Validate(images);
        PatchPosition[] positions = Positions(imageCount, height, width, patchSize, count, seed);
        using DisposeScope scope = NewDisposeScope();
        Tensor patches = Extract(images, patchSize, positions);
        return (subtractMean ? patches - patches.mean([1], keepdim: true) : patches).MoveToOuterDisposeScope();
    }

    private static void ValidateVariance(double variance)
    {
        if (!double.IsFinite(variance) || variance <= 0)
            throw new ArgumentOutOfRangeException(nameof(variance), variance, "The variance must be finite and above 0.");
    }
}
