using System.Text;
using Sparseland.Models.Tokenizers;
using Sparseland.Tests.IO;

namespace Sparseland.Tests.Models.Tokenizers;

/// <summary>Ids and texts against the tokenizers library of Hugging Face, version 0.22.2, through Tokenizers.DotNet.</summary>
public class HuggingFaceParityTests
{
    private static readonly string[] s_texts =
    [
        " ", "   ", "\t", "\n", "\r\n", "\r\n\r\n x", "a", " a", "a ", "the cat sat on the mat", "The  cat   sat", "It's THEY'RE we'Ll 'tis 's", "2024 12345 ½ ² ٣٤ Ⅷ x1y22", "tabs\tand\nlines\r\n  and   blanks  ",
        "e\u0301a\u0308 caf\u00E9 cafe\u0301 \u0301", "한국어 \u1112\u1161\u11AB 漢字かな交じり文", "x漢y字z 中文，标点。", "👩‍👩‍👧 👍🏽 🇩🇪😀a😀", "𝒜𝓑 𠀀b𠀁 a𝟘1 \U0001F150", "non\u00A0breaking\u00A0 \u2003 \u3000wide\u200Bzero\u200D\uFEFF", "\0\u0001\u007F\u0085\u00AD\uFFFD", "\u0378\uE000\uFFFF",
        "lone \uD83D surrogate \uDE00", "ﬁ ﬀ Ǆ ß İ ı Σς K ſ", "Ünïcödé ÀÉÎ ŁØ", "a<|endoftext|>b", "<|im_start|> user <|im_end|>\n", "x  <left>  y", "x  <right>  y", "a<word>b <word> <word>.", "<usual> x<usual>", "<s>a</s> <unk>b", "[CLS] a [SEP] [MASK]b  [MASK]",
        "def f(x):\n    return x + 1\n\n\tif x == 10:\r\n        print('x')", "unaffable Naïve CAFÉ cat-cat.", "it is , n't ' s ! do not ?", "<0x41><0xE4>", "▁the ▁ cat▁", "a\u2581b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "supercalifragilisticexpialidocious", "€ £5 $3.14 +-=", "(((( ()", "Привет, МИР! ё й", "مرحبا بالعالم", "नमस्ते", "ไทย", "\u2028line\u2029para", "_under_score __init__ a-b—c…", "’s ‘quoted’ “x”",
    ];

    public static TheoryData<string> Kinds => [.. TokenizerKinds.All.Keys];

    [LinuxTheory]
    [MemberData(nameof(Kinds))]
    public void Ids_and_decoded_texts_are_those_of_the_peer(string kind)
    {
        using var folder = new TemporaryFolder();
        string file = folder.File("tokenizer.json");
        File.WriteAllText(file, TokenizerKinds.All[kind]());
        TextTokenizer ours = TokenizerFile.Load(file);
        using var peer = new global::Tokenizers.DotNet.Tokenizer(vocabPath: file);
        var wrong = new List<string>();
        foreach (string text in s_texts.Append(string.Join(" | ", s_texts)).Concat(Drawn(60)))
        {
            string valid = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
            int[] expected = [.. peer.Encode(valid).Select(i => (int)i)];
            int[] ids = ours.Encode(text, specialTokens: true);
            if (!ids.SequenceEqual(expected)) wrong.Add($"{Shown(text)}: {Shown(string.Join(' ', ids.Select(i => ours.Tokens[i])))} instead of {Shown(string.Join(' ', expected.Select(i => ours.Tokens[i])))}");
            string decoded = expected.Length == 0 ? "" : peer.Decode([.. expected.Select(i => (uint)i)]);
            string back = ours.Decode(expected, skipSpecialTokens: true);
            if (back != decoded) wrong.Add($"back: {Shown(back)} instead of {Shown(decoded)}");
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} differ:\n{string.Join('\n', wrong.Take(12))}");
    }

    [LinuxTheory]
    [InlineData("gpt2 with the tokens of gpt2")]
    [InlineData("llama3 with the tokens of gpt2")]
    [InlineData("smollm")]
    [InlineData("qwen")]
    [InlineData("llama2")]
    [InlineData("metaspace always true")]
    [InlineData("unigram always false")]
    [InlineData("unigram first true")]
    [InlineData("bert null true")]
    [InlineData("split MergedWithNext true")]
    public void Long_lines_are_no_worse(string kind)
    {
        using var folder = new TemporaryFolder();
        string file = folder.File("tokenizer.json");
        File.WriteAllText(file, TokenizerKinds.All[kind]());
        TextTokenizer ours = TokenizerFile.Load(file);
        using var peer = new global::Tokenizers.DotNet.Tokenizer(vocabPath: file);
        foreach (string text in new[] { new string('a', 100_000), new string(' ', 100_000) + "x", Repeat("the cat "), Repeat("漢e\u0301"), Repeat("\n "), Repeat("<|im_end|> "), Repeat("😀 1"), Repeat("q(") })
            Assert.Equal(peer.Encode(text).Select(i => (int)i), ours.Encode(text, specialTokens: true));
        static string Repeat(string text) => string.Concat(Enumerable.Repeat(text, 100_000 / text.Length));
    }

    /// <summary>Texts of characters that are hard to treat, drawn with a fixed seed.</summary>
    private static IEnumerable<string> Drawn(int count)
    {
        string[] bits = [" ", "  ", "\n", "\r", "\t", "a", "b", "the", "T", "É", "e\u0301", "1", "23", "٣", ".", ",", "'s", "'", "漢", "한", "😀", "\u200D", "\u00A0", "\u3000", "𝒜", "𠀀", "<|im_end|>", "<s>", "<left>", "[MASK]", "▁", "-", "$", "_", "İ", "\u0300", "ß", "\0", "<word>"];
        var random = new Random(3);
        for (int i = 0; i < count; i++) yield return string.Concat(Enumerable.Range(0, 1 + random.Next(25)).Select(_ => bits[random.Next(bits.Length)]));
    }

    private static string Shown(string text) => string.Concat(text.Take(160).Select(c => c is >= ' ' and < '\u007F' ? c.ToString() : $"\\u{(int)c:X4}"));
}
