using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Sparseland.Tensors;

namespace Sparseland.Retrieval.Formats;

/// <summary>Vectors of documents as they were read.</summary>
/// <param name="Documents">Documents; their text is "contents".</param>
/// <param name="Vectors">The vector of each.</param>
/// <param name="Names">Name of each term, in ordinal order.</param>
public sealed record ImpactVectorFile(IReadOnlyList<RetrievalDocument> Documents, IReadOnlyList<SparseVector> Vectors, IReadOnlyList<string> Names)
{
    /// <summary>Numbers in words.</summary>
    public override string ToString() => $"{Documents.Count} vectors over {Names.Count} terms";
}

/// <summary>Impacts as JSON lines {"id", "contents", "vector": {term: weight}}, which Anserini reads as a JsonVectorCollection.</summary>
public static class ImpactVectors
{
    private static readonly JsonWriterOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes vectors with whole weights round(scale * weight); what rounds to 0 is left out, as Anserini's converters do.</summary>
    /// <param name="path">The file, replaced where it is.</param>
    /// <param name="documents">Documents.</param>
    /// <param name="vectors">The vector of each, weights at least 0.</param>
    /// <param name="names">Name of each term, by number.</param>
    /// <param name="scale">Finite and above 0. Default 100.</param>
    /// <param name="cancel">Checked at each document.</param>
    /// <exception cref="ArgumentException">Unequal numbers, an id that is empty or stands twice, a negative weight, a term without name, a name twice, a weight above 2^31, a text that is no valid Unicode, or a scale that is not above 0.</exception>
    public static void Write(
        string path, IReadOnlyList<RetrievalDocument> documents, IReadOnlyList<SparseVector> vectors, IReadOnlyList<string> names, double scale = 100, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentNullException.ThrowIfNull(names);
        Finite.Positive(scale);
        ExportChecks.Documents(documents);
        ExportChecks.Vectors(documents, vectors, names);
        ExportChecks.Texts(documents.SelectMany(d => new[] { d.Id, d.Title, d.Text }), nameof(documents));
        for (int d = 0; d < vectors.Count; d++)
        {
            for (int i = 0; i < vectors[d].Count; i++)
            {
                (int term, float weight) = (vectors[d].Terms[i], vectors[d].Weights[i]);
                if (weight < 0 || scale * weight > int.MaxValue) throw new ArgumentException($"Document '{documents[d].Id}' gives '{names[term]}' the weight {weight}, no whole number from 0 to 2^31 after scaling.", nameof(vectors));
            }
        }

        TextLines.Write(path, file =>
        {
            var buffer = new ArrayBufferWriter<byte>();
            for (int d = 0; d < documents.Count; d++)
            {
                cancel.ThrowIfCancellationRequested();
                buffer.ResetWrittenCount();
                using (var writer = new Utf8JsonWriter(buffer, s_plain))
                {
                    writer.WriteStartObject();
                    writer.WriteString("id", documents[d].Id);
                    writer.WriteString("contents", documents[d].Contents);
                    writer.WriteStartObject("vector");
                    for (int i = 0; i < vectors[d].Count; i++)
                    {
                        int whole = (int)Math.Round(scale * vectors[d].Weights[i]);
                        if (whole > 0) writer.WriteNumber(names[vectors[d].Terms[i]], whole);
                    }

                    writer.WriteEndObject();
                    writer.WriteEndObject();
                }

                file.WriteLine(Encoding.UTF8.GetString(buffer.WrittenSpan));
            }
        });
    }

    /// <summary>Reads vectors; weights may be any number above 0, and 0 is left out.</summary>
    /// <param name="path">The file.</param>
    /// <param name="progress">Bytes read.</param>
    /// <param name="cancel">Checked at each line.</param>
    /// <exception cref="InvalidDataException">A malformed line, an id twice (both lines are named), or a weight that is negative or not finite.</exception>
    public static ImpactVectorFile Read(string path, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var documents = new List<RetrievalDocument>();
        var read = new List<List<(string Term, float Weight)>>();
        var lines = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach ((int number, string text) in TextLines.Read(path, progress, cancel))
        {
            try
            {
                using JsonDocument json = JsonDocument.Parse(text);
                string id = json.RootElement.GetProperty("id").GetString() ?? "";
                if (id.Length == 0) throw TrecFiles.Error(path, number, "there is no \"id\"");
                if (!lines.TryAdd(id, number)) throw TrecFiles.Error(path, number, $"the id '{id}' stands again, first in line {lines[id]}");
                documents.Add(new(id, json.RootElement.TryGetProperty("contents", out JsonElement contents) ? contents.GetString() ?? "" : ""));
                read.Add([.. json.RootElement.GetProperty("vector").EnumerateObject().Select(p => (p.Name, Weight(path, number, p)))]);
            }
            catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
            {
                throw new InvalidDataException($"'{path}', line {number}: no object with \"id\" and \"vector\", {error.Message}", error);
            }
        }

        if (documents.Count == 0) throw new InvalidDataException($"'{path}' holds no vector.");
        string[] names = [.. read.SelectMany(v => v.Select(t => t.Term)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        Dictionary<string, int> numbers = names.Select((n, i) => (n, i)).ToDictionary(n => n.n, n => n.i, StringComparer.Ordinal);
        return new(documents, [.. read.Select(v => Vector(v, numbers))], names);
    }

    private static SparseVector Vector(List<(string Term, float Weight)> terms, Dictionary<string, int> numbers)
    {
        // Of a term that stands twice in one object the last weight counts, as in JSON.
        (string Term, float Weight)[] last = [.. terms.GroupBy(t => t.Term, StringComparer.Ordinal).Select(g => g.Last())];
        return SparseVector.Of([.. last.Select(t => numbers[t.Term])], [.. last.Select(t => t.Weight)]);
    }

    private static float Weight(string path, int number, JsonProperty property)
    {
        float weight = property.Value.ValueKind == JsonValueKind.Number ? property.Value.GetSingle() : float.NaN;
        return weight >= 0 && float.IsFinite(weight)
            ? weight
            : throw TrecFiles.Error(path, number, string.Create(CultureInfo.InvariantCulture, $"the weight of '{property.Name}' is {property.Value.GetRawText()}; weights are finite and at least 0"));
    }
}
