using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Models.Tokenizers;
using Sparseland.Tests.IO;

namespace Sparseland.Tests.Models.Tokenizers;

/// <summary>Every normalizer and every class of characters against the peer on the code points that both know.</summary>
public class CharacterClassParityTests
{
    // The bytes of every piece, with a blank before each: ids then show both the text and the cuts.
    private const string Shown = """{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":false}""";

    private static readonly (int First, int Last)[] s_ranges = [(1, 0x2E42), (0x3000, 0x33FF), (0x4E00, 0x4EFF), (0xA640, 0xABFF), (0xD700, 0xE03F), (0xF900, 0xFFFF), (0x1D400, 0x1D7FF), (0x1F100, 0x1F6FF), (0x20000, 0x2003F)];

    // Characters that came, or changed their class, after Unicode 8 and 9, of which the peer has its tables.
    private const string Younger =
        "061D 07FD 0890-0891 0897-089F 08CA-08E2 09FD-09FE 0A76 0AFA-0AFF 0B55 0C04 0C3C 0C77 0C84 0CF3 0D00 0D3B-0D3C 0D81 0EBA 0ECE 166D 1715 1734 180F 1885-1886 1ABF-1ACE 1B4E-1B4F 1B7D-1B7F 1C89 1CF2-1CF3 1CF7 1DF6-1DFB 32FF A7CB-A7CC A7DA A7DC A7F2-A7F4 A82C A8C5 A8FF A9BD AB69 1F16C";

    private static readonly HashSet<int> s_younger = [.. Younger.Split(' ').Select(r => r.Split('-')).SelectMany(r => Enumerable.Range(Code(r[0]), Code(r[^1]) - Code(r[0]) + 1))];

    public static TheoryData<string, string> Parts => new()
    {
        { """{"type":"NFC"}""", "" }, { """{"type":"NFD"}""", "" }, { """{"type":"NFKC"}""", "" }, { """{"type":"NFKD"}""", "" }, { """{"type":"Lowercase"}""", "" }, { """{"type":"StripAccents"}""", "" },
        { """{"type":"Nmt"}""", "" }, { """{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}""", "" },
        { "", """{"type":"BertPreTokenizer"}""" }, { "", """{"type":"Whitespace"}""" }, { "", """{"type":"WhitespaceSplit"}""" }, { "", """{"type":"Punctuation","behavior":"Isolated"}""" },
        { "", """{"type":"Digits","individual_digits":true}""" }, { "", """{"type":"Split","pattern":{"Regex":"\\p{L}+"},"behavior":"Isolated","invert":false}""" },
        { "", """{"type":"Split","pattern":{"Regex":"\\p{N}|\\p{M}+"},"behavior":"Removed","invert":false}""" }, { "", """{"type":"Split","pattern":{"Regex":"[^\\s\\p{P}]+"},"behavior":"Isolated","invert":false}""" },
        { "", """{"type":"Split","pattern":{"Regex":"(?i:'s|'k)|\\p{Lu}"},"behavior":"Isolated","invert":false}""" }, { "", """{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}""" },
    };

    [LinuxTheory]
    [MemberData(nameof(Parts))]
    public void A_part_does_the_same_to_every_character(string normalizer, string pieces)
    {
        using var folder = new TemporaryFolder();
        string file = folder.File("tokenizer.json");
        File.WriteAllText(file, Json(normalizer, pieces));
        TextTokenizer ours = TokenizerFile.Load(file);
        using var peer = new global::Tokenizers.DotNet.Tokenizer(vocabPath: file);
        var wrong = new List<string>();
        foreach (Rune[] block in s_ranges.SelectMany(r => Enumerable.Range(r.First, r.Last - r.First + 1)).Where(Rune.IsValid).Select(c => new Rune(c)).Where(c => Rune.GetUnicodeCategory(c) != UnicodeCategory.OtherNotAssigned && !s_younger.Contains(c.Value)).Chunk(64))
        {
            string text = string.Concat(block.Select(Around));
            if (Same(text)) continue;
            wrong.AddRange(block.Where(c => !Same(Around(c))).Select(c => $"{c.Value:X4}:{Rune.GetUnicodeCategory(c)}"));
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} differ: {string.Join(' ', wrong.Select(w => w.Split(':')[0]))}");

        static string Around(Rune c) => $"a{c}b{c}{c}1'{c} ";
        bool Same(string text) => ours.Encode(text).SequenceEqual(peer.Encode(text).Select(i => (int)i));
    }

    private static int Code(string hex) => int.Parse(hex, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private static string Json(string normalizer, string pieces)
    {
        var vocabulary = new JsonObject();
        for (int b = 0; b < 256; b++) vocabulary[ByteAlphabet.Of((byte)b).ToString()] = b;
        JsonNode last = JsonNode.Parse(Shown)!;
        JsonNode cut = pieces.Length == 0 ? last : new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(JsonNode.Parse(pieces), last) };
        return new JsonObject
        {
            ["version"] = "1.0", ["truncation"] = null, ["padding"] = null, ["added_tokens"] = new JsonArray(), ["normalizer"] = normalizer.Length == 0 ? null : JsonNode.Parse(normalizer), ["pre_tokenizer"] = cut,
            ["post_processor"] = null, ["decoder"] = null, ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = new JsonArray() },
        }.ToJsonString();
    }
}
