using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>
/// The Precompiled normalizer: SentencePiece's table of replacements, a double-array trie (Aoe 1989) over UTF-8 with the texts behind it.
/// Microsoft.ML.Tokenizers reads it only inside a SentencePiece .model. A grapheme of less than six bytes is looked up as a whole, then
/// character by character; the shortest key that begins the looked-up text counts, as in the Hugging Face library.
/// </summary>
internal sealed class CharacterMap
{
    private readonly uint[] _trie;
    private readonly byte[] _texts;

    /// <summary>Reads the table.</summary>
    /// <exception cref="FormatException">It is cut short or no base64.</exception>
    public CharacterMap(Part part)
    {
        byte[] bytes = Convert.FromBase64String(part.Text("precompiled_charsmap"));
        long size = bytes.Length < 4 ? -1 : BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (size < 4 || size % 4 != 0 || 4 + size > bytes.Length) throw part.Wrong("its precompiled_charsmap is cut short");
        _trie = new uint[size / 4];
        for (int i = 0; i < _trie.Length; i++) _trie[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4 + (4 * i)));
        _texts = bytes[(4 + (int)size)..];
    }

    public string Apply(string text, CancellationToken cancel)
    {
        var mapped = new StringBuilder(text.Length);
        Span<byte> utf8 = stackalloc byte[16];
        Span<char> units = stackalloc char[2];
        for (int at = 0; at < text.Length;)
        {
            cancel.ThrowIfCancellationRequested();
            int length = StringInfo.GetNextTextElementLength(text, at);
            ReadOnlySpan<char> grapheme = text.AsSpan(at, length);
            at += length;
            if (length < 6 && Encoding.UTF8.GetByteCount(grapheme) < 6 && Find(grapheme, utf8) is { } whole)
            {
                mapped.Append(whole);
                continue;
            }

            foreach (Rune c in grapheme.EnumerateRunes())
            {
                ReadOnlySpan<char> one = units[..c.EncodeToUtf16(units)];
                if (Find(one, utf8) is { } part) mapped.Append(part);
                else mapped.Append(c);
            }
        }

        return mapped.ToString();
    }

    private string? Find(ReadOnlySpan<char> text, Span<byte> utf8)
    {
        int count = Encoding.UTF8.GetBytes(text, utf8);
        uint node = Offset(_trie[0]);
        foreach (byte b in utf8[..count])
        {
            if (b == 0) return null;
            node ^= b;
            if (node >= _trie.Length) return null;
            uint unit = _trie[node];
            if ((unit & ((1u << 31) | 0xFF)) != b) return null;
            node ^= Offset(unit);
            if (((unit >> 8) & 1) != 1) continue;
            if (node >= _trie.Length) return null;
            int start = (int)(_trie[node] & ((1u << 31) - 1));
            if (start >= _texts.Length) return null;
            int end = Array.IndexOf(_texts, (byte)0, start);
            return Encoding.UTF8.GetString(_texts, start, (end < 0 ? _texts.Length : end) - start);
        }

        return null;
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & (1u << 9)) >> 6);
}
