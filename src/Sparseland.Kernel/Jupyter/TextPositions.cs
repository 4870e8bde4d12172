namespace Sparseland.Kernel.Jupyter;

/// <summary>Jupyter counts Unicode code points, C# counts UTF-16 units; they differ after the first emoji.</summary>
internal static class TextPositions
{
    /// <summary>UTF-16 index of a code point position; positions outside the text are moved to its ends.</summary>
    public static int ToUtf16(string text, int codePoints)
    {
        var index = 0;
        for (var seen = 0; seen < codePoints && index < text.Length; seen++)
            index += IsPair(text, index) ? 2 : 1;
        return index;
    }

    /// <summary>Code point position of a UTF-16 index; an index inside a surrogate pair counts as before it.</summary>
    public static int ToCodePoints(string text, int utf16)
    {
        var seen = 0;
        for (var index = 0; index < Math.Min(utf16, text.Length); seen++)
        {
            index += IsPair(text, index) ? 2 : 1;
            if (index > utf16)
                break;
        }

        return seen;
    }

    private static bool IsPair(string text, int index) =>
        char.IsHighSurrogate(text[index]) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]);
}
