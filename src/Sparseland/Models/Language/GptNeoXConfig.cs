using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Tensors;

namespace Sparseland.Models.Language;

/// <summary>Sizes of a GPT-NeoX decoder (Pythia), as a Hugging Face config.json has them.</summary>
public sealed record GptNeoXConfig
{
    /// <summary>vocab_size: tokens.</summary>
    public int Vocabulary { get; init; } = 50_304;

    /// <summary>hidden_size: width of the residual stream, dModel.</summary>
    public int Width { get; init; } = 512;

    /// <summary>intermediate_size: width of the MLP.</summary>
    public int MlpWidth { get; init; } = 2048;

    /// <summary>num_hidden_layers: blocks.</summary>
    public int Layers { get; init; } = 6;

    /// <summary>num_attention_heads: heads.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>max_position_embeddings: the longest sequence.</summary>
    public int Context { get; init; } = 2048;

    /// <summary>layer_norm_eps.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>rotary_pct: the part of each head that positions turn.</summary>
    public double RotaryPart { get; init; } = 0.25;

    /// <summary>rotary_emb_base: base of the rotary frequencies.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>use_parallel_residual: attention and MLP both read the block's input; otherwise the MLP reads what the attention left.</summary>
    public bool ParallelResidual { get; init; } = true;

    /// <summary>tie_word_embeddings: the logits are products with the embeddings of the tokens.</summary>
    public bool TiedEmbeddings { get; init; }

    /// <summary>Width of one head.</summary>
    public int HeadDim => Width / Heads;

    /// <summary>Leading entries of a head that positions turn.</summary>
    public int Turned => (int)(HeadDim * RotaryPart);

    /// <summary>Throws when sizes do not fit each other.</summary>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public void Validate()
    {
        foreach ((string name, int value) in new[] { (nameof(Vocabulary), Vocabulary), (nameof(Width), Width), (nameof(MlpWidth), MlpWidth), (nameof(Layers), Layers), (nameof(Heads), Heads), (nameof(Context), Context) })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        if (Width % Heads != 0) throw new ArgumentException($"Width {Width} is no multiple of {Heads} heads.", nameof(Heads));
        if (!(RotaryPart > 0 && RotaryPart <= 1)) throw new ArgumentOutOfRangeException(nameof(RotaryPart), RotaryPart, "RotaryPart must lie above 0 and not above 1.");
        if (Turned < 2 || Turned % 2 != 0) throw new ArgumentException($"Rotary positions turn {Turned} of {HeadDim} entries of a head; that must be an even number.", nameof(RotaryPart));
        Finite.Positive(NormEpsilon);
        Finite.Positive(RopeTheta);
    }

    /// <summary>As a config.json of Hugging Face.</summary>
    public string ToJson()
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray("GPTNeoXForCausalLM"), ["model_type"] = "gpt_neox", ["attention_bias"] = true, ["hidden_act"] = "gelu", ["hidden_size"] = Width,
            ["intermediate_size"] = MlpWidth, ["layer_norm_eps"] = NormEpsilon, ["max_position_embeddings"] = Context, ["num_attention_heads"] = Heads,
            ["num_hidden_layers"] = Layers, ["rotary_emb_base"] = RopeTheta, ["rotary_pct"] = RotaryPart, ["tie_word_embeddings"] = TiedEmbeddings,
            ["torch_dtype"] = "float32", ["use_parallel_residual"] = ParallelResidual, ["vocab_size"] = Vocabulary,
        };
        return json.ToJsonString(new JsonSerializerOptions { WriteIndented = true }).ReplaceLineEndings("\n") + "\n";
    }

    /// <summary>Reads a config.json.</summary>
    /// <param name="json">Its text.</param>
    /// <exception cref="InvalidDataException">It is no JSON, another architecture, or asks for what this decoder does not have; the message names it.</exception>
    public static GptNeoXConfig FromJson(string json)
    {
        var fields = new ConfigFields(json, "gpt_neox");
        fields.Refuse("hidden_act", "gelu");
        fields.RefuseFalse("attention_bias");
        fields.RefuseObject("quantization_config");
        fields.RefuseScaledPositions();
        return fields.Checked(new GptNeoXConfig
        {
            Vocabulary = fields.Integer("vocab_size"), Width = fields.Integer("hidden_size"), MlpWidth = fields.Integer("intermediate_size"), Layers = fields.Integer("num_hidden_layers"),
            Heads = fields.Integer("num_attention_heads"), Context = fields.Integer("max_position_embeddings"), NormEpsilon = fields.Number("layer_norm_eps", 1e-5),
            RotaryPart = fields.Rope("partial_rotary_factor", fields.Number("rotary_pct", 0.25)), RopeTheta = fields.Rope("rope_theta", fields.Number("rotary_emb_base", fields.Number("rope_theta", 10_000))),
            ParallelResidual = fields.Flag("use_parallel_residual", true), TiedEmbeddings = fields.Flag("tie_word_embeddings", false),
        }, c => c.Validate());
    }
}
