using System.Globalization;
using System.Text;
using Sparseland.Models.Tokenizers;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>What a piece of a token is.</summary>
public enum TokenPartKind
{
    /// <summary>Text as it is.</summary>
    Text,

    /// <summary>A byte that is no character by itself, as two hexadecimal digits.</summary>
    Byte,

    /// <summary>A token that stands for itself, such as the one that ends a text.</summary>
    Special,
}

/// <summary>A piece of a token, for showing it.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">Its text.</param>
public readonly record struct TokenPart(TokenPartKind Kind, string Text)
{
    /// <summary>
    /// The pieces of a token: its text, and where a character is cut by the token's end, the bytes of it. A word of a WordPiece vocabulary has a blank before it, a
    /// continuation none.
    /// </summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="id">Id of the token; one above the vocabulary, as padded embeddings have, gives its number.</param>
    public static IReadOnlyList<TokenPart> Of(TextTokenizer tokenizer, int id)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        if (id >= tokenizer.Vocabulary) return [new(TokenPartKind.Special, string.Create(CultureInfo.InvariantCulture, $"#{id}"))];
        string token = tokenizer.Tokens[id];
        if (tokenizer.IsAdded(id)) return [new(TokenPartKind.Special, token)];
        if (tokenizer.IsByteLevel) return Parts(ByteAlphabet.Bytes(token));

        if (tokenizer.IsWordPiece) return [new(TokenPartKind.Text, token.StartsWith("##", StringComparison.Ordinal) && token.Length > 2 ? token[2..] : " " + token)];

        // Vocabularies of other kinds spell a byte that they have no piece for as <0xE2>.
        bool isByte = token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>';
        return isByte && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value)
            ? Parts([value])
            : [new(TokenPartKind.Text, tokenizer.TokenText(id))];
    }

    private static List<TokenPart> Parts(ReadOnlySpan<byte> bytes)
    {
        var parts = new List<TokenPart>();
        var text = new StringBuilder();
        while (bytes.Length > 0)
        {
            if (Rune.DecodeFromUtf8(bytes, out Rune rune, out int used) == System.Buffers.OperationStatus.Done)
            {
                text.Append(rune);
                bytes = bytes[used..];
                continue;
            }

            if (text.Length > 0) parts.Add(new(TokenPartKind.Text, text.ToString()));
            text.Clear();
            parts.Add(new(TokenPartKind.Byte, bytes[0].ToString("X2", CultureInfo.InvariantCulture)));
            bytes = bytes[1..];
        }

        if (text.Length > 0) parts.Add(new(TokenPartKind.Text, text.ToString()));
        return parts;
    }
}
