using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Models.Tokenizers;
using Sparseland.Tests.IO;

namespace Sparseland.Tests.Models.Tokenizers;

public class TokenizerKindsTests
{
    private const string Sample = "The cat's 2024 café, e\u0301 漢字 😀<s> [MASK]<|im_end|>\r\n\t x";

    public static TheoryData<string> Kinds => [.. TokenizerKinds.All.Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_saved_tokenizer_reads_back_equal(string kind)
    {
        using var folder = new TemporaryFolder();
        byte[] json = Encoding.UTF8.GetBytes(TokenizerKinds.All[kind]());
        File.WriteAllBytes(folder.File("tokenizer.json"), json);
        TextTokenizer tokenizer = TokenizerFile.Load(folder.Path);
        TokenizerFile.Save(folder.File("other.json"), tokenizer);
        Assert.Equal(json, File.ReadAllBytes(folder.File("other.json")));
        TextTokenizer other = TokenizerFile.Load(folder.File("other.json"));
        Assert.Equal((tokenizer.Vocabulary, tokenizer.EndOfText), (other.Vocabulary, other.EndOfText));
        Assert.Equal(tokenizer.Encode(Sample), other.Encode(Sample));
    }

    [Fact]
    public void A_vocabulary_of_words_becomes_the_tokenizer_of_bert()
    {
        using var folder = new TemporaryFolder();
        string file = folder.File("vocab.txt");
        File.WriteAllText(file, string.Join("\r\n", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "un", "##aff", "##able", "cafe", "Cat", ",", "漢") + "\r\n");
        TextTokenizer tokenizer = TextTokenizer.FromWordPieceVocabulary(file);
        Assert.Equal(14, tokenizer.Vocabulary);
        Assert.Equal(3, tokenizer.EndOfText);
        Assert.Equal([5, 6, 12, 7, 8, 9, 10, 1, 13, 13], tokenizer.Encode("The Cat, UNAFFABLE café dog漢漢"));
        TokenSequence pair = tokenizer.EncodeSequence("the [MASK]", "cat");
        Assert.Equal([2, 5, 4, 3, 6, 3], pair.Ids);
        Assert.Equal([0, 0, 0, 0, 1, 1], pair.Types);
        Assert.Equal([2, 3], tokenizer.Encode("", specialTokens: true));
        Assert.Equal("[CLS] the cat, unaffable [SEP]", tokenizer.Decode([2, 5, 6, 12, 7, 8, 9, 3]));
        Assert.Equal("the cat, unaffable", tokenizer.Decode([2, 5, 6, 12, 7, 8, 9, 3], skipSpecialTokens: true));
        Assert.Equal("##aff", tokenizer.TokenText(8));
        Assert.Equal([1, 11], TextTokenizer.FromWordPieceVocabulary(file, lowercase: false).Encode("The Cat"));
        Assert.Throws<InvalidOperationException>(() => tokenizer.Model);
        File.WriteAllText(folder.File("tokenizer_config.json"), """{"do_lower_case": false}""");
        Assert.Equal([11], TokenizerFile.Load(folder.Path).Encode("Cat"));
        File.WriteAllText(file, "[PAD]\n[UNK]\n[CLS]\nthe\nthe\n");
        Assert.Contains("'the' stands in lines 4 and 5", Assert.Throws<InvalidDataException>(() => TextTokenizer.FromWordPieceVocabulary(file)).Message, StringComparison.Ordinal);
        File.WriteAllText(file, "[PAD]\n[UNK]\n[CLS]\nthe\n");
        Assert.Contains("no line [SEP]", Assert.Throws<InvalidDataException>(() => TextTokenizer.FromWordPieceVocabulary(file)).Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => TextTokenizer.FromWordPieceVocabulary(folder.File("none.txt")));
    }

    [Fact]
    public void The_end_of_a_text_is_what_the_configuration_or_a_usual_name_says()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("tokenizer.json"), TokenizerKinds.All["llama2"]());
        Assert.Equal(2, TokenizerFile.Load(folder.Path).EndOfText);
        File.WriteAllText(folder.File("tokenizer.json"), TokenizerKinds.All["llama3"]());
        Assert.Equal(0, TokenizerFile.Load(folder.Path).EndOfText);
        File.WriteAllText(folder.File("tokenizer_config.json"), """{"eos_token": {"content": "<|im_end|>", "lstrip": false}}""");
        Assert.Equal(2, TokenizerFile.Load(folder.Path).EndOfText);
        File.WriteAllText(folder.File("tokenizer_config.json"), "{");
        Assert.Contains("tokenizer_config.json", Assert.Throws<InvalidDataException>(() => TokenizerFile.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_is_cut_where_asked_and_not_where_the_file_asks()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("vocab.txt"), "[UNK]\n[CLS]\n[SEP]\nthe\ncat\n");
        TokenizerFile.Save(folder.File("tokenizer.json"), TokenizerFile.Load(folder.Path));
        string json = File.ReadAllText(folder.File("tokenizer.json")).Replace("\"truncation\": null", "\"truncation\": { \"max_length\": 3, \"stride\": 0, \"strategy\": \"LongestFirst\" }", StringComparison.Ordinal);
        File.WriteAllText(folder.File("tokenizer.json"), json);
        TextTokenizer tokenizer = TokenizerFile.Load(folder.Path);
        Assert.Equal([1, 3, 4, 3, 2], tokenizer.Encode("the cat the", specialTokens: true));
        Assert.Equal([1, 3, 4, 2], tokenizer.Encode("the cat the", specialTokens: true, most: 4));
        Assert.Equal([1, 2], tokenizer.Encode("the cat the", specialTokens: true, most: 2));
        Assert.Equal([3], tokenizer.Encode("the cat the", most: 1));
        Assert.Equal([], tokenizer.Encode("the cat the", most: 0));
        Assert.Throws<ArgumentOutOfRangeException>("most", () => tokenizer.Encode("the", specialTokens: true, most: 1));
        Assert.Throws<ArgumentOutOfRangeException>("most", () => tokenizer.Encode("the", most: -1));
        TokenizerFile.Save(folder.File("other.json"), tokenizer);
        Assert.Equal(json, File.ReadAllText(folder.File("other.json")));
    }

