using Microsoft.ML.Tokenizers;

namespace Sparseland.Models.Tokenizers;

/// <summary>Text to token ids and back, over a byte-level byte-pair vocabulary. Every text comes back as it was.</summary>
/// <remarks>Encoding is that of Microsoft.ML.Tokenizers; files are those of Hugging Face, see <see cref="TokenizerFile"/>.</remarks>
public sealed class TextTokenizer
{
    private readonly BpeTokenizer _tokenizer;
    private readonly Dictionary<string, int> _ids;

    /// <summary>A tokenizer of a vocabulary.</summary>
    /// <param name="model">Tokens, merges, special tokens, pattern.</param>
    /// <exception cref="FormatException">A byte has no token, a token stands twice, or a merge names one that is not there.</exception>
    public TextTokenizer(BpeModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
        _ids = Ids(model);
        Dictionary<string, int> special = model.SpecialTokens.ToDictionary(t => t, t => _ids[t], StringComparer.Ordinal);
        _tokenizer = BpeTokenizer.Create(new BpeOptions(_ids)
        {
            Merges = model.Merges.Select(m => $"{m.Left} {m.Right}"),
            ByteLevel = true,
            PreTokenizer = new RegexPreTokenizer(model.PatternRegex(), special),
            SpecialTokens = special,
        });
    }

    /// <summary>Tokens, merges, special tokens, pattern.</summary>
    public BpeModel Model { get; }

    /// <summary>Number of tokens; ids run from 0.</summary>
    public int Vocabulary => Model.Tokens.Count;

    /// <summary>Id of the token that ends a text: the first special token; null where there is none.</summary>
    public int? EndOfText => Model.SpecialTokens.Count == 0 ? null : _ids[Model.SpecialTokens[0]];

    /// <summary>Ids of a text. What is written like a special token becomes that token.</summary>
    /// <param name="text">Any text, perhaps empty.</param>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Length == 0 ? [] : [.. _tokenizer.EncodeToIds(text)];
    }

    /// <summary>Text of ids. Bytes that are not UTF-8, as when the ids were cut inside a character, become U+FFFD.</summary>
    /// <param name="ids">Token ids.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is not of the vocabulary.</exception>
    public string Decode(IReadOnlyList<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var bytes = new List<byte>(4 * ids.Count);
        foreach (int id in ids) bytes.AddRange(Bytes(id));
        return System.Text.Encoding.UTF8.GetString([.. bytes]);
    }

    /// <summary>Text of one token, for pictures; a piece of a character shows as U+FFFD.</summary>
    /// <param name="id">Token id.</param>
    /// <exception cref="ArgumentOutOfRangeException">The id is not of the vocabulary.</exception>
    public string TokenText(int id) => Decode([id]);

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
        foreach ((string left, string right) in model.Merges)
        {
            if (!ids.ContainsKey(left) || !ids.ContainsKey(right) || !ids.ContainsKey(left + right))
                throw new FormatException($"Merge '{left} {right}' names a token that is not in the vocabulary.");
        }

        return ids;
    }

    private byte[] Bytes(int id)
    {
        if (id < 0 || id >= Vocabulary) throw new ArgumentOutOfRangeException(nameof(id), id, $"Token ids run from 0 to {Vocabulary - 1}.");
        string token = Model.Tokens[id];
        if (Model.SpecialTokens.Contains(token)) return System.Text.Encoding.UTF8.GetBytes(token);
        var bytes = new byte[token.Length];
        for (int i = 0; i < bytes.Length; i++)
        {
            if (!ByteAlphabet.TryByte(token[i], out bytes[i])) return System.Text.Encoding.UTF8.GetBytes(token);
        }

        return bytes;
    }
}
