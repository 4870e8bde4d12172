using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Tests.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

public sealed class BertFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly BertEncoder _model = TinyBert.Enlarged(
        new BertEncoder(TinyBert.Config, TinyBert.Vocabulary, pooler: true) { Pooling = Pooling.Mean, QueryPrefix = "the \"big\" ", MostTokens = 8 });

    public BertFolderTests() => _model.Save(_folder.Path, new Dictionary<string, string> { ["source"] = "a test" });

    public void Dispose()
    {
        _model.Dispose();
        _scope.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void A_saved_encoder_comes_back_bit_for_bit_with_all_that_it_knows()
    {
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        AssertSameWeights(back);
        Assert.Equal((_model.Config, Pooling.Mean, "the \"big\" ", 8), (back.Config, back.Pooling, back.QueryPrefix, back.MostTokens));
        Assert.False(back.training);
        string[] texts = ["the dog runs", "", "a big cat . a small dog . the cat runs"];
        Assert.Equal(TinyModels.Numbers(_model.EncodeQueries(texts)), TinyModels.Numbers(back.EncodeQueries(texts)));
        Assert.Equal(TinyModels.Numbers(_model.Pooled(_model.Hidden(TinyBert.Ids()))), TinyModels.Numbers(back.Pooled(back.Hidden(TinyBert.Ids()))));
        using SafeTensorsFile file = SafeTensors.Open(_folder.File("model.safetensors"));
        Assert.Equal("a test", file.Metadata["source"]);

        // The same again over an older folder.
        back.Save(_folder.Path);
        using BertEncoder again = BertEncoder.Load(_folder.Path);
        AssertSameWeights(again);
    }

    [Fact]
    public void A_plain_folder_has_the_models_usual_settings()
    {
        foreach (string file in new[] { "config_sentence_transformers.json", "sentence_bert_config.json", "modules.json", "tokenizer_config.json", "1_Pooling/config.json", "tokenizer.json" }) File.Delete(_folder.File(file));
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        Assert.Equal((Pooling.Cls, "", 12), (back.Pooling, back.QueryPrefix, back.MostTokens));
        Assert.Equal(_model.Tokenize("The DOG"), back.Tokenize("The DOG"));
    }

    /// <summary>As bert-base-uncased is stored: a head beside the encoder, "bert." before its names, the norms' older names, a table of positions.</summary>
    [Fact]
    public void Heads_prefixes_and_older_names_are_known()
    {
        Dictionary<string, Tensor> stored = _model.named_parameters().ToDictionary(
            p => "bert." + p.name.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal).Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal), p => (Tensor)p.parameter);
        stored["cls.predictions.bias"] = zeros(17);
        stored["classifier.weight"] = zeros(2, 16);
        stored["bert.embeddings.position_ids"] = arange(12).unsqueeze(0);
        SafeTensors.Save(_folder.File("model.safetensors"), stored);
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        AssertSameWeights(back);
    }

    [Fact]
    public void Weights_without_a_pooler_make_an_encoder_without_one()
    {
        Dictionary<string, Tensor> stored = _model.named_parameters().Where(p => !p.name.StartsWith("pooler", StringComparison.Ordinal)).ToDictionary(p => p.name, p => (Tensor)p.parameter);
        SafeTensors.Save(_folder.File("model.safetensors"), stored);
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        Assert.Null(back.Pooler);
        Assert.Equal(TinyModels.Numbers(_model.Hidden(TinyBert.Ids())), TinyModels.Numbers(back.Hidden(TinyBert.Ids())));
    }

    [Theory]
    [InlineData(true, "a DOG caT")]
    [InlineData(false, "a DOG caT dog")]
    public void A_tokenizer_json_is_read_with_its_case(bool lowerCase, string text)
    {
        File.WriteAllText(_folder.File("tokenizer.json"), Tokenizer(lowerCase).ToJsonString());
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        string[] pieces = [.. back.Tokenize(text).Select(back.TokenText)];
        Assert.Equal(lowerCase ? ["[CLS]", "a", "dog", "cat", "[SEP]"] : ["[CLS]", "a", "[UNK]", "[UNK]", "dog", "[SEP]"], pieces);

        // What is saved is the file that was read.
        byte[] read = File.ReadAllBytes(_folder.File("tokenizer.json"));
        back.Save(_folder.File("other"));
        Assert.Equal(read, File.ReadAllBytes(_folder.File("other/tokenizer.json")));
        using BertEncoder again = BertEncoder.Load(_folder.File("other"));
        Assert.Equal(back.Tokenize(text), again.Tokenize(text));
    }

    [Fact]
    public void What_stands_beside_the_weights_and_is_not_understood_comes_back()
    {
        File.Delete(_folder.File("tokenizer.json"));
        string settings = """{ "do_lower_case": false, "clean_up_tokenization_spaces": true }""";
        File.WriteAllText(_folder.File("tokenizer_config.json"), settings);
        File.WriteAllText(_folder.File("special_tokens_map.json"), "{ }");
        File.WriteAllText(_folder.File("config.json"), TinyBert.Config.ToJson().Replace("{\n", "{\n  \"pad_token_id\": 0, \"id2label\": { \"0\": \"x\" }, \"dtype\": \"float16\",\n", StringComparison.Ordinal));
        string vocabulary = File.ReadAllText(_folder.File("vocab.txt"));
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        back.Save(_folder.File("other"));
        Assert.Equal((settings, "{ }", vocabulary), (Text("tokenizer_config.json"), Text("special_tokens_map.json"), Text("vocab.txt")));
        JsonNode config = JsonNode.Parse(Text("config.json"))!;
        Assert.Equal((0, "x", "float32", "float32"), ((int)config["pad_token_id"]!, (string)config["id2label"]!["0"]!, (string)config["dtype"]!, (string)config["torch_dtype"]!));
        using BertEncoder again = BertEncoder.Load(_folder.File("other"));
        Assert.Equal(TinyBert.Config, again.Config);
        Assert.Equal(["[CLS]", "a", "[UNK]", "dog", "[SEP]"], again.Tokenize("a DOG dog").Select(again.TokenText));

        // Over it another encoder: what belongs to the first goes.
        _model.Save(_folder.File("other"));
        Assert.False(File.Exists(_folder.File("other/special_tokens_map.json")));
        Assert.Null(JsonNode.Parse(Text("config.json"))!["pad_token_id"]);
        string Text(string name) => File.ReadAllText(_folder.File("other/" + name));
    }

    [Theory]
    [InlineData("{\"model_max_length\": 5}", 5)]
    [InlineData("{\"model_max_length\": 1000000000000000019884624838656}", 12)]
    public void The_longest_text_is_what_the_tokenizers_settings_say_where_nothing_else_does(string settings, int most)
    {
        File.Delete(_folder.File("sentence_bert_config.json"));
        File.WriteAllText(_folder.File("tokenizer_config.json"), settings);
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        Assert.Equal((most, most), (back.MostTokens, back.Tokenize("dog dog dog dog dog dog dog dog dog dog dog dog dog dog").Length));
    }

    /// <summary>Settings that the tokenizer follows, each with what Hugging Face makes of it.</summary>
    [Theory]
    [InlineData("vocab.txt", "{\"do_lower_case\": true, \"strip_accents\": false}", "c\u00e1t Dog", "[UNK] dog")]
    [InlineData("vocab.txt", "{\"do_lower_case\": false, \"strip_accents\": true}", "c\u00e1t Dog", "cat [UNK]")]
    [InlineData("vocab.txt", "{\"tokenize_chinese_chars\": false}", "dog\u6f22 \u6f22dog", "[UNK] [UNK]")]
    [InlineData("vocab.txt", "{}", "dog\u6f22 \u6f22dog", "dog [UNK] [UNK] dog")]
    [InlineData("tokenizer.json", "\"strip_accents\":false", "c\u00e1t Dog", "[UNK] dog")]
    [InlineData("tokenizer.json", "\"clean_text\":false", "do\u0007g cat", "[UNK] cat")]
    [InlineData("tokenizer.json", "\"max_input_chars_per_word\":3", "runs dog", "[UNK] dog")]
    [InlineData("tokenizer.json", "\"continuing_subword_prefix\":\"@\"", "runs", "[UNK]")]
    public void Settings_of_a_tokenizer_are_followed(string file, string setting, string text, string pieces)
    {
        if (file == "vocab.txt")
        {
            File.Delete(_folder.File("tokenizer.json"));
            File.WriteAllText(_folder.File("tokenizer_config.json"), setting);
        }
        else
        {
            string json = Tokenizer(true).ToJsonString(), name = setting[..(setting.IndexOf(':', StringComparison.Ordinal) + 1)];
            int at = json.IndexOf(name, StringComparison.Ordinal);
            File.WriteAllText(_folder.File("tokenizer.json"), json[..at] + setting + json[json.IndexOf(',', at)..]);
        }

        using BertEncoder back = BertEncoder.Load(_folder.Path);
        Assert.Equal($"[CLS] {pieces} [SEP]", string.Join(' ', back.Tokenize(text).Select(back.TokenText)));
    }

    /// <summary>As multilingual encoders have it, whose weights are BERT's and whose vocabulary is SentencePiece's: what stands around a text is the file's.</summary>
    [Fact]
    public void A_vocabulary_of_another_model_is_read_with_its_own_special_tokens()
    {
        var pieces = new JsonArray();
        foreach (string token in new[] { "<s>", "<pad>", "</s>", "<unk>", "\u2581the", "\u2581dog" }) pieces.Add(new JsonArray(token, pieces.Count < 4 ? 0.0 : -2.0));
        JsonObject Special(string token, int id) => new() { ["id"] = token, ["ids"] = new JsonArray(id), ["tokens"] = new JsonArray(token) };
        JsonObject Around(string token) => new() { ["SpecialToken"] = new JsonObject { ["id"] = token, ["type_id"] = 0 } };
        JsonObject Text(string name) => new() { ["Sequence"] = new JsonObject { ["id"] = name, ["type_id"] = 0 } };
        File.WriteAllText(_folder.File("tokenizer.json"), new JsonObject
        {
            ["truncation"] = new JsonObject { ["max_length"] = 3 },
            ["pre_tokenizer"] = new JsonObject { ["type"] = "Metaspace", ["replacement"] = "\u2581", ["add_prefix_space"] = true },
            ["post_processor"] = new JsonObject
            {
                ["type"] = "TemplateProcessing", ["single"] = new JsonArray(Around("<s>"), Text("A"), Around("</s>")), ["pair"] = new JsonArray(Text("A"), Text("B")),
                ["special_tokens"] = new JsonObject { ["<s>"] = Special("<s>", 0), ["</s>"] = Special("</s>", 2) },
            },
            ["model"] = new JsonObject { ["type"] = "Unigram", ["unk_id"] = 3, ["vocab"] = pieces },
        }.ToJsonString());
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        Assert.Equal([0, 4, 5, 5, 2], back.Tokenize("the dog dog"));
        using Tensor vectors = back.Encode(["the dog dog", "dog"]);
        using Tensor alone = back.Encode(["dog"]);
        TinyModels.AssertClose(alone[0], vectors[1]);
    }

    public static TheoryData<string, string, string> Wrong => new()
    {
        { "config.json", "{\"model_type\":\"roberta\"}", "model_type is 'roberta'" },
        { "config.json", TinyBert.Config.ToJson().Replace("\"gelu\"", "\"gelu_new\"", StringComparison.Ordinal), "hidden_act is 'gelu_new'" },
        { "config.json", TinyBert.Config.ToJson().Replace("absolute", "relative_key", StringComparison.Ordinal), "position_embedding_type is 'relative_key'" },
        { "config.json", (TinyBert.Config with { Width = 32 }).ToJson(), "'embeddings.word_embeddings.weight' is [17, 16]; the config makes it [17, 32]" },
        { "config.json", (TinyBert.Config with { Layers = 3 }).ToJson(), "no tensor 'encoder.layer.2." },
        { "config.json", (TinyBert.Config with { Layers = 1 }).ToJson(), "does not have, the first of them 'encoder.layer.1." },
        { "config.json", (TinyBert.Config with { Vocabulary = 14 }).ToJson(), "15 tokens, more than the model's 14" },
        { "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n", "no token [MASK]" },
        { "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ndog\ndog\n", "'dog' stands in lines 6 and 7" },
        { "sentence_bert_config.json", "{\"do_lower_case\": true}", "asks for lower case" },
        { "sentence_bert_config.json", "{\"max_seq_length\": 1}", "the longest text has 1 tokens" },
        { "tokenizer_config.json", "{\"do_lower_case\": \"yes\"}", "tokenizer_config.json" },
        { "tokenizer.json", "{\"model\":{\"type\":\"BPE\"},\"normalizer\":null}", "model 'BPE': it has no 'merges'" },
        { "tokenizer.json", "{", "tokenizer.json" },
        { "tokenizer_config.json", "{\"tokenize_chinese_chars\": 1}", "tokenize_chinese_chars" },
        { "1_Pooling/config.json", "{\"pooling_mode_max_tokens\": true}", "pooling is max_tokens" },
        { "modules.json", "[{\"type\":\"sentence_transformers.models.Transformer\"},{\"type\":\"sentence_transformers.models.Dense\"}]", "models.Dense" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void What_cannot_be_read_right_is_refused_by_name(string file, string content, string reason)
    {
        if (file == "vocab.txt") File.Delete(_folder.File("tokenizer.json"));
        if (file == "sentence_bert_config.json") File.WriteAllText(_folder.File("tokenizer.json"), Tokenizer(false).ToJsonString());
        File.WriteAllText(_folder.File(file), content);
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => BertEncoder.Load(_folder.Path));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> WrongTokenizers => new()
    {
        { "\"clean_text\":true", "\"clean_text\":1" },
        { "BertNormalizer", "OtherNormalizer" },
        { "\"unk_token\":\"[UNK]\"", "\"unk_token\":\"?\"" },
        { "BertPreTokenizer", "OtherPreTokenizer" },
        { "\"the\":14", "\"the\":15" },
        { "\"normalizer\"", "\"added_tokens\":[{\"id\":16,\"content\":\"<x>\"}],\"normalizer\"" },
    };

    [Theory]
    [MemberData(nameof(WrongTokenizers))]
    public void A_tokenizer_of_another_kind_is_refused(string part, string other)
    {
        string json = Tokenizer(true).ToJsonString();
        Assert.Contains(part, json, StringComparison.Ordinal);
        File.WriteAllText(_folder.File("tokenizer.json"), json.Replace(part, other, StringComparison.Ordinal));
        Assert.Contains("tokenizer.json' cannot be read", Assert.Throws<InvalidDataException>(() => BertEncoder.Load(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("vocab.txt")]
    [InlineData("model.safetensors")]
    public void A_missing_file_is_named(string file)
    {
        File.Delete(_folder.File("tokenizer.json"));
        File.Delete(_folder.File(file));
        Assert.Contains(file, Assert.Throws<FileNotFoundException>(() => BertEncoder.Load(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_folder_is_named() => Assert.Contains("nowhere", Assert.Throws<DirectoryNotFoundException>(() => BertEncoder.Load(_folder.File("nowhere"))).Message, StringComparison.Ordinal);

    private static JsonObject Tokenizer(bool lowerCase)
    {
        var vocabulary = new JsonObject();
        for (int i = 0; i < TinyBert.Vocabulary.Length; i++) vocabulary[TinyBert.Vocabulary[i]] = i;
        return new JsonObject
        {
            ["normalizer"] = new JsonObject { ["type"] = "BertNormalizer", ["clean_text"] = true, ["handle_chinese_chars"] = true, ["strip_accents"] = null, ["lowercase"] = lowerCase },
            ["pre_tokenizer"] = new JsonObject { ["type"] = "BertPreTokenizer" },
            ["model"] = new JsonObject { ["type"] = "WordPiece", ["unk_token"] = "[UNK]", ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 100, ["vocab"] = vocabulary },
        };
    }

    private void AssertSameWeights(BertEncoder back)
    {
        Assert.Equal(_model.named_parameters().Count(), back.named_parameters().Count());
        foreach ((string name, var parameter) in _model.named_parameters())
            Assert.Equal(TinyModels.Numbers(parameter).Select(BitConverter.DoubleToInt64Bits), TinyModels.Numbers(back.get_parameter(name)!).Select(BitConverter.DoubleToInt64Bits));
    }
}
