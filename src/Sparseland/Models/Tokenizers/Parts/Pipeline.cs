using System.Text.Json;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>
/// The steps of a tokenizer.json in their order: added tokens are taken out, the rest is normalized, added tokens are looked for once more,
/// what is left is cut into pieces, the model makes tokens of each, special tokens are put around them.
/// </summary>
internal sealed class Pipeline
{
    private readonly PieceModel _model;
    private readonly TextStep _normalize;
    private readonly CutStep _cut;
    private readonly PostProcessor _surround;
    private readonly Func<List<string>, List<string>>? _decode;
    private readonly AddedTokens _before;
    private readonly AddedTokens _after;
    private readonly HashSet<int> _special;
    private readonly BertWords? _words;

    /// <summary>Puts the steps together.</summary>
    /// <exception cref="FormatException">An id belongs to two tokens, or none has an id below the largest.</exception>
    public Pipeline(
        PieceModel model, IReadOnlyList<AddedToken> added, TextStep? normalize = null, CutStep? cut = null, PostProcessor? surround = null,
        Func<List<string>, List<string>>? decode = null, BertWords? words = null)
    {
        Tokens = AllTokens(model, added);
        _model = model;
        _normalize = normalize ?? ((text, _) => text);
        _cut = cut ?? ((pieces, _) => pieces);
        _surround = surround ?? PostProcessor.None;
        _decode = decode;
        Added = added;
        _before = new AddedTokens([.. added.Where(t => !t.Normalized).Select(t => (t, t.Content))]);
        _after = new AddedTokens([.. added.Where(t => t.Normalized).Select(t => (t, Normalize(t.Content)))]);
        // Tokens of the normalized text could stand where no word of the text begins.
        _words = _after.Count == 0 ? words : null;
        _special = [.. added.Where(t => t.Special).Select(t => t.Id)];
        if (_surround.LargestId >= Tokens.Count) throw new FormatException($"its post_processor adds token {_surround.LargestId}, but there are {Tokens.Count} tokens.");
    }

    /// <summary>The tokens by id.</summary>
    public IReadOnlyList<string> Tokens { get; }

    /// <summary>The added tokens in the order of the file.</summary>
    public IReadOnlyList<AddedToken> Added { get; }

    /// <summary>Reads all parts of a tokenizer.json.</summary>
    /// <exception cref="FormatException">A part is not known or not whole.</exception>
    public static Pipeline Read(JsonElement root)
    {
        var file = new Part(root, "tokenizer");
        PieceModel model = PieceModel.Read(new(file.Get("model"), "model"));
        var added = new List<AddedToken>();
        if (Optional(root, "added_tokens") is { } list)
        {
            var names = new HashSet<string>(StringComparer.Ordinal);
            foreach (Part token in new Part(root, "added_tokens").Parts("added_tokens"))
            {
                string content = token.Text("content");
                bool special = token.Flag("special", false);
                if (content.Length > 0 && names.Add(content))
                    added.Add(new(token.Number("id"), content, token.Flag("single_word", false), token.Flag("lstrip", false), token.Flag("rstrip", false), token.Flag("normalized", !special), special));
            }
        }

        Part? normalizer = Optional(root, "normalizer"), cutter = Optional(root, "pre_tokenizer");
        TextStep? normalize = normalizer is { } n ? Normalizers.Read(n) : null;
        CutStep? cut = cutter is { } c ? PreTokenizers.Read(c) : null;
        return new Pipeline(
            model, added, normalize, cut,
            Optional(root, "post_processor") is { } surround ? PostProcessor.Read(surround) : null,
            Optional(root, "decoder") is { } decode ? Decoders.Read(decode) : null,
            BertWords.Of(model, normalizer, normalize, cutter, cut));
    }

    /// <summary>Whether texts are cut into words and their continuations.</summary>
    public bool HasWordPieces => _model is WordPieces;

    /// <summary>A part that may be absent.</summary>
    public static Part? Optional(JsonElement root, string name) =>
        root.TryGetProperty(name, out JsonElement part) && part.ValueKind != JsonValueKind.Null ? new Part(part, name) : null;

    /// <summary>Ids of a text without special tokens around it.</summary>
    public List<int> Encode(string text, CancellationToken cancel)
    {
        var ids = new List<int>(text.Length / 3);
        text = UnicodeClasses.Valid(text);
        foreach ((int start, int end, int? token) in _before.Find(text, cancel))
        {
            if (token is { } id) ids.Add(id);
            else if (_words is not null) _words.Encode(text.AsSpan(start, end - start), ids, cancel);
            else Encode(_normalize(text[start..end], cancel), start == 0, ids, cancel);
        }

        return ids;
    }

    /// <summary>A text as the model sees it.</summary>
    public string Normalize(string text) => _normalize(text, CancellationToken.None);

    /// <summary>Special tokens around ids.</summary>
    public TokenSequence Surround(IReadOnlyList<int> first, IReadOnlyList<int>? second) => _surround.Apply(first, second);

    /// <summary>Text of ids.</summary>
    public string Decode(IEnumerable<int> ids, bool skipSpecial)
    {
        List<string> tokens = [.. ids.Where(id => !skipSpecial || !_special.Contains(id)).Select(id => Tokens[id])];
        return _decode is null ? string.Join(' ', tokens) : string.Concat(_decode(tokens));
    }

    private static string[] AllTokens(PieceModel model, IReadOnlyList<AddedToken> added)
    {
        var tokens = new SortedDictionary<int, string>();
        foreach ((string token, int id) in model.Ids.Select(t => (t.Key, t.Value)).Concat(added.Select(t => (t.Content, t.Id))))
        {
            if (!tokens.TryAdd(id, token) && tokens[id] != token) throw new FormatException($"id {id} belongs to two tokens, '{tokens[id]}' and '{token}'.");
        }

        foreach (AddedToken token in added)
        {
            if (model.Ids.TryGetValue(token.Content, out int id) && id != token.Id) throw new FormatException($"added token '{token.Content}' has id {token.Id}, but {id} in the vocabulary.");
        }

        int next = 0;
        foreach (int id in tokens.Keys)
        {
            if (id != next) throw new FormatException($"no token has id {next}; ids must run from 0 without gaps.");
            next++;
        }

        return [.. tokens.Values];
    }

    private void Encode(string text, bool first, List<int> ids, CancellationToken cancel)
    {
        foreach ((int start, int end, int? token) in _after.Find(text, cancel))
        {
            if (token is { } id)
            {
                ids.Add(id);
                continue;
            }

            foreach (Piece piece in _cut([new(text[start..end], first && start == 0)], cancel))
            {
                cancel.ThrowIfCancellationRequested();
                if (piece.Text.Length > 0) _model.Encode(piece.Text, ids, cancel);
            }
        }
    }
}
