using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Tests.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

public class LanguageModelFolderTests
{
    public static TheoryData<string> Architectures => [.. TinyModels.Architectures];

    [Fact]
    public void A_saved_model_comes_back_with_its_tokenizer()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        TextTokenizer tokenizer = TinyModels.Tokenizer;
        foreach (bool tied in new[] { true, false })
        {
            var config = new LlamaConfig { Vocabulary = tokenizer.Vocabulary, Width = 16, MlpWidth = 24, Layers = 2, Heads = 4, KeyValueHeads = 2, Context = 12, RopeTheta = 1234.5, NormEpsilon = 3e-6, TiedEmbeddings = tied };
            using var model = new TinyLM(config, 7);
            LanguageModelFolder.Save(folder.File("new/model"), model, tokenizer, new Dictionary<string, string> { ["seed"] = "7" });
            (LanguageModel loaded, TextTokenizer read) = LanguageModelFolder.Load(folder.File("new/model"));
            Assert.Equal(config with { HeadWidth = 4 }, ((TinyLM)loaded).Config);
            Assert.Equal(0, TinyModels.Largest(model.Logits(TinyModels.Ids()), loaded.Logits(TinyModels.Ids())));
            Assert.Equal(model.named_parameters().Select(p => p.name), loaded.named_parameters().Select(p => p.name));
            Assert.Equal(tokenizer.Encode("a method is true"), read.Encode("a method is true"));
            using SafeTensorsFile file = SafeTensors.Open(folder.File("new/model/model.safetensors"));
            Assert.Equal(("7", "pt"), (file.Metadata["seed"], file.Metadata["format"]));
            loaded.Dispose();
        }

        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], Directory.GetFiles(folder.File("new/model")).Select(Path.GetFileName).Order());
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Every_architecture_loads_with_its_tokenizer_and_goes_on_with_a_text(string architecture)
    {
        TextTokenizer tokenizer = TinyModels.Tokenizer;
        // Three tokens of padding, as real vocabularies have them.
        using ModelFolder folder = ModelFolder.Of(architecture, tokenizer.Vocabulary + 3).Write(2, tokenizer.Model);
        (LanguageModel model, TextTokenizer read) = LanguageModelFolder.Load(folder.Path);
        using (model)
        {
            IReadOnlyList<int> made = TextGenerator.Generate(model, read.Encode("a method"), new() { NewTokens = 5, Temperature = 0 });
            Assert.Equal(5, made.Count);
        }
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void What_stands_beside_the_weights_and_is_not_understood_comes_back(string architecture)
    {
        using ModelFolder folder = ModelFolder.Of(architecture, TinyModels.Tokenizer.Vocabulary);
        (folder.Config["bos_token_id"], folder.Config["eos_token_id"], folder.Config["pad_token_id"]) = (1, new JsonArray(2, 3), null);
        folder.Config["task_specific_params"] = new JsonObject { ["text-generation"] = new JsonObject { ["do_sample"] = true } };
        folder.Write(1, TinyModels.Tokenizer.Model);
        string generation = """{ "temperature": 0.6, "eos_token_id": [2, 3] }""", settings = """{ "chat_template": "{{ messages }}", "eos_token": "<|endoftext|>" }""";
        File.WriteAllText(folder.File("generation_config.json"), generation);
        File.WriteAllText(folder.File("tokenizer_config.json"), settings);
        (LanguageModel model, TextTokenizer tokenizer) = LanguageModelFolder.Load(folder.Path);
        using (model)
        {
            using var other = new TemporaryFolder();
            LanguageModelFolder.Save(other.Path, model, tokenizer);
            Assert.Equal((generation, settings), (File.ReadAllText(other.File("generation_config.json")), File.ReadAllText(other.File("tokenizer_config.json"))));
            JsonObject saved = JsonNode.Parse(File.ReadAllText(other.File("config.json")))!.AsObject();
            foreach (string name in new[] { "bos_token_id", "eos_token_id", "pad_token_id", "task_specific_params" })
                Assert.True(saved.ContainsKey(name) && JsonNode.DeepEquals(folder.Config[name], saved[name]), name);

            // Read again and written again it says the same; what a folder had of an older model goes.
            using LanguageModel again = LanguageModelFolder.LoadModel(other.Path);
            using var third = new TemporaryFolder();
            File.WriteAllText(third.File("special_tokens_map.json"), "{}");
            LanguageModelFolder.Save(third.Path, again, tokenizer);
            Assert.Equal(File.ReadAllText(other.File("config.json")), File.ReadAllText(third.File("config.json")));
            Assert.Equal(["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"], Directory.GetFiles(third.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        }
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Names_without_the_leading_part_are_known_and_masks_and_frequencies_are_passed_over(string architecture)
    {
        using var scope = NewDisposeScope();
        using ModelFolder folder = ModelFolder.Of(architecture);
        using LanguageModel plain = LanguageModelFolder.LoadModel(folder.Write().Path);
        Dictionary<string, Tensor> tensors = SafeTensors.Load(folder.File("model.safetensors"));
        string prefix = architecture switch { TinyModels.Llama => "model.", TinyModels.Gpt2 => "transformer.", _ => "gpt_neox." };
        tensors = tensors.ToDictionary(t => t.Key.StartsWith(prefix, StringComparison.Ordinal) ? t.Key[prefix.Length..] : t.Key, t => t.Value);
        string[] passed = architecture switch
        {
            TinyModels.Llama => ["layers.0.self_attn.rotary_emb.inv_freq"],
            TinyModels.Gpt2 => ["h.0.attn.bias", "h.1.attn.masked_bias"],
            _ => ["layers.0.attention.bias", "layers.0.attention.masked_bias", "layers.1.attention.rotary_emb.inv_freq"],
        };
        foreach (string name in passed) tensors[name] = ones([1, 1], dtype: ScalarType.Byte);
        SafeTensors.Save(folder.File("model.safetensors"), tensors);
        using LanguageModel loaded = LanguageModelFolder.LoadModel(folder.Path);
        Assert.Equal(0, TinyModels.Largest(plain.Logits(TinyModels.Ids()), loaded.Logits(TinyModels.Ids())));
    }

    [Fact]
    public void Weights_get_no_copy_in_managed_memory()
    {
        using var folder = new TemporaryFolder();
        using (var model = new TinyLM(new LlamaConfig { Vocabulary = TinyModels.Tokenizer.Vocabulary, Width = 512, MlpWidth = 2048, Layers = 2, Heads = 8, KeyValueHeads = 8 }))
            LanguageModelFolder.Save(folder.Path, model, TinyModels.Tokenizer);
        Assert.True(new FileInfo(folder.File("model.safetensors")).Length > 30_000_000);
        LanguageModelFolder.LoadModel(folder.Path).Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        LanguageModelFolder.LoadModel(folder.Path).Dispose();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    [Fact]
    public void Progress_counts_bytes_and_loading_can_be_cancelled()
    {
        using ModelFolder folder = ModelFolder.Of(TinyModels.Gpt2).Write(2);
        var reports = new Reports();
        LanguageModelFolder.LoadModel(folder.Path, reports).Dispose();
        long bytes = 4 * folder.Shapes.Values.Sum(s => s.Aggregate(1L, (a, b) => a * b));
        Assert.Equal(folder.Shapes.Count, reports.All.Count);
        Assert.Equal(new ProgressReport(bytes, bytes).Done, reports.All[^1].Done);
        Assert.All(reports.All, r => Assert.Equal(bytes, r.Total));
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => LanguageModelFolder.LoadModel(folder.Path, cancel: source.Token));
    }

    [Fact]
    public void A_missing_folder_config_weights_or_tokenizer_is_named()
    {
        using ModelFolder folder = ModelFolder.Of(TinyModels.Llama);
        Assert.Contains("nowhere", Assert.Throws<DirectoryNotFoundException>(() => LanguageModelFolder.Load("nowhere")).Message, StringComparison.Ordinal);
        Assert.Contains("config.json", Assert.Throws<FileNotFoundException>(() => LanguageModelFolder.LoadModel(folder.Path)).Message, StringComparison.Ordinal);
        folder.Write();
        Assert.Contains("tokenizer.json", Assert.Throws<FileNotFoundException>(() => LanguageModelFolder.Load(folder.Path)).Message, StringComparison.Ordinal);
        File.Move(folder.File("model.safetensors"), folder.File("pytorch_model.bin"));
        string message = Assert.Throws<FileNotFoundException>(() => LanguageModelFolder.LoadModel(folder.Path)).Message;
        Assert.Contains("model.safetensors", message, StringComparison.Ordinal);
        Assert.Contains("pickle", message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => LanguageModelFolder.Load(""));
        Assert.Throws<ArgumentNullException>(() => LanguageModelFolder.Load(null!));
    }

    [Theory]
    [InlineData(TinyModels.Llama, "model_type", "\"mamba\"", "'mamba'")]
    [InlineData(TinyModels.Llama, "model_type", "null", "''")]
    [InlineData(TinyModels.Llama, "vocab_size", "null", "no vocab_size")]
    [InlineData(TinyModels.Llama, "hidden_size", "\"16\"", "hidden_size is 16; it must be a whole number")]
    [InlineData(TinyModels.Llama, "hidden_size", "-16", "Width")]
    [InlineData(TinyModels.Llama, "num_key_value_heads", "3", "KeyValueHeads")]
    [InlineData(TinyModels.Llama, "hidden_act", "\"relu\"", "hidden_act is 'relu'")]
    [InlineData(TinyModels.Llama, "attention_bias", "1", "attention_bias is 1")]
    [InlineData(TinyModels.Llama, "partial_rotary_factor", "0.5", "partial_rotary_factor")]
    [InlineData(TinyModels.Llama, "rope_scaling", "{\"rope_type\": \"longrope\", \"factor\": 8.0}", "longrope")]
    [InlineData(TinyModels.Llama, "rope_scaling", "{\"factor\": 8.0}", "rope_scaling")]
    [InlineData(TinyModels.Llama, "rope_scaling", "\"linear\"", "rope_scaling is linear")]
    [InlineData(TinyModels.Llama, "rope_scaling", "{\"type\": \"linear\"}", "no rope_scaling.factor")]
    [InlineData(TinyModels.Llama, "rope_scaling", "{\"type\": \"linear\", \"factor\": 0.5}", "Factor")]
    [InlineData(TinyModels.Llama, "rope_scaling", "{\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0}", "no rope_scaling.original_max_position_embeddings")]
    [InlineData(TinyModels.Llama, "rope_scaling", "{\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 4.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8}", "HighFrequency")]
    [InlineData(TinyModels.Llama, "rope_parameters", "{\"full_attention\": {\"rope_type\": \"default\"}}", "full_attention")]
    [InlineData(TinyModels.Llama, "rope_parameters", "{\"rope_type\": \"yarn\", \"factor\": \"8\"}", "rope_parameters.factor is 8; it must be a number")]
    [InlineData(TinyModels.Llama, "quantization_config", "{\"bits\": 4}", "quantization_config")]
    [InlineData(TinyModels.Llama, "tie_word_embeddings", "1", "tie_word_embeddings is 1")]
    [InlineData(TinyModels.Llama, "rms_norm_eps", "\"small\"", "rms_norm_eps")]
    [InlineData(TinyModels.Gpt2, "activation_function", "\"relu\"", "activation_function is 'relu'")]
    [InlineData(TinyModels.Gpt2, "scale_attn_weights", "false", "scale_attn_weights")]
    [InlineData(TinyModels.Gpt2, "scale_attn_by_inverse_layer_idx", "true", "scale_attn_by_inverse_layer_idx")]
    [InlineData(TinyModels.Gpt2, "n_head", "3", "3 heads")]
    [InlineData(TinyModels.Gpt2, "n_layer", "null", "no n_layer")]
    [InlineData(TinyModels.NeoX, "hidden_act", "\"relu\"", "hidden_act is 'relu'")]
    [InlineData(TinyModels.NeoX, "attention_bias", "false", "attention_bias")]
    [InlineData(TinyModels.NeoX, "rotary_pct", "0.2", "turn 3")]
    [InlineData(TinyModels.NeoX, "rope_scaling", "{\"type\": \"linear\", \"factor\": 2.0}", "linear")]
    public void A_config_that_asks_for_something_unknown_is_refused_by_name(string architecture, string field, string value, string named)
    {
        using ModelFolder folder = ModelFolder.Of(architecture);
        folder.Config[field] = JsonNode.Parse(value);
        string message = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(folder.Write().Path)).Message;
        Assert.Contains(named, message, StringComparison.Ordinal);
        Assert.Contains("config.json", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(TinyModels.Llama, "num_hidden_layers")]
    [InlineData(TinyModels.Llama, "hidden_size")]
    [InlineData(TinyModels.Llama, "num_attention_heads")]
    [InlineData(TinyModels.Llama, "head_dim")]
    [InlineData(TinyModels.Llama, "vocab_size")]
    [InlineData(TinyModels.Gpt2, "n_layer")]
    [InlineData(TinyModels.NeoX, "num_hidden_layers")]
    public void Sizes_that_no_model_has_are_refused_before_memory_is_taken(string architecture, string field)
    {
        using ModelFolder folder = ModelFolder.Of(architecture);
        folder.Config[field] = 2_000_000_000;
        string message = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(folder.Write().Path)).Message;
        Assert.Contains($"{field} is 2000000000; no model has more than", message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_newer_place_of_the_rotary_base_is_read()
    {
        using ModelFolder llama = ModelFolder.Of(TinyModels.Llama), neox = ModelFolder.Of(TinyModels.NeoX);
        llama.Config.Remove("rope_theta");
        llama.Config["rope_parameters"] = JsonNode.Parse("""{"rope_type": "default", "rope_theta": 77.0}""");
        Assert.Equal(77, LlamaConfig.FromJson(llama.Config.ToJsonString()).RopeTheta);
        neox.Config.Remove("rotary_pct");
        neox.Config["rope_parameters"] = JsonNode.Parse("""{"rope_type": "default", "rope_theta": 77.0, "partial_rotary_factor": 0.5}""");
        GptNeoXConfig config = GptNeoXConfig.FromJson(neox.Config.ToJsonString());
        Assert.Equal((77, 0.5), (config.RopeTheta, config.RotaryPart));
    }

    [Fact]
    public void A_config_comes_back_from_its_json_and_broken_json_is_refused()
    {
        var config = new LlamaConfig { Vocabulary = 100, Width = 8, MlpWidth = 9, Layers = 1, Heads = 2, KeyValueHeads = 1, HeadWidth = 6, Context = 5, NormEpsilon = 2e-6, RopeTheta = 5e5, TiedEmbeddings = false };
        Assert.Equal(config, LlamaConfig.FromJson(config.ToJson()));
        Assert.Contains("no JSON", Assert.Throws<InvalidDataException>(() => LlamaConfig.FromJson("{")).Message, StringComparison.Ordinal);
        Assert.Contains("model_type", Assert.Throws<InvalidDataException>(() => LlamaConfig.FromJson("[]")).Message, StringComparison.Ordinal);
        Assert.Contains("'gpt2'", Assert.Throws<InvalidDataException>(() => LlamaConfig.FromJson("""{"model_type": "gpt2"}""")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(TinyModels.Llama, "model.layers.1.mlp.up_proj.weight")]
    [InlineData(TinyModels.Llama, "lm_head.weight")]
    [InlineData(TinyModels.Gpt2, "transformer.wpe.weight")]
    [InlineData(TinyModels.Gpt2, "transformer.h.0.attn.c_attn.bias")]
    [InlineData(TinyModels.NeoX, "gpt_neox.layers.0.attention.query_key_value.weight")]
    public void A_missing_tensor_and_one_of_a_wrong_shape_are_named(string architecture, string name)
    {
        using ModelFolder missing = ModelFolder.Of(architecture), wrong = ModelFolder.Of(architecture);
        missing.Shapes.Remove(name);
        Assert.Contains($"'{name}'", Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(missing.Write().Path)).Message, StringComparison.Ordinal);
        long[] right = wrong.Shapes[name];
        wrong.Shapes[name] = [.. right[..^1], right[^1] + 1];
        string message = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(wrong.Write().Path)).Message;
        Assert.Contains($"'{name}' is [{string.Join(", ", wrong.Shapes[name])}]", message, StringComparison.Ordinal);
        Assert.Contains($"[{string.Join(", ", right)}]", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(TinyModels.Llama, "model.layers.0.self_attn.q_proj.bias")]
    [InlineData(TinyModels.Llama, "model.layers.2.mlp.up_proj.weight")]
    [InlineData(TinyModels.Gpt2, "transformer.h.0.crossattention.c_attn.weight")]
    [InlineData(TinyModels.NeoX, "gpt_neox.layers.0.attention.extra.weight")]
    public void A_tensor_that_the_architecture_does_not_have_is_refused_by_name(string architecture, string name)
    {
        using ModelFolder folder = ModelFolder.Of(architecture);
        folder.Shapes[name] = [3];
        Assert.Contains($"'{name}'", Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(folder.Write().Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_that_are_no_floating_numbers_are_refused()
    {
        using ModelFolder folder = ModelFolder.Of(TinyModels.Llama);
        folder.Type = ScalarType.Int8;
        Assert.Contains("I8", Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(folder.Write().Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tokenizer_of_another_vocabulary_is_refused()
    {
        TextTokenizer tokenizer = TinyModels.Tokenizer;
        foreach (int vocabulary in new[] { tokenizer.Vocabulary - 1, tokenizer.Vocabulary + 512 })
        {
            using ModelFolder folder = ModelFolder.Of(TinyModels.Llama, vocabulary).Write(1, tokenizer.Model);
            string message = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.Load(folder.Path)).Message;
            Assert.Contains($"tokenizer has {tokenizer.Vocabulary} tokens", message, StringComparison.Ordinal);
            Assert.Contains($"{vocabulary}", message, StringComparison.Ordinal);
        }

        using var small = new TinyLM(new LlamaConfig { Vocabulary = 100, Layers = 1 });
        using var target = new TemporaryFolder();
        Assert.Throws<ArgumentException>("tokenizer", () => LanguageModelFolder.Save(target.Path, small, tokenizer));
        Assert.Empty(Directory.GetFiles(target.Path));
    }

    [Fact]
    public void An_index_that_does_not_fit_its_files_is_refused()
    {
        void Check<T>(Action<JsonObject, ModelFolder> harm, string named)
            where T : Exception
        {
            using ModelFolder folder = ModelFolder.Of(TinyModels.Llama).Write(3);
            string index = folder.File("model.safetensors.index.json");
            var json = (JsonObject)JsonNode.Parse(File.ReadAllText(index))!;
            harm((JsonObject)json["weight_map"]!, folder);
            File.WriteAllText(index, json.ToJsonString());
            Assert.Contains(named, Assert.Throws<T>(() => LanguageModelFolder.LoadModel(folder.Path)).Message, StringComparison.Ordinal);
        }

        Check<InvalidDataException>((map, _) => map["lm_head.weight"] = "../model-00001-of-00003.safetensors", "no file beside the index");
        Check<InvalidDataException>((map, _) => map["lm_head.weight"] = 3, "no index");
        Check<InvalidDataException>((map, _) => map["another.weight"] = "model-00001-of-00003.safetensors", "'another.weight'");
        Check<InvalidDataException>((map, _) => map.Remove("lm_head.weight"), "'lm_head.weight'");
        Check<FileNotFoundException>((_, folder) => File.Delete(folder.File("model-00002-of-00003.safetensors")), "model-00002-of-00003.safetensors");
        Check<InvalidDataException>((_, folder) => File.WriteAllBytes(folder.File("model-00002-of-00003.safetensors"), File.ReadAllBytes(folder.File("model-00002-of-00003.safetensors"))[..^8]), "model-00002-of-00003.safetensors");

        using ModelFolder broken = ModelFolder.Of(TinyModels.Llama).Write(2);
        foreach (string text in new[] { "{", "[]", "{}", """{"weight_map": 3}""" })
        {
            File.WriteAllText(broken.File("model.safetensors.index.json"), text);
            Assert.Contains("no index", Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(broken.Path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_folder_whose_writing_was_cut_off_is_not_loaded()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyLM(new LlamaConfig { Vocabulary = TinyModels.Tokenizer.Vocabulary, Layers = 1 });
        LanguageModelFolder.Save(folder.Path, model, TinyModels.Tokenizer);
        // A folder stands where the tokenizer should go: the second writing fails half way.
        File.Delete(folder.File("tokenizer.json"));
        Directory.CreateDirectory(folder.File("tokenizer.json"));
        Assert.ThrowsAny<Exception>(() => LanguageModelFolder.Save(folder.Path, model, TinyModels.Tokenizer));
        Assert.Contains("config.json", Assert.Throws<FileNotFoundException>(() => LanguageModelFolder.LoadModel(folder.Path)).Message, StringComparison.Ordinal);
    }

    private sealed class Reports : IProgress<ProgressReport>
    {
        public List<ProgressReport> All { get; } = [];

        public void Report(ProgressReport value) => All.Add(value);
    }
}
