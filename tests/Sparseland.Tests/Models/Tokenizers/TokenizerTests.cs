using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Sparseland.Models.Tokenizers;

namespace Sparseland.Tests.Models.Tokenizers;

public class TokenizerTests
{
    private static readonly string[] s_texts = [.. Enumerable.Repeat("the cat sat on the mat, the cat ate the rat", 20), "Überraschung: 3.14 €", "tabs\tand\nlines\r\n  and   blanks"];
    private static readonly Lazy<BpeModel> s_model = new(() => BpeTrainer.Train(s_texts, new() { Vocabulary = 300 }));

    [Fact]
    public void The_most_frequent_pair_is_merged_first_and_ties_go_to_the_lower_ids()
    {
        // Sennrich's example by hand: "low" 5, "lower" 2, "newest" 6, "widest" 3; "es" occurs 9 times, then "est" 9, then "lo" and "ow" 7 each.
        string text = string.Join('\n', Enumerable.Repeat("low", 5).Concat(Enumerable.Repeat("lower", 2)).Concat(Enumerable.Repeat("newest", 6)).Concat(Enumerable.Repeat("widest", 3)));
        BpeModel model = BpeTrainer.Train([text], new() { Vocabulary = 256 + 4, SpecialTokens = [], Pattern = @"\w+" });
        Assert.Equal([("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")], model.Merges);
        Assert.Equal(["es", "est", "lo", "low"], model.Tokens.Skip(256));
    }

    [Fact]
    public void Counts_after_every_merge_are_those_of_counting_anew()
    {
        // The same training by brute force: count all pairs again for every merge.
        BpeModel model = s_model.Value;
        var words = s_texts.SelectMany(t => System.Text.RegularExpressions.Regex.Matches(t, BpeModel.Gpt2Pattern).Select(m => m.Value))
            .Select(w => System.Text.Encoding.UTF8.GetBytes(w).Select(b => ByteAlphabet.Of(b).ToString()).ToList()).ToList();
        var id = model.Tokens.Select((t, i) => (t, i)).ToDictionary(p => p.t, p => p.i);
        foreach ((string left, string right) in model.Merges)
        {
            var counts = new Dictionary<(string, string), int>();
            foreach (List<string> w in words)
            {
                for (int i = 0; i + 1 < w.Count; i++) counts[(w[i], w[i + 1])] = counts.GetValueOrDefault((w[i], w[i + 1])) + 1;
            }

            (string, string) best = counts.OrderByDescending(p => p.Value).ThenBy(p => id[p.Key.Item1]).ThenBy(p => id[p.Key.Item2]).First().Key;
            Assert.Equal(best, (left, right));
            foreach (List<string> w in words)
            {
                for (int i = 0; i + 1 < w.Count; i++)
                {
                    if (w[i] != left || w[i + 1] != right) continue;
                    w[i] += right;
                    w.RemoveAt(i + 1);
                }
            }
        }

        // The text is used up before the wanted size: no pair is left that occurs twice.
        Assert.InRange(model.Tokens.Count, 260, 299);
    }

