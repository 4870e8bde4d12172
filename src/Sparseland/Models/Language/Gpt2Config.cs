using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Tensors;

namespace Sparseland.Models.Language;

/// <summary>Sizes of a GPT-2 decoder, as a Hugging Face config.json has them.</summary>
public sealed record Gpt2Config
{
    /// <summary>vocab_size: tokens.</summary>
    public int Vocabulary { get; init; } = 50_257;

    /// <summary>n_embd: width of the residual stream, dModel.</summary>
    public int Width { get; init; } = 768;

    /// <summary>n_inner: width of the MLP; 4 * Width where null.</summary>
    public int? InnerWidth { get; init; }

    /// <summary>n_layer: blocks.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>n_head: heads.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>n_positions: the longest sequence.</summary>
    public int Context { get; init; } = 1024;

    /// <summary>layer_norm_epsilon.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>tie_word_embeddings: the logits are products with the embeddings of the tokens.</summary>
    public bool TiedEmbeddings { get; init; } = true;

    /// <summary>Width of the MLP.</summary>
    public int MlpWidth => InnerWidth ?? 4 * Width;

    /// <summary>Width of one head.</summary>
    public int HeadDim => Width / Heads;

    /// <summary>Throws when sizes do not fit each other.</summary>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public void Validate()
    {
        foreach ((string name, int value) in new[] { (nameof(Vocabulary), Vocabulary), (nameof(Width), Width), (nameof(InnerWidth), MlpWidth), (nameof(Layers), Layers), (nameof(Heads), Heads), (nameof(Context), Context) })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        if (Width % Heads != 0) throw new ArgumentException($"Width {Width} is no multiple of {Heads} heads.", nameof(Heads));
        Finite.Positive(NormEpsilon);
    }

    /// <summary>As a config.json of Hugging Face.</summary>
    public string ToJson()
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray("GPT2LMHeadModel"), ["model_type"] = "gpt2", ["activation_function"] = "gelu_new", ["layer_norm_epsilon"] = NormEpsilon,
            ["n_embd"] = Width, ["n_head"] = Heads, ["n_inner"] = InnerWidth, ["n_layer"] = Layers, ["n_positions"] = Context, ["n_ctx"] = Context,
            ["tie_word_embeddings"] = TiedEmbeddings, ["torch_dtype"] = "float32", ["vocab_size"] = Vocabulary,
        };
        return json.ToJsonString(new JsonSerializerOptions { WriteIndented = true }).ReplaceLineEndings("\n") + "\n";
    }

    /// <summary>Reads a config.json.</summary>
    /// <param name="json">Its text.</param>
    /// <exception cref="InvalidDataException">It is no JSON, another architecture, or asks for what this decoder does not have; the message names it.</exception>
    public static Gpt2Config FromJson(string json)
    {
        var fields = new ConfigFields(json, "gpt2");
        fields.Refuse("activation_function", "gelu_new", "gelu_pytorch_tanh");
        fields.RefuseFalse("scale_attn_weights");
        fields.RefuseTrue("scale_attn_by_inverse_layer_idx");
        fields.RefuseTrue("add_cross_attention");
        fields.RefuseObject("quantization_config");
        return fields.Checked(new Gpt2Config
        {
            Vocabulary = fields.Integer("vocab_size"), Width = fields.Integer("n_embd"), InnerWidth = fields.OptionalInteger("n_inner"), Layers = fields.Integer("n_layer"),
            Heads = fields.Integer("n_head"), Context = fields.Integer("n_positions"), NormEpsilon = fields.Number("layer_norm_epsilon", 1e-5),
            TiedEmbeddings = fields.Flag("tie_word_embeddings", true),
        }, c => c.Validate());
    }
}
