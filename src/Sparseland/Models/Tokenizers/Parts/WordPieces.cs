using System.Collections.Concurrent;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>
/// WordPiece (Schuster and Nakajima 2012): the longest token that a word begins with, then the longest continuation. The search is that of
/// Microsoft.ML.Tokenizers; what it lacks is done here: it reads tokens only from lines, and counts a word's length in UTF-16 units.
/// </summary>
internal sealed class WordPieces : PieceModel
{
    // The package tries every stretch of a word, so its time grows with the third power of a word's length.
    private const int LongestWord = 1000;

    // Words come again and again: the ids of so many, each at most so long, are kept.
    private const int MostKnown = 1 << 16;

    /// <summary>The longest word whose ids are kept.</summary>
    public const int LongestKnown = 64;

    private readonly WordPieceTokenizer _words;
    private readonly int[] _ids;
    private readonly int _most;
    private readonly int _unknown;
    private readonly ConcurrentDictionary<string, int[]> _known = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> _knownSpans;
    private int _places = MostKnown;

    public WordPieces(Part part)
        : base(Vocabulary(part))
    {
        _most = part.Number("max_input_chars_per_word", 100);
        if (_most is < 0 or > LongestWord) throw part.Wrong($"max_input_chars_per_word is {_most}, not from 0 to {LongestWord}");
        string unknown = part.Text("unk_token", "[UNK]");
        if (!Ids.TryGetValue(unknown, out _unknown) || unknown.AsSpan().IndexOfAny('\r', '\n') >= 0) throw part.Wrong($"the unknown token '{unknown}' is not in its vocab");
        // A token with a line break can neither be written as a line nor occur: such ids stay out.
        KeyValuePair<string, int>[] lines = [.. Ids.Where(t => t.Key.Length > 0 && t.Key.AsSpan().IndexOfAny('\r', '\n') < 0)];
        _ids = [.. lines.Select(t => t.Value)];
        _knownSpans = _known.GetAlternateLookup<ReadOnlySpan<char>>();
        _words = WordPieceTokenizer.Create(new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', lines.Select(t => t.Key)))), new WordPieceOptions
        {
            UnknownToken = unknown,
            ContinuingSubwordPrefix = part.Text("continuing_subword_prefix", "##"),
            MaxInputCharsPerWord = (2 * _most) + 1,
        });
    }

    public override void Encode(string piece, List<int> ids, CancellationToken cancel)
    {
        if (!_known.TryGetValue(piece, out int[]? found))
        {
            found = Searched(piece);
            if (piece.Length <= LongestKnown && Volatile.Read(ref _places) > 0 && _known.TryAdd(piece, found)) Interlocked.Decrement(ref _places);
        }

        ids.AddRange(found);
    }

    /// <summary>Adds the ids of a piece that is not empty; no string is made of one that is known.</summary>
    public void Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        if (_knownSpans.TryGetValue(piece, out int[]? found)) ids.AddRange(found);
        else Encode(piece.ToString(), ids, CancellationToken.None);
    }

    private int[] Searched(string piece) => UnicodeClasses.CodePoints(piece) > _most
        ? [_unknown]
        : [.. _words.EncodeToIds(piece, considerPreTokenization: false, considerNormalization: false).Select(line => _ids[line])];
}
