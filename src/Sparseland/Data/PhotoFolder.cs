using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// The user's own photographs as a stack of grey images, in the formats of <see cref="PhotoFile"/>.
/// </summary>
public static class PhotoFolder
{
    /// <summary>
    /// Reads every photograph of a folder, in ordinal order of the names. A photograph is averaged down by the
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
            .Where(file => PhotoFile.Extensions.Contains(Path.GetExtension(file).ToLowerInvariant()))
            .Order(StringComparer.Ordinal)];
        if (files.Length == 0)
            throw new InvalidDataException($"{folder} holds no photograph: no file that ends in {string.Join(", ", PhotoFile.Extensions)}.");
        if ((long)files.Length * size * size > Array.MaxLength)
            throw new ArgumentOutOfRangeException(nameof(size), size, $"{files.Length} images of {size} x {size} have more than {Array.MaxLength} pixels.");

        double[] values = new double[files.Length * size * size];
        for (int i = 0; i < files.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            GreyImage photo = PhotoFile.Read(files[i]);
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
