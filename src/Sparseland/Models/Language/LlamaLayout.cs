namespace Sparseland.Models.Language;

/// <summary>Tensors of a Llama-style decoder as files have them, and the fields of the config that ask for each.</summary>
internal static class LlamaLayout
{
    public static WeightLayout Of(LlamaConfig config) => new("model.", _ => false, name => name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal))
    {
        Copy = config.TiedEmbeddings ? ("model.embed_tokens.weight", "lm_head.weight") : null,
        Blocks = ("layers.", "num_hidden_layers"),
        Asks = name => Asks(config, name),
        Sizes = Sizes,
    };

    /// <summary>The fields on which it depends whether there is such a tensor.</summary>
    private static string Asks(LlamaConfig config, string name)
    {
        if (name.EndsWith("_proj.bias", StringComparison.Ordinal))
            return name.Contains("mlp.", StringComparison.Ordinal) ? "mlp_bias" : config.Family is LlamaFamily.Mistral or LlamaFamily.Qwen2 ? "model_type" : "attention_bias";
        return name == "lm_head.weight" ? "tie_word_embeddings" : "model_type";
    }

    /// <summary>The fields that give a tensor its shape.</summary>
    private static string Sizes(string name)
    {
        string[] parts = name.Split('.');
        return parts.Length < 2 ? "hidden_size" : parts[^2] switch
        {
            "embed_tokens" or "lm_head" => "vocab_size, hidden_size",
            "q_proj" or "o_proj" => "hidden_size, num_attention_heads, head_dim",
            "k_proj" or "v_proj" => "hidden_size, num_key_value_heads, head_dim",
            "q_norm" or "k_norm" => "head_dim",
            "gate_proj" or "up_proj" or "down_proj" => "hidden_size, intermediate_size",
            _ => "hidden_size",
        };
    }
}
