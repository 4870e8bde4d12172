using System.Runtime.InteropServices;
using System.Text.Json;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>
/// Unigram language model (Kudo 2018): of all ways to cut a piece into tokens the one with the largest sum of log-probabilities, by the
/// Viterbi algorithm. Microsoft.ML.Tokenizers has it only for SentencePiece's own .model files, with their normalizer and in single precision.
/// </summary>
internal sealed class Unigrams : PieceModel
{
    // A character that no token covers costs this much more than the rarest token.
    private const double UnknownPenalty = 10;
    private readonly double[] _scores;
    private readonly SortedTokens _sorted;
    private readonly double _unknownScore;
    private readonly int? _unknown;
    private readonly int[]? _byteIds;

    public Unigrams(Part part)
        : base(new(StringComparer.Ordinal))
    {
        JsonElement vocabulary = part.Get("vocab");
        if (vocabulary.ValueKind != JsonValueKind.Array) throw part.Wrong("its vocab is not a list of tokens and scores");
        var tokens = new List<string>();
        var scores = new List<double>();
        foreach (JsonElement entry in vocabulary.EnumerateArray())
        {
            if (entry.ValueKind != JsonValueKind.Array || entry.GetArrayLength() != 2 || entry[0].GetString() is not { } token) throw part.Wrong($"entry {tokens.Count} of its vocab is not a token and its score");
            if (!Ids.TryAdd(token, tokens.Count)) throw part.Wrong($"token '{token}' stands twice in its vocab");
            tokens.Add(token);
            scores.Add(entry[1].GetDouble());
        }

        _unknown = part.Json.TryGetProperty("unk_id", out JsonElement unknown) && unknown.ValueKind == JsonValueKind.Number ? unknown.GetInt32() : null;
        if (_unknown < 0 || _unknown >= tokens.Count) throw part.Wrong($"its unk_id {_unknown} is not one of {tokens.Count} tokens");
        Tokens = tokens;
        _scores = [.. scores];
        _sorted = new SortedTokens(tokens.Select((t, i) => (t, i)));
        _unknownScore = scores.DefaultIfEmpty().Min() - UnknownPenalty;
        _byteIds = part.Flag("byte_fallback", false) ? ByteIds(Ids) : null;
    }

    /// <summary>The tokens by id.</summary>
    public IReadOnlyList<string> Tokens { get; }

    public override void Encode(string piece, List<int> ids, CancellationToken cancel)
    {
        (int Start, int Id)[] best = Best(piece, cancel);
        var cuts = new List<(int Start, int End, bool IsUnknown)>();
        for (int end = piece.Length; end > 0;)
        {
            (int start, int id) = best[end];
            bool isUnknown = id == _unknown;
            // Neighbouring characters that are unknown become one.
            if (isUnknown && cuts.Count > 0 && cuts[^1].IsUnknown) CollectionsMarshal.AsSpan(cuts)[^1].Start = start;
            else cuts.Add((start, end, isUnknown));
            end = start;
        }

        for (int i = cuts.Count - 1; i >= 0; i--) Add(piece[cuts[i].Start..cuts[i].End], ids);
    }

    private void Add(string text, List<int> ids)
    {
        if (Ids.TryGetValue(text, out int id)) ids.Add(id);
        else if (_byteIds is not null && ByBytes(text, _byteIds) is { } bytes) ids.AddRange(bytes);
        else ids.Add(_unknown ?? throw Missing(text));
    }

    /// <summary>For every end, where the last token of the best way begins, and which it is.</summary>
    private (int Start, int Id)[] Best(string piece, CancellationToken cancel)
    {
        var best = new (int Start, int Id)[piece.Length + 1];
        var scores = new double[piece.Length + 1];
        Array.Fill(best, (-1, 0));
        var found = new List<(int Length, int Id)>();
        for (int at = 0; at < piece.Length;)
        {
            cancel.ThrowIfCancellationRequested();
            int one = char.IsHighSurrogate(piece[at]) && at + 1 < piece.Length ? 2 : 1;
            bool covered = false;
            _sorted.Prefixes(piece.AsSpan(at), found);
            foreach ((int length, int id) in found)
            {
                Improve(at, at + length, _scores[id], id);
                covered |= length == one;
            }

            if (!covered) Improve(at, at + one, _unknownScore, _unknown ?? throw Missing(piece.Substring(at, one)));
            at += one;
        }

        return best;

        void Improve(int start, int end, double score, int id)
        {
            if (best[end].Start >= 0 && scores[start] + score <= scores[end]) return;
            (scores[end], best[end]) = (scores[start] + score, (start, id));
        }
    }

    private static InvalidOperationException Missing(string text) => new($"'{text}' is not in the vocabulary, and the Unigram model has no unk_id.");
}
