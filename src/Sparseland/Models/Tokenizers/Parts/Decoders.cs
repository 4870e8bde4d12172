using System.Globalization;
using System.Text;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>
/// Decoders of tokenizer.json: from the tokens of the vocabulary to the pieces whose concatenation is the text. The decoding of
/// Microsoft.ML.Tokenizers 2.0.1 belongs to its tokenizers and cannot be put together from these parts.
/// </summary>
internal static class Decoders
{
    /// <summary>Reads a decoder.</summary>
    /// <exception cref="FormatException">It is not known.</exception>
    public static Func<List<string>, List<string>> Read(Part part)
    {
        switch (part.Type)
        {
            case "Sequence":
                Func<List<string>, List<string>>[] steps = [.. part.Parts("decoders").Select(Read)];
                return tokens => steps.Aggregate(tokens, (t, step) => step(t));
            case "ByteLevel":
                return tokens => [Encoding.UTF8.GetString([.. tokens.SelectMany(ByteAlphabet.Bytes)])];
            case "Replace":
                PiecePattern pattern = PiecePattern.Read(part);
                string content = part.Text("content");
                return tokens => tokens.ConvertAll(t => pattern.Replace(t, content));
            case "ByteFallback":
                return ByteFallback;
            case "Fuse":
                return tokens => [string.Concat(tokens)];
            case "Strip":
                Rune character = PreTokenizers.Character(part, "content");
                int start = part.Number("start", 0), stop = part.Number("stop", 0);
                return tokens => tokens.ConvertAll(t => Strip(t, character.ToString(), start, stop));
            case "WordPiece":
                return WordPiece(part.Text("prefix", "##"), part.Flag("cleanup", true));
            case "Metaspace":
                string mark = PreTokenizers.Character(part, "replacement").ToString();
                bool drop = PreTokenizers.Scheme(part) != "never";
                return tokens => [.. tokens.Select((t, i) => t.Replace(mark, i == 0 && drop ? "" : " ", StringComparison.Ordinal))];
            case "BPEDecoder":
                string suffix = part.Text("suffix", "</w>");
                return tokens => [.. tokens.Select((t, i) => suffix.Length == 0 ? t : t.Replace(suffix, i == tokens.Count - 1 ? "" : " ", StringComparison.Ordinal))];
            default:
                throw part.Unknown();
        }
    }

    /// <summary>Tokens such as &lt;0x61&gt; become bytes; each byte of a run that is not UTF-8 becomes U+FFFD.</summary>
    private static List<string> ByteFallback(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        var bytes = new List<byte>();
        foreach (string token in tokens)
        {
            if (IsByte(token, out byte value))
            {
                bytes.Add(value);
                continue;
            }

            Flush(bytes, result);
            result.Add(token);
        }

        Flush(bytes, result);
        return result;
    }

    private static bool IsByte(string token, out byte value)
    {
        value = 0;
        return token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>' && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    private static void Flush(List<byte> bytes, List<string> result)
    {
        if (bytes.Count == 0) return;
        byte[] run = [.. bytes];
        bytes.Clear();
        if (System.Text.Unicode.Utf8.IsValid(run)) result.Add(Encoding.UTF8.GetString(run));
        else result.AddRange(Enumerable.Repeat("\uFFFD", run.Length));
    }

    private static string Strip(string token, string character, int start, int stop)
    {
        int from = 0, to = token.Length;
        for (int i = 0; i < start && token.AsSpan(from).StartsWith(character, StringComparison.Ordinal); i++) from += character.Length;
        for (int i = 0; i < stop && to > from && token.AsSpan(from, to - from).EndsWith(character, StringComparison.Ordinal); i++) to -= character.Length;
        return token[from..to];
    }

    private static Func<List<string>, List<string>> WordPiece(string prefix, bool cleanup) => tokens => [.. tokens.Select((t, i) =>
    {
        string token = i == 0 ? t : t.StartsWith(prefix, StringComparison.Ordinal) ? t[prefix.Length..] : " " + t;
        return cleanup ? Cleaned(token) : token;
    })];

    // The list of the Hugging Face library, in its order.
    private static string Cleaned(string text)
    {
        if (!text.Contains(' ', StringComparison.Ordinal)) return text;
        foreach ((string from, string to) in new[] { (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re") })
            text = text.Replace(from, to, StringComparison.Ordinal);
        return text;
    }
}
