using System.Text;
using Sparseland.IO;
using Sparseland.Models.Tokenizers.Parts;

namespace Sparseland.Models.Tokenizers;

/// <summary>Text to token ids and back.</summary>
/// <remarks>
/// Files are those of Hugging Face, see <see cref="TokenizerFile"/>; ids and decoded texts are those of its tokenizers library. Merging byte
/// pairs and searching word pieces is left to Microsoft.ML.Tokenizers where it does exactly that. A tokenizer may be used by several threads
/// at once.
/// </remarks>
public sealed class TextTokenizer
{
    private static readonly string[] s_ends = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>", "[SEP]"];
    private readonly Pipeline _pipeline;
    private readonly BpeModel? _model;

    /// <summary>A tokenizer of a byte-level vocabulary. Every text comes back as it was.</summary>
    /// <param name="model">Tokens, merges, special tokens, pattern.</param>
    /// <exception cref="FormatException">A byte has no token, a token stands twice, or a merge names one that is not there.</exception>
    public TextTokenizer(BpeModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        Dictionary<string, int> ids = Ids(model);
        AddedToken[] added = [.. model.SpecialTokens.Select(t => new AddedToken(ids[t], t, false, false, false, false, true))];
        PiecePattern pattern = PiecePattern.OfRegex(model.Pattern);
        _pipeline = new Pipeline(
            new BytePairs(ids, model.Merges, new()), added, null,
            (pieces, cancel) => [.. pieces.SelectMany(p => pattern.Spans(p.Text, cancel).Where(s => s.Start < s.End).Select(s => new Piece(ByteAlphabet.Spell(p.Text[s.Start..s.End]), false)))], null,
            tokens => [Encoding.UTF8.GetString([.. tokens.SelectMany(ByteAlphabet.Bytes)])]);
        Json = () => TokenizerFile.Write(model);
        IsByteLevel = true;
        EndOfText = model.SpecialTokens.Count == 0 ? null : ids[model.SpecialTokens[0]];
    }

    /// <summary>A tokenizer as a file says.</summary>
    internal TextTokenizer(Pipeline pipeline, BpeModel? model, bool isByteLevel, string? end, Func<byte[]> json)
    {
        (_pipeline, _model, IsByteLevel, Json) = (pipeline, model, isByteLevel, json);
        EndOfText = FindEnd(pipeline, model, end);
    }

    /// <summary>
    /// Tokens, merges, special tokens and pattern, where these are all that there is: a byte-level vocabulary with one pattern, as GPT-2,
    /// Pythia and <see cref="BpeTrainer"/> have it.
    /// </summary>
    /// <exception cref="InvalidOperationException">The tokenizer has other parts; <see cref="Tokens"/> lists its tokens.</exception>
    public BpeModel Model => _model ?? throw new InvalidOperationException("The tokenizer is not a byte-level vocabulary with one pattern; its tokens are in Tokens, and TokenizerFile.Save writes all its parts.");

    /// <summary>The tokens by id, as they stand in the vocabulary.</summary>
    public IReadOnlyList<string> Tokens => _pipeline.Tokens;

    /// <summary>Number of tokens; ids run from 0.</summary>
    public int Vocabulary => _pipeline.Tokens.Count;

    /// <summary>
    /// Id of the token that ends a text: the eos_token of a tokenizer_config.json beside the file; else the added token with a usual name
    /// ("&lt;|endoftext|&gt;", "&lt;/s&gt;", "[SEP]" and others); else, for a byte-level vocabulary, the first special token; null where there is none.
    /// </summary>
    public int? EndOfText { get; }

    /// <summary>Whether tokens are made of bytes, so that any text comes back.</summary>
    internal bool IsByteLevel { get; }

    /// <summary>The tokenizer.json.</summary>
    internal Func<byte[]> Json { get; }

    /// <summary>What stood beside the file.</summary>
    internal KeptFiles Companions { get; init; } = KeptFiles.None;

    /// <summary>How many special tokens stand around one text.</summary>
    internal int Around => _pipeline.Surround([], null).Ids.Length;

    /// <summary>Whether upper case becomes lower case before tokens are made.</summary>
    internal bool Lowers => !_pipeline.Normalize("A").Contains('A', StringComparison.Ordinal);

    /// <summary>
    /// A tokenizer of BERT from its vocab.txt, one token a line, with [UNK], [CLS], [SEP] and, where they are there, [PAD] and [MASK]: text is cleaned,
    /// ideographs and signs stand alone, words are cut by WordPiece with "##" before continuations, and a text becomes [CLS] text [SEP].
    /// </summary>
    /// <param name="path">The vocab.txt.</param>
    /// <param name="lowercase">Lower case without accents ("uncased" models). Default true.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It lacks [UNK], [CLS] or [SEP], or a token stands twice.</exception>
    /// <exception cref="PlatformNotSupportedException">Accents of a lower-case vocabulary need a Unicode normal form, and the program runs without ICU.</exception>
    public static TextTokenizer FromWordPieceVocabulary(string path, bool lowercase = true) =>
        WordPieceVocabulary.Load(path, new() { Lowercase = lowercase }, KeptFiles.None);

