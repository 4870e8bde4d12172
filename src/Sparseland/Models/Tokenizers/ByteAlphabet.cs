using System.Text;

namespace Sparseland.Models.Tokenizers;

/// <summary>
/// The 256 characters that stand for the 256 bytes in byte-level vocabularies (Radford et al. 2019, GPT-2): printable bytes for
/// themselves, the others from U+0100 on, so that a vocabulary file holds no blank and no control character.
/// </summary>
public static class ByteAlphabet
{
    private static readonly char[] s_characters = Make();
    private static readonly Dictionary<char, byte> s_bytes = s_characters.Select((c, b) => (c, b)).ToDictionary(p => p.c, p => (byte)p.b);

    /// <summary>The character of a byte.</summary>
    /// <param name="value">The byte.</param>
    public static char Of(byte value) => s_characters[value];

    /// <summary>The byte of a character.</summary>
    /// <param name="character">A character of the alphabet.</param>
    /// <param name="value">Its byte.</param>
    /// <returns>False for a character that is not of the alphabet.</returns>
    public static bool TryByte(char character, out byte value) => s_bytes.TryGetValue(character, out value);

    /// <summary>The UTF-8 bytes of a text, each as its character.</summary>
    internal static string Spell(string text)
    {
        int count = Encoding.UTF8.GetByteCount(text);
        return string.Create(count, text, static (spelled, text) =>
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            for (int i = 0; i < bytes.Length; i++) spelled[i] = s_characters[bytes[i]];
        });
    }

    /// <summary>The bytes of a token; a token with another character than those of the alphabet stands for its own UTF-8.</summary>
    internal static byte[] Bytes(string token)
    {
        var bytes = new byte[token.Length];
        for (int i = 0; i < bytes.Length; i++)
        {
            if (!TryByte(token[i], out bytes[i])) return Encoding.UTF8.GetBytes(token);
        }

        return bytes;
    }

    private static char[] Make()
    {
        var characters = new char[256];
        int next = 256;
        for (int b = 0; b < 256; b++) characters[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF) ? (char)b : (char)next++;
        return characters;
    }
}
