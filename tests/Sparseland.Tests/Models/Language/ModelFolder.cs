using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Tests.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>A folder as Hugging Face writes it, with the weights of reference_logits.py; a test breaks it before it is written.</summary>
internal sealed class ModelFolder : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private ModelFolder(JsonObject config, Dictionary<string, long[]> shapes) => (Config, Shapes) = (config, shapes);

    public string Path => _folder.Path;

    public JsonObject Config { get; }

    /// <summary>Tensors to write.</summary>
    public Dictionary<string, long[]> Shapes { get; }

    public ScalarType Type { get; set; } = ScalarType.Float32;

    public static ModelFolder Of(string architecture, int vocabulary = 29, bool parallel = true) => architecture switch
    {
        TinyModels.Llama => Llama(vocabulary),
        TinyModels.Gpt2 => Gpt2(vocabulary),
        _ => NeoX(vocabulary, parallel),
    };

    /// <summary>A folder of reference_decoders.py.</summary>
    public static ModelFolder Of(ReferenceDecoder decoder)
    {
        Dictionary<string, long[]> shapes = decoder.Tensors.Split(' ').Select(t => t.Split(':')).ToDictionary(t => t[0], t => t[1].Split('x').Select(long.Parse).ToArray());
        return new(Json(decoder.Config), shapes);
    }

    public string File(string name) => _folder.File(name);

    /// <summary>Writes config and weights, into one file or dealt over several with an index.</summary>
    public ModelFolder Write(int files = 1, BpeModel? tokenizer = null)
    {
        using var scope = NewDisposeScope();
        System.IO.File.WriteAllText(File("config.json"), Config.ToJsonString());
        bool aroundZero = Config["model_type"]?.ToString() == "gemma2";
        string[] names = [.. Shapes.Keys.Order(StringComparer.Ordinal)];
        Dictionary<string, Tensor> all = names.Select((name, t) => (name, Weight(t, Shapes[name], !aroundZero && name.EndsWith(".weight", StringComparison.Ordinal) && (name.Contains("norm", StringComparison.Ordinal) || name.Contains(".ln_", StringComparison.Ordinal)))))
            .ToDictionary(p => p.name, p => p.Item2.to(Type));
        if (files == 1)
        {
            SafeTensors.Save(File("model.safetensors"), all);
        }
        else
        {
            var map = new JsonObject();
            for (int f = 0; f < files; f++)
            {
                string file = $"model-{f + 1:D5}-of-{files:D5}.safetensors";
                Dictionary<string, Tensor> some = all.Where((_, t) => t % files == f).ToDictionary();
                foreach (string name in some.Keys) map[name] = file;
                SafeTensors.Save(File(file), some);
            }

            System.IO.File.WriteAllText(File("model.safetensors.index.json"), new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = map }.ToJsonString());
        }

        if (tokenizer is not null) TokenizerFile.Save(Path, tokenizer);
        return this;
    }

    public void Dispose() => _folder.Dispose();

    private static ModelFolder Llama(int vocabulary)
    {
        var shapes = new Dictionary<string, long[]> { ["model.embed_tokens.weight"] = [vocabulary, 16], ["model.norm.weight"] = [16], ["lm_head.weight"] = [vocabulary, 16] };
        for (int layer = 0; layer < 2; layer++)
        {
            string p = $"model.layers.{layer}.";
            (shapes[p + "input_layernorm.weight"], shapes[p + "post_attention_layernorm.weight"]) = ([16], [16]);
            (shapes[p + "self_attn.q_proj.weight"], shapes[p + "self_attn.k_proj.weight"], shapes[p + "self_attn.v_proj.weight"], shapes[p + "self_attn.o_proj.weight"]) = ([24, 16], [12, 16], [12, 16], [16, 24]);
            (shapes[p + "mlp.gate_proj.weight"], shapes[p + "mlp.up_proj.weight"], shapes[p + "mlp.down_proj.weight"]) = ([24, 16], [24, 16], [16, 24]);
        }

        return new(Json($$"""
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 12, "rms_norm_eps": 1e-5, "rope_theta": 500.0, "rope_scaling": null, "hidden_act": "silu",
             "attention_bias": false, "tie_word_embeddings": false, "torch_dtype": "float32", "vocab_size": {{vocabulary}} }
            """), shapes);
    }

    private static ModelFolder Gpt2(int vocabulary)
    {
        var shapes = new Dictionary<string, long[]> { ["transformer.wte.weight"] = [vocabulary, 16], ["transformer.wpe.weight"] = [12, 16], ["transformer.ln_f.weight"] = [16], ["transformer.ln_f.bias"] = [16] };
        for (int layer = 0; layer < 2; layer++)
        {
            string p = $"transformer.h.{layer}.";
            foreach (string norm in new[] { "ln_1", "ln_2" }) (shapes[p + norm + ".weight"], shapes[p + norm + ".bias"]) = ([16], [16]);
            foreach ((string name, long from, long to) in new[] { ("attn.c_attn", 16L, 48L), ("attn.c_proj", 16, 16), ("mlp.c_fc", 16, 64), ("mlp.c_proj", 64, 16) })
                (shapes[p + name + ".weight"], shapes[p + name + ".bias"]) = ([from, to], [to]);
        }

        return new(Json($$"""
            {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 12, "n_ctx": 12, "n_inner": null,
             "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": true, "vocab_size": {{vocabulary}} }
            """), shapes);
    }

    private static ModelFolder NeoX(int vocabulary, bool parallel)
    {
        var shapes = new Dictionary<string, long[]> { ["gpt_neox.embed_in.weight"] = [vocabulary, 32], ["embed_out.weight"] = [vocabulary, 32], ["gpt_neox.final_layer_norm.weight"] = [32], ["gpt_neox.final_layer_norm.bias"] = [32] };
        for (int layer = 0; layer < 2; layer++)
        {
            string p = $"gpt_neox.layers.{layer}.";
            foreach (string norm in new[] { "input_layernorm", "post_attention_layernorm" }) (shapes[p + norm + ".weight"], shapes[p + norm + ".bias"]) = ([32], [32]);
            foreach ((string name, long to, long from) in new[] { ("attention.query_key_value", 96L, 32L), ("attention.dense", 32, 32), ("mlp.dense_h_to_4h", 40, 32), ("mlp.dense_4h_to_h", 32, 40) })
                (shapes[p + name + ".weight"], shapes[p + name + ".bias"]) = ([to, from], [to]);
        }

        return new(Json($$"""
            {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2,
             "max_position_embeddings": 12, "layer_norm_eps": 1e-5, "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": {{(parallel ? "true" : "false")}},
             "hidden_act": "gelu", "tie_word_embeddings": false, "torch_dtype": "float16", "vocab_size": {{vocabulary}} }
            """), shapes);
    }

    private static JsonObject Json(string text) => (JsonObject)JsonNode.Parse(text)!;

    /// <summary>As weight() of reference_logits.py.</summary>
    private static Tensor Weight(int index, long[] shape, bool norm)
    {
        float[] values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        for (int i = 0; i < values.Length; i++)
        {
            uint h = unchecked(((uint)i * 2654435761u) + ((uint)index * 2246822519u) + 12345u);
            h ^= h >> 15;
            h = unchecked(h * 40503u);
            h ^= h >> 13;
            float v = ((h >> 8) / 16777216f) - 0.5f;
            values[i] = norm ? 1 + (v / 4) : v;
        }

        return tensor(values, shape);
    }
}
