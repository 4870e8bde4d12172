using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.IO;

public class HyperspectralCubeTests
{
    private static HyperspectralCube Cube() => new(arange(24, ScalarType.Float64).div(7).view(4, 6), 2, 3);

    [Theory]
    [InlineData(CubeOrder.Bsq)]
    [InlineData(CubeOrder.Bil)]
    [InlineData(CubeOrder.Bip)]
    public void What_is_written_is_read(CubeOrder order)
    {
        using var folder = new TemporaryFolder();
        using HyperspectralCube cube = Cube();
        cube.Write(folder.File("scene.f32"), order: order);
        using HyperspectralCube read = HyperspectralCube.Read(folder.File("scene.f32"));
        Assert.Equal((2, 3, 4), (read.Height, read.Width, read.Channels));
        using var scope = NewDisposeScope();
        Assert.Equal(0, (read.Pixels - cube.Pixels.to(ScalarType.Float32).to(ScalarType.Float64)).abs().max().item<double>());

        // Channel 1, row 1, column 2 is 11/7, at its place in the file.
        int at = order switch { CubeOrder.Bsq => (1 * 6) + 3 + 2, CubeOrder.Bil => (1 * 12) + 3 + 2, _ => (5 * 4) + 1 };
        Assert.Equal(11f / 7, BitConverter.ToSingle(File.ReadAllBytes(folder.File("scene.f32")), 4 * at));
    }

    [Fact]
    public void A_shape_from_elsewhere_is_taken()
    {
        using var folder = new TemporaryFolder();
        using HyperspectralCube cube = Cube();
        cube.Write(folder.File("scene.raw"), folder.File("shape.txt"));
        File.WriteAllText(folder.File("mine.json"), """{ "order": "bip", "channels": 2, "width": 4, "height": 3, "sensor": "none" }""");
        using HyperspectralCube read = HyperspectralCube.Read(folder.File("scene.raw"), folder.File("mine.json"));
        Assert.Equal([2L, 12L], read.Pixels.shape);
        Assert.Equal(3f / 7, read.Pixels[1, 1].item<double>(), 1e-7);
    }

    [Fact]
    public void Bad_files_are_refused()
    {
        using var folder = new TemporaryFolder();
        using HyperspectralCube cube = Cube();
        string path = folder.File("scene.f32"), shape = folder.File("scene.json");
        cube.Write(path);
        byte[] bytes = File.ReadAllBytes(path);
        string right = File.ReadAllText(shape);
        void Data(string text, byte[] content)
        {
            File.WriteAllBytes(path, content);
            Assert.Contains(text, Assert.Throws<InvalidDataException>(() => HyperspectralCube.Read(path)).Message, StringComparison.Ordinal);
        }

        Data("truncated", bytes[..^1]);
        Data("truncated", []);
        Data("100 bytes", [.. bytes, 1, 2, 3, 4]);
        byte[] bad = [.. bytes];
        BitConverter.GetBytes(float.NaN).CopyTo(bad, 4 * 11);
        Data("channel 1, row 1, column 2 is NaN", bad);
        BitConverter.GetBytes(float.NegativeInfinity).CopyTo(bad, 0);
        Data("channel 0, row 0, column 0", bad);
        File.WriteAllBytes(path, bytes);

        void Shape(string text, string content)
        {
            File.WriteAllText(shape, content);
            Assert.Contains(text, Assert.Throws<FormatException>(() => HyperspectralCube.Read(path)).Message, StringComparison.Ordinal);
        }

        Shape("no JSON", right[..^4]);
        Shape("object", "[2, 3, 4]");
        Shape("\"channels\" is missing", """{ "height": 2, "width": 3, "order": "bsq" }""");
        Shape("\"width\" is 0", """{ "height": 2, "width": 0, "channels": 4, "order": "bsq" }""");
        Shape("\"width\" is 1.5", """{ "height": 2, "width": 1.5, "channels": 4, "order": "bsq" }""");
        Shape("\"height\" is \"2\"", """{ "height": "2", "width": 3, "channels": 4, "order": "bsq" }""");
        Shape("more than", """{ "height": 2000000000, "width": 2000000000, "channels": 2000000000, "order": "bsq" }""");
        Shape("\"order\" is missing", """{ "height": 2, "width": 3, "channels": 4 }""");
        Shape("\"order\" is \"BSQ\"", """{ "height": 2, "width": 3, "channels": 4, "order": "BSQ" }""");
        File.WriteAllText(shape, """{ "height": 2, "width": 3, "channels": 5, "order": "bsq" }""");
        Assert.Contains("another's", Assert.Throws<InvalidDataException>(() => HyperspectralCube.Read(path)).Message, StringComparison.Ordinal);
        File.Delete(shape);
        Assert.Throws<FileNotFoundException>(() => HyperspectralCube.Read(path));
        File.WriteAllText(shape, right);
        File.Delete(path);
        Assert.Throws<FileNotFoundException>(() => HyperspectralCube.Read(path));
        using HyperspectralCube odd = cube with { Height = 3 };
        Assert.Throws<ArgumentException>(() => odd.Write(path));
    }
}
