using System.Text.Json;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>From one piece of text to the ids of its tokens.</summary>
internal abstract class PieceModel
{
    protected PieceModel(Dictionary<string, int> ids) => Ids = ids;

    /// <summary>The vocabulary.</summary>
    public Dictionary<string, int> Ids { get; }

    /// <summary>Adds the ids of a piece that is not empty.</summary>
    public abstract void Encode(string piece, List<int> ids, CancellationToken cancel);

    /// <summary>Reads the model of a tokenizer.json.</summary>
    /// <exception cref="FormatException">It is not known.</exception>
    public static PieceModel Read(Part part)
    {
        string type = part.Type;
        // Older files do not name the type.
        if (type.Length == 0) type = part.Json.TryGetProperty("merges", out _) ? "BPE" : part.Json.TryGetProperty("continuing_subword_prefix", out _) ? "WordPiece" : "Unigram";
        return type switch
        {
            "BPE" => BytePairs.Of(part),
            "WordPiece" => new WordPieces(part),
            "WordLevel" => new WholeWords(part),
            "Unigram" => new Unigrams(part),
            _ => throw part.Unknown(),
        };
    }

    /// <summary>A vocabulary of the form { token: id }.</summary>
    protected static Dictionary<string, int> Vocabulary(Part part)
    {
        JsonElement json = part.Get("vocab");
        if (json.ValueKind != JsonValueKind.Object) throw part.Wrong("its vocab is not an object of tokens and ids");
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        var owners = new Dictionary<int, string>();
        foreach (JsonProperty entry in json.EnumerateObject())
        {
            if (!entry.Value.TryGetInt32(out int id) || id < 0) throw part.Wrong($"the id of token '{entry.Name}' is not a whole number from 0");
            if (!ids.TryAdd(entry.Name, id)) throw part.Wrong($"token '{entry.Name}' stands twice in its vocab");
            if (!owners.TryAdd(id, entry.Name)) throw part.Wrong($"id {id} belongs to two tokens, '{owners[id]}' and '{entry.Name}'");
        }

        return ids;
    }

    /// <summary>Ids of the 256 tokens &lt;0x00&gt; to &lt;0xFF&gt;; -1 where one is missing.</summary>
    protected static int[] ByteIds(Dictionary<string, int> ids) => [.. Enumerable.Range(0, 256).Select(b => ids.GetValueOrDefault($"<0x{b:X2}>", -1))];

    /// <summary>The bytes of a text as tokens; null where one of them is missing.</summary>
    protected static int[]? ByBytes(ReadOnlySpan<char> text, int[] byteIds)
    {
        var bytes = new byte[System.Text.Encoding.UTF8.GetByteCount(text)];
        System.Text.Encoding.UTF8.GetBytes(text, bytes);
        int[] ids = Array.ConvertAll(bytes, b => byteIds[b]);
        return Array.IndexOf(ids, -1) < 0 ? ids : null;
    }
}

/// <summary>A token for each whole piece; a piece that is none becomes the unknown token, or falls away where there is none.</summary>
internal sealed class WholeWords(Part part) : PieceModel(Vocabulary(part))
{
    private readonly string _unknown = part.Text("unk_token", "<unk>");

    public override void Encode(string piece, List<int> ids, CancellationToken cancel)
    {
        if (Ids.TryGetValue(piece, out int id) || Ids.TryGetValue(_unknown, out id)) ids.Add(id);
        else throw new InvalidOperationException($"'{piece}' is not in the vocabulary, nor is the unknown token '{_unknown}'.");
    }
}
