using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// Drawn digits with their labels: MNIST's format, made here, so that a lesson needs no download and nobody's licence.
/// </summary>
/// <param name="Images">[samples, 28, 28], float32, ink 1 on paper 0.</param>
/// <param name="Labels">[samples], int64, 0 to 9.</param>
public sealed record GlyphDigitSet(Tensor Images, Tensor Labels) : LabelledImages(Images, Labels, GlyphDigits.ClassNames)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Makes digits with a pen: each class has one or two ways to write it, given as control points of strokes; a sample moves
/// the points, draws a smooth curve through them (Catmull and Rom 1974), turns, slants, stretches and shifts it, and inks every
/// pixel by its distance from the curve. Sample i depends on the seed and on i alone, so sets of different sizes agree where
/// they overlap and the number of threads cannot matter.
/// </summary>
public static class GlyphDigits
{
    /// <summary>Rows and columns of an image.</summary>
    public const int Size = 28;

    /// <summary>"0" to "9".</summary>
    public static IReadOnlyList<string> ClassNames { get; } = [.. Enumerable.Range(0, 10).Select(d => $"{d}")];

    /// <summary>Draws <paramref name="samples"/> digits; classes are drawn uniformly at random.</summary>
    /// <param name="samples">How many, at least 1.</param>
    /// <param name="seed">Same seed, same digits, bit for bit.</param>
    /// <param name="options">How much they vary; null for the defaults.</param>
    /// <param name="cancel">Stops between samples.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="samples"/> is below 1 or an option is out of range.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was signalled.</exception>
    public static GlyphDigitSet Generate(int samples, long seed, GlyphDigitsOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 1);
        options ??= new();
        options.Validate();
        const int pixels = Size * Size;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(samples, Array.MaxLength / pixels);
        using var scope = NewDisposeScope();
        Tensor images = zeros(samples, Size, Size);
        nint memory = TensorMemory.StartOf(images);
        var labels = new long[samples];
        Parallel.For(0, samples, new ParallelOptions { CancellationToken = cancel }, i =>
        {
            var random = new SeededRandom(seed, i);
            int digit = random.NextInt(10);
            labels[i] = digit;
            Draw(TensorMemory.Part<float>(memory, (long)i * pixels, pixels), digit, ref random, options);
        });
        return new(images.MoveToOuterDisposeScope(), tensor(labels).MoveToOuterDisposeScope());
    }

    private static void Draw(Span<float> image, int digit, ref SeededRandom random, GlyphDigitsOptions options)
    {
        double[][][] ways = GlyphStrokes.Of(digit);
        double[][] strokes = ways[random.NextInt(ways.Length)];
        (double sin, double cos) = Math.SinCos(random.NextDouble(-1, 1) * options.Rotation * Math.PI / 180);
        double shear = random.NextDouble(-1, 1) * options.Shear;
        double width = 20 * (1 + (random.NextDouble(-1, 1) * options.Scale)) * 0.72;
        double height = 20 * (1 + (random.NextDouble(-1, 1) * options.Scale));
        double right = (Size / 2.0) + (random.NextDouble(-1, 1) * options.Shift);
        double down = (Size / 2.0) + (random.NextDouble(-1, 1) * options.Shift);
        double radius = random.NextDouble(options.MinPen, options.MaxPen) / 2;
        foreach (double[] stroke in strokes)
        {
            var moved = new double[stroke.Length];
            for (int i = 0; i < stroke.Length; i += 2)
            {
                double y = ((stroke[i + 1] - 0.5) * height) + (options.Jitter * random.NextGaussian());
                double x = ((stroke[i] - 0.5) * width) + (options.Jitter * random.NextGaussian()) - (shear * y);
                moved[i] = right + (cos * x) - (sin * y);
                moved[i + 1] = down + (sin * x) + (cos * y);
            }
            Ink(image, moved, radius);
        }
        foreach (ref float pixel in image)
            pixel = (float)Math.Clamp(pixel + (options.Noise * random.NextGaussian()), 0, 1);
    }

    /// <summary>Curve through the points, as short segments; a pixel takes the ink of the nearest.</summary>
    private static void Ink(Span<float> image, ReadOnlySpan<double> points, double radius)
    {
        const int pieces = 6;
        int count = points.Length / 2;
        (double fromX, double fromY) = (points[0], points[1]);
        for (int i = 0; i + 1 < count; i++)
        {
            int before = 2 * Math.Max(i - 1, 0), start = 2 * i, end = 2 * (i + 1), after = 2 * Math.Min(i + 2, count - 1);
            for (int piece = 1; piece <= pieces; piece++)
            {
                double t = (double)piece / pieces;
                double x = Spline(points[before], points[start], points[end], points[after], t);
                double y = Spline(points[before + 1], points[start + 1], points[end + 1], points[after + 1], t);
                InkSegment(image, fromX, fromY, x, y, radius);
                (fromX, fromY) = (x, y);
            }
        }
    }

    private static double Spline(double before, double start, double end, double after, double t) =>
        start + (0.5 * t * (end - before + (t * ((2 * before) - (5 * start) + (4 * end) - after + (t * ((3 * (start - end)) + after - before))))));

    /// <summary>Ink falls from 1 to 0 over the one pixel around the pen's edge, which is what averaging over the pixel would give.</summary>
    private static void InkSegment(Span<float> image, double x0, double y0, double x1, double y1, double radius)
    {
        double reach = radius + 1;
        int top = Math.Max(0, (int)(Math.Min(y0, y1) - reach)), bottom = Math.Min(Size - 1, (int)(Math.Max(y0, y1) + reach));
        int left = Math.Max(0, (int)(Math.Min(x0, x1) - reach)), right = Math.Min(Size - 1, (int)(Math.Max(x0, x1) + reach));
        double dx = x1 - x0, dy = y1 - y0, lengthSquared = (dx * dx) + (dy * dy);
        for (int row = top; row <= bottom; row++)
        {
            for (int column = left; column <= right; column++)
            {
                double px = column + 0.5 - x0, py = row + 0.5 - y0;
                double along = lengthSquared == 0 ? 0 : Math.Clamp(((px * dx) + (py * dy)) / lengthSquared, 0, 1);
                double ex = px - (along * dx), ey = py - (along * dy);
                float ink = (float)Math.Clamp(radius + 0.5 - Math.Sqrt((ex * ex) + (ey * ey)), 0, 1);
                ref float pixel = ref image[(row * Size) + column];
                pixel = Math.Max(pixel, ink);
            }
        }
    }
}
