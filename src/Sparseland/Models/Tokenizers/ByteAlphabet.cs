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

    private static char[] Make()
    {
        var characters = new char[256];
        int next = 256;
        for (int b = 0; b < 256; b++) characters[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF) ? (char)b : (char)next++;
        return characters;
    }
}