    /// <summary>A text of 40 million characters takes every kind of tokenizer many times as long as the token waits.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void One_huge_text_can_be_stopped(string kind)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("tokenizer.json"), TokenizerKinds.All[kind]());
        TextTokenizer tokenizer = TokenizerFile.Load(folder.Path);
        string text = string.Concat(Enumerable.Repeat("The caf\u00e9 of 12 \u6f22\u5b57, it's\n", 1_600_000));
        using var cancel = new CancellationTokenSource();
        // A thread of its own: a timer's callback waits for the thread pool, which other tests may keep busy for seconds.
        var canceller = new Thread(() => { Thread.Sleep(20); cancel.Cancel(); });
        canceller.Start();
        Assert.ThrowsAny<OperationCanceledException>(() => tokenizer.Encode(text, cancel: cancel.Token));
        canceller.Join();
    }

    [Fact]
    public void Special_tokens_go_around_a_text_only_where_asked()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("tokenizer.json"), TokenizerKinds.All["llama2"]());
        TextTokenizer tokenizer = TokenizerFile.Load(folder.Path);
        Assert.Equal([1, .. tokenizer.Encode("the cat")], tokenizer.Encode("the cat", specialTokens: true));
        Assert.Equal("the cat", tokenizer.Decode(tokenizer.Encode("the cat")));
        string marked = tokenizer.Tokens.First(t => t.Length > 1 && t.Contains('▁', StringComparison.Ordinal));
        Assert.Equal(marked.Replace('▁', ' '), tokenizer.TokenText(tokenizer.Tokens.ToList().IndexOf(marked)));
    }

    [Theory]
    [InlineData("id 1 belongs to two tokens", "\"id\":2", "\"id\":1")]
    [InlineData("post_processor adds token 99999", "\"ids\":[1]", "\"ids\":[99999]")]
    [InlineData("prepend_scheme 'sometimes'", "\"prepend_scheme\":\"first\"", "\"prepend_scheme\":\"sometimes\"")]
    [InlineData("'<unknown>' is not in the vocabulary", "\"unk_token\":\"\\u003Cunk\\u003E\"", "\"unk_token\":\"<unknown>\"")]
    [InlineData("merge", "\"merges\":[\"", "\"merges\":[\"x\",\"")]
    [InlineData("merge [\"x\"] is not two tokens", "\"merges\":[\"", "\"merges\":[[\"x\"],\"")]
    public void What_does_not_hold_together_is_named(string says, string old, string now)
    {
        using var folder = new TemporaryFolder();
        string json = TokenizerKinds.All["without bytes"]();
        Assert.Contains(old, json, StringComparison.Ordinal);
        File.WriteAllText(folder.File("tokenizer.json"), json.Replace(old, now, StringComparison.Ordinal));
        string message = Assert.Throws<InvalidDataException>(() => TokenizerFile.Load(folder.Path)).Message;
        Assert.Contains(folder.Path, message, StringComparison.Ordinal);
        Assert.Contains(says, message, StringComparison.Ordinal);
    }

    [LinuxTheory]
    [InlineData("ﬁne ½ a\u00A0b\te\u0301 ① ㍿ が e\u0301e 👩‍👩‍👧")]
    [InlineData("plain")]
    [InlineData("\u00A0\u00A0①①")]
    [InlineData("\0\uFFFD e")]
    public void A_compiled_table_replaces_what_the_peer_replaces(string text)
    {
        using var folder = new TemporaryFolder();
        JsonNode json = JsonNode.Parse(TokenizerKinds.All["gpt2"]())!;
        json["normalizer"] = new JsonObject { ["type"] = "Precompiled", ["precompiled_charsmap"] = Table(("ﬁ", "fi"), ("\u00A0", " "), ("\t", " "), ("e\u0301", "é"), ("½", "1⁄2"), ("①", "1"), ("㍿", "株式会社"), ("漢", "")) };
        File.WriteAllText(folder.File("tokenizer.json"), json.ToJsonString());
        TextTokenizer ours = TokenizerFile.Load(folder.Path);
        using var peer = new global::Tokenizers.DotNet.Tokenizer(vocabPath: folder.File("tokenizer.json"));
        Assert.Equal(peer.Encode(text).Select(i => (int)i), ours.Encode(text));
    }

    /// <summary>A double-array trie with 256 places for each node, and the texts behind it.</summary>
    private static string Table(params (string From, string To)[] entries)
    {
        var children = new List<Dictionary<byte, int>> { new() };
        var texts = new List<byte>();
        var leaves = new Dictionary<int, int>();
        foreach ((string from, string to) in entries)
        {
            int node = 0;
            foreach (byte b in Encoding.UTF8.GetBytes(from))
            {
                if (!children[node].TryGetValue(b, out int next))
                {
                    children[node][b] = next = children.Count;
                    children.Add([]);
                }

                node = next;
            }

            leaves[node] = texts.Count;
            texts.AddRange([.. Encoding.UTF8.GetBytes(to), 0]);
        }

        var units = new uint[256 * (children.Count + 1)];
        int Base(int node) => 256 * (node + 1);
        uint Unit(int node, int place, byte label) => label | (leaves.ContainsKey(node) ? 1u << 8 : 0) | ((uint)(place ^ Base(node)) << 10);
        units[0] = Unit(0, 0, 0);
        for (int node = 0; node < children.Count; node++)
        {
            foreach ((byte b, int child) in children[node]) units[Base(node) + b] = Unit(child, Base(node) + b, b);
            if (leaves.TryGetValue(node, out int text)) units[Base(node)] = (1u << 31) | (uint)text;
        }

        return Convert.ToBase64String([.. BitConverter.GetBytes(units.Length * 4), .. units.SelectMany(BitConverter.GetBytes), .. texts]);
    }

    // Steps inside a sequence are taken one after another over the whole text; the same steps alone are one pass where the text is plain.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_one_pass_of_plain_text_gives_what_the_steps_give(bool lowercase)
    {
        using var folder = new TemporaryFolder();
        string vocabulary = folder.File("vocab.txt"), stepped = folder.File("tokenizer.json");
        IReadOnlyList<string> tokens = WordPieceTrainer.Train([.. Enumerable.Repeat("The quick brown fox, 42 List.Sort(x) and HTML5; caf\u00e9 don't a-b_c %$# tokenizers", 5)], vocabulary: 200);
        File.WriteAllText(vocabulary, string.Concat(tokens.Select(t => t + "\n")));
        TextTokenizer onePass = TextTokenizer.FromWordPieceVocabulary(vocabulary, lowercase);
        TokenizerFile.Save(stepped, onePass);
        JsonNode json = JsonNode.Parse(File.ReadAllText(stepped))!;
        json["normalizer"] = new JsonObject { ["type"] = "Sequence", ["normalizers"] = new JsonArray(json["normalizer"]!.DeepClone()) };
        File.WriteAllText(stepped, json.ToJsonString());
        TextTokenizer steps = TokenizerFile.Load(stepped);

        var random = new Random(7);
        string plain = string.Concat(Enumerable.Range(0, 128).Select(c => (char)c)) + new string(' ', 30) + "tokenizersquickbrownListHTML[UNK][SEP]";
        string others = plain + "\u00e9\u00c9\u0301\u0338\u2019\u00a0\u3000\u200b\u00ad\u0130\u212a\u4e2d\u6587\ufffd\u03a3\u0085\ud83d\ude00\ud800" + new string('\u0301', 5);
        for (int draw = 0; draw < 3000; draw++)
        {
            string letters = draw % 2 == 0 ? plain : others;
            string text = draw < 128 ? $"quick{(char)draw}brown" : string.Concat(Enumerable.Range(0, random.Next(60)).Select(_ => letters[random.Next(letters.Length)]));
            Assert.Equal(steps.Encode(text), onePass.Encode(text));
            Assert.Equal(steps.Encode(text, specialTokens: true, most: 7), onePass.Encode(text, specialTokens: true, most: 7));
        }

        string[] words = [new('a', 5000), new('Q', 64), new('Q', 65), new string('x', 100) + "'" + new string('y', 101), "\t\n\r", "", " ", "\u00e9 " + new string('z', 200)];
        foreach (string text in words) Assert.Equal(steps.Encode(text), onePass.Encode(text));
    }
}
