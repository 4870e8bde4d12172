using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// Makes coloured pictures in CIFAR-10's format whose class is the outline of a shape and nothing else: colours, textures,
/// background, place, size, turn and the blobs that cover part of the rim are drawn alike for all classes. Sample i depends on
/// the seed and on i alone, so sets of different sizes agree where they overlap and the number of threads cannot matter.
/// </summary>
public static class TexturedShapes
{
    /// <summary>Rows and columns of an image.</summary>
    public const int Size = 32;

    private const int Pixels = Size * Size;

    /// <summary>"disk", "ring", "triangle", "square", "star", "cross", "heart", "crescent", "arrow", "hourglass".</summary>
    public static IReadOnlyList<string> ClassNames => ShapeOutlines.Names;

    /// <summary>Draws <paramref name="samples"/> shapes; classes are drawn uniformly at random.</summary>
    /// <param name="samples">How many, at least 1.</param>
    /// <param name="seed">Same seed, same images, bit for bit.</param>
    /// <param name="options">How much they vary; null for the defaults.</param>
    /// <param name="cancel">Stops between samples.</param>
    /// <returns>Images [samples, 3, 32, 32], RGB from 0 to 1.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="samples"/> is below 1 or an option is out of range.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was signalled.</exception>
    public static LabelledImages Generate(int samples, long seed, TexturedShapesOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 1);
        options ??= new();
        options.Validate();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(samples, Array.MaxLength / (3 * Pixels));
        using var scope = NewDisposeScope();
        Tensor images = empty(samples, 3, Size, Size);
        nint memory = TensorMemory.StartOf(images);
        var labels = new long[samples];
        Parallel.For(0, samples, new ParallelOptions { CancellationToken = cancel }, () => new Painter(options), (i, _, painter) =>
        {
            var random = new SeededRandom(seed, i);
            int shape = random.NextInt(ClassNames.Count);
            labels[i] = shape;
            painter.Paint(TensorMemory.Part<float>(memory, (long)i * 3 * Pixels, 3 * Pixels), shape, ref random);
            return painter;
        }, _ => { });
        return new(images.MoveToOuterDisposeScope(), tensor(labels).MoveToOuterDisposeScope(), ClassNames);
    }

    /// <summary>One thread's brushes; nothing in it outlives an image.</summary>
    private sealed class Painter(TexturedShapesOptions options)
    {
        private readonly ShapeTexture _surface = new(Size);
        private readonly PolygonCoverage _coverage = new(Size);

        /// <summary>Background, shape, blobs, noise.</summary>
        public void Paint(Span<float> image, int shape, ref SeededRandom random)
        {
            _surface.Draw(ref random, options.Texture, default, 0);
            for (int channel = 0; channel < 3; channel++)
            {
                for (int pixel = 0; pixel < Pixels; pixel++) image[(channel * Pixels) + pixel] = _surface.At(pixel, channel);
            }

            float[] background = [.. _surface.Colour];
            double radius = random.NextDouble(options.MinRadius, options.MaxRadius);
            double x = (Size / 2) + (random.NextDouble(-1, 1) * options.Shift), y = (Size / 2) + (random.NextDouble(-1, 1) * options.Shift);
            _surface.Draw(ref random, options.Texture, background, options.Contrast);
            Lay(image, Place(ShapeOutlines.Of(shape), radius, x, y, ref random));

            for (int blobs = random.NextInt(options.Occluders + 1); blobs > 0; blobs--)
            {
                (double sin, double cos) = Math.SinCos(random.NextDouble(0, 2 * Math.PI));
                double distance = radius * random.NextDouble(0.7, 1.1), blob = radius * random.NextDouble(0.25, 0.45);
                _surface.Draw(ref random, options.Texture, default, 0);
                Lay(image, [Blob(x + (distance * cos), y + (distance * sin), blob, ref random)]);
            }

            AddNoise(image, ref random);
        }

        private void Lay(Span<float> image, ReadOnlySpan<double[]> loops)
        {
            _coverage.Fill(loops);
            ReadOnlySpan<float> cover = _coverage.Cover;
            for (int pixel = 0; pixel < Pixels; pixel++)
            {
                if (cover[pixel] == 0) continue;
                for (int channel = 0; channel < 3; channel++)
                {
                    ref float value = ref image[(channel * Pixels) + pixel];
                    value += cover[pixel] * (_surface.At(pixel, channel) - value);
                }
            }
        }

        /// <summary>Turns, stretches and bends an outline and puts it into the image.</summary>
        private double[][] Place(double[][] outline, double radius, double x, double y, ref SeededRandom random)
        {
            (double sin, double cos) = Math.SinCos(random.NextDouble(-1, 1) * options.Rotation * Math.PI / 180);
            double stretch = Math.Sqrt(1 + (random.NextDouble(-1, 1) * options.Stretch));
            double second = options.Wobble * random.NextDouble(), secondPhase = random.NextDouble(0, 2 * Math.PI);
            double third = options.Wobble * random.NextDouble(), thirdPhase = random.NextDouble(0, 2 * Math.PI);
            var placed = new double[outline.Length][];
            for (int loop = 0; loop < outline.Length; loop++)
            {
                double[] points = outline[loop], moved = new double[points.Length];
                for (int i = 0; i < points.Length; i += 2)
                {
                    double angle = Math.Atan2(points[i + 1], points[i]);
                    double scale = radius * (1 + (second * Math.Cos((2 * angle) + secondPhase)) + (third * Math.Cos((3 * angle) + thirdPhase)));
                    double px = points[i] * scale * stretch, py = points[i + 1] * scale / stretch;
                    moved[i] = x + (cos * px) - (sin * py);
                    moved[i + 1] = y + (sin * px) + (cos * py);
                }
                placed[loop] = moved;
            }
            return placed;
        }

        private static double[] Blob(double x, double y, double radius, ref SeededRandom random)
        {
            const int corners = 12;
            double second = random.NextDouble(0, 0.25), secondPhase = random.NextDouble(0, 2 * Math.PI), thirdPhase = random.NextDouble(0, 2 * Math.PI);
            var loop = new double[2 * corners];
            for (int i = 0; i < corners; i++)
            {
                double angle = 2 * Math.PI * i / corners;
                double length = radius * (1 + (second * Math.Cos((2 * angle) + secondPhase)) + (0.15 * Math.Cos((3 * angle) + thirdPhase)));
                (double sin, double cos) = Math.SinCos(angle);
                (loop[2 * i], loop[(2 * i) + 1]) = (x + (length * cos), y + (length * sin));
            }
            return loop;
        }

        /// <summary>
        /// A sum of four 16-bit uniforms out of one draw: close enough to normal for noise, and ten times cheaper than a logarithm
        /// and a cosine per value. Its variance is 4 * 65536^2 / 12.
        /// </summary>
        private void AddNoise(Span<float> image, ref SeededRandom random)
        {
            float scale = (float)(options.Noise / (65536 / Math.Sqrt(3)));
            foreach (ref float value in image)
            {
                ulong bits = random.NextBits();
                int sum = (int)(bits & 0xFFFF) + (int)((bits >> 16) & 0xFFFF) + (int)((bits >> 32) & 0xFFFF) + (int)(bits >> 48);
                value = Math.Clamp(value + (scale * (sum - 131070)), 0, 1);
            }
        }
    }
}
