using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>A compressed matrix as it is described beside its arrays.</summary>
/// <param name="Format">csr, csc, sell, bitmap, bitmap_tiles, tiled_csl, nofm, blocks or gqsa.</param>
/// <param name="Rows">Rows.</param>
/// <param name="Columns">Columns.</param>
/// <param name="Settings">What the format needs besides: n and m; block_rows and block_columns; bits and group_size; tile_rows and tile_columns; value_bits and value_exponent.</param>
internal sealed record SparseDescription(string Format, int Rows, int Columns, IReadOnlyDictionary<string, int> Settings);

/// <summary>Compressed matrices among the tensors of a safetensors file: each array under NAME.ARRAY.</summary>
internal static class SparseMatrixFile
{
    public static SparseDescription Describe(SparseMatrix matrix) => new(matrix.Format, matrix.Rows, matrix.Columns, matrix.Settings);

    private const int Version = 1;
    private const string Note = "sparse.";

    /// <summary>The formats, for messages.</summary>
    public const string Known = "csr, csc, sell, bitmap, bitmap_tiles, tiled_csl, nofm, blocks and gqsa are";

    /// <summary>Names of the arrays of a format; null for one that is not known.</summary>
    public static IReadOnlyList<string>? ArraysOf(string format) => format switch
    {
        "csr" or "blocks" => ["row_offsets", "column_indices", "values"],
        "csc" => ["column_offsets", "row_indices", "values"],
        "sell" => ["row_order", "row_lengths", "column_indices", "values"],
        "bitmap" => ["bits", "values"],
        "bitmap_tiles" => ["masks", "values"],
        "tiled_csl" => ["tile_offsets", "entries"],
        "nofm" => ["values", "positions"],
        "gqsa" => ["row_index", "group_index", "values", "scale", "zero"],
        _ => null,
    };

    /// <summary>Reads and checks a matrix.</summary>
    /// <exception cref="InvalidDataException">An array is missing or does not fit, or a setting is missing or out of its range.</exception>
    public static SparseMatrix Read(SparseDescription about, SafeTensorsFile file, string name)
    {
        var arrays = new ArrayReader(file, name + ".");
        if (about.Rows < 0 || about.Columns < 0) throw new InvalidDataException($"{file.Path}: '{name}' cannot be [{about.Rows}, {about.Columns}].");
        int Setting(string key) => about.Settings.TryGetValue(key, out int value) ? value : throw new InvalidDataException($"{file.Path}: '{name}' of the format {about.Format} needs \"{key}\".");
        return about.Format switch
        {
            "csr" => CsrMatrix.FromArrays(about.Rows, about.Columns, arrays),
            "csc" => CscMatrix.FromArrays(about.Rows, about.Columns, arrays),
            "sell" => SellMatrix.FromArrays(about.Rows, about.Columns, arrays),
            "bitmap" => BitmapMatrix.FromArrays(about.Rows, about.Columns, arrays),
            "bitmap_tiles" => BitmapTileMatrix.FromArrays(about.Rows, about.Columns, Setting("tile_rows"), Setting("value_bits"), Setting("value_exponent"), arrays),
            "tiled_csl" => TiledCslMatrix.FromArrays(about.Rows, about.Columns, Setting("tile_rows"), Setting("tile_columns"), arrays),
            "nofm" => NofMMatrix.FromArrays(about.Rows, about.Columns, Setting("n"), Setting("m"), arrays),
            "blocks" => BlockMatrix.FromArrays(about.Rows, about.Columns, Setting("block_rows"), Setting("block_columns"), arrays),
            "gqsa" => GroupSparseQuantMatrix.FromArrays(about.Rows, about.Columns, Setting("bits"), Setting("group_size"), arrays),
            _ => throw new InvalidDataException($"{file.Path}: '{name}' has the format '{about.Format}', which is not known; {Known}."),
        };
    }

    /// <summary>One matrix as a file of its own.</summary>
    public static void Save(SparseMatrix matrix, string path, string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentException.ThrowIfNullOrEmpty(name);
        using DisposeScope scope = NewDisposeScope();
        JsonObject note = new() { ["version"] = Version, ["format"] = matrix.Format, ["rows"] = matrix.Rows, ["columns"] = matrix.Columns };
        foreach ((string key, int value) in matrix.Settings) note[key] = value;
        SafeTensors.Save(path, matrix.Arrays().ToDictionary(array => $"{name}.{array.Key}", array => array.Value), new Dictionary<string, string> { [Note + name] = note.ToJsonString() });
    }

    /// <summary>A matrix from such a file.</summary>
    /// <exception cref="InvalidDataException">It is not there, of another version, or does not fit.</exception>
    public static SparseMatrix Load(string path, string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentException.ThrowIfNullOrEmpty(name);
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        if (!file.Metadata.TryGetValue(Note + name, out string? text)) throw new InvalidDataException($"{path}: there is no note \"{Note}{name}\" of a compressed matrix.");
        JsonObject? note;
        try
        {
            note = JsonNode.Parse(text, documentOptions: new() { AllowDuplicateProperties = false }) as JsonObject;
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{path}: the note \"{Note}{name}\" is no JSON: {error.Message}", error);
        }

        var numbers = new Dictionary<string, int>();
        foreach ((string key, JsonNode? value) in note ?? [])
        {
            if (value is JsonValue number && number.TryGetValue(out int whole)) numbers[key] = whole;
        }

        if (note?["format"] is not JsonValue format || !format.TryGetValue(out string? kind) || !numbers.Remove("rows", out int rows) || !numbers.Remove("columns", out int columns))
            throw new InvalidDataException($"{path}: the note \"{Note}{name}\" must say format, rows and columns.");
        if (!numbers.Remove("version", out int version) || version != Version) throw new InvalidDataException($"{path}: '{name}' is of version {version}; version {Version} is known.");
        return Read(new(kind, rows, columns, numbers), file, name);
    }
}
