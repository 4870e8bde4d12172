using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sparseland.Models.Language;

/// <summary>config.json of the Llama-style architectures of Hugging Face.</summary>
internal static class LlamaConfigFile
{
    /// <summary>model_type of each family, in the order of <see cref="LlamaFamily"/>.</summary>
    public static readonly string[] Types = ["llama", "mistral", "qwen2", "qwen3", "gemma2"];

    private static readonly string[] s_classes = ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "Gemma2ForCausalLM"];

    public static LlamaConfig Read(string json)
    {
        var fields = new ConfigFields(json, Types);
        var family = (LlamaFamily)Array.IndexOf(Types, fields.Type);
        bool gemma = family == LlamaFamily.Gemma2;
        fields.Refuse(gemma ? "hidden_activation" : "hidden_act", gemma ? "gelu_pytorch_tanh" : "silu");
        fields.RefuseTrue("use_bidirectional_attention");
        fields.RefuseTrue("rope_interleaved");
        fields.RefuseObject("quantization_config");
        if (fields.Rope("partial_rotary_factor", fields.Number("partial_rotary_factor", 1)) != 1) throw new InvalidDataException("The config's partial_rotary_factor is not 1; that is not known.");
        int heads = fields.Integer("num_attention_heads");
        int otherHeads = family switch { LlamaFamily.Mistral => 8, LlamaFamily.Gemma2 => 4, LlamaFamily.Qwen2 or LlamaFamily.Qwen3 => 32, _ => heads };
        int? otherWidth = family switch { LlamaFamily.Qwen3 => 128, LlamaFamily.Gemma2 => 256, _ => null };
        bool bias = family is not (LlamaFamily.Mistral or LlamaFamily.Qwen2) && fields.Flag("attention_bias", false);
        var config = new LlamaConfig
        {
            Family = family, Vocabulary = fields.Integer("vocab_size"), Width = fields.Integer("hidden_size"), MlpWidth = fields.Integer("intermediate_size"),
            Layers = fields.Integer("num_hidden_layers"), Heads = heads,
            KeyValueHeads = fields.Has("num_key_value_heads") ? fields.Integer("num_key_value_heads", heads) : otherHeads,
            HeadWidth = fields.Has("head_dim") ? fields.OptionalInteger("head_dim") : otherWidth, Context = fields.Integer("max_position_embeddings"),
            NormEpsilon = fields.Number("rms_norm_eps", 1e-6), RopeTheta = fields.Rope("rope_theta", fields.Number("rope_theta", 10_000)), Scaling = fields.ScaledPositions(),
            TiedEmbeddings = fields.Flag("tie_word_embeddings", gemma), QueryKeyValueBias = bias || family == LlamaFamily.Qwen2, OutputBias = bias,
            MlpBias = family == LlamaFamily.Llama && fields.Flag("mlp_bias", false), HeadNorms = family == LlamaFamily.Qwen3,
            NormsAddOne = gemma, OutputNorms = gemma, ScaledEmbeddings = gemma, Activation = gemma ? GateActivation.GeluTanh : GateActivation.Silu,
        };
        if (gemma)
        {
            config = config with
            {
                QueryScalar = fields.Number("query_pre_attn_scalar", 256), AttentionCap = fields.NumberOrNull("attn_logit_softcapping", 50), LogitCap = fields.NumberOrNull("final_logit_softcapping", 30),
            };
        }

        return fields.Checked(Plain(Windowed(config, fields)), c => c.Validate());
    }

    public static string Write(LlamaConfig config)
    {
        config.Validate();
        config = Plain(config);
        int family = (int)config.Family;
        bool gemma = config.Family == LlamaFamily.Gemma2, qwen = config.Family is LlamaFamily.Qwen2 or LlamaFamily.Qwen3;
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(s_classes[family]), ["model_type"] = Types[family], ["attention_bias"] = config.OutputBias,
            ["hidden_act"] = config.Activation == GateActivation.Silu ? "silu" : "gelu_pytorch_tanh", ["hidden_size"] = config.Width, ["intermediate_size"] = config.MlpWidth,
            ["max_position_embeddings"] = config.Context, ["num_attention_heads"] = config.Heads, ["num_hidden_layers"] = config.Layers,
            ["num_key_value_heads"] = config.KeyValueHeads, ["head_dim"] = config.HeadDim, ["rms_norm_eps"] = config.NormEpsilon,
            ["rope_theta"] = config.RopeTheta, ["tie_word_embeddings"] = config.TiedEmbeddings, ["torch_dtype"] = "float32", ["vocab_size"] = config.Vocabulary,
        };
        if (config.Family == LlamaFamily.Llama) json["mlp_bias"] = config.MlpBias;
        if (config.Scaling is { } scaling) json["rope_scaling"] = RotaryScalingFile.Write(scaling);
        if (config.Family != LlamaFamily.Llama) json["sliding_window"] = config.Window;
        if (qwen) (json["use_sliding_window"], json["max_window_layers"]) = (config.Window is not null, config.Window is null ? config.Layers : config.WindowFrom);
        if ((qwen || gemma) && config.Window is not null) json["layer_types"] = new JsonArray([.. Enumerable.Range(0, config.Layers).Select(l => (JsonNode)(config.WindowOf(l) is null ? "full_attention" : "sliding_attention"))]);
        if (gemma)
        {
            json["hidden_activation"] = json["hidden_act"]!.DeepClone();
            (json["query_pre_attn_scalar"], json["attn_logit_softcapping"], json["final_logit_softcapping"]) = (config.QueryScalar ?? config.HeadDim, config.AttentionCap, config.LogitCap);
        }

        string text = json.ToJsonString(new JsonSerializerOptions { WriteIndented = true }).ReplaceLineEndings("\n") + "\n";
        CheckSaid(config, text);
        return text;
    }

    /// <summary>Refuses options that would be lost: what is read back must be what was written.</summary>
    private static void CheckSaid(LlamaConfig config, string text)
    {
        string type = Types[(int)config.Family];
        LlamaConfig said;
        try
        {
            said = Read(text);
        }
        catch (InvalidDataException error)
        {
            throw new ArgumentException($"A config.json of model_type '{type}' cannot say this config: {error.Message}", nameof(config), error);
        }

        // A scalar of the head's width is what no scalar means.
        if (said.QueryScalar == said.HeadDim && config.QueryScalar is null) said = said with { QueryScalar = null };
        if (said == config) return;
        IEnumerable<string> lost = typeof(LlamaConfig).GetProperties().Where(p => !Equals(p.GetValue(said), p.GetValue(config))).Select(p => p.Name);
        throw new ArgumentException($"A config.json of model_type '{type}' cannot say {string.Join(", ", lost)} of this config; choose the Family that has them.", nameof(config));
    }

    /// <summary>The same decoder with the head's width stated, a grown base as such, and no window where no block has one.</summary>
    private static LlamaConfig Plain(LlamaConfig config)
    {
        config = config.Heads > 0 ? config with { HeadWidth = config.HeadDim } : config;
        if (config.Scaling is { Kind: RotaryScalingKind.Ntk } ntk) config = config with { RopeTheta = ntk.Grown(config.RopeTheta, config.HeadDim), Scaling = null };
        bool windowed = config.WindowEvery > 0 && Enumerable.Range(0, Math.Max(config.Layers, 0)).Any(l => config.WindowOf(l) is not null);
        return windowed ? config : config with { Window = null, WindowFrom = 0, WindowEvery = 1 };
    }

    /// <summary>Which blocks have a window: the older fields of each family, then layer_types.</summary>
    private static LlamaConfig Windowed(LlamaConfig config, ConfigFields fields)
    {
        if (config.Family == LlamaFamily.Llama) return config;
        bool qwen = config.Family is LlamaFamily.Qwen2 or LlamaFamily.Qwen3;
        int? window = fields.Has("sliding_window") ? fields.OptionalInteger("sliding_window") : 4096;
        if (qwen && !fields.Flag("use_sliding_window", false)) window = null;
        if (window is <= 0) throw new InvalidDataException($"The config's sliding_window is {window}; it must be positive or null.");
        config = config with { Window = window, WindowFrom = qwen ? fields.Integer("max_window_layers", 28) : 0, WindowEvery = config.Family == LlamaFamily.Gemma2 ? 2 : 1 };
        string[]? types = fields.Strings("layer_types");
        if (types is null || config.Layers < 1) return config;
        if (types.Length != config.Layers) throw new InvalidDataException($"The config's layer_types has {types.Length} entries, num_hidden_layers is {config.Layers}.");
        if (Array.Find(types, t => t is not ("full_attention" or "sliding_attention")) is { } other)
            throw new InvalidDataException($"The config's layer_types has '{other}'; only 'full_attention' and 'sliding_attention' are known.");
        int[] sliding = [.. Enumerable.Range(0, types.Length).Where(l => types[l] == "sliding_attention")];
        if (sliding.Length > 0 && window is null) throw new InvalidDataException("The config's layer_types has 'sliding_attention', but its sliding_window is null or not used.");
        bool Fits(LlamaConfig c) => Enumerable.Range(0, types.Length).All(l => (c.WindowOf(l) is not null) == sliding.Contains(l));
        if (Fits(config)) return config;
        LlamaConfig found = sliding.Length == 0 ? config with { Window = null }
            : config with { WindowFrom = sliding[0], WindowEvery = sliding.Length > 1 ? sliding[1] - sliding[0] : config.Layers };
        if (config.Family == LlamaFamily.Mistral || !Fits(found))
            throw new InvalidDataException($"The config's layer_types has windows in blocks {string.Join(", ", sliding)}; of model_type '{fields.Type}' only windows at equal distances are known, of 'mistral' only in every block.");
        return found;
    }
}
