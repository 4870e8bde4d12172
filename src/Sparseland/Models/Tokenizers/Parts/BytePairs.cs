using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>What a byte-pair model has beside tokens and merges.</summary>
internal sealed record BytePairOptions
{
    public string? Unknown { get; init; }

    public bool FuseUnknown { get; init; }

    public bool ByteFallback { get; init; }

    public bool IgnoreMerges { get; init; }

    public string? Prefix { get; init; }

    public string? Suffix { get; init; }
}

/// <summary>
/// Byte-pair encoding (Sennrich, Haddow and Birch 2016). Short pieces over an alphabet that covers them are merged by
/// Microsoft.ML.Tokenizers. What it lacks is done here: byte_fallback, ignore_merges, unknown tokens together with these, tokens that hold a
/// blank, and pieces of thousands of characters (it takes merged symbols out of a list one by one, in quadratic time), as of Llama 2, where
/// a whole text is one piece.
/// </summary>
internal sealed class BytePairs : PieceModel
{
    private const int LongestForPackage = 256;

    // Most pieces of a text are words that were seen before.
    private const int MostKnown = 50_000;
    private const int LongestKnown = 32;
    private readonly BytePairOptions _options;
    private readonly Dictionary<(int Left, int Right), (int Rank, int Id)> _merges = [];
    private readonly BpeTokenizer? _package;
    private readonly SearchValues<char> _alphabet;
    private readonly ConcurrentDictionary<string, int[]> _known = new(StringComparer.Ordinal);
    private readonly int[]? _byteIds;
    private readonly int? _unknown;

    public BytePairs(Dictionary<string, int> ids, IReadOnlyList<(string Left, string Right)> merges, BytePairOptions options)
        : base(ids)
    {
        _options = options;
        if (options.Unknown is { } unknown) _unknown = ids.TryGetValue(unknown, out int id) ? id : throw new FormatException($"the unknown token '{unknown}' is not in the vocabulary.");
        if (options.ByteFallback) _byteIds = ByteIds(ids);
        for (int rank = 0; rank < merges.Count; rank++)
        {
            (string left, string right) = merges[rank];
            int skip = options.Prefix?.Length ?? 0;
            if (!ids.TryGetValue(left, out int l) || !ids.TryGetValue(right, out int r) || right.Length < skip || !ids.TryGetValue(left + right[skip..], out int merged))
                throw new FormatException($"Merge '{left} {right}' names a token that is not in the vocabulary.");
            _merges[(l, r)] = (rank, merged);
        }

        _alphabet = SearchValues.Create([.. ids.Keys.Where(t => t.Length == 1).Select(t => t[0])]);
        bool plain = _merges.Count == merges.Count && options is { Prefix: null, Suffix: null } && !merges.Any(m => HasNoWord(m.Left) || HasNoWord(m.Right));
        if (plain) _package = BpeTokenizer.Create(new BpeOptions(ids) { Merges = merges.Select(m => $"{m.Left} {m.Right}") });
    }

    public static BytePairs Of(Part part)
    {
        if (part.Json.TryGetProperty("dropout", out JsonElement dropout) && dropout.ValueKind == JsonValueKind.Number && dropout.GetDouble() != 0)
            throw part.Wrong($"dropout {dropout.GetDouble()} makes the same text other tokens each time; only none is known");
        var merges = new List<(string, string)>();
        foreach (JsonElement merge in part.Get("merges").EnumerateArray())
            merges.Add(Pair(merge));
        return new BytePairs(Vocabulary(part), merges, new()
        {
            Unknown = part.TextOrNull("unk_token"),
            FuseUnknown = part.Flag("fuse_unk", false),
            ByteFallback = part.Flag("byte_fallback", false),
            IgnoreMerges = part.Flag("ignore_merges", false),
            Prefix = part.TextOrNull("continuing_subword_prefix") is { Length: > 0 } prefix ? prefix : null,
            Suffix = part.TextOrNull("end_of_word_suffix") is { Length: > 0 } suffix ? suffix : null,
        });
    }

    /// <summary>A merge as a line or as a list of two.</summary>
    /// <exception cref="FormatException">It is neither.</exception>
    public static (string Left, string Right) Pair(JsonElement merge)
    {
        if (merge.ValueKind == JsonValueKind.String) return Pair(merge.GetString()!);
        return merge.ValueKind == JsonValueKind.Array && merge.GetArrayLength() == 2 && merge[0].GetString() is { } left && merge[1].GetString() is { } right
            ? (left, right)
            : throw new FormatException($"merge {merge.GetRawText()} is not two tokens.");
    }

