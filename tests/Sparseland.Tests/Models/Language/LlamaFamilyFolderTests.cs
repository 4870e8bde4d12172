using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Tests.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>What the configs and weights of the Llama family must agree on, and what of them can be saved.</summary>
public class LlamaFamilyFolderTests
{
    private static readonly LlamaConfig s_small = new() { Vocabulary = 29, Width = 16, MlpWidth = 24, Layers = 2, Heads = 4, KeyValueHeads = 2, Context = 12 };

    public static TheoryData<string> All => [.. TinyModels.All];

    [Theory]
    [MemberData(nameof(All))]
    public void Every_architecture_is_saved_and_loads_again_bit_for_bit(string architecture)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using LanguageModel model = TinyModels.New(architecture, TinyModels.Tokenizer.Vocabulary);
        LanguageModelFolder.Save(folder.Path, model, TinyModels.Tokenizer);
        (LanguageModel loaded, _) = LanguageModelFolder.Load(folder.Path);
        using LanguageModel again = loaded;
        Assert.Equal(architecture, JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!["model_type"]!.ToString());
        Assert.Equal(model.named_parameters().Select(p => p.name), loaded.named_parameters().Select(p => p.name));
        Assert.Equal(0, TinyModels.Largest(model.Logits(TinyModels.Ids(2, 9)), loaded.Logits(TinyModels.Ids(2, 9))));
    }

    [Theory]
    [InlineData("model.embed_tokens.weight", "lm_head.weight")]
    [InlineData("lm_head.weight", "model.embed_tokens.weight")]
    [InlineData("lm_head.weight", "embed_tokens.weight")]
    public void A_tied_model_needs_one_of_embedding_and_head_whichever_the_file_has(string absent, string held)
    {
        using var scope = NewDisposeScope();
        using ModelFolder folder = ModelFolder.Of(TinyModels.Llama);
        folder.Config["tie_word_embeddings"] = true;
        Dictionary<string, Tensor> tensors = SafeTensors.Load(folder.Write().File("model.safetensors"));
        Tensor embedding = tensors["model.embed_tokens.weight"];
        string refused = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(folder.Path)).Message;
        Assert.Contains("'lm_head.weight' differs from 'model.embed_tokens.weight'", refused, StringComparison.Ordinal);
        Assert.Contains("tie_word_embeddings", refused, StringComparison.Ordinal);
        tensors["lm_head.weight"] = embedding.clone();
        SafeTensors.Save(folder.File("model.safetensors"), tensors);
        using LanguageModel both = LanguageModelFolder.LoadModel(folder.Path);
        TinyModels.AssertClose(embedding, both.Embeddings, 0);
        tensors.Remove("model.embed_tokens.weight");
        tensors.Remove(absent);
        tensors[held] = embedding;
        SafeTensors.Save(folder.File("model.safetensors"), tensors.Where(t => t.Key == held || t.Key != "lm_head.weight").ToDictionary());
        using LanguageModel one = LanguageModelFolder.LoadModel(folder.Path);
        Assert.Equal(0, TinyModels.Largest(both.Logits(TinyModels.Ids()), one.Logits(TinyModels.Ids())));
    }

    [Theory]
    [InlineData("llama, heads of another width, biases", "attention_bias", "false", "model.layers.0.self_attn.k_proj.bias", "attention_bias")]
    [InlineData("llama, heads of another width, biases", "mlp_bias", "false", "model.layers.0.mlp.down_proj.bias", "mlp_bias")]
    [InlineData("llama, linear", "attention_bias", "true", "model.layers.0.self_attn.q_proj.bias", "attention_bias")]
    [InlineData("llama, linear", "mlp_bias", "true", "model.layers.0.mlp.gate_proj.bias", "mlp_bias")]
    [InlineData("llama, linear", "head_dim", "12", "model.layers.0.self_attn.q_proj.weight", "head_dim")]
    [InlineData("llama, linear", "num_key_value_heads", "4", "model.layers.0.self_attn.k_proj.weight", "num_key_value_heads")]
    [InlineData("llama, linear", "intermediate_size", "41", "model.layers.0.mlp.gate_proj.weight", "intermediate_size")]
    [InlineData("llama, linear", "vocab_size", "30", "model.embed_tokens.weight", "vocab_size")]
    [InlineData("llama, linear", "num_hidden_layers", "1", "model.layers.1.input_layernorm.weight", "num_hidden_layers")]
    [InlineData("llama, linear", "num_hidden_layers", "3", "model.layers.2.input_layernorm.weight", "num_hidden_layers")]
    [InlineData("llama, linear", "model_type", "\"qwen2\"", "model.layers.0.self_attn.q_proj.bias", "model_type")]
    [InlineData("qwen2", "tie_word_embeddings", "false", "lm_head.weight", "tie_word_embeddings")]
    [InlineData("qwen2", "model_type", "\"mistral\"", "model.layers.0.self_attn.k_proj.bias", "model_type")]
    [InlineData("qwen3", "model_type", "\"llama\"", "model.layers.0.self_attn.k_norm.weight", "model_type")]
    [InlineData("qwen3", "head_dim", "null", "model.layers.0.self_attn.q_proj.weight", "head_dim")]
    [InlineData("gemma2", "tie_word_embeddings", "false", "lm_head.weight", "tie_word_embeddings")]
    public void A_config_that_its_weights_contradict_is_refused_by_field_and_tensor(string name, string field, string value, string tensor, string named)
    {
        using ModelFolder folder = ModelFolder.Of(ReferenceDecoders.All[name]);
        folder.Config[field] = JsonNode.Parse(value);
        string message = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(folder.Write().Path)).Message;
        Assert.Contains($"'{tensor}'", message, StringComparison.Ordinal);
        Assert.Contains(named, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gemma2", "hidden_activation", "\"gelu\"", "hidden_activation is 'gelu'")]
    [InlineData("gemma2", "use_bidirectional_attention", "true", "use_bidirectional_attention")]
    [InlineData("gemma2", "attn_logit_softcapping", "-1", "AttentionCap")]
    [InlineData("gemma2", "final_logit_softcapping", "\"30\"", "final_logit_softcapping is 30; it must be a number")]
    [InlineData("gemma2", "query_pre_attn_scalar", "0", "QueryScalar")]
    [InlineData("gemma2", "layer_types", "[\"sliding_attention\"]", "layer_types has 1 entries, num_hidden_layers is 2")]
    [InlineData("gemma2", "layer_types", "[\"sliding_attention\", \"chunked_attention\"]", "chunked_attention")]
    [InlineData("gemma2", "layer_types", "\"all\"", "layer_types is all")]
    [InlineData("mistral, window", "sliding_window", "0", "sliding_window is 0")]
    [InlineData("mistral, window", "layer_types", "[\"sliding_attention\", \"full_attention\"]", "layer_types")]
    [InlineData("mistral, no window", "layer_types", "[\"sliding_attention\", \"full_attention\"]", "sliding_window is null")]
    [InlineData("qwen3", "rope_scaling", "{\"type\": \"mrope\", \"mrope_section\": [16, 24, 24]}", "mrope")]
    public void A_config_that_asks_for_something_unknown_is_refused_by_name(string name, string field, string value, string named)
    {
        using ModelFolder folder = ModelFolder.Of(ReferenceDecoders.All[name]);
        folder.Config[field] = JsonNode.Parse(value);
        Assert.Contains(named, Assert.Throws<InvalidDataException>(() => LlamaConfig.FromJson(folder.Config.ToJsonString())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Fields_that_a_config_leaves_out_are_what_transformers_take_them_for()
    {
        static LlamaConfig Of(string type) => LlamaConfig.FromJson(
            $$"""{"model_type": "{{type}}", "vocab_size": 29, "hidden_size": 64, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 32, "max_position_embeddings": 12, "rms_norm_eps": 1e-6}""");
        Assert.Equal((32, 2, (int?)null, false), (Of("llama").KeyValueHeads, Of("llama").HeadDim, Of("llama").Window, Of("llama").TiedEmbeddings));
        Assert.Equal((8, 2, 4096), (Of("mistral").KeyValueHeads, Of("mistral").HeadDim, Of("mistral").Window));
        Assert.Equal((32, 2, (int?)null), (Of("qwen2").KeyValueHeads, Of("qwen2").HeadDim, Of("qwen2").Window));
        Assert.Equal(128, Of("qwen3").HeadDim);
        LlamaConfig gemma = Of("gemma2");
        Assert.Equal((4, 256, true, 256, 50, 30), (gemma.KeyValueHeads, gemma.HeadDim, gemma.TiedEmbeddings, gemma.QueryScalar, gemma.AttentionCap, gemma.LogitCap));
        Assert.Equal([4096, null, 4096], Enumerable.Range(0, 3).Select(gemma.WindowOf));
    }

    [Theory]
    [InlineData("Llama 3.1 8B", """{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072, "mlp_bias": false, "attention_bias": false, "hidden_act": "silu", "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0, "tie_word_embeddings": false, "vocab_size": 128256}""", 131072, null, 128)]
    [InlineData("Vicuna 1.5 16k", """{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096, "hidden_act": "silu", "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 4.0, "type": "linear"}, "tie_word_embeddings": false, "vocab_size": 32000}""", 16384, null, 128)]
    [InlineData("Yarn Llama 2 64k", """{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "max_position_embeddings": 65536, "hidden_act": "silu", "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 16.0, "original_max_position_embeddings": 4096, "type": "yarn", "finetuned": true}, "vocab_size": 32000}""", 65536, null, 128)]
    [InlineData("Qwen2.5 7B, yarn", """{"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4, "max_position_embeddings": 32768, "max_window_layers": 28, "hidden_act": "silu", "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}, "sliding_window": 131072, "use_sliding_window": false, "tie_word_embeddings": false, "vocab_size": 152064}""", 131072, null, 128)]
    [InlineData("Qwen3 0.6B", """{"model_type": "qwen3", "attention_bias": false, "head_dim": 128, "hidden_size": 1024, "intermediate_size": 3072, "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "max_position_embeddings": 40960, "max_window_layers": 28, "hidden_act": "silu", "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null, "use_sliding_window": false, "tie_word_embeddings": true, "vocab_size": 151936}""", 40960, null, 128)]
    [InlineData("Mistral 7B v0.1", """{"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768, "hidden_act": "silu", "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096, "tie_word_embeddings": false, "vocab_size": 32000}""", 32768, 4096, 128)]
    [InlineData("Mistral Nemo", """{"model_type": "mistral", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 8, "max_position_embeddings": 131072, "hidden_act": "silu", "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": null, "tie_word_embeddings": false, "vocab_size": 131072}""", 131072, null, 128)]
    [InlineData("Gemma 2 2B", """{"model_type": "gemma2", "attention_bias": false, "attn_logit_softcapping": 50.0, "cache_implementation": "hybrid", "final_logit_softcapping": 30.0, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304, "intermediate_size": 9216, "max_position_embeddings": 8192, "num_attention_heads": 8, "num_hidden_layers": 26, "num_key_value_heads": 4, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": 4096, "vocab_size": 256000}""", 8192, 4096, 256)]
    public void Configs_of_published_models_are_read_and_written(string name, string json, int context, int? window, int headDim)
    {
        LlamaConfig config = LlamaConfig.FromJson(json);
        Assert.True((context, window, headDim) == (config.ScaledContext, config.WindowOf(0), config.HeadDim), $"{name}: {config}");
        Assert.Equal(config, LlamaConfig.FromJson(config.ToJson()));
    }

    [Fact]
    public void Windows_are_where_layer_types_or_the_older_fields_put_them()
    {
        static int?[] Windows(string more) => [.. Enumerable.Range(0, 4).Select(LlamaConfig.FromJson(
            """{"model_type": "qwen2", "vocab_size": 29, "hidden_size": 64, "intermediate_size": 24, "num_hidden_layers": 4, "num_attention_heads": 32, "max_position_embeddings": 12, "sliding_window": 5, """ + more + "}").WindowOf)];
        Assert.Equal([null, null, null, null], Windows("\"use_sliding_window\": false, \"max_window_layers\": 0"));
        Assert.Equal([null, null, 5, 5], Windows("\"use_sliding_window\": true, \"max_window_layers\": 2"));
        Assert.Equal([null, null, null, null], Windows("\"use_sliding_window\": true, \"max_window_layers\": 4"));
        Assert.Equal([null, 5, null, 5], Windows("\"use_sliding_window\": true, \"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\", \"sliding_attention\"]"));
        Assert.Equal([null, 5, null, null], Windows("\"use_sliding_window\": true, \"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\", \"full_attention\"]"));
    }

    [Fact]
    public void A_config_that_its_family_cannot_say_is_not_saved_and_nothing_is_touched()
    {
        using var folder = new TemporaryFolder();
        foreach ((LlamaConfig config, string named) in new[]
        {
            (s_small with { HeadNorms = true }, "HeadNorms"), (s_small with { LogitCap = 3 }, "LogitCap"), (s_small with { Window = 4 }, "Window"), (s_small with { OutputBias = true }, "QueryKeyValueBias"),
            (s_small with { Family = LlamaFamily.Qwen2 }, "QueryKeyValueBias"), (s_small with { Activation = GateActivation.GeluTanh }, "hidden_act"), (s_small with { Family = LlamaFamily.Mistral, MlpBias = true }, "MlpBias"),
        })
        {
            using var model = new TinyLM(config);
            Assert.Contains(named, Assert.Throws<ArgumentException>(() => LanguageModelFolder.SaveModel(folder.File("x"), model)).Message, StringComparison.Ordinal);
            Assert.False(Directory.Exists(folder.File("x")));
        }
    }

    [Theory]
    [InlineData(RotaryScalingKind.Linear, 24)]
    [InlineData(RotaryScalingKind.Dynamic, 24)]
    [InlineData(RotaryScalingKind.Yarn, 24)]
    [InlineData(RotaryScalingKind.Llama3, 12)]
    public void Scaled_positions_make_the_context_longer_where_a_config_states_the_trained_one(RotaryScalingKind kind, int context)
    {
        using var scope = NewDisposeScope();
        using var model = new TinyLM(s_small with { Scaling = new() { Kind = kind, Factor = 2, Original = kind == RotaryScalingKind.Llama3 ? 6 : null } });
        Assert.Equal(context, model.Context);
        Assert.Equal([1, context, 29], model.Logits(TinyModels.Ids(1, context)).shape);
        Assert.Contains($"context of {context}", Assert.Throws<ArgumentException>(() => model.Logits(TinyModels.Ids(1, context + 1))).Message, StringComparison.Ordinal);
        Assert.Equal(context + 8, TextGenerator.Generate(model, [1, 2], new() { NewTokens = context + 8 }).Count);
    }

    [Fact]
    public void Dynamic_positions_follow_the_length_of_each_call_and_cached_keys_keep_theirs()
    {
        using var scope = NewDisposeScope();
        using var model = new TinyLM(s_small with { Context = 5, Scaling = new() { Kind = RotaryScalingKind.Dynamic, Factor = 3 } });
        Tensor ids = TinyModels.Ids(1, 8);
        var site = new ActivationSite(0, Activation.Keys);
        using ActivationRecorder whole = new(site), begin = new(site), last = new(site);
        using KeyValueCache cache = model.NewCache();
        model.Logits(ids, whole);
        model.Logits(ids.narrow(1, 0, 7), begin, cache);
        model.Logits(ids.narrow(1, 7, 1), last, cache);
        TinyModels.AssertClose(whole[site].narrow(2, 7, 1), last[site], 1e-7);
        Assert.True(TinyModels.Largest(whole[site].narrow(2, 0, 7), begin[site]) > 1e-5);
        using KeyValueCache within = model.NewCache();
        model.Logits(ids.narrow(1, 0, 3), cache: within);
        TinyModels.AssertClose(model.Logits(ids.narrow(1, 0, 5)).narrow(1, 3, 2), model.Logits(ids.narrow(1, 3, 2), cache: within));
    }

    [Fact]
    public void Tables_of_positions_grow_with_the_sequence_and_stay_the_same()
    {
        using var scope = NewDisposeScope();
        using RotaryPositions grown = new(100_000, 8, 10_000), plain = new(100_000, 8, 10_000);
        Rotation before = plain.At(10, 3, ScalarType.Float32, CPU), far = grown.At(70_000, 2, ScalarType.Float32, CPU), near = grown.At(10, 3, ScalarType.Float32, CPU);
        TinyModels.AssertClose(before.Cos, near.Cos, 0);
        Assert.Equal(Math.Cos(70_001), far.Cos[1, 0].item<float>(), 1e-6);
        Assert.Equal(-Math.Sin(70_001 * 0.1), far.Sin[1, 1].item<float>(), 1e-6);
    }

    [Fact]
    public void Long_sequences_with_a_cap_are_those_of_the_whole_pattern()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New("gemma2", context: 1200);
        using IDisposable off = no_grad();
        Tensor ids = TinyModels.Ids(1, 1100);
        Tensor whole = model.Logits(ids, ActivationHook.Read(s => s.Activation == Activation.AttentionPattern, (_, _) => { }));
        TinyModels.AssertClose(whole, model.Logits(ids));
        using KeyValueCache cache = model.NewCache();
        model.Logits(ids.narrow(1, 0, 300), cache: cache);
        TinyModels.AssertClose(whole.narrow(1, 300, 800), model.Logits(ids.narrow(1, 300, 800), cache: cache));
    }

    [Fact]
    public void The_type_of_the_weights_is_stated()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using LanguageModel model = TinyModels.New("qwen3");
        model.to(ScalarType.BFloat16);
        LanguageModelFolder.SaveModel(folder.Path, model);
        Assert.Contains("\"torch_dtype\": \"bfloat16\"", File.ReadAllText(folder.File("config.json")), StringComparison.Ordinal);
        using LanguageModel loaded = LanguageModelFolder.LoadModel(folder.Path);
        TinyModels.AssertClose(model.Embeddings.to(ScalarType.Float32), loaded.Embeddings, 0);
    }

    [Theory]
    [InlineData(TinyModels.Gpt2, "n_layer", "1", "h.1.attn.c_attn.bias", "n_layer")]
    [InlineData(TinyModels.Gpt2, "n_positions", "13", "transformer.wpe.weight", "n_positions")]
    [InlineData(TinyModels.Gpt2, "n_inner", "65", "transformer.h.0.mlp.c_fc.weight", "n_embd, n_inner")]
    [InlineData(TinyModels.Gpt2, "tie_word_embeddings", "false", "lm_head.weight", "tie_word_embeddings")]
    [InlineData(TinyModels.NeoX, "num_hidden_layers", "1", "gpt_neox.layers.1.attention.dense.bias", "num_hidden_layers")]
    [InlineData(TinyModels.NeoX, "num_hidden_layers", "3", "gpt_neox.layers.2.", "num_hidden_layers")]
    [InlineData(TinyModels.NeoX, "vocab_size", "30", "embed_", "vocab_size")]
    public void The_other_architectures_name_field_and_tensor_too(string architecture, string field, string value, string tensor, string named)
    {
        using ModelFolder folder = ModelFolder.Of(architecture);
        folder.Config[field] = JsonNode.Parse(value);
        string message = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(folder.Write().Path)).Message;
        Assert.Contains(tensor, message, StringComparison.Ordinal);
        Assert.Contains($"({named}", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_shows_each_token_itself_and_those_just_before_it()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New("gemma2");
        using var kept = new ActivationRecorder(s => s.Activation == Activation.AttentionPattern);
        model.Logits(TinyModels.Ids(2, 9), kept);
        Tensor windowed = kept[0, Activation.AttentionPattern], whole = kept[1, Activation.AttentionPattern];
        Tensor seen = ones(9, 9).tril().triu(-2);
        TinyModels.AssertClose(seen.expand(2, 4, 9, 9), windowed.gt(0).to(ScalarType.Float32), 0);
        TinyModels.AssertClose(ones(9, 9).tril().expand(2, 4, 9, 9), whole.gt(0).to(ScalarType.Float32), 0);
        TinyModels.AssertClose(ones(2, 4, 9), windowed.sum([-1L]));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_loss_of_a_text_is_that_of_its_logits(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        Tensor ids = TinyModels.Ids(1, 12);
        double byHand = nn.functional.cross_entropy(model.Logits(ids).narrow(1, 0, 11).flatten(0, 1), ids.narrow(1, 1, 11).flatten()).item<float>();
        TextLoss loss = Perplexity.Of(model, new TokenText([.. TinyModels.Numbers(ids).Select(i => (int)i)]));
        Assert.Equal(byHand, loss.Loss, 1e-5);
    }
}
