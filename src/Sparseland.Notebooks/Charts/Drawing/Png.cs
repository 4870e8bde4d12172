using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>
/// The few kinds of PNG that charts need (ISO/IEC 15948): one palette index per pixel, or red, green and blue. Written here
/// because picture libraries bring native code or a licence question for the 60 lines that this takes.
/// </summary>
internal static class Png
{
    /// <summary>Pixels as indices into a palette of at most 256 colours; fewer colours take fewer bits.</summary>
    public static byte[] Indexed(ReadOnlySpan<byte> pixels, int width, int height, IReadOnlyList<(byte R, byte G, byte B)> palette)
    {
        int bits = palette.Count <= 2 ? 1 : palette.Count <= 4 ? 2 : palette.Count <= 16 ? 4 : 8;
        int stride = ((width * bits) + 7) / 8;
        var rows = new byte[(stride + 1) * height];
        for (int row = 0; row < height; row++)
        {
            // Byte 0 of each row names its filter: none, since neighbouring indices mean nothing to one another.
            Span<byte> line = rows.AsSpan((row * (stride + 1)) + 1, stride);
            for (int column = 0; column < width; column++)
            {
                int bit = column * bits;
                line[bit / 8] |= (byte)(pixels[(row * width) + column] << (8 - bits - (bit % 8)));
            }
        }
        var colours = new byte[palette.Count * 3];
        for (int i = 0; i < palette.Count; i++)
            (colours[3 * i], colours[(3 * i) + 1], colours[(3 * i) + 2]) = palette[i];
        return Write(width, height, (byte)bits, colourType: 3, colours, rows);
    }

    /// <summary>Pixels as bytes R, G, B in row order.</summary>
    public static byte[] Rgb(ReadOnlySpan<byte> pixels, int width, int height)
    {
        int stride = width * 3;
        var rows = new byte[(stride + 1) * height];
        for (int row = 0; row < height; row++)
        {
            // Filter 1 (difference to the left neighbour) makes smooth pictures compress.
            rows[row * (stride + 1)] = 1;
            for (int i = 0; i < stride; i++)
            {
                byte left = i >= 3 ? pixels[(row * stride) + i - 3] : (byte)0;
                rows[(row * (stride + 1)) + 1 + i] = (byte)(pixels[(row * stride) + i] - left);
            }
        }
        return Write(width, height, 8, colourType: 2, null, rows);
    }

    private static byte[] Write(int width, int height, byte bits, byte colourType, byte[]? palette, byte[] rows)
    {
        using var file = new MemoryStream();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A]);
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9]) = (bits, colourType);
        Chunk(file, "IHDR", header);
        if (palette is not null)
            Chunk(file, "PLTE", palette);
        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionLevel.SmallestSize, leaveOpen: true))
            zlib.Write(rows);
        Chunk(file, "IDAT", packed.ToArray());
        Chunk(file, "IEND", []);
        return file.ToArray();
    }

    private static void Chunk(Stream file, string type, byte[] data)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        file.Write(number);
        byte[] content = [.. Encoding.ASCII.GetBytes(type), .. data];
        file.Write(content);
        BinaryPrimitives.WriteUInt32BigEndian(number, Crc(content));
        file.Write(number);
    }

    private static uint Crc(ReadOnlySpan<byte> data)
    {
        uint crc = 0xFFFFFFFF;
        foreach (byte b in data)
        {
            crc ^= b;
            for (int k = 0; k < 8; k++)
                crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
        }
        return ~crc;
    }
}
