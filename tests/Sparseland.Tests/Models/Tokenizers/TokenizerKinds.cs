using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Models.Tokenizers;

namespace Sparseland.Tests.Models.Tokenizers;

/// <summary>A small tokenizer.json of each kind, put together from parts as the well-known models have them.</summary>
internal static class TokenizerKinds
{
    private const string Llama3 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Qwen = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly string[] s_corpus =
    [
        .. Enumerable.Repeat("the cat sat on the mat, the cat ate the rat. They're here; it's 2024, isn't it?", 6),
        "Über naïve café, résumé façade. 漢字仮名交じり文 Привет мир, привет!", "def f(x):\n    return x + 1\n\n\tif x == 10:\r\n        print('x')", "e\u0301 a\u0308 한국어 👩‍👩‍👧 😀😀 ﬁ ½ ²",
    ];

    private static readonly Lazy<BpeModel> s_bytes = new(() => BpeTrainer.Train(s_corpus, new() { Vocabulary = 420, SpecialTokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] }));
    private static readonly Lazy<(List<string> Tokens, List<(string, string)> Merges)> s_characters = new(() => CharacterPairs(string.Join('\u2581', s_corpus).Replace(' ', '\u2581'), 120));

    public static IReadOnlyDictionary<string, Func<string>> All { get; } = Kinds();

    private static Dictionary<string, Func<string>> Kinds()
    {
        JsonNode? Json(string text) => JsonNode.Parse(text);
        var kinds = new Dictionary<string, Func<string>>
        {
            ["gpt2"] = () => Bytes(null, Json("""{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"""), Json("""{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":false,"use_regex":true}""")),
            ["gpt2 with a prefix"] = () => Bytes(null, Json("""{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true}"""), null),
            ["pythia"] = () => Bytes(Json("""{"type":"NFC"}"""), Json("""{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}"""), null, spaces: true),
            ["smollm"] = () => Bytes(null, Json("""{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}]}"""), null),
            ["llama3"] = () => Bytes(null, SplitBytes(Llama3), Begin("<|im_start|>", 1), ignoreMerges: true),
            ["qwen"] = () => Bytes(Json("""{"type":"NFC"}"""), SplitBytes(Qwen), Json("""{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}""")),
            ["digits in runs"] = () => Bytes(null, Json("""{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":false},{"type":"Punctuation","behavior":"Contiguous"},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}"""), null),
            ["llama2"] = () => Characters(
                Json("""{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}"""), null,
                Json("""{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}""")),
            ["gemma"] = () => Characters(Json("""{"type":"Replace","pattern":{"String":" "},"content":"▁"}"""), Json("""{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false}"""),
                Json("""{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}]}""")),
            ["without bytes"] = () => Characters(null, Json("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true}"""), Json("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true}"""), bytes: false, fuse: false),
            ["without merges across words"] = () => Characters(null, Json("""{"type":"WhitespaceSplit"}"""), Json("""{"type":"BPEDecoder","suffix":"</w>"}"""), bytes: false),
            ["nmt and forms"] = () => Bytes(Json("""{"type":"Sequence","normalizers":[{"type":"Nmt"},{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "},{"type":"Strip","strip_left":true,"strip_right":true}]}"""), SplitBytes(Llama3), null),
            ["no accents"] = () => Bytes(Json("""{"type":"Sequence","normalizers":[{"type":"NFKD"},{"type":"Lowercase"},{"type":"StripAccents"}]}"""), SplitBytes(Qwen), null),
            ["byte-level normalizer"] = () => Bytes(Json("""{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"ByteLevel"}]}"""), null, null),
        };
        foreach (string scheme in new[] { "always", "first", "never" })
        {
            foreach (string split in new[] { "true", "false" })
            {
                string metaspace = $$"""{"type":"Metaspace","replacement":"▁","prepend_scheme":"{{scheme}}","split":{{split}}}""";
                kinds[$"metaspace {scheme} {split}"] = () => Characters(null, Json(metaspace), Json(metaspace));
                kinds[$"unigram {scheme} {split}"] = () => Unigram(Json("""{"type":"NFKC"}"""), Json(metaspace), Json(metaspace), bytes: split == "true");
            }
        }

        foreach (string behavior in new[] { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" })
        {
            foreach (string invert in new[] { "true", "false" })
            {
                kinds[$"split {behavior} {invert}"] = () => Bytes(null, Json($$"""{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{L}|\\s"},"behavior":"{{behavior}}","invert":{{invert}}},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}"""), null);
            }
        }

        foreach (string strip in new[] { "null", "true", "false" })
        {
            foreach (string lower in new[] { "true", "false" })
            {
                kinds[$"bert {strip} {lower}"] = () => Bert(Json($$"""{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":{{strip}},"lowercase":{{lower}}}"""), Json("""{"type":"BertPreTokenizer"}"""));
            }
        }

        kinds["bert as it is"] = () => Bert(Json("""{"type":"BertNormalizer","clean_text":false,"handle_chinese_chars":false,"strip_accents":false,"lowercase":false}"""), Json("""{"type":"Whitespace"}"""));
        foreach (string known in new[] { "gpt2", "smollm", "llama3", "qwen" })
        {
            kinds[$"{known} with the tokens of gpt2"] = () =>
            {
                JsonNode json = JsonNode.Parse(kinds[known]())!;
                BpeModel model = Gpt2Vocabulary.Model;
                json["added_tokens"] = Added(("<|endoftext|>", model.Tokens.Count - 1, ""), ("<|im_end|>", model.Tokens.Count, ""));
                json["model"]!["vocab"] = Vocabulary(model.Tokens);
                json["model"]!["merges"] = new JsonArray([.. model.Merges.Select(m => (JsonNode)$"{m.Left} {m.Right}")]);
                return json.ToJsonString();
            };
        }

        kinds["words"] = () => Tokenizer(null, Json("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Punctuation"}]}"""), null, null,
            new JsonObject { ["type"] = "WordLevel", ["vocab"] = Vocabulary(["[UNK]", "the", "cat", "sat", ",", "."]), ["unk_token"] = "[UNK]" }, Added(("[UNK]", 0, "")));
        return kinds;
    }

    private static string Tokenizer(JsonNode? normalizer, JsonNode? pieces, JsonNode? around, JsonNode? decoder, JsonObject model, JsonArray added) => new JsonObject
    {
        ["version"] = "1.0", ["truncation"] = null, ["padding"] = null, ["added_tokens"] = added, ["normalizer"] = normalizer, ["pre_tokenizer"] = pieces, ["post_processor"] = around, ["decoder"] = decoder, ["model"] = model,
    }.ToJsonString();

    private static string Bytes(JsonNode? normalizer, JsonNode? pieces, JsonNode? around, bool ignoreMerges = false, bool spaces = false)
    {
        BpeModel model = s_bytes.Value;
        int next = model.Tokens.Count;
        JsonArray added = Added(("<|endoftext|>", 0, ""), ("<|im_start|>", 1, ""), ("<|im_end|>", 2, ""), ("<left>", next, "lstrip"), ("<right>", next + 1, "rstrip"), ("<word>", next + 2, "single_word"), ("<usual>", next + 3, "normalized"));
        if (spaces)
        {
            added.Add(Token("  ", next + 4, "usual"));
            added.Add(Token("    ", next + 5, "usual"));
        }

        return Tokenizer(normalizer, pieces, around, JsonNode.Parse("""{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}"""), new JsonObject
        {
            ["type"] = "BPE", ["dropout"] = null, ["unk_token"] = null, ["continuing_subword_prefix"] = null, ["end_of_word_suffix"] = null, ["fuse_unk"] = false, ["byte_fallback"] = false,
            ["ignore_merges"] = ignoreMerges, ["vocab"] = Vocabulary(model.Tokens), ["merges"] = new JsonArray([.. model.Merges.Select(m => (JsonNode)(ignoreMerges ? new JsonArray(m.Left, m.Right) : $"{m.Left} {m.Right}"))]),
        }, added);
    }

    private static string Characters(JsonNode? normalizer, JsonNode? pieces, JsonNode? decoder, bool bytes = true, bool fuse = true)
    {
        (List<string> learned, List<(string Left, string Right)> merges) = s_characters.Value;
        string[] tokens = ["<unk>", "<s>", "</s>", .. bytes ? Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>") : [], .. learned];
        return Tokenizer(normalizer, pieces, Begin("<s>", 1), decoder, new JsonObject
        {
            ["type"] = "BPE", ["dropout"] = null, ["unk_token"] = "<unk>", ["continuing_subword_prefix"] = null, ["end_of_word_suffix"] = null, ["fuse_unk"] = fuse, ["byte_fallback"] = bytes,
            ["vocab"] = Vocabulary(tokens), ["merges"] = new JsonArray([.. merges.Select(m => (JsonNode)$"{m.Left} {m.Right}")]),
        }, Added(("<unk>", 0, ""), ("<s>", 1, ""), ("</s>", 2, "")));
    }

    private static string Unigram(JsonNode? normalizer, JsonNode? pieces, JsonNode? decoder, bool bytes)
    {
        List<string> learned = s_characters.Value.Tokens;
        string[] tokens = ["<unk>", "<s>", "</s>", .. bytes ? Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>") : [], .. learned];
        var random = new Random(7);
        JsonArray vocabulary = [.. tokens.Select((t, i) => (JsonNode)new JsonArray(t, i < 3 ? 0.0 : -12 * random.NextDouble()))];
        return Tokenizer(normalizer, pieces, null, decoder, new JsonObject { ["type"] = "Unigram", ["unk_id"] = 0, ["vocab"] = vocabulary, ["byte_fallback"] = bytes }, Added(("<unk>", 0, ""), ("<s>", 1, ""), ("</s>", 2, "")));
    }

    private static string Bert(JsonNode? normalizer, JsonNode? pieces)
    {
        string[] letters = [.. string.Concat(s_corpus).EnumerateRunes().Where(c => !Rune.IsWhiteSpace(c)).Select(c => c.ToString()).Distinct()];
        string[] tokens = [.. new[] { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##at", "un", "##aff", "##able", "naive", "cafe" }.Concat(letters).Concat(letters.Take(40).Select(t => "##" + t)).Distinct()];
        return Tokenizer(
            normalizer, pieces,
            JsonNode.Parse("""{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}},{"Sequence":{"id":"B","type_id":1}},{"SpecialToken":{"id":"[SEP]","type_id":1}}],"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}}"""),
            JsonNode.Parse("""{"type":"WordPiece","prefix":"##","cleanup":true}"""),
            new JsonObject { ["type"] = "WordPiece", ["unk_token"] = "[UNK]", ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 20, ["vocab"] = Vocabulary(tokens) },
            Added(("[PAD]", 0, ""), ("[UNK]", 1, ""), ("[CLS]", 2, ""), ("[SEP]", 3, ""), ("[MASK]", 4, "lstrip")));
    }

    private static JsonNode SplitBytes(string pattern) => new JsonObject
    {
        ["type"] = "Sequence",
        ["pretokenizers"] = new JsonArray(
            new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = pattern }, ["behavior"] = "Isolated", ["invert"] = false },
            JsonNode.Parse("""{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}""")),
    };

    private static JsonNode? Begin(string token, int id) => JsonNode.Parse("""{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"T","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"SpecialToken":{"id":"T","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"T","type_id":1}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"T":{"id":"T","ids":[9],"tokens":["T"]}}}"""
        .Replace("\"T\"", $"\"{token}\"", StringComparison.Ordinal).Replace("[9]", $"[{id}]", StringComparison.Ordinal));

    private static JsonArray Added(params (string Content, int Id, string Option)[] tokens) => [.. tokens.Select(t => Token(t.Content, t.Id, t.Option))];

    private static JsonObject Token(string content, int id, string option) => new()
    {
        ["id"] = id, ["content"] = content, ["single_word"] = option == "single_word", ["lstrip"] = option == "lstrip", ["rstrip"] = option == "rstrip", ["normalized"] = option is "normalized" or "usual", ["special"] = option != "usual",
    };

    private static JsonObject Vocabulary(IEnumerable<string> tokens)
    {
        var vocabulary = new JsonObject();
        foreach (string token in tokens) vocabulary[token] = vocabulary.Count;
        return vocabulary;
    }

    /// <summary>Byte-pair training on characters by counting anew for every merge.</summary>
    private static (List<string> Tokens, List<(string, string)> Merges) CharacterPairs(string text, int merges)
    {
        List<string> symbols = [.. text.EnumerateRunes().Select(c => c.ToString())];
        List<string> tokens = [.. symbols.Distinct().Where(s => s != "(")];
        var learned = new List<(string, string)>();
        for (int m = 0; m < merges; m++)
        {
            (string Left, string Right) best = symbols.Zip(symbols.Skip(1)).Where(p => p.First != "(" && p.Second != "(").GroupBy(p => p).OrderByDescending(g => g.Count()).ThenBy(g => g.Key.First + g.Key.Second, StringComparer.Ordinal).First().Key;
            learned.Add(best);
            if (!tokens.Contains(best.Left + best.Right)) tokens.Add(best.Left + best.Right);
            for (int i = 0; i + 1 < symbols.Count; i++)
            {
                if (symbols[i] != best.Left || symbols[i + 1] != best.Right) continue;
                symbols[i] += best.Right;
                symbols.RemoveAt(i + 1);
            }
        }

        return (tokens, learned);
    }
}
