using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sparseland.Models.Language;

/// <summary>Sizes of a Llama-style decoder, as a Hugging Face config.json has them.</summary>
public sealed record LlamaConfig
{
    /// <summary>vocab_size: tokens.</summary>
    public int Vocabulary { get; init; } = 4096;

    /// <summary>hidden_size: width of the residual stream, dModel.</summary>
    public int Width { get; init; } = 192;

    /// <summary>intermediate_size: width of the gated MLP.</summary>
    public int MlpWidth { get; init; } = 512;

    /// <summary>num_hidden_layers: blocks.</summary>
    public int Layers { get; init; } = 4;

    /// <summary>num_attention_heads: query heads.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>num_key_value_heads: key and value heads; divides <see cref="Heads"/>. Each serves Heads / KeyValueHeads query heads.</summary>
    public int KeyValueHeads { get; init; } = 3;

    /// <summary>head_dim; Width / Heads where null.</summary>
    public int? HeadWidth { get; init; }

    /// <summary>max_position_embeddings: the longest sequence.</summary>
    public int Context { get; init; } = 256;

    /// <summary>rms_norm_eps.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>rope_theta: base of the rotary frequencies.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>tie_word_embeddings: the logits are products with the embeddings of the tokens.</summary>
    public bool TiedEmbeddings { get; init; } = true;

    /// <summary>Width of one head.</summary>
    public int HeadDim => HeadWidth ?? Width / Heads;

    /// <summary>Throws when sizes do not fit each other.</summary>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public void Validate()
    {
        foreach ((string name, int value) in new[] { (nameof(Vocabulary), Vocabulary), (nameof(Width), Width), (nameof(MlpWidth), MlpWidth), (nameof(Layers), Layers), (nameof(Heads), Heads), (nameof(KeyValueHeads), KeyValueHeads), (nameof(Context), Context) })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        if (Heads % KeyValueHeads != 0)
            throw new ArgumentException($"{Heads} query heads cannot share {KeyValueHeads} key and value heads evenly; KeyValueHeads must divide Heads.", nameof(KeyValueHeads));
        if (HeadWidth is null && Width % Heads != 0) throw new ArgumentException($"Width {Width} is no multiple of {Heads} heads; set HeadWidth.", nameof(Heads));
        if (HeadDim < 2 || HeadDim % 2 != 0) throw new ArgumentException($"A head is {HeadDim} wide; rotary positions turn pairs, so it must be even.", nameof(HeadWidth));
        if (!(NormEpsilon > 0) || !double.IsFinite(NormEpsilon)) throw new ArgumentOutOfRangeException(nameof(NormEpsilon), NormEpsilon, "NormEpsilon must be positive and finite.");
        if (!(RopeTheta > 0) || !double.IsFinite(RopeTheta)) throw new ArgumentOutOfRangeException(nameof(RopeTheta), RopeTheta, "RopeTheta must be positive and finite.");
    }

    /// <summary>As a config.json of Hugging Face.</summary>
    public string ToJson()
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray("LlamaForCausalLM"), ["model_type"] = "llama", ["attention_bias"] = false, ["hidden_act"] = "silu",
            ["hidden_size"] = Width, ["intermediate_size"] = MlpWidth, ["max_position_embeddings"] = Context, ["num_attention_heads"] = Heads,
            ["num_hidden_layers"] = Layers, ["num_key_value_heads"] = KeyValueHeads, ["head_dim"] = HeadDim, ["rms_norm_eps"] = NormEpsilon,
            ["rope_theta"] = RopeTheta, ["tie_word_embeddings"] = TiedEmbeddings, ["torch_dtype"] = "float32", ["vocab_size"] = Vocabulary,
        };
        return json.ToJsonString(new JsonSerializerOptions { WriteIndented = true }).ReplaceLineEndings("\n") + "\n";
    }

    /// <summary>Reads a config.json.</summary>
    /// <param name="json">Its text.</param>
    /// <exception cref="InvalidDataException">It is no JSON, another architecture, or asks for what this decoder does not have; the message names it.</exception>
    public static LlamaConfig FromJson(string json)
    {
        var fields = new ConfigFields(json, "llama");
        fields.Refuse("hidden_act", "silu");
        fields.RefuseTrue("attention_bias");
        fields.RefuseTrue("mlp_bias");
        fields.RefuseObject("quantization_config");
        fields.RefuseScaledPositions();
        int heads = fields.Integer("num_attention_heads");
        return fields.Checked(new LlamaConfig
        {
            Vocabulary = fields.Integer("vocab_size"), Width = fields.Integer("hidden_size"), MlpWidth = fields.Integer("intermediate_size"),
            Layers = fields.Integer("num_hidden_layers"), Heads = heads, KeyValueHeads = fields.Integer("num_key_value_heads", heads),
            HeadWidth = fields.OptionalInteger("head_dim"), Context = fields.Integer("max_position_embeddings"),
            NormEpsilon = fields.Number("rms_norm_eps", 1e-6), RopeTheta = fields.Rope("rope_theta", fields.Number("rope_theta", 10_000)), TiedEmbeddings = fields.Flag("tie_word_embeddings", false),
        }, c => c.Validate());
    }
}
