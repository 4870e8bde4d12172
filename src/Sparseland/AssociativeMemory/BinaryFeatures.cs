using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.AssociativeMemory;

/// <summary>Binary features of grey pictures, always with the same number of active ones, as an associative memory wants them.</summary>
public static class BinaryFeatures
{
    private const int Directions = 8;

    /// <summary>One active feature per pooled pixel: which of the levels of ink it has.</summary>
    /// <param name="images">[samples, height, width], float32 or float64, 0 to 1.</param>
    /// <param name="pool">Side of the square that is averaged, dividing height and width. Default 2.</param>
    /// <param name="levels">Levels between 0 and 1, at least 2. Default 3.</param>
    /// <returns>
    /// [samples] arrays of (height / pool) (width / pool) features out of levels times as many; feature = pixel * levels + level.
    /// </returns>
    /// <exception cref="ArgumentException">Shape, type or values do not fit, or a number is out of range.</exception>
    public static int[][] OneHotLevels(Tensor images, int pool = 2, int levels = 3)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(levels, 2);
        (double[] pixels, int samples, int height, int width) = Pooled(images, pool);
        int size = height * width;
        return [.. Enumerable.Range(0, samples).Select(s => Enumerable.Range(0, size)
            .Select(p => (p * levels) + Math.Min(levels - 1, (int)(pixels[(s * size) + p] * levels))).ToArray())];
    }

    /// <summary>The strongest edges: a feature is a place and one of eight directions of the gradient of the pooled picture.</summary>
    /// <param name="images">[samples, height, width], float32 or float64, 0 to 1.</param>
    /// <param name="active">Edges to keep, at most one per place.</param>
    /// <param name="pool">Side of the square that is averaged, dividing height and width. Default 2.</param>
    /// <returns>
    /// [samples] arrays of <paramref name="active"/> features, ascending, out of 8 (height / pool) (width / pool); feature = place * 8 +
    /// direction. Ties go to the lower place.
    /// </returns>
    /// <exception cref="ArgumentException">Shape, type or values do not fit, or a number is out of range.</exception>
    public static int[][] Edges(Tensor images, int active, int pool = 2)
    {
        (double[] pixels, int samples, int height, int width) = Pooled(images, pool);
        int size = height * width;
        ArgumentOutOfRangeException.ThrowIfLessThan(active, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(active, size);
        var strength = new double[size];
        var feature = new int[size];
        var all = new int[samples][];
        for (int s = 0; s < samples; s++)
        {
            ReadOnlySpan<double> picture = pixels.AsSpan(s * size, size);
            for (int p = 0; p < size; p++)
            {
                // Outside the picture its edge goes on: no gradient comes from the frame.
                int row = p / width, column = p % width;
                double down = picture[(Math.Min(row + 1, height - 1) * width) + column] - picture[(Math.Max(row - 1, 0) * width) + column];
                double right = picture[(row * width) + Math.Min(column + 1, width - 1)] - picture[(row * width) + Math.Max(column - 1, 0)];
                strength[p] = (down * down) + (right * right);
                double turn = (Math.Atan2(down, right) / (2 * Math.PI)) + 1;
                feature[p] = (p * Directions) + ((int)Math.Round(turn * Directions) % Directions);
            }

            all[s] = [.. Enumerable.Range(0, size).OrderByDescending(p => strength[p]).Take(active).Select(p => feature[p]).Order()];
        }

        return all;
    }

    private static (double[] Pixels, int Samples, int Height, int Width) Pooled(Tensor images, int pool)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.dim() != 3 || images.numel() == 0)
            throw new ArgumentException($"images must be [samples, height, width] and not empty, but is [{string.Join(", ", images.shape)}].", nameof(images));
        if (images.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"images is {images.dtype}; it must be Float32 or Float64.", nameof(images));
        ArgumentOutOfRangeException.ThrowIfLessThan(pool, 1);
        (int samples, int height, int width) = ((int)images.shape[0], (int)images.shape[1], (int)images.shape[2]);
        if (height % pool != 0 || width % pool != 0)
            throw new ArgumentException($"pool is {pool}; it must divide height {height} and width {width}.", nameof(pool));
        using var scope = NewDisposeScope();
        Tensor values = images.detach().cpu().to(ScalarType.Float64);
        if (!values.ge(0).logical_and(values.le(1)).all().item<bool>()) throw new ArgumentException("images holds a value outside 0 .. 1, or NaN.", nameof(images));
        Tensor pooled = values.reshape(samples, height / pool, pool, width / pool, pool).mean([2, 4]).contiguous();
        return (pooled.data<double>().ToArray(), samples, height / pool, width / pool);
    }
}
