using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Running;

/// <summary>What a completed run leaves in the notebook's metadata under "sparseland".</summary>
/// <param name="CodeHash">SHA-256 of the code cells, see <see cref="HashOf"/>.</param>
/// <param name="LibraryVersion">Version of the library that ran it.</param>
/// <param name="Scale">"quick", "lesson" or "full".</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="PeakMemoryMB">The most memory it held, in 2^20 bytes.</param>
public sealed record RunRecord(string CodeHash, string LibraryVersion, string Scale, double Seconds, long PeakMemoryMB)
{
    /// <summary>Hash of the library's sources that the notebook reaches (<see cref="LibrarySources"/>); null where it ran outside a clone.</summary>
    public string? SourceHash { get; init; }

    /// <summary>The day of the run (UTC); null in files that do not say.</summary>
    public DateOnly? Date { get; init; }

    private const string Key = "sparseland";
    private const string DateFormat = "yyyy-MM-dd";

    /// <summary>The version of the library beside this program.</summary>
    public static string CurrentVersion { get; } = typeof(Evaluation.Claim).Assembly.GetName().Version!.ToString(3);

    /// <summary>The record of the last completed run; null when there is none.</summary>
    public static RunRecord? Read(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        var json = notebook.Metadata[Key];
        return json.Text("codeHash") is { } hash && json.Text("libraryVersion") is { } version && json.Text("scale") is { } scale
            ? new RunRecord(hash, version, scale, Number(json!["seconds"]), (long)Number(json["peakMemoryMB"]))
            {
                SourceHash = json.Text("sourceHash"),
                Date = DateOnly.TryParseExact(json.Text("date"), DateFormat, CultureInfo.InvariantCulture, DateTimeStyles.None, out var date) ? date : null,
            }
            : null;
    }

    /// <summary>Stores this record; other members of the same metadata are kept.</summary>
    public void Write(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        if (notebook.Metadata[Key] is not JsonObject json)
            notebook.Metadata.Set(Key, json = []);
        json.Set("codeHash", CodeHash);
        if (Date is { } date)
            json.Set("date", date.ToString(DateFormat, CultureInfo.InvariantCulture));
        json.Set("libraryVersion", LibraryVersion);
        json.Set("peakMemoryMB", PeakMemoryMB);
        json.Set("scale", Scale);
        if (SourceHash is not null)
            json.Set("sourceHash", SourceHash);
        else
            json.Remove("sourceHash");
        json.Set("seconds", JsonNode.Parse(Seconds.ToString("0.0", CultureInfo.InvariantCulture)));
    }

    /// <summary>Takes the record away: the outputs are not those of a completed run.</summary>
    public static void Remove(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        if (notebook.Metadata[Key] is JsonObject json)
        {
            foreach (var name in (string[])["codeHash", "date", "libraryVersion", "peakMemoryMB", "scale", "seconds", "sourceHash"])
                json.Remove(name);
            if (json.Count == 0)
                notebook.Metadata.Remove(Key);
        }
    }

    /// <summary>SHA-256 over the sources of the code cells; text, outputs and the order of metadata do not count.</summary>
    public static string HashOf(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var cell in notebook.CodeCells)
        {
            // The zero keeps two cells apart from one that holds both texts.
            hash.AppendData(Encoding.UTF8.GetBytes(cell.Source.ReplaceLineEndings("\n") + "\0"));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static double Number(JsonNode? node) => node is JsonValue value && value.GetValueKind() == JsonValueKind.Number
        ? double.Parse(value.ToJsonString(), CultureInfo.InvariantCulture)
        : double.NaN;
}
