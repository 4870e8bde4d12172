using StbImageSharp;

namespace Sparseland.Data;

/// <summary>One photograph of the user's as a grey image: JPEG, PNG, BMP, PGM or PPM.</summary>
public static class PhotoFile
{
    private const long MostPixels = 1L << 28;

    /// <summary>Endings of the files that are read, in lower case.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm"];

    /// <summary>Reads a photograph. Colour becomes luma, 0.299 R + 0.587 G + 0.114 B, of the stored (gamma-coded) values.</summary>
    /// <param name="path">The file; its ending decides how it is read.</param>
    /// <returns>Intensities in [0, 1].</returns>
    /// <exception cref="InvalidDataException">The file is malformed, of another format or unreasonably large.</exception>
    public static GreyImage Read(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        string extension = Path.GetExtension(path).ToLowerInvariant();
        if (!Extensions.Contains(extension))
            throw new InvalidDataException($"{path}: photographs end in {string.Join(", ", Extensions)}.");
        if (extension is ".pgm" or ".ppm")
            return Netpbm.Read(path);

        byte[] bytes = File.ReadAllBytes(path);
        using var file = new MemoryStream(bytes, writable: false);
        // The size is checked before the pixels are allocated: a damaged header may claim anything.
        ImageInfo info = ImageInfo.FromStream(file) ?? throw new InvalidDataException($"{path}: this is no JPEG, PNG or BMP image.");
        if ((long)info.Width * info.Height > MostPixels)
            throw new InvalidDataException($"{path}: {info.Width} x {info.Height} pixels are more than {MostPixels}.");
        if (IsCut(bytes))
            throw new InvalidDataException($"{path}: the image is truncated: its end marker is missing.");
        file.Position = 0;
        try
        {
            return Grey(ImageResult.FromStream(file, ColorComponents.RedGreenBlue));
        }
        catch (Exception error) when (error is InvalidOperationException or IndexOutOfRangeException or EndOfStreamException or NotSupportedException)
        {
            throw new InvalidDataException($"{path}: the image is malformed: {error.Message}", error);
        }
    }

    // The decoder fills what is missing with grey and says nothing.
    private static bool IsCut(ReadOnlySpan<byte> file)
    {
        if (file.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G']))
            return file.IndexOf("IEND"u8) < 0;
        // After the last start of scan, so that the end of an embedded thumbnail does not count.
        int scan = file.LastIndexOf((ReadOnlySpan<byte>)[0xFF, 0xDA]);
        return file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8]) && (scan < 0 || file[scan..].IndexOf((ReadOnlySpan<byte>)[0xFF, 0xD9]) < 0);
    }

    private static GreyImage Grey(ImageResult image)
    {
        double[] pixels = new double[image.Width * image.Height];
        for (int i = 0; i < pixels.Length; i++)
        {
            ReadOnlySpan<byte> rgb = image.Data.AsSpan(3 * i, 3);
            pixels[i] = ((0.299 * rgb[0]) + (0.587 * rgb[1]) + (0.114 * rgb[2])) / 255;
        }
        return new GreyImage(image.Height, image.Width, pixels);
    }
}
