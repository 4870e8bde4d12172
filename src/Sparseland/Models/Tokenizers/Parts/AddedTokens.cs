using System.Buffers;
using System.Text;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>A token beside the model's vocabulary, taken out of the text before the model sees it.</summary>
internal sealed record AddedToken(int Id, string Content, bool SingleWord, bool LStrip, bool RStrip, bool Normalized, bool Special);

/// <summary>
/// Finds added tokens in a text: leftmost first, the longest of those. Microsoft.ML.Tokenizers 2.0.1 knows special tokens only as literal
/// alternatives of its regular expression, without whole words, stripped blanks and normalized contents.
/// </summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<int, AddedToken> _byId;
    private readonly SortedTokens _sorted;
    private readonly SearchValues<char> _begins;

    /// <summary>Tokens, and what each looks like in the text.</summary>
    public AddedTokens(IReadOnlyList<(AddedToken Token, string Pattern)> tokens)
    {
        _byId = tokens.ToDictionary(t => t.Token.Id, t => t.Token);
        _sorted = new SortedTokens(tokens.Select(t => (t.Pattern, t.Token.Id)));
        _begins = SearchValues.Create([.. tokens.Where(t => t.Pattern.Length > 0).Select(t => t.Pattern[0])]);
    }

    /// <summary>How many there are.</summary>
    public int Count => _sorted.Count;

    /// <summary>Stretches of the text in their order; an id where a stretch is an added token.</summary>
    public List<(int Start, int End, int? Id)> Find(string text, CancellationToken cancel)
    {
        var found = new List<(int, int, int?)>();
        int done = 0;
        if (_sorted.Count > 0 && text.AsSpan().ContainsAny(_begins))
        {
            var prefixes = new List<(int Length, int Id)>();
            for (int at = 0; at < text.Length;)
            {
                cancel.ThrowIfCancellationRequested();
                int skip = text.AsSpan(at).IndexOfAny(_begins);
                if (skip < 0) break;
                at += skip;
                _sorted.Prefixes(text.AsSpan(at), prefixes);
                if (prefixes.Count == 0)
                {
                    at++;
                    continue;
                }

                (int length, int id) = prefixes[^1];
                (int start, int end) = (at, at + length);
                at = end;
                AddedToken token = _byId[id];
                if (token.SingleWord && (EndsWithWord(text.AsSpan(0, start)) || BeginsWithWord(text.AsSpan(end)))) continue;
                if (token.LStrip) start = Math.Max(done, text.AsSpan(0, start).TrimEnd().Length);
                if (token.RStrip) end = text.Length - text.AsSpan(end).TrimStart().Length;
                if (done < start) found.Add((done, start, null));
                found.Add((start, end, id));
                done = end;
            }
        }

        if (done < text.Length) found.Add((done, text.Length, null));
        return found;
    }

    private static bool EndsWithWord(ReadOnlySpan<char> text) => Rune.DecodeLastFromUtf16(text, out Rune c, out _) == OperationStatus.Done && UnicodeClasses.IsWord(c);

    private static bool BeginsWithWord(ReadOnlySpan<char> text) => Rune.DecodeFromUtf16(text, out Rune c, out _) == OperationStatus.Done && UnicodeClasses.IsWord(c);
}