    /// <summary>Ids of a text. What is written like a special token becomes that token.</summary>
    /// <param name="text">Any text, perhaps empty. A lone surrogate counts as U+FFFD.</param>
    /// <param name="specialTokens">
    /// Whether the tokens that the model expects around a text are put there, such as [CLS] and [SEP] or &lt;|begin_of_text|&gt;. Default false,
    /// so that ids of parts of a text can be put together.
    /// </param>
    /// <param name="most">
    /// Most ids, the special tokens among them; what is more is cut at the end of the text, as "truncation" does. Default all: what a file says under
    /// "truncation" is not applied.
    /// </param>
    /// <param name="cancel">Looked at all the time, for texts of many megabytes.</param>
    /// <exception cref="ArgumentNullException">There is no text.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="most"/> is negative, or has no room for the special tokens.</exception>
    /// <exception cref="InvalidOperationException">A piece is not in the vocabulary, and the vocabulary has no unknown token to stand for it.</exception>
    /// <exception cref="System.Text.RegularExpressions.RegexMatchTimeoutException">A pattern of the file takes longer than 10 seconds for one match.</exception>
    public int[] Encode(string text, bool specialTokens = false, int most = int.MaxValue, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        int around = specialTokens ? Around : 0;
        if (most < around) throw new ArgumentOutOfRangeException(nameof(most), most, $"most must be at least {around}, the special tokens around a text.");
        List<int> ids = _pipeline.Encode(text, cancel);
        if (ids.Count > most - around) ids.RemoveRange(most - around, ids.Count - (most - around));
        return specialTokens ? _pipeline.Surround(ids, null).Ids : [.. ids];
    }

    /// <summary>Ids and segments of one text or two, with the special tokens that the model expects around them.</summary>
    /// <param name="text">Any text, perhaps empty.</param>
    /// <param name="second">A second text, for models that compare two. Default none.</param>
    /// <param name="cancel">Looked at all the time, for texts of many megabytes.</param>
    /// <exception cref="ArgumentNullException">There is no first text.</exception>
    /// <exception cref="InvalidOperationException">A piece is not in the vocabulary, and the vocabulary has no unknown token to stand for it.</exception>
    public TokenSequence EncodeSequence(string text, string? second = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        return _pipeline.Surround(_pipeline.Encode(text, cancel), second is null ? null : _pipeline.Encode(second, cancel));
    }

    /// <summary>Text of ids. Bytes that are not UTF-8, as when the ids were cut inside a character, become U+FFFD.</summary>
    /// <param name="ids">Token ids.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out. Default false.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is not of the vocabulary.</exception>
    public string Decode(IReadOnlyList<int> ids, bool skipSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(ids);
        foreach (int id in ids) Check(id);
        return _pipeline.Decode(ids, skipSpecialTokens);
    }

    /// <summary>
    /// Text of one token, for pictures. Of a byte-level token its text, where a piece of a character shows as U+FFFD; of others the token as
    /// it stands in the vocabulary, with a blank for U+2581.
    /// </summary>
    /// <param name="id">Token id.</param>
    /// <exception cref="ArgumentOutOfRangeException">The id is not of the vocabulary.</exception>
    public string TokenText(int id)
    {
        Check(id);
        return IsByteLevel ? _pipeline.Decode([id], false) : Tokens[id].Replace('\u2581', ' ');
    }

    /// <inheritdoc/>
    public override string ToString() => $"tokenizer of {Vocabulary} tokens";

    private static int? FindEnd(Pipeline pipeline, BpeModel? model, string? end)
    {
        IEnumerable<string> names = end is null ? s_ends : [end, .. s_ends];
        foreach (string name in names)
        {
            if (pipeline.Added.FirstOrDefault(t => t.Content == name) is { } token) return token.Id;
        }

        return model is { SpecialTokens.Count: > 0 } ? pipeline.Added.FirstOrDefault(t => t.Content == model.SpecialTokens[0])?.Id : null;
    }

    private static Dictionary<string, int> Ids(BpeModel model)
    {
        var ids = new Dictionary<string, int>(model.Tokens.Count, StringComparer.Ordinal);
        for (int i = 0; i < model.Tokens.Count; i++)
        {
            if (!ids.TryAdd(model.Tokens[i], i)) throw new FormatException($"Token '{model.Tokens[i]}' stands twice in the vocabulary, at {ids[model.Tokens[i]]} and {i}.");
        }

        for (int b = 0; b < 256; b++)
        {
            if (!ids.ContainsKey(ByteAlphabet.Of((byte)b).ToString())) throw new FormatException($"Byte {b} has no token ('{ByteAlphabet.Of((byte)b)}'); this is not a byte-level vocabulary.");
        }

        foreach (string token in model.SpecialTokens.Where(t => !ids.ContainsKey(t))) throw new FormatException($"Special token '{token}' is not in the vocabulary.");
        return ids;
    }

    /// <summary>Whether tokens are whole words, and continuations of words that begin with "##".</summary>
    internal bool IsWordPiece => _pipeline.HasWordPieces;

    /// <summary>Whether a token stands for itself and not for a piece of text, as the token that ends a text does.</summary>
    internal bool IsAdded(int id) => _pipeline.Added.Any(t => t.Id == id);

    private void Check(int id)
    {
        if (id < 0 || id >= Vocabulary) throw new ArgumentOutOfRangeException(nameof(id), id, $"Token ids run from 0 to {Vocabulary - 1}.");
    }
}
