using System.Text.Json.Nodes;
using Sparseland.Models.Tokenizers;
using Sparseland.Tests.IO;

namespace Sparseland.Tests.Models.Tokenizers;

/// <summary>The one pass over plain text against the steps one after another, under every setting of the normalizer and beside added tokens.</summary>
public sealed class PlainWordsTrialTests
{
    private static readonly string s_awkward =
        string.Concat(Enumerable.Range(0, 161).Select(c => (char)c)) + new string(' ', 40) + "tokenizersquickbrownListHTML##ing[UNK][SEP][MASK]aaaa"
        + "\u00df\u00e9\u00c9\u0130\u0131\u0301\u0338\u0345\u037e\u03a3\u03c2\u0e33\u1100\uac00\u1161\u1e9e\u1fef\u2000\u2028\u2029\u200b\u200d\u2126\u212a\u2019\u3000\u4e2d\u6587\ufb01\uf900\ufeff\ufffd\ufffe\uffff\ud83d\ude00\ud800\ue000\u0378";

    public static TheoryData<bool, bool, bool, bool?, int> Settings()
    {
        var data = new TheoryData<bool, bool, bool, bool?, int>();
        foreach (bool clean in (bool[])[true, false])
        {
            foreach (bool ideographs in (bool[])[true, false])
            {
                foreach (bool lower in (bool[])[true, false])
                {
                    foreach (bool? strip in (bool?[])[null, true, false]) data.Add(clean, ideographs, lower, strip, lower ? 100 : 5);
                }
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Settings))]
    public void Every_setting_gives_what_the_steps_give(bool clean, bool ideographs, bool lower, bool? strip, int longest)
    {
        using var folder = new TemporaryFolder();
        (TextTokenizer onePass, TextTokenizer steps) = Pair(folder, json =>
        {
            json["normalizer"] = new JsonObject { ["type"] = "BertNormalizer", ["clean_text"] = clean, ["handle_chinese_chars"] = ideographs, ["lowercase"] = lower, ["strip_accents"] = strip };
            json["model"]!["max_input_chars_per_word"] = longest;
        });
        var random = new Random(3);
        for (int draw = 0; draw < 200; draw++) Same(steps, onePass, Drawn(random, draw));
        foreach (char c in s_awkward) Same(steps, onePass, $"quick{c}brown {c}{c} .{c}\t{c}x");
    }

