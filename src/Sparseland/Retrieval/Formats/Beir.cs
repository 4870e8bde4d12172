using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Sparseland.Retrieval.Formats;

/// <summary>
/// Folders in the form of BEIR (Thakur et al. 2021): corpus.jsonl with "_id", "title" and "text", queries.jsonl with "_id" and "text", and
/// qrels/SPLIT.tsv with query-id, corpus-id and score, with or without a heading.
/// </summary>
public static class Beir
{
    private const string Corpus = "corpus.jsonl", Queries = "queries.jsonl", Judgements = "qrels";
    private static readonly JsonWriterOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Whether a folder holds documents in this form.</summary>
    /// <param name="folder">The folder; it need not be there.</param>
    public static bool HasDocuments(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return File.Exists(Path.Combine(folder, Corpus));
    }

    /// <summary>Names of the splits of a folder, sorted.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="DirectoryNotFoundException">It is not there.</exception>
    public static IReadOnlyList<string> Splits(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'.");
        string qrels = Path.Combine(folder, Judgements);
        return Directory.Exists(qrels) ? [.. Directory.GetFiles(qrels, "*.tsv").Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal)] : [];
    }

    /// <summary>Reads a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">Split, queries, identical ids; null, the default, for the record's defaults.</param>
    /// <param name="progress">Bytes read of each file.</param>
    /// <param name="cancel">Checked at each line.</param>
    /// <exception cref="DirectoryNotFoundException">The folder is not there.</exception>
    /// <exception cref="FileNotFoundException">One of its files is not there.</exception>
    /// <exception cref="ArgumentException">It has not the split, or several and none named "test" when no split is given.</exception>
    /// <exception cref="InvalidDataException">A line is malformed (file and line are named), or an id stands twice (both lines are).</exception>
    public static BeirFolder Read(string folder, BeirOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        string split = ChooseSplit(folder, options.Split);
        string corpus = Existing(folder, Corpus), queryFile = Existing(folder, Queries), qrelsFile = Existing(folder, Path.Combine(Judgements, split + ".tsv"));
        Qrels qrels = ReadQrels(qrelsFile, progress, cancel);
        List<RetrievalQuery> queries = ReadQueryFile(queryFile, progress, cancel);
        if (!options.AllQueries) queries.RemoveAll(q => !qrels.Has(q.Id));
        List<RetrievalDocument> documents = ReadCorpus(corpus, progress, cancel);

        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        var collection = new RetrievalCollection(name.Length > 0 ? name : "BEIR", documents, queries, qrels) { DropsIdenticalIds = options.DropIdenticalIds };
        if (options.RefuseUnknown) CheckUnknown(collection, queries, qrelsFile);
        return new(collection, split, documents.Count(d => d.Title.Length == 0), documents.Count(d => string.IsNullOrWhiteSpace(d.Contents)), qrels.Repeated);
    }

    /// <summary>Reads the documents of a folder alone; queries and judgements need not be there.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="progress">Bytes read.</param>
    /// <param name="cancel">Checked at each line.</param>
    /// <exception cref="DirectoryNotFoundException">The folder is not there.</exception>
    /// <exception cref="FileNotFoundException">It has no corpus.jsonl.</exception>
    /// <exception cref="InvalidDataException">A line is malformed (file and line are named), an id stands twice, or there is no document.</exception>
    public static IReadOnlyList<RetrievalDocument> ReadDocuments(string folder, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'.");
        return ReadCorpus(Existing(folder, Corpus), progress, cancel);
    }

    /// <summary>Reads the queries of a folder alone, judged or not; documents and judgements need not be there.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="progress">Bytes read.</param>
    /// <param name="cancel">Checked at each line.</param>
    /// <exception cref="DirectoryNotFoundException">The folder is not there.</exception>
    /// <exception cref="FileNotFoundException">It has no queries.jsonl.</exception>
    /// <exception cref="InvalidDataException">A line is malformed (file and line are named), or an id stands twice.</exception>
    public static IReadOnlyList<RetrievalQuery> ReadQueries(string folder, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'.");
        return ReadQueryFile(Existing(folder, Queries), progress, cancel);
    }

    /// <summary>Reads judgements of one split: three fields apart by tabs, a heading or none; a field may stand in quotes.</summary>
    /// <param name="path">The file.</param>
    /// <param name="progress">Bytes read.</param>
    /// <param name="cancel">Checked at each line.</param>
    /// <exception cref="InvalidDataException">A line without three fields, an empty id, a quote that does not end, or a score that is no whole number.</exception>
    public static Qrels ReadQrels(string path, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var judgements = new List<Judgement>();
        bool first = true;
        foreach ((int number, string text) in TextLines.Read(path, progress, cancel))
        {
            string[] fields = [.. text.Split('\t').Select(f => Unquoted(f.Trim(), path, number))];
            if (fields.Length != 3) throw TrecFiles.Error(path, number, $"{fields.Length} fields apart by tabs, but judgements have query-id, corpus-id and score");
            // "1.0" is a grade of a form that is not taken, and no heading to be passed over.
            bool heading = first && !double.TryParse(fields[2], NumberStyles.Float, CultureInfo.InvariantCulture, out _);
            first = false;
            if (heading) continue;
            (string query, string document) = (fields[0], fields[1]);
            if (query.Length == 0 || document.Length == 0) throw TrecFiles.Error(path, number, "an id is empty");
            judgements.Add(new(query, document, TrecFiles.Grade(path, number, fields[2])));
        }

        return new(judgements);
    }

    /// <summary>Writes a collection with one split.</summary>
    /// <param name="folder">The folder, made where it is not there; files of these names are replaced.</param>
    /// <param name="collection">The collection.</param>
    /// <param name="split">Name of the split. Default "test".</param>
    /// <param name="progress">Documents written.</param>
    /// <param name="cancel">Checked at each document.</param>
    /// <exception cref="ArgumentException">An id with a tab or a line break, or a name of a split that is no file name.</exception>
    public static void Write(string folder, RetrievalCollection collection, string split = "test", IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(collection);
        Write(folder, collection, new Dictionary<string, Qrels>(StringComparer.Ordinal) { [split] = collection.Qrels }, progress, cancel);
    }

    /// <summary>Writes a collection with several splits.</summary>
    /// <param name="folder">The folder, made where it is not there; files of these names are replaced.</param>
    /// <param name="collection">Documents and queries.</param>
    /// <param name="splits">Judgements of each split, in place of the collection's.</param>
    /// <param name="progress">Documents written.</param>
    /// <param name="cancel">Checked at each document.</param>
    /// <exception cref="ArgumentException">No split, an id with a tab or a line break, or a name of a split that is no file name.</exception>
    public static void Write(
        string folder, RetrievalCollection collection, IReadOnlyDictionary<string, Qrels> splits, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(collection);
        ArgumentNullException.ThrowIfNull(splits);
        Check(collection, splits);
        Directory.CreateDirectory(Path.Combine(folder, Judgements));
        int written = 0;
        TextLines.Write(Path.Combine(folder, Corpus), writer =>
        {
            foreach (RetrievalDocument document in collection.Documents)
            {
                cancel.ThrowIfCancellationRequested();
                writer.WriteLine(Json(("_id", document.Id), ("title", document.Title), ("text", document.Text)));
                if ((++written & 1023) == 0) progress?.Report(new(written, collection.Documents.Count, Corpus));
            }
        });
        TextLines.Write(Path.Combine(folder, Queries), writer =>
        {
            foreach (RetrievalQuery query in collection.Queries) writer.WriteLine(Json(("_id", query.Id), ("text", query.Text)));
        });
        foreach ((string split, Qrels qrels) in splits)
        {
            cancel.ThrowIfCancellationRequested();
            TextLines.Write(Path.Combine(folder, Judgements, split + ".tsv"), writer =>
            {
                writer.WriteLine("query-id\tcorpus-id\tscore");
                foreach (Judgement judgement in qrels.All)
                    writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Quoted(judgement.Query)}\t{Quoted(judgement.Document)}\t{judgement.Grade}"));
            });
        }

        progress?.Report(new(written, collection.Documents.Count, Corpus));
    }

    private static string ChooseSplit(string folder, string? wanted)
    {
        IReadOnlyList<string> splits = Splits(folder);
        string found = splits.Count == 0 ? "no split" : $"the splits {string.Join(", ", splits)}";
        if (wanted is not null) return splits.Contains(wanted) ? wanted : throw new ArgumentException($"'{folder}' has no split '{wanted}' in {Judgements}/; it has {found}.", "options");
        if (splits.Contains("test")) return "test";
        return splits.Count == 1 ? splits[0] : throw new ArgumentException($"'{folder}' has {found} in {Judgements}/ and none named test; say which one.", "options");
    }

    private static string Existing(string folder, string file)
    {
        string path = Path.Combine(folder, file);
        return File.Exists(path) ? path : throw new FileNotFoundException($"A BEIR folder holds '{file}'; there is none in '{folder}'.", path);
    }

    private static List<RetrievalDocument> ReadCorpus(string corpus, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        List<RetrievalDocument> documents = ReadLines(
            corpus, (id, json, number) => new RetrievalDocument(id, Text(json, "text", corpus, number) ?? "") { Title = Text(json, "title", corpus, number) ?? "" }, progress, cancel);
        return documents.Count > 0 ? documents : throw new InvalidDataException($"'{corpus}' holds no document.");
    }

    private static List<RetrievalQuery> ReadQueryFile(string path, IProgress<ProgressReport>? progress, CancellationToken cancel) => ReadLines(
        path, (id, json, number) => new RetrievalQuery(id, Text(json, "text", path, number) ?? throw TrecFiles.Error(path, number, $"query '{id}' has no \"text\"")), progress, cancel);

    private static List<T> ReadLines<T>(string path, Func<string, JsonElement, int, T> make, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        var lines = new Dictionary<string, int>(StringComparer.Ordinal);
        var result = new List<T>();
        foreach ((int number, string text) in TextLines.Read(path, progress, cancel))
        {
            using JsonDocument json = Parse(path, number, text);
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw TrecFiles.Error(path, number, $"a JSON object is expected, not {json.RootElement.ValueKind}");
            JsonElement? own = Property(json.RootElement, "_id", path, number);
            string? id = own?.ValueKind == JsonValueKind.Number ? own.Value.GetRawText() : Text(json.RootElement, "_id", path, number);
            if (string.IsNullOrEmpty(id)) throw TrecFiles.Error(path, number, "there is no \"_id\"");
            if (!lines.TryAdd(id, number)) throw TrecFiles.Error(path, number, $"the id '{id}' stands again, first in line {lines[id]}");
            result.Add(make(id, json.RootElement, number));
        }

        return result;
    }

    private static JsonDocument Parse(string path, int number, string text)
    {
        try
        {
            return JsonDocument.Parse(text);
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"'{path}', line {number}: no JSON, {error.Message}", error);
        }
    }

    private static string? Text(JsonElement json, string property, string path, int number)
    {
        if (Property(json, property, path, number) is not { ValueKind: not JsonValueKind.Null } value) return null;
        if (value.ValueKind != JsonValueKind.String) throw TrecFiles.Error(path, number, $"\"{property}\" is {value.ValueKind} and no text");
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException error)
        {
            // Half a surrogate pair: such a text could not be written again.
            throw new InvalidDataException($"'{path}', line {number}: \"{property}\" is no valid text.", error);
        }
    }

    private static JsonElement? Property(JsonElement json, string property, string path, int number)
    {
        try
        {
            return json.TryGetProperty(property, out JsonElement value) ? value : null;
        }
        catch (InvalidOperationException error)
        {
            throw new InvalidDataException($"'{path}', line {number}: the name of a property is no valid text.", error);
        }
    }

    /// <summary>A field as Python's csv reads it, which wrote BEIR's files: one that begins with a quote ends with one, and those within stand doubled.</summary>
    private static string Unquoted(string field, string path, int number)
    {
        if (!field.StartsWith('"')) return field;
        string within = field.Length > 1 && field.EndsWith('"') ? field[1..^1].Replace("\"\"", "\0", StringComparison.Ordinal) : "\"";
        return within.Contains('"', StringComparison.Ordinal)
            ? throw TrecFiles.Error(path, number, $"the field {field} begins with a quote and does not end with one, or holds one that is not doubled")
            : within.Replace('\0', '"');
    }

    private static string Quoted(string id) => id.StartsWith('"') ? $"\"{id.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : id;

    private static void CheckUnknown(RetrievalCollection collection, List<RetrievalQuery> queries, string path)
    {
        var known = queries.Select(q => q.Id).ToHashSet(StringComparer.Ordinal);
        foreach (Judgement judgement in collection.Qrels.All)
        {
            if (collection.Find(judgement.Document) is null) throw new InvalidDataException($"'{path}' judges the document '{judgement.Document}', which the corpus has not ({collection.UnknownDocuments} such judgements).");
            if (!known.Contains(judgement.Query)) throw new InvalidDataException($"'{path}' judges the query '{judgement.Query}', which is not there ({collection.UnknownQueries} such queries).");
        }
    }

    private static void Check(RetrievalCollection collection, IReadOnlyDictionary<string, Qrels> splits)
    {
        if (splits.Count == 0) throw new ArgumentException("There is no split.", nameof(splits));
        if (splits.Keys.FirstOrDefault(s => string.IsNullOrWhiteSpace(s) || s.IndexOfAny(Path.GetInvalidFileNameChars()) >= 0) is { } bad)
            throw new ArgumentException($"The split '{bad}' is no file name.", nameof(splits));
        IEnumerable<string> ids = splits.Values.SelectMany(q => q.All).SelectMany(j => new[] { j.Query, j.Document });
        if (ids.FirstOrDefault(id => id.AsSpan().IndexOfAny('\t', '\n', '\r') >= 0 || id.Length != id.Trim().Length) is { } id)
            throw new ArgumentException($"The id '{id}' holds a tab or a line break, or begins or ends with a space, which a file of judgements cannot hold.", nameof(splits));
        IEnumerable<string> texts = collection.Documents.SelectMany(d => new[] { d.Id, d.Title, d.Text }).Concat(collection.Queries.SelectMany(q => new[] { q.Id, q.Text }));
        ExportChecks.Texts(texts, nameof(collection));
    }

    private static string Json(params (string Name, string Value)[] properties)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, s_plain))
        {
            writer.WriteStartObject();
            foreach ((string name, string value) in properties) writer.WriteString(name, value);
            writer.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
