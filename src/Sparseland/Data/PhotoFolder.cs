using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// The user's own photographs as a stack of grey images. Formats: PGM and PPM (see <see cref="Netpbm"/>), no JPEG or PNG;
/// ImageMagick turns a folder of those into PGM with <c>magick mogrify -colorspace Gray -format pgm *.jpg</c>.
/// </summary>
public static class PhotoFolder
{
    /// <summary>
    /// Reads every .pgm and .ppm file of a folder, in ordinal order of the names. A photograph is averaged down by the
    /// largest whole factor that leaves both sides at least <paramref name="size"/> (which also averages out sensor noise),
    /// then cut to the middle square.
    /// </summary>
    /// <param name="folder">The folder; folders within it are not read.</param>
    /// <param name="size">Height and width of the images, at least 2.</param>
    /// <param name="progress">Told of every photograph read.</param>
    /// <param name="cancellation">Stops between photographs.</param>
    /// <returns>float64 [count, size, size], intensities in [0, 1].</returns>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="InvalidDataException">There is no such file, one is malformed, or one is smaller than asked.</exception>
    public static Tensor Load(string folder, int size, IProgress<ProgressReport>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 2);
        string[] files = [.. Directory.EnumerateFiles(folder)
            .Where(file => Path.GetExtension(file).ToLowerInvariant() is ".pgm" or ".ppm")
            .Order(StringComparer.Ordinal)];
        if (files.Length == 0)
            throw new InvalidDataException($"{folder} holds no .pgm or .ppm file. JPEG and PNG are not read: convert them, for instance with \"magick mogrify -colorspace Gray -format pgm *.jpg\".");
        if ((long)files.Length * size * size > Array.MaxLength)
            throw new ArgumentOutOfRangeException(nameof(size), size, $"{files.Length} images of {size} x {size} have more than {Array.MaxLength} pixels.");

        double[] values = new double[files.Length * size * size];
        for (int i = 0; i < files.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            GreyImage photo = Netpbm.Read(files[i]);
            if (Math.Min(photo.Height, photo.Width) < size)
                throw new InvalidDataException($"{files[i]}: {photo.Height} x {photo.Width} is smaller than {size} x {size}.");
            Shrink(photo, size, values.AsSpan(i * size * size, size * size));
            progress?.Report(new ProgressReport(i + 1, files.Length, Path.GetFileName(files[i])));
        }
        return tensor(values, [files.Length, size, size]);
    }

    private static void Shrink(GreyImage photo, int size, Span<double> result)
    {
        int factor = Math.Min(photo.Height, photo.Width) / size;
        int top = (photo.Height - (size * factor)) / 2, left = (photo.Width - (size * factor)) / 2;
        for (int y = 0; y < size; y++)
        {
            for (int x = 0; x < size; x++)
            {
                double sum = 0;
                for (int inner = 0; inner < factor; inner++)
                {
                    int start = ((top + (y * factor) + inner) * photo.Width) + left + (x * factor);
                    foreach (double value in photo.Pixels.AsSpan(start, factor))
                        sum += value;
                }
                result[(y * size) + x] = sum / (factor * factor);
            }
        }
    }
}
