using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Sparseland.Retrieval.Formats;

/// <summary>An engine that takes sparse vectors.</summary>
public enum BulkEngine
{
    /// <summary>OpenSearch: a rank_features field, asked by neural_sparse with query_tokens.</summary>
    OpenSearch,

    /// <summary>Elasticsearch: a sparse_vector field that prunes nothing, asked by sparse_vector with query_vector.</summary>
    Elasticsearch,
}

/// <summary>How vectors are written for an engine.</summary>
public sealed record BulkExportOptions
{
    /// <summary>Name of the index: lower case, no space and none of \ / * ? " &lt; &gt; | , # :, not beginning with - _ or +. Default "sparseland".</summary>
    public string Index { get; init; } = "sparseland";

    /// <summary>Name of the field of the vectors, without a dot. Default "impacts".</summary>
    public string Field { get; init; } = "impacts";

    /// <summary>Writes title and text too. Default true.</summary>
    public bool WithText { get; init; } = true;

    /// <summary>Bytes after which another file begins, from 1024; engines refuse requests above 100 MB. Default 50_000_000.</summary>
    public long FileBytes { get; init; } = 50_000_000;

    internal void Validate()
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(Index);
        if (Index != Index.ToLowerInvariant() || Index.IndexOfAny([.. " \\/*?\"<>|,#:"]) >= 0 || Index[0] is '-' or '_' or '+' || Index is "." or ".." || Encoding.UTF8.GetByteCount(Index) > 255)
            throw new ArgumentException($"'{Index}' is no name of an index: lower case, none of \\ / * ? \" < > | , # : or space, not beginning with - _ or +.", nameof(Index));
        if (string.IsNullOrWhiteSpace(Field) || Field.Contains('.', StringComparison.Ordinal) || Field is "id" or "title" or "text" || Field[0] == '_')
            throw new ArgumentException($"'{Field}' is no name of the field: no dot, not beginning with _, and not id, title or text.", nameof(Field));
        ArgumentOutOfRangeException.ThrowIfLessThan(FileBytes, 1024);
    }
}

/// <summary>What was written for an engine.</summary>
/// <param name="Files">The bulk files, in their order.</param>
/// <param name="EmptyVectors">Number of documents without a term: they are there without the field, and no vector finds them.</param>
/// <param name="LongIds">Number of ids above 512 bytes, which no engine takes as _id: those documents get one from the engine and keep theirs in "id".</param>
/// <param name="LargestChange">Largest relative change of a weight by rounding to nine significant bits.</param>
public sealed record BulkExportResult(IReadOnlyList<string> Files, int EmptyVectors, int LongIds, double LargestChange)
{
    /// <summary>Numbers in words.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Files.Count} bulk files, {EmptyVectors} empty vectors, {LongIds} long ids, weights within {100 * LargestChange:0.00} %");
}

