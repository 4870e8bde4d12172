using System.Globalization;
using System.Text;
using Sparseland.Tensors;

namespace Sparseland.Data;

/// <summary>A grey image as numbers.</summary>
/// <param name="Height">Rows.</param>
/// <param name="Width">Columns.</param>
/// <param name="Pixels">Row-major intensities in [0, 1].</param>
public sealed record GreyImage(int Height, int Width, double[] Pixels)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Reads and writes Netpbm images: PGM (P2, P5) and PPM (P3, P6), 8 or 16 bits. They need no library on any platform, and
/// every image tool writes them. Colours become luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); gamma is left as it is.
/// </summary>
public static class Netpbm
{
    /// <summary>Reads one image.</summary>
    /// <param name="path">A .pgm or .ppm file.</param>
    /// <exception cref="InvalidDataException">The file is something else, truncated, or contradicts its own header.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static GreyImage Read(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return Read(File.ReadAllBytes(path), path);
    }

    /// <summary>Writes a grey image as binary PGM of 16 bits.</summary>
    /// <param name="path">The file; one already there is replaced.</param>
    /// <param name="image">Intensities in [0, 1]; beyond them they are cut off.</param>
    /// <exception cref="ArgumentException">The pixels do not fit the size, or one is NaN.</exception>
    public static void Write(string path, GreyImage image)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(image);
        if (image.Height < 1 || image.Width < 1 || image.Pixels.Length != (long)image.Height * image.Width)
            throw new ArgumentException($"An image of {image.Height} x {image.Width} does not have {image.Pixels.Length} pixels.", nameof(image));
        byte[] header = Encoding.ASCII.GetBytes($"P5\n{image.Width} {image.Height}\n65535\n");
        byte[] file = new byte[header.Length + (2 * image.Pixels.Length)];
        header.CopyTo(file, 0);
        for (int i = 0; i < image.Pixels.Length; i++)
        {
            if (double.IsNaN(image.Pixels[i]))
                throw new ArgumentException($"Pixel {i} is NaN.", nameof(image));
            int level = (int)Math.Round(Math.Clamp(image.Pixels[i], 0, 1) * 65535);
            file[header.Length + (2 * i)] = (byte)(level >> 8);
            file[header.Length + (2 * i) + 1] = (byte)level;
        }
        File.WriteAllBytes(path, file);
    }

    /// <summary>Decodes one image.</summary>
    /// <param name="file">The whole file.</param>
    /// <param name="name">What error messages call it.</param>
    /// <exception cref="InvalidDataException">As for <see cref="Read(string)"/>.</exception>
    internal static GreyImage Read(ReadOnlySpan<byte> file, string name)
    {
        if (file.Length < 2 || file[0] != 'P' || file[1] is not ((byte)'2' or (byte)'3' or (byte)'5' or (byte)'6'))
            throw Bad(name, "it is not a PGM or PPM image (no P2, P3, P5 or P6 at its start)");
        bool binary = file[1] is (byte)'5' or (byte)'6';
        int channels = file[1] is (byte)'3' or (byte)'6' ? 3 : 1;
        int at = 2;
        int width = Number(file, ref at, name, "width"), height = Number(file, ref at, name, "height"), maximum = Number(file, ref at, name, "maximum");
        if (width < 1 || height < 1)
            throw Bad(name, $"its size is {width} x {height}");
        if (maximum is < 1 or > 65535)
            throw Bad(name, $"its maximum is {maximum}, not from 1 to 65535");

        // Before any product of the three, which a lying header could overflow: a pixel takes at least a byte.
        if ((long)width * height > file.Length)
            throw Bad(name, $"{width} x {height} pixels cannot be in {file.Length} bytes: it is truncated");
        // As text a sample takes a space and a digit at least.
        long samples = (long)width * height * channels;
        int size = maximum > 255 ? 2 : 1;
        long needed = binary ? (samples * size) + 1 : samples * 2;
        if (needed > file.Length - at)
            throw Bad(name, $"{width} x {height} pixels need {needed} bytes, but only {file.Length - at} follow the header: it is truncated");
        if (binary && !IsSpace(file[at++]))
            throw Bad(name, "there is no space after the maximum");

        double[] pixels = new double[width * height];
        Span<double> colour = stackalloc double[channels];
        for (int i = 0; i < pixels.Length; i++)
        {
            for (int channel = 0; channel < channels; channel++)
            {
                int value;
                if (binary)
                {
                    value = size == 2 ? (file[at] << 8) | file[at + 1] : file[at];
                    at += size;
                }
                else
                {
                    value = Number(file, ref at, name, $"sample of pixel {i}");
                }
                if (value > maximum)
                    throw Bad(name, $"pixel {i} is {value}, above the maximum {maximum}");
                colour[channel] = (double)value / maximum;
            }
            pixels[i] = channels == 1 ? colour[0] : (0.299 * colour[0]) + (0.587 * colour[1]) + (0.114 * colour[2]);
        }
        return new GreyImage(height, width, pixels);
    }

    /// <summary>The next whole number, after spaces and comments (from # to the end of the line).</summary>
    private static int Number(ReadOnlySpan<byte> file, ref int at, string name, string what)
    {
        int begin = at;
        while (at < file.Length && (IsSpace(file[at]) || file[at] == '#'))
        {
            if (file[at] == '#')
            {
                while (at < file.Length && file[at] is not ((byte)'\n' or (byte)'\r'))
                    at++;
            }
            else
            {
                at++;
            }
        }
        int first = at;
        while (at < file.Length && file[at] is >= (byte)'0' and <= (byte)'9')
            at++;
        if (first == begin || !int.TryParse(file[first..at], NumberStyles.None, CultureInfo.InvariantCulture, out int value))
            throw Bad(name, $"there is no whole number where its {what} should stand");
        return value;
    }

    private static bool IsSpace(byte value) => value is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\v' or (byte)'\f' or (byte)'\r';

    private static InvalidDataException Bad(string name, string reason) => new($"{name}: {reason}.");
}
