using Lucene.Net.Documents;
using Lucene.Net.Index;
using Lucene.Net.Search.Similarities;
using Lucene.Net.Store;
using Lucene.Net.Util;
using Sparseland.Retrieval.Analysis;
using Analyzer = Sparseland.Retrieval.Analysis.Analyzer;
using Directory = System.IO.Directory;

namespace Sparseland.Retrieval.Formats;

/// <summary>How a Lucene index is written.</summary>
public sealed record LuceneExportOptions
{
    /// <summary>Makes terms of the documents; whoever asks the index takes it as a <see cref="LuceneAnalyzer"/>. Default <see cref="Analyzers.English"/>.</summary>
    public Analyzer Analyzer { get; init; } = Analyzers.English();

    /// <summary>What makes a document's length in BM25. Default all terms, as the index of this library; Lucene's own habit is positions.</summary>
    public LengthCount Length { get; init; } = LengthCount.Terms;

    /// <summary>Stores title and text beside the id, for showing what was found. Default true.</summary>
    public bool Store { get; init; } = true;

    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(Analyzer);
        if (!Enum.IsDefined(Length)) throw new ArgumentOutOfRangeException(nameof(Length), Length, "A length counts terms or positions.");
    }
}

/// <summary>
/// Documents as an index of Lucene 4.8, which Lucene.NET opens: the field "contents" holds title and text as terms, "id", "title" and "text" are
/// stored. One segment, documents in their order, so that a document's number is the same as here.
/// </summary>
public static class LuceneExport
{
    /// <summary>Field of the terms.</summary>
    public const string Contents = "contents";

    /// <summary>Field of the id.</summary>
    public const string Id = "id";

    /// <summary>Writes an index. It is made beside its place and renamed at the end, so that a stopped export leaves none.</summary>
    /// <param name="folder">The folder; it must not be there, or be empty.</param>
    /// <param name="documents">Documents, at least one.</param>
    /// <param name="options">Analyzer, lengths, storing; null, the default, for the record's defaults.</param>
    /// <param name="progress">Documents written.</param>
    /// <param name="cancel">Checked at each document.</param>
    /// <exception cref="ArgumentException">No document, an id that is empty or stands twice, or an option out of its range.</exception>
    /// <exception cref="IOException">The folder holds something.</exception>
    public static void Write(
        string folder, IReadOnlyList<RetrievalDocument> documents, LuceneExportOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(documents);
        options ??= new();
        options.Validate();
        if (documents.Count == 0) throw new ArgumentException("There is no document.", nameof(documents));
        ExportChecks.Documents(documents);
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (File.Exists(folder) || (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any()))
            throw new IOException($"'{folder}' is there and not empty; an index is written to a folder of its own.");

        string temporary = $"{folder}.{Path.GetRandomFileName()}.tmp";
        try
        {
            Fill(temporary, documents, options, progress, cancel);
            if (Directory.Exists(folder)) Directory.Delete(folder);
            Directory.Move(temporary, folder);
        }
        catch
        {
            if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
            throw;
        }
    }

    private static void Fill(string folder, IReadOnlyList<RetrievalDocument> documents, LuceneExportOptions options, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        using FSDirectory directory = FSDirectory.Open(folder);
        using var analyzer = new LuceneAnalyzer(options.Analyzer);
        var configuration = new IndexWriterConfig(LuceneVersion.LUCENE_48, analyzer)
        {
            OpenMode = OpenMode.CREATE,
            Similarity = new BM25Similarity { DiscountOverlaps = options.Length == LengthCount.Positions },

            // Segments that lie beside each other are merged in their order.
            MergePolicy = new LogDocMergePolicy(),
        };
        using var writer = new IndexWriter(directory, configuration);
        try
        {
            for (int d = 0; d < documents.Count; d++)
            {
                cancel.ThrowIfCancellationRequested();
                writer.AddDocument(Fields(documents[d], options));
                if ((d & 1023) == 0) progress?.Report(new(d, documents.Count, "Lucene index"));
            }

            writer.ForceMerge(1);
            writer.Commit();
        }
        catch
        {
            writer.Rollback();
            throw;
        }

        progress?.Report(new(documents.Count, documents.Count, "Lucene index"));
    }

    private static List<IIndexableField> Fields(RetrievalDocument document, LuceneExportOptions options)
    {
        var fields = new List<IIndexableField> { new StringField(Id, document.Id, Field.Store.YES), new TextField(Contents, document.Contents, Field.Store.NO) };
        if (!options.Store) return fields;
        fields.Add(new StoredField("title", document.Title));
        fields.Add(new StoredField("text", document.Text));
        return fields;
    }
}