    [Fact]
    public void Any_text_comes_back_as_it_was()
    {
        var tokenizer = new TextTokenizer(s_model.Value);
        Prop.ForAll<NonNull<string>>(text =>
        {
            // A lone surrogate has no UTF-8; .NET itself turns it into U+FFFD.
            string valid = System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text.Get));
            return tokenizer.Decode(tokenizer.Encode(valid)) == valid;
        }).QuickCheckThrowOnFailure();
        foreach (string text in new[] { "", "\0\u0001", "漢字 and 😀😀", "  two  blanks  ", "\r\n\t", new string('x', 5000), "the cat" })
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
    }

    [Fact]
    public void Encoding_applies_the_merges_in_their_order()
    {
        var tokenizer = new TextTokenizer(s_model.Value);
        Assert.Equal(["the", " cat", " sat"], tokenizer.Encode("the cat sat").Select(tokenizer.TokenText));
        Assert.Equal(0, tokenizer.EndOfText);
        Assert.Equal([.. tokenizer.Encode("a"), 0, .. tokenizer.Encode("b")], tokenizer.Encode("a<|endoftext|>b"));
        Assert.Equal("a<|endoftext|>b", tokenizer.Decode(tokenizer.Encode("a<|endoftext|>b")));
    }

    [Fact]
    public void A_file_gives_the_same_tokenizer_and_the_same_bytes()
    {
        WithFolder(folder =>
        {
            foreach (BpeModel model in new[] { s_model.Value, BpeTrainer.Train(s_texts, new() { Vocabulary = 280, Pattern = @"\p{L}+|\P{L}" }) })
            {
                TokenizerFile.Save(folder, model);
                string file = Path.Combine(folder, "tokenizer.json");
                byte[] bytes = File.ReadAllBytes(file);
                TextTokenizer loaded = TokenizerFile.Load(folder);
                Assert.Equal((model.Pattern, model.Tokens, model.Merges, model.SpecialTokens), (loaded.Model.Pattern, loaded.Model.Tokens, loaded.Model.Merges, loaded.Model.SpecialTokens), new Same());
                TokenizerFile.Save(file, loaded.Model);
                Assert.Equal(bytes, File.ReadAllBytes(file));
            }

            Assert.Single(Directory.GetFiles(folder));
        });
    }

    [Fact]
    public void The_older_pair_of_files_is_read_too()
    {
        WithFolder(folder =>
        {
            BpeModel model = s_model.Value;
            var vocabulary = new JsonObject();
            for (int i = 0; i < model.Tokens.Count; i++) vocabulary[model.Tokens[i]] = i;
            File.WriteAllText(Path.Combine(folder, "vocab.json"), vocabulary.ToJsonString());
            File.WriteAllLines(Path.Combine(folder, "merges.txt"), ["#version: 0.2", .. model.Merges.Select(m => $"{m.Left} {m.Right}")]);
            Assert.Equal(new TextTokenizer(model).Encode(s_texts[0]), TokenizerFile.Load(folder).Encode(s_texts[0]));
        });
    }

    [Fact]
    public void What_does_not_fit_is_named()
    {
        Throws<ArgumentOutOfRangeException>("at least 257", () => BpeTrainer.Train(s_texts, new() { Vocabulary = 256 }));
        Throws<ArgumentException>("empty", () => BpeTrainer.Train([]));
        Throws<ArgumentException>("empty", () => BpeTrainer.Train(["", ""]));
        Throws<ArgumentException>("distinct", () => BpeTrainer.Train(s_texts, new() { SpecialTokens = ["a", "a"] }));
        Throws<FormatException>("regular expression", () => BpeTrainer.Train(s_texts, new() { Pattern = "(" }));
        BpeModel model = s_model.Value;
        Throws<FormatException>("Byte 65", () => new TextTokenizer(model with { Tokens = [.. model.Tokens.Select(t => t == "A" ? "missing" : t)] }));
        Throws<FormatException>("twice", () => new TextTokenizer(model with { Tokens = [.. model.Tokens, "A"] }));
        Throws<FormatException>("Merge", () => new TextTokenizer(model with { Merges = [("q", "q")] }));
        Throws<FormatException>("Special", () => new TextTokenizer(model with { SpecialTokens = ["<s>"] }));
        Throws<ArgumentOutOfRangeException>($"0 to {model.Tokens.Count - 1}", () => new TextTokenizer(model).Decode([model.Tokens.Count]));
        WithFolder(folder =>
        {
            Throws<FileNotFoundException>("neither", () => TokenizerFile.Load(folder));
            string file = Path.Combine(folder, "tokenizer.json");
            TokenizerFile.Save(file, model);
            string whole = File.ReadAllText(file);
            void Bad(string says, string text)
            {
                File.WriteAllText(file, text);
                Throws<InvalidDataException>(says, () => TokenizerFile.Load(folder));
            }

            Bad("tokenizer", whole[..(whole.Length / 2)]);
            Bad("Unigram", whole.Replace("\"BPE\"", "\"Unigram\"", StringComparison.Ordinal));
            void Part(string part, string old, string json) => Bad($"{part} '{JsonNode.Parse(json)!["type"]}' is not known", whole.Replace($"\"{part}\": {old}", $"\"{part}\": {json}, \"{part} before\": {old}", StringComparison.Ordinal));
            Part("normalizer", "null", """{ "type": "Uppercase" }""");
            Part("pre_tokenizer", "{", """{ "type": "UnicodeScripts" }""");
            Part("post_processor", "null", """{ "type": "Around" }""");
            Part("decoder", "{", """{ "type": "CTC" }""");
            Part("model", "{", """{ "type": "Markov" }""");
            Bad("normalizers[1] 'Uppercase'", whole.Replace("\"normalizer\": null", """ "normalizer": { "type": "Sequence", "normalizers": [{ "type": "NFC" }, { "type": "Uppercase" }] } """, StringComparison.Ordinal));
            Bad("dropout 0.1", whole.Replace("\"dropout\": null", "\"dropout\": 0.1", StringComparison.Ordinal));
            Bad("regular expression", whole.Replace("\"normalizer\": null", """ "normalizer": { "type": "Replace", "pattern": { "Regex": "(" }, "content": "" } """, StringComparison.Ordinal));
            Bad("no token has id", whole.Replace("\"A\": 66", "\"A\": 6666", StringComparison.Ordinal));
        });
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => BpeTrainer.Train(s_texts, cancel: source.Token));
    }

    private static void Throws<T>(string says, Action act)
        where T : Exception => Assert.Contains(says, Assert.ThrowsAny<T>(act).Message, StringComparison.Ordinal);

    private static void WithFolder(Action<string> use)
    {
        string folder = Directory.CreateTempSubdirectory("tokenizer").FullName;
        try
        {
            use(folder);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    private sealed class Same : IEqualityComparer<(string, IReadOnlyList<string>, IReadOnlyList<(string, string)>, IReadOnlyList<string>)>
    {
        public bool Equals((string, IReadOnlyList<string>, IReadOnlyList<(string, string)>, IReadOnlyList<string>) x, (string, IReadOnlyList<string>, IReadOnlyList<(string, string)>, IReadOnlyList<string>) y) =>
            x.Item1 == y.Item1 && x.Item2.SequenceEqual(y.Item2) && x.Item3.SequenceEqual(y.Item3) && x.Item4.SequenceEqual(y.Item4);

        public int GetHashCode((string, IReadOnlyList<string>, IReadOnlyList<(string, string)>, IReadOnlyList<string>) obj) => obj.Item1.GetHashCode(StringComparison.Ordinal);
    }
}