/// <summary>
/// Impacts for an engine that outgrows one machine: bulk files (a line for the action, a line for the document), mapping.json to make the index
/// with, and query.json to ask it with. Both engines take weights above 0, keep nine significant bits of them and read a dot in a name as a path;
/// weights are rounded here to the nearest such number, which the engines then keep as it is.
/// </summary>
public static class BulkExport
{
    private const int LongestId = 512;
    private static readonly JsonWriterOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes the files.</summary>
    /// <param name="folder">The folder, made where it is not there; files of these names are replaced, and bulk files that follow them from an export before are deleted.</param>
    /// <param name="engine">The engine.</param>
    /// <param name="documents">Documents.</param>
    /// <param name="vectors">The vector of each document, weights above 0.</param>
    /// <param name="names">Name of each term, by number: not empty, without a dot, each once.</param>
    /// <param name="options">Names and sizes; null, the default, for the record's defaults.</param>
    /// <param name="progress">Documents written.</param>
    /// <param name="cancel">Checked at each document.</param>
    /// <exception cref="ArgumentException">An option or a name that an engine refuses, a weight that is not above 0 after rounding, unequal numbers, an id that is empty or stands twice, or a text that is no valid Unicode; nothing is written.</exception>
    public static BulkExportResult Write(
        string folder, BulkEngine engine, IReadOnlyList<RetrievalDocument> documents, IReadOnlyList<SparseVector> vectors, IReadOnlyList<string> names,
        BulkExportOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentNullException.ThrowIfNull(names);
        if (!Enum.IsDefined(engine)) throw new ArgumentOutOfRangeException(nameof(engine), engine, "No such engine.");
        options ??= new();
        options.Validate();
        double change = Check(documents, vectors, names, options.WithText);

        Directory.CreateDirectory(folder);
        TextLines.Write(Path.Combine(folder, "mapping.json"), w => w.WriteLine(Mapping(engine, options)));
        TextLines.Write(Path.Combine(folder, "query.json"), w => w.WriteLine(Query(engine, options, vectors.FirstOrDefault(v => v.Count > 0) ?? SparseVector.Empty, names)));
        var files = new List<string>();
        for (int next = 0; next < documents.Count;)
        {
            string path = BulkFile(folder, files.Count);
            TextLines.Write(path, writer =>
            {
                for (long bytes = 0; next < documents.Count && bytes < options.FileBytes; next++)
                {
                    cancel.ThrowIfCancellationRequested();
                    foreach (string line in Lines(options, documents[next], vectors[next], names))
                    {
                        writer.WriteLine(line);
                        bytes += Encoding.UTF8.GetByteCount(line) + 1;
                    }

                    if ((next & 1023) == 0) progress?.Report(new(next, documents.Count, Path.GetFileName(path)));
                }
            });
            files.Add(path);
        }

        // Whoever loads bulk-*.ndjson would load what a larger export left here before.
        for (int next = files.Count; File.Exists(BulkFile(folder, next)); next++) File.Delete(BulkFile(folder, next));
        progress?.Report(new(documents.Count, documents.Count, "written"));
        return new(files, vectors.Count(v => v.Count == 0), documents.Count(d => Encoding.UTF8.GetByteCount(d.Id) > LongestId), change);
    }

