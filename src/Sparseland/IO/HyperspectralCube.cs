using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.IO;

/// <summary>The order in which a cube's values follow each other in its file, slowest index first.</summary>
public enum CubeOrder
{
    /// <summary>Band sequential: channel, row, column.</summary>
    Bsq,

    /// <summary>Band interleaved by line: row, channel, column.</summary>
    Bil,

    /// <summary>Band interleaved by pixel: row, column, channel.</summary>
    Bip,
}

/// <summary>
/// A hyperspectral image in two plain files: raw little-endian float32 values without a header, and beside them their shape as JSON,
/// <code>{ "height": 100, "width": 100, "channels": 198, "order": "bsq" }</code>
/// so that a cube of any program is read after its values have been written out once.
/// </summary>
/// <param name="Pixels">[channels, height * width], float64, row after row of the image. Owned by this record.</param>
/// <param name="Height">Rows of the image.</param>
/// <param name="Width">Columns of the image.</param>
public sealed record HyperspectralCube(Tensor Pixels, int Height, int Width) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Pixels);

    /// <summary>Channels.</summary>
    public int Channels => (int)Pixels.shape[0];

    /// <summary>Reads a cube.</summary>
    /// <param name="path">The raw values.</param>
    /// <param name="shapePath">The shape; null for the same name with the ending .json.</param>
    /// <exception cref="FileNotFoundException">One of the files is not there.</exception>
    /// <exception cref="FormatException">The shape is not JSON, lacks a field or has one without meaning.</exception>
    /// <exception cref="InvalidDataException">The file of values is shorter or longer than the shape says, or holds a value that is not finite.</exception>
    public static HyperspectralCube Read(string path, string? shapePath = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        shapePath ??= Path.ChangeExtension(path, ".json");
        var (height, width, channels, order) = ReadShape(shapePath);
        long count = (long)height * width * channels, bytes = new FileInfo(path).Length;
        if (bytes != count * sizeof(float))
        {
            throw new InvalidDataException(
                $"{path}: the file has {bytes} bytes; {height} x {width} x {channels} float32 values of {Path.GetFileName(shapePath)} are {count * sizeof(float)}."
                + (bytes < count * sizeof(float) ? " It is truncated, or the shape is another's." : ""));
        }

        double[] values = new double[count];
        byte[] buffer = new byte[1 << 16];
        using (FileStream file = File.OpenRead(path))
        {
            for (long at = 0; at < count;)
            {
                int part = (int)Math.Min(buffer.Length / sizeof(float), count - at);
                file.ReadExactly(buffer, 0, part * sizeof(float));
                for (int i = 0; i < part; i++, at++)
                {
                    float value = BinaryPrimitives.ReadSingleLittleEndian(buffer.AsSpan(i * sizeof(float)));
                    var (channel, row, column) = Place(at, order, height, width, channels);
                    if (!float.IsFinite(value))
                        throw new InvalidDataException($"{path}: the value of channel {channel}, row {row}, column {column} is {value}; all must be finite.");
                    values[((((long)channel * height) + row) * width) + column] = value;
                }
            }
        }

        return new(tensor(values).view(channels, (long)height * width), height, width);
    }

    /// <summary>Writes both files; values are rounded to float32.</summary>
    /// <param name="path">The raw values.</param>
    /// <param name="shapePath">The shape; null for the same name with the ending .json.</param>
    /// <param name="order">The order of the values. Default Bsq.</param>
    /// <exception cref="ArgumentException">The pixels do not fit the height and width.</exception>
    public void Write(string path, string? shapePath = null, CubeOrder order = CubeOrder.Bsq)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (!Enum.IsDefined(order)) throw new ArgumentOutOfRangeException(nameof(order), order, "order must be Bsq, Bil or Bip.");
        if (Pixels.dim() != 2 || Height < 1 || Width < 1 || Pixels.shape[1] != (long)Height * Width)
            throw new ArgumentException($"Pixels [{string.Join(", ", Pixels.shape)}] do not fit {Height} x {Width} pixels; they must be [channels, {(long)Height * Width}].");
        using var scope = NewDisposeScope();
        double[] values = Pixels.to(ScalarType.Float64).cpu().contiguous().data<double>().ToArray();
        using (var file = new BinaryWriter(File.Create(path)))
        {
            for (long at = 0; at < values.Length; at++)
            {
                var (channel, row, column) = Place(at, order, Height, Width, Channels);
                file.Write((float)values[((((long)channel * Height) + row) * Width) + column]);
            }
        }

        var shape = new JsonObject { ["height"] = Height, ["width"] = Width, ["channels"] = Channels, ["order"] = Name(order) };
        File.WriteAllText(shapePath ?? Path.ChangeExtension(path, ".json"), shape.ToJsonString() + "\n");
    }

    private static string Name(CubeOrder order) => order.ToString().ToLowerInvariant();

    private static (int Channel, int Row, int Column) Place(long at, CubeOrder order, int height, int width, int channels) => order switch
    {
        CubeOrder.Bsq => ((int)(at / width / height), (int)(at / width % height), (int)(at % width)),
        CubeOrder.Bil => ((int)(at / width % channels), (int)(at / width / channels), (int)(at % width)),
        _ => ((int)(at % channels), (int)(at / channels / width), (int)(at / channels % width)),
    };

    private static (int Height, int Width, int Channels, CubeOrder Order) ReadShape(string path)
    {
        JsonObject shape;
        try
        {
            shape = JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new FormatException($"{path}: the shape must be a JSON object.");
        }
        catch (JsonException error)
        {
            throw new FormatException($"{path}: the shape is no JSON: {error.Message}", error);
        }

        int Size(string name) => shape[name] is JsonValue value && value.TryGetValue(out int size) && size >= 1
            ? size
            : throw new FormatException($"{path}: \"{name}\" is {shape[name]?.ToJsonString() ?? "missing"}; it must be a whole number of at least 1.");
        int height = Size("height"), width = Size("width"), channels = Size("channels");
        if ((Int128)height * width * channels > Array.MaxLength)
            throw new FormatException($"{path}: {height} x {width} x {channels} values are more than {Array.MaxLength}.");
        string? name = shape["order"] is JsonValue given && given.TryGetValue(out string? text) ? text : null;
        foreach (CubeOrder order in Enum.GetValues<CubeOrder>())
        {
            if (name == Name(order)) return (height, width, channels, order);
        }

        throw new FormatException($"{path}: \"order\" is {shape["order"]?.ToJsonString() ?? "missing"}; it must be \"bsq\", \"bil\" or \"bip\".");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Pixels.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