    /// <summary>A merge as it stands in a line.</summary>
    /// <exception cref="FormatException">It is not two tokens with a blank between them.</exception>
    public static (string Left, string Right) Pair(string line)
    {
        int blank = line.IndexOf(' ', StringComparison.Ordinal);
        return blank > 0 && blank < line.Length - 1 && line.IndexOf(' ', blank + 1) < 0
            ? (line[..blank], line[(blank + 1)..])
            : throw new FormatException($"merge '{line}' is not two tokens with a blank between them.");
    }

    public override void Encode(string piece, List<int> ids, CancellationToken cancel)
    {
        if (_known.TryGetValue(piece, out int[]? known))
        {
            ids.AddRange(known);
            return;
        }

        int before = ids.Count;
        if (_options.IgnoreMerges && Ids.TryGetValue(piece, out int whole)) ids.Add(whole);
        else if (_package is not null && piece.Length <= LongestForPackage && !piece.AsSpan().ContainsAnyExcept(_alphabet)) ids.AddRange(_package.EncodeToIds(piece, considerPreTokenization: false, considerNormalization: false));
        else Merge(Symbols(piece, cancel), ids, cancel);
        if (piece.Length <= LongestKnown && _known.Count < MostKnown) _known.TryAdd(piece, [.. CollectionsMarshal.AsSpan(ids)[before..]]);
    }

    private static bool HasNoWord(string token) => token.Length == 0 || token.Contains(' ', StringComparison.Ordinal);

    /// <summary>The characters of a piece as tokens.</summary>
    private List<int> Symbols(string piece, CancellationToken cancel)
    {
        var symbols = new List<int>(piece.Length);
        bool waiting = false;
        int at = 0;
        foreach (Rune c in piece.EnumerateRunes())
        {
            cancel.ThrowIfCancellationRequested();
            string text = c.ToString();
            if (at > 0 && _options.Prefix is { } prefix) text = prefix + text;
            at += c.Utf16SequenceLength;
            if (at == piece.Length && _options.Suffix is { } suffix) text += suffix;
            if (Ids.TryGetValue(text, out int id))
            {
                Flush();
                symbols.Add(id);
            }
            else if (_byteIds is not null && ByBytes(text, _byteIds) is { } bytes)
            {
                // An unknown token that waits comes after these bytes, as in the Hugging Face library.
                symbols.AddRange(bytes);
            }
            else if (_unknown is not null)
            {
                if (!_options.FuseUnknown) Flush();
                waiting = true;
            }
        }

        Flush();
        return symbols;

        void Flush()
        {
            if (waiting) symbols.Add(_unknown!.Value);
            waiting = false;
        }
    }

    /// <summary>Applies the merges, the earliest learned first and of those the leftmost, in n log n steps.</summary>
    private void Merge(List<int> symbols, List<int> ids, CancellationToken cancel)
    {
        int count = symbols.Count;
        int[] next = [.. Enumerable.Range(1, count)], previous = [.. Enumerable.Range(-1, count)];
        var queue = new PriorityQueue<(int At, int Id), long>();
        for (int i = 0; i + 1 < count; i++)
        {
            cancel.ThrowIfCancellationRequested();
            Offer(i);
        }

        while (queue.TryDequeue(out (int At, int Id) merge, out _))
        {
            cancel.ThrowIfCancellationRequested();
            int right = symbols[merge.At] < 0 ? count : next[merge.At];
            // The pair may have changed since it was offered.
            if (right >= count || !_merges.TryGetValue((symbols[merge.At], symbols[right]), out (int Rank, int Id) now) || now.Id != merge.Id) continue;
            symbols[merge.At] = merge.Id;
            symbols[right] = -1;
            next[merge.At] = next[right];
            if (next[right] < count) previous[next[right]] = merge.At;
            if (previous[merge.At] >= 0) Offer(previous[merge.At]);
            Offer(merge.At);
        }

        foreach (int id in symbols)
        {
            if (id >= 0) ids.Add(id);
        }

        void Offer(int at)
        {
            if (next[at] < count && _merges.TryGetValue((symbols[at], symbols[next[at]]), out (int Rank, int Id) merge)) queue.Enqueue((at, merge.Id), ((long)merge.Rank << 32) | (uint)at);
        }
    }
}
