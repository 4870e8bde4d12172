using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Tensors;

namespace Sparseland.Models.Language;

/// <summary>Sizes of a BERT encoder, as a Hugging Face config.json has them. The defaults are those of bert-base-uncased.</summary>
public sealed record BertConfig
{
    /// <summary>vocab_size: tokens; 30,522 by default.</summary>
    public int Vocabulary { get; init; } = 30_522;

    /// <summary>hidden_size: width of the residual stream, dModel; 768 by default.</summary>
    public int Width { get; init; } = 768;

    /// <summary>intermediate_size: width of the MLP; 3072 by default.</summary>
    public int MlpWidth { get; init; } = 3072;

    /// <summary>num_hidden_layers: blocks; 12 by default.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>num_attention_heads: heads; 12 by default.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>max_position_embeddings: the longest sequence; 512 by default.</summary>
    public int Context { get; init; } = 512;

    /// <summary>type_vocab_size: kinds of segment (first text, second text); 2 by default.</summary>
    public int TokenTypes { get; init; } = 2;

    /// <summary>layer_norm_eps; 1e-12 by default.</summary>
    public double NormEpsilon { get; init; } = 1e-12;

    /// <summary>Width of one head.</summary>
    public int HeadDim => Width / Heads;

    /// <summary>Throws when sizes do not fit each other.</summary>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public void Validate()
    {
        foreach ((string name, int value) in new[]
        {
            (nameof(Vocabulary), Vocabulary), (nameof(Width), Width), (nameof(MlpWidth), MlpWidth), (nameof(Layers), Layers), (nameof(Heads), Heads), (nameof(TokenTypes), TokenTypes),
        })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        if (Context < 2) throw new ArgumentOutOfRangeException(nameof(Context), Context, "Context must be at least 2: a text stands between two special tokens.");
        if (Width % Heads != 0) throw new ArgumentException($"Width {Width} is no multiple of {Heads} heads.", nameof(Heads));
        Finite.Positive(NormEpsilon);
    }

    /// <summary>Reads a config.json.</summary>
    /// <param name="json">Its text.</param>
    /// <exception cref="InvalidDataException">It is no JSON, another architecture, or asks for what this encoder does not have; the message names it.</exception>
    public static BertConfig FromJson(string json)
    {
        var fields = new ConfigFields(json, "bert");
        fields.Refuse("hidden_act", "gelu");
        fields.Refuse("position_embedding_type", "absolute");
        fields.RefuseTrue("is_decoder");
        fields.RefuseTrue("add_cross_attention");
        fields.RefuseObject("quantization_config");
        return fields.Checked(new BertConfig
        {
            Vocabulary = fields.Integer("vocab_size"), Width = fields.Integer("hidden_size"), MlpWidth = fields.Integer("intermediate_size"), Layers = fields.Integer("num_hidden_layers"),
            Heads = fields.Integer("num_attention_heads"), Context = fields.Integer("max_position_embeddings"), TokenTypes = fields.Integer("type_vocab_size", 2),
            NormEpsilon = fields.Number("layer_norm_eps", 1e-12),
        }, c => c.Validate());
    }

    /// <summary>The config.json of these sizes.</summary>
    public string ToJson() => new JsonObject
    {
        ["architectures"] = new JsonArray("BertModel"), ["model_type"] = "bert", ["vocab_size"] = Vocabulary, ["hidden_size"] = Width, ["intermediate_size"] = MlpWidth,
        ["num_hidden_layers"] = Layers, ["num_attention_heads"] = Heads, ["max_position_embeddings"] = Context, ["type_vocab_size"] = TokenTypes, ["layer_norm_eps"] = NormEpsilon,
        ["hidden_act"] = "gelu", ["position_embedding_type"] = "absolute", ["attention_probs_dropout_prob"] = 0.0, ["hidden_dropout_prob"] = 0.0, ["torch_dtype"] = "float32",
    }.ToJsonString(new JsonSerializerOptions { WriteIndented = true }).ReplaceLineEndings("\n") + "\n";
}