    public static TheoryData<bool, bool, bool, bool> Kinds()
    {
        var data = new TheoryData<bool, bool, bool, bool>();
        for (int i = 0; i < 16; i++) data.Add((i & 1) > 0, (i & 2) > 0, (i & 4) > 0, (i & 8) > 0);
        return data;
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Added_tokens_are_taken_out_as_before(bool single, bool left, bool right, bool normalized)
    {
        using var folder = new TemporaryFolder();
        (TextTokenizer onePass, TextTokenizer steps) = Pair(folder, json =>
        {
            var list = (JsonArray)json["added_tokens"]!;
            int next = json["model"]!["vocab"]!.AsObject().Count;
            foreach (string content in (string[])["<x>", "Quick", "\u00c9", " b", "\ud83d\ude00", "aa", "aaa"])
            {
                list.Add(new JsonObject
                {
                    ["id"] = next++, ["content"] = content, ["single_word"] = single, ["lstrip"] = left, ["rstrip"] = right, ["normalized"] = normalized, ["special"] = content == "<x>",
                });
            }
        });
        var random = new Random(5);
        for (int draw = 0; draw < 300; draw++)
        {
            string text = Drawn(random, draw);
            text = text.Insert(Cut(text, random), "<x>").Insert(Cut(text, random), "Quick").Insert(Cut(text, random), "a\u00c9 bad");
            Same(steps, onePass, text);
        }

        foreach (string text in (string[])["<x>", "  <x>  ", "Quick", "quick", "Quickly Quick", "\u00c9\u00e9", " b", "  b", "aaaaa", "<x><x>", "\ud83d\ude00\ud83d", "x\ud83d\ude00x", ""]) Same(steps, onePass, text);
    }

    [Fact]
    public void More_words_than_are_kept_and_threads_that_ask_at_once_change_nothing()
    {
        using var folder = new TemporaryFolder();
        (TextTokenizer onePass, TextTokenizer steps) = Pair(folder, _ => { });
        string[] texts = [.. Enumerable.Range(0, 7).Select(part => string.Join(' ', Enumerable.Range(part * 10_000, 10_000).Select(n => $"w{n:x}")))];
        int[][] first = new int[texts.Length][];
        Parallel.For(0, texts.Length, i => first[i] = onePass.Encode(texts[i]));
        for (int i = 0; i < texts.Length; i++) Assert.Equal(first[i], onePass.Encode(texts[i]));
        Assert.Equal(steps.Encode(texts[^1]), first[^1]);

        // Ids belong to who asked.
        int[] mine = onePass.Encode("quick");
        Array.Fill(mine, -1);
        Assert.DoesNotContain(-1, onePass.Encode("quick"));
    }

    [Fact]
    public void Long_words_and_long_stretches_are_cut_as_before()
    {
        using var folder = new TemporaryFolder();
        (TextTokenizer onePass, TextTokenizer steps) = Pair(folder, json => json["model"]!["max_input_chars_per_word"] = 70);
        foreach (int length in (int[])[63, 64, 65, 69, 70, 71, 1000, 66_000])
        {
            foreach (string word in (string[])[new('Q', length), new('q', length), new string('x', length - 1) + "\u00e9", new string('.', length), new('\t', length), new string('a', length) + "\u0301b"])
                Same(steps, onePass, $"quick {word} brown");
        }

        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        Assert.Throws<OperationCanceledException>(() => onePass.Encode("quick", cancel: cancel.Token));
        Assert.Throws<OperationCanceledException>(() => onePass.Encode("\u00e9", cancel: cancel.Token));
    }

    private static int Cut(string text, Random random) => random.Next(text.Length + 1);

    private static string Drawn(Random random, int draw)
    {
        string letters = draw % 3 == 0 ? s_awkward[32..220] : s_awkward;
        return string.Concat(Enumerable.Range(0, random.Next(50)).Select(_ => letters[random.Next(letters.Length)]));
    }

    private static void Same(TextTokenizer steps, TextTokenizer onePass, string text)
    {
        int[] expected = steps.Encode(text), ids = onePass.Encode(text);
        Assert.True(expected.AsSpan().SequenceEqual(ids), $"'{string.Join(' ', text.Take(60).Select(c => ((int)c).ToString("x4")))}': {string.Join(' ', expected.Take(40))} but {string.Join(' ', ids.Take(40))}");
        Assert.Equal(expected, onePass.Encode(text));
    }

    /// <summary>The same file twice: one with its normalizer in a sequence, whose steps are taken one after another.</summary>
    private static (TextTokenizer OnePass, TextTokenizer Steps) Pair(TemporaryFolder folder, Action<JsonNode> change)
    {
        (string vocabulary, string one, string many) = (folder.File("vocab.txt"), folder.File("one.json"), folder.File("many.json"));
        IReadOnlyList<string> tokens = WordPieceTrainer.Train([.. Enumerable.Repeat("The quick brown fox, 42 List.Sort(x) and HTML5; caf\u00e9 don't a-b_c %$# tokenizers \u4e2d\u6587 \u03c3\u03c2", 5)], vocabulary: 200);
        File.WriteAllText(vocabulary, string.Concat(tokens.Select(t => t + "\n")));
        TokenizerFile.Save(one, TextTokenizer.FromWordPieceVocabulary(vocabulary));
        JsonNode json = JsonNode.Parse(File.ReadAllText(one))!;
        change(json);
        File.WriteAllText(one, json.ToJsonString());
        json["normalizer"] = new JsonObject { ["type"] = "Sequence", ["normalizers"] = new JsonArray(json["normalizer"]!.DeepClone()) };
        File.WriteAllText(many, json.ToJsonString());
        return (TokenizerFile.Load(one), TokenizerFile.Load(many));
    }
}
