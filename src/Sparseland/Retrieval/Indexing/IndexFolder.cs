using System.Text.Json;
using System.Text.RegularExpressions;
using Sparseland.IO;

namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// An index that grows: a folder of segments, each an index file, and a list of what is in force. Documents are added as a segment, deleted by
/// their ids, and merged into one segment from time to time. One writer at a time; readers need no lock and see a whole state, the one before a
/// change or the one after it. A reader joins the segments, so its scores are those of one index of the documents in force.
/// </summary>
public sealed partial class IndexFolder : IDisposable
{
    private const string ListName = "segments.json", LockName = "write.lock";
    private readonly FileStream _lock;
    private readonly IndexOptions _options;
    private State _state;

    private IndexFolder(string path, FileStream held, IndexOptions options, State state) => (Path, _lock, _options, _state) = (path, held, options, state);

    private sealed record Segment(string File, int Documents, List<string> Deleted);

    private sealed record State(int Version, int Next, List<Segment> Segments);

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>Number of segments.</summary>
    public int Segments => _state.Segments.Count;

    /// <summary>Number of documents in force.</summary>
    public int Documents => _state.Segments.Sum(s => s.Documents - s.Deleted.Count);

    /// <summary>Opens a folder to write, and makes it where there is none. Segments that are not in its list, which a writer left that was killed, are deleted.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="options">How documents are indexed; the same every time. Default null: the defaults.</param>
    /// <exception cref="IOException">Another writer has the folder, or it cannot be made.</exception>
    /// <exception cref="InvalidDataException">Its list of segments cannot be read.</exception>
    public static IndexFolder Open(string path, IndexOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new();
        options.Validate();
        Directory.CreateDirectory(path);
        FileStream held;
        try
        {
            held = new(System.IO.Path.Combine(path, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or FileNotFoundException or PathTooLongException))
        {
            throw new IOException($"Another writer has the index folder '{path}' open; close it first. ({e.Message})", e);
        }

        try
        {
            State? state = Load(path);
            IndexFolder opened = new(path, held, options, state ?? new(IndexFile.Version, 1, []));

            // Without a list it is not known that the segments of a folder are nobody's.
            if (state is not null) opened.Sweep();
            return opened;
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    /// <summary>Adds documents as a segment.</summary>
    /// <param name="documents">Documents, at least one.</param>
    /// <param name="progress">Told of documents read. Default none.</param>
    /// <param name="cancel">Ends the work; the folder stays as it was. Default none.</param>
    /// <exception cref="ArgumentException">No document, an empty id, an id twice, or an id that is in force already: delete it first.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public void Add(IEnumerable<RetrievalDocument> documents, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ObjectDisposedException.ThrowIf(!_lock.CanWrite, this);
        using InvertedIndex added = InvertedIndex.Build(documents, _options, progress, cancel);
        foreach (Segment segment in _state.Segments)
        {
            using InvertedIndex old = OpenSegment(Path, segment);
            if (!Equals(old.Analyzer?.Options, added.Analyzer?.Options) || old.Counting != added.Counting)
                throw new ArgumentException($"The folder was indexed with other options: {old.Analyzer}, not {added.Analyzer}.", nameof(documents));
            var gone = segment.Deleted.ToHashSet(StringComparer.Ordinal);
            for (int document = 0; document < old.Documents; document++)
            {
                if (added.Find(old.Id(document)) is not null && !gone.Contains(old.Id(document)))
                    throw new ArgumentException($"The id '{old.Id(document)}' is in force already, in segment '{segment.File}'. Delete it first.", nameof(documents));
            }
        }

        string file = NameOf(_state.Next);
        added.Save(In(file), cancel);
        Store(new(IndexFile.Version, _state.Next + 1, [.. _state.Segments, new(file, added.Documents, [])]));
    }

    /// <summary>Deletes documents.</summary>
    /// <param name="ids">Their ids.</param>
    /// <returns>How many were in force.</returns>
    public int Delete(IEnumerable<string> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ObjectDisposedException.ThrowIf(!_lock.CanWrite, this);
        string[] wanted = [.. ids.Distinct(StringComparer.Ordinal)];
        var segments = new List<Segment>();
        int count = 0;
        foreach (Segment segment in _state.Segments)
        {
            using InvertedIndex index = OpenSegment(Path, segment);
            var gone = segment.Deleted.ToHashSet(StringComparer.Ordinal);
            count += wanted.Count(id => index.Find(id) is not null && gone.Add(id));
            segments.Add(segment with { Deleted = [.. gone.Order(StringComparer.Ordinal)] });
        }

        if (count > 0) Store(_state with { Segments = segments });
        return count;
    }

    /// <summary>Makes one segment of all, without what was deleted.</summary>
    /// <param name="cancel">Ends the work; the folder stays as it was. Default none.</param>
    /// <exception cref="InvalidOperationException">No document is in force.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public void Merge(CancellationToken cancel = default)
    {
        ObjectDisposedException.ThrowIf(!_lock.CanWrite, this);
        if (Documents == 0) throw new InvalidOperationException($"The index folder '{Path}' has no document in force.");
        if (_state.Segments is [{ Deleted.Count: 0 }]) return;
        string file = NameOf(_state.Next);
        using (InvertedIndex merged = Join(Path, _state, cancel)) merged.Save(In(file), cancel);
        Store(new(IndexFile.Version, _state.Next + 1, [new(file, Documents, [])]));
        Sweep();
    }

    /// <summary>Reads what is in force: one mapped file where there is one segment and nothing deleted, else the segments joined in memory.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="InvalidDataException">The folder has no document in force, or a file of it is damaged.</exception>
    /// <exception cref="DirectoryNotFoundException">No such folder.</exception>
    public static InvertedIndex Read(string path, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!Directory.Exists(path)) throw new DirectoryNotFoundException($"There is no folder '{path}'.");
        for (int attempt = 0; ; attempt++)
        {
            State? state = Load(path);
            if (state is null || state.Segments.Sum(s => s.Documents - s.Deleted.Count) == 0) throw new InvalidDataException($"The index folder '{path}' has no document in force.");
            try
            {
                return state.Segments is [{ Deleted.Count: 0 } one] ? OpenSegment(path, one) : Join(path, state, cancel);
            }
            catch (FileNotFoundException) when (attempt < 3)
            {
                // A merge between the reading of the list and of a segment took the segment away; the list is a new one now.
            }
        }
    }

    /// <summary>Lets another writer in.</summary>
    public void Dispose() => _lock.Dispose();

    private static string NameOf(int number) => $"segment-{number:000000}.index";

    /// <summary>Opens a segment and asks it whether it is the one that the list speaks of.</summary>
    private static InvertedIndex OpenSegment(string path, Segment segment)
    {
        string file = System.IO.Path.Combine(path, segment.File);
        InvertedIndex index = InvertedIndex.Open(file);
        if (index.Documents == segment.Documents) return index;
        index.Dispose();
        throw new InvalidDataException($"'{file}' has {index.Documents} documents, and {ListName} says {segment.Documents}: it is of another state of the folder.");
    }

    private string In(string file) => System.IO.Path.Combine(Path, file);

    private static InvertedIndex Join(string path, State state, CancellationToken cancel)
    {
        var parts = new List<InvertedIndex>();
        try
        {
            foreach (Segment segment in state.Segments)
            {
                InvertedIndex part = OpenSegment(path, segment);
                parts.Add(part);
                if (segment.Deleted.Count == 0) continue;

                // What one segment lost another may have again, so each loses its own.
                if (segment.Deleted.Count == segment.Documents) parts.Remove(part);
                else parts[^1] = InvertedIndex.Merge([part], segment.Deleted.ToHashSet(StringComparer.Ordinal), cancel);
                part.Dispose();
            }

            return InvertedIndex.Merge(parts, null, cancel);
        }
        finally
        {
            foreach (InvertedIndex part in parts) part.Dispose();
        }
    }

    /// <summary>Takes away segments that are not in force: merged ones, and what a writer left that was killed, its unfinished file among it.</summary>
    private void Sweep()
    {
        foreach (string path in Directory.GetFiles(Path, "segment-*"))
        {
            if (!SegmentFile().IsMatch(System.IO.Path.GetFileName(path)) || _state.Segments.Any(s => s.File == System.IO.Path.GetFileName(path))) continue;
            try
            {
                File.Delete(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Where a file that is open cannot be deleted a reader still has it; the next writer takes it away.
            }
        }
    }

    // The second form is a file that was being written: nobody else writes while this writer holds the folder.
    [GeneratedRegex(@"^segment-[0-9]{6,}\.index(\.[^.]{8}\.[^.]{3}\.tmp)?$")]
    private static partial Regex SegmentFile();

    private void Store(State state)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(state);
        ReplacedFile.Write(In(ListName), stream => stream.Write(json), json.Length);
        _state = state;
    }

    private static State? Load(string path)
    {
        string list = System.IO.Path.Combine(path, ListName);
        if (!File.Exists(list)) return null;
        try
        {
            State? state = JsonSerializer.Deserialize<State>(File.ReadAllBytes(list));
            if (state?.Segments is null || state.Segments.Any(s => s?.Deleted is null || s.File is null || !SegmentFile().IsMatch(s.File) || !s.File.EndsWith(".index", StringComparison.Ordinal)))
                throw new InvalidDataException($"'{list}' is no list of segments.");
            if (state.Segments.Any(s => s.File == NameOf(state.Next)) || state.Segments.DistinctBy(s => s.File).Count() < state.Segments.Count)
                throw new InvalidDataException($"'{list}' names a segment twice, or the next one is to be {state.Next}, which is there: it is of another state of the folder.");
            if (state.Version != IndexFile.Version) throw new InvalidDataException($"'{list}' is of version {state.Version}; this library reads version {IndexFile.Version}.");
            return state;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"'{list}' is no list of segments: {e.Message}", e);
        }
    }
}
