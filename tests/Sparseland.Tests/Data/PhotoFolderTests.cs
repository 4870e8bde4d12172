using System.Text;
using Sparseland.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public sealed class PhotoFolderTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("photos ü ").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("P2\n# a comment\n3 2\n10\n0 5 10\n10 5 0")]
    [InlineData("P2 3 2 10 0 5 10 10 5 0\n")]
    public void Text_images_are_read(string text)
    {
        GreyImage image = Netpbm.Read(Encoding.ASCII.GetBytes(text), "x");
        Assert.Equal((2, 3), (image.Height, image.Width));
        Assert.Equal([0, 0.5, 1, 1, 0.5, 0], image.Pixels);
    }

    [Fact]
    public void Binary_colour_becomes_luma()
    {
        byte[] file = [.. "P6\n2 1\n255\n"u8, 255, 0, 0, 51, 102, 204];
        GreyImage image = Netpbm.Read(file, "x");
        Assert.Equal(0.299, image.Pixels[0], 12);
        Assert.Equal((0.299 * 0.2) + (0.587 * 0.4) + (0.114 * 0.8), image.Pixels[1], 12);
    }

    [Fact]
    public void Sixteen_bits_round_trip()
    {
        string path = Path.Combine(folder, "a.pgm");
        Netpbm.Write(path, new GreyImage(1, 3, [0, 12345.0 / 65535, 1]));
        Assert.Equal([0, 12345.0 / 65535, 1], Netpbm.Read(path).Pixels);
        Assert.Throws<ArgumentException>(() => Netpbm.Write(path, new GreyImage(2, 2, [1])));
        Assert.Throws<ArgumentException>(() => Netpbm.Write(path, new GreyImage(1, 1, [double.NaN])));
    }

    [Theory]
    [InlineData("", "not a PGM")]
    [InlineData("P4\n1 1\n", "not a PGM")]
    [InlineData("P5\n2 x\n255\n", "height")]
    [InlineData("P5\n0 2\n255\n", "size")]
    [InlineData("P5\n2 2\n70000\nabcdefgh", "maximum")]
    [InlineData("P5\n2 2\n255\nabc", "truncated")]
    [InlineData("P5\n2147483647 2147483647\n255\nabc", "truncated")]
    [InlineData("P6\n2147483647 1431655766\n65535\nabc", "truncated")]
    [InlineData("P5\n99999999999 2\n255\nabc", "width")]
    [InlineData("P2\n2 1\n9\n4 10", "above")]
    [InlineData("P2\n2 1\n9\n4 -1", "whole number")]
    [InlineData("P2\n2 1\n9\n   4", "whole number")]
    public void Malformed_files_say_why(string text, string reason)
    {
        string path = Path.Combine(folder, "bad.pgm");
        File.WriteAllText(path, text, Encoding.ASCII);
        var error = Assert.Throws<InvalidDataException>(() => Netpbm.Read(path));
        Assert.Contains(reason, error.Message);
        Assert.Contains("bad.pgm", error.Message);
    }

    [Fact]
    public void Photographs_are_averaged_down_to_their_middle_square()
    {
        // 5 x 8 with size 2: factor 2, rows 0..3, columns 2..5.
        double[] pixels = [.. Enumerable.Range(0, 40).Select(i => i / 64.0)];
        Netpbm.Write(Path.Combine(folder, "b.pgm"), new GreyImage(5, 8, pixels));
        Netpbm.Write(Path.Combine(folder, "a.PGM"), new GreyImage(2, 2, [0, 1, 1, 0]));
        File.WriteAllText(Path.Combine(folder, "notes.txt"), "not a picture");
        using Tensor images = PhotoFolder.Load(folder, 2);
        Assert.Equal([2, 2, 2], images.shape);
        double[] values = [.. images.data<double>()];
        Assert.Equal([0, 1, 1, 0], values[..4]);
        double[] expected = [6.5 / 64, 8.5 / 64, 22.5 / 64, 24.5 / 64];
        for (int i = 0; i < 4; i++)
            Assert.Equal(expected[i], values[4 + i], 4);
    }

    // Both written by Python's Pillow: 3 x 2 RGB pixels of known values, and 8 x 8 of grey 128 at quality 95.
    private const string Png = "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAHElEQVR4nGP4z8DA8J+BgeE/EyMDw3+G/8ZpZwE5LAZlswRLIgAAAABJRU5ErkJggg==";
    private const string Jpeg = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/wAALCAAIAAgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/ACv/2Q==";

    [Fact]
    public void Png_and_jpeg_are_read()
    {
        string png = Write("a.png", Convert.FromBase64String(Png)), jpeg = Write("b.JPG", Convert.FromBase64String(Jpeg));
        GreyImage image = PhotoFile.Read(png);
        Assert.Equal((2, 3), (image.Height, image.Width));
        double[] expected = [0.299, 0.587, 0.114, 0, 1, (0.299 * 0.2) + (0.587 * 0.4) + (0.114 * 0.8)];
        for (int i = 0; i < 6; i++)
            Assert.Equal(expected[i], image.Pixels[i], 12);
        Assert.All(PhotoFile.Read(jpeg).Pixels, value => Assert.Equal(128 / 255.0, value, 0.01));
        using Tensor images = PhotoFolder.Load(folder, 2);
        Assert.Equal([2, 2, 2], images.shape);
    }

    [Fact]
    public void A_damaged_photograph_is_named()
    {
        byte[] png = Convert.FromBase64String(Png), jpeg = Convert.FromBase64String(Jpeg);
        Refused(Write("text.png", "no picture"u8.ToArray()));
        Refused(Write("empty.jpg", []));
        Refused(Write("cut.png", png[..40]));
        Refused(Write("cut.jpg", jpeg[..200]));
        Refused(Write("without end.jpg", jpeg[..^2]));
        Refused(Write("picture.gif", png));
        byte[] huge = [.. png];
        huge.AsSpan(16, 4).Fill(0x7f);
        Refused(Write("huge.png", huge));

        static void Refused(string path) => Assert.Contains(Path.GetFileName(path), Assert.Throws<InvalidDataException>(() => PhotoFile.Read(path)).Message);
    }

    private string Write(string name, byte[] bytes)
    {
        string path = Path.Combine(folder, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    [Fact]
    public void A_folder_without_usable_photographs_is_refused()
    {
        Assert.Throws<DirectoryNotFoundException>(() => PhotoFolder.Load(Path.Combine(folder, "none"), 8));
        Assert.Contains(".jpg", Assert.Throws<InvalidDataException>(() => PhotoFolder.Load(folder, 8)).Message);
        Netpbm.Write(Path.Combine(folder, "small.pgm"), new GreyImage(2, 2, [0, 1, 1, 0]));
        Assert.Contains("smaller", Assert.Throws<InvalidDataException>(() => PhotoFolder.Load(folder, 8)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => PhotoFolder.Load(folder, 1));
    }
}