    private static string BulkFile(string folder, int number) => Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"bulk-{number:00000}.ndjson"));

    /// <summary>A query of the engine's form for a vector.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="query">Weights above 0.</param>
    /// <param name="names">Name of each term, by number.</param>
    /// <param name="options">Names; null, the default, for the record's defaults.</param>
    /// <exception cref="ArgumentException">A weight that is not above 0, a term without a name, or an option out of its range.</exception>
    public static string QueryOf(BulkEngine engine, SparseVector query, IReadOnlyList<string> names, BulkExportOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(names);
        foreach (float weight in query.Weights)
        {
            if (!(weight > 0)) throw new ArgumentException($"A query's weight is {weight}; the engines take weights above 0.", nameof(query));
        }

        if (query.Count > 0 && query.Terms[^1] >= names.Count) throw new ArgumentException($"The query holds term {query.Terms[^1]}, but there are {names.Count} names.", nameof(query));
        options ??= new();
        options.Validate();
        return Query(engine, options, query, names);
    }

    /// <summary>The nearest number with nine significant bits, as the engines store it.</summary>
    /// <param name="weight">A finite weight.</param>
    public static float NineBits(float weight)
    {
        // Eight bits of the fraction stay; half of the last one is added first, so that cutting the others rounds to nearest.
        uint bits = BitConverter.SingleToUInt32Bits(weight);
        return BitConverter.UInt32BitsToSingle((bits + (1u << 14)) & ~((1u << 15) - 1));
    }

    private static double Check(IReadOnlyList<RetrievalDocument> documents, IReadOnlyList<SparseVector> vectors, IReadOnlyList<string> names, bool withText)
    {
        if (documents.Count == 0) throw new ArgumentException("There is no document.", nameof(documents));
        ExportChecks.Documents(documents);
        ExportChecks.Vectors(documents, vectors, names);
        if (withText) ExportChecks.Texts(documents.SelectMany(d => new[] { d.Id, d.Title, d.Text }), nameof(documents));
        else ExportChecks.Texts(documents.Select(d => d.Id), nameof(documents));
        for (int t = 0; t < names.Count; t++)
        {
            if (string.IsNullOrWhiteSpace(names[t])) throw new ArgumentException($"The name of term {t} is empty.", nameof(names));
            if (names[t].Contains('.', StringComparison.Ordinal)) throw new ArgumentException($"The term '{names[t]}' holds a dot, which the engines read as a path.", nameof(names));
        }

        double change = 0;
        for (int d = 0; d < vectors.Count; d++)
        {
            for (int i = 0; i < vectors[d].Count; i++)
            {
                (int term, float weight) = (vectors[d].Terms[i], vectors[d].Weights[i]);
                float stored = NineBits(weight);
                if (!(stored >= 1.17549435e-38f) || !float.IsFinite(stored))
                    throw new ArgumentException($"Document '{documents[d].Id}' gives '{names[term]}' the weight {weight}; the engines take normal numbers above 0.", nameof(vectors));
                change = Math.Max(change, Math.Abs(stored - weight) / weight);
            }
        }

        return change;
    }

    private static IEnumerable<string> Lines(BulkExportOptions options, RetrievalDocument document, SparseVector vector, IReadOnlyList<string> names)
    {
        yield return Json(writer =>
        {
            writer.WriteStartObject("index");
            writer.WriteString("_index", options.Index);
            if (Encoding.UTF8.GetByteCount(document.Id) <= LongestId) writer.WriteString("_id", document.Id);
            writer.WriteEndObject();
        });
        yield return Json(writer =>
        {
            writer.WriteString("id", document.Id);
            if (options.WithText)
            {
                writer.WriteString("title", document.Title);
                writer.WriteString("text", document.Text);
            }

            if (vector.Count > 0) Weights(writer, options.Field, vector, names, NineBits);
        });
    }

    private static string Mapping(BulkEngine engine, BulkExportOptions options) => Json(writer =>
    {
        writer.WriteStartObject("mappings");
        writer.WriteStartObject("properties");
        Typed(writer, "id", "keyword");
        if (options.WithText)
        {
            Typed(writer, "title", "text");
            Typed(writer, "text", "text");
        }

        writer.WriteStartObject(options.Field);
        writer.WriteString("type", engine == BulkEngine.OpenSearch ? "rank_features" : "sparse_vector");
        if (engine == BulkEngine.Elasticsearch)
        {
            // Newer versions leave frequent and light terms out of queries by themselves.
            writer.WriteStartObject("index_options");
            writer.WriteBoolean("prune", false);
            writer.WriteEndObject();
        }

        for (int open = 0; open < 3; open++) writer.WriteEndObject();
    });

    private static string Query(BulkEngine engine, BulkExportOptions options, SparseVector query, IReadOnlyList<string> names) => Json(writer =>
    {
        writer.WriteStartObject("query");
        if (engine == BulkEngine.OpenSearch)
        {
            writer.WriteStartObject("neural_sparse");
            writer.WriteStartObject(options.Field);
            Weights(writer, "query_tokens", query, names, w => w);
            writer.WriteEndObject();
        }
        else
        {
            writer.WriteStartObject("sparse_vector");
            writer.WriteString("field", options.Field);
            Weights(writer, "query_vector", query, names, w => w);
            writer.WriteBoolean("prune", false);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    });

    private static void Weights(Utf8JsonWriter writer, string property, SparseVector vector, IReadOnlyList<string> names, Func<float, float> stored)
    {
        writer.WriteStartObject(property);
        for (int i = 0; i < vector.Count; i++) writer.WriteNumber(names[vector.Terms[i]], stored(vector.Weights[i]));
        writer.WriteEndObject();
    }

    private static void Typed(Utf8JsonWriter writer, string name, string type)
    {
        writer.WriteStartObject(name);
        writer.WriteString("type", type);
        writer.WriteEndObject();
    }

    private static string Json(Action<Utf8JsonWriter> write)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, s_plain))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
