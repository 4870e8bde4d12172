using Sparseland.Tensors;

namespace Sparseland.Models.Language;

/// <summary>Architectures of Hugging Face that are Llama-style decoders with some parts switched; what a saved config.json calls itself.</summary>
public enum LlamaFamily
{
    /// <summary>llama, LlamaForCausalLM (Touvron et al. 2023; Llama 2, 3, 3.1, 3.2).</summary>
    Llama,

    /// <summary>mistral, MistralForCausalLM (Jiang et al. 2023): a sliding window in every block.</summary>
    Mistral,

    /// <summary>qwen2, Qwen2ForCausalLM (Qwen2 and Qwen2.5): biases on queries, keys and values.</summary>
    Qwen2,

    /// <summary>qwen3, Qwen3ForCausalLM: norms of each head's queries and keys.</summary>
    Qwen3,

    /// <summary>gemma2, Gemma2ForCausalLM (Gemma Team 2024): scaled embeddings, norms around both parts of a block, soft caps, alternating windows.</summary>
    Gemma2,
}

/// <summary>Non-linearity of a gated MLP.</summary>
public enum GateActivation
{
    /// <summary>x * sigmoid(x).</summary>
    Silu,

    /// <summary>GELU with its tanh approximation.</summary>
    GeluTanh,
}

/// <summary>
/// Sizes of a Llama-style decoder, as a Hugging Face config.json has them, and the parts in which its relatives differ. The parts combine
/// freely; a config.json can only say the combinations of its <see cref="Family"/>.
/// </summary>
public sealed record LlamaConfig
{
    /// <summary>model_type of a saved config.json; changes nothing in what is computed. Default llama.</summary>
    public LlamaFamily Family { get; init; }

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

    /// <summary>max_position_embeddings: the longest sequence, before <see cref="Scaling"/>.</summary>
    public int Context { get; init; } = 256;

    /// <summary>rms_norm_eps.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>rope_theta: base of the rotary frequencies.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>rope_scaling: how positions reach beyond the trained length. Default null, they do not.</summary>
    public RotaryScaling? Scaling { get; init; }

    /// <summary>tie_word_embeddings: the logits are products with the embeddings of the tokens.</summary>
    public bool TiedEmbeddings { get; init; } = true;

    /// <summary>Queries, keys and values have biases (attention_bias; always in Qwen2). Default false.</summary>
    public bool QueryKeyValueBias { get; init; }

    /// <summary>The matrix that mixes the heads has a bias (attention_bias). Default false.</summary>
    public bool OutputBias { get; init; }

    /// <summary>mlp_bias: the three matrices of the MLP have biases. Default false.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Root-mean-square norms of each head's queries and keys, before their positions (Qwen3). Default false.</summary>
    public bool HeadNorms { get; init; }

    /// <summary>Norms multiply by 1 + weight (Gemma). Default false.</summary>
    public bool NormsAddOne { get; init; }

    /// <summary>Norms of what attention and MLP add to the residual stream too (Gemma 2). Default false.</summary>
    public bool OutputNorms { get; init; }

    /// <summary>Embeddings are multiplied by sqrt(Width) where they enter (Gemma). Default false.</summary>
    public bool ScaledEmbeddings { get; init; }

    /// <summary>hidden_act: non-linearity of the gate. Default SiLU.</summary>
    public GateActivation Activation { get; init; }

    /// <summary>query_pre_attn_scalar: scores are products divided by its root; <see cref="HeadDim"/> where null.</summary>
    public double? QueryScalar { get; init; }

    /// <summary>attn_logit_softcapping: scores become cap * tanh(score / cap). Default null, none.</summary>
    public double? AttentionCap { get; init; }

    /// <summary>final_logit_softcapping: logits become cap * tanh(logit / cap). Default null, none.</summary>
    public double? LogitCap { get; init; }

    /// <summary>sliding_window: tokens that a token sees in windowed blocks, its own included. Default null, all.</summary>
    public int? Window { get; init; }

    /// <summary>First windowed block (max_window_layers of Qwen). Default 0.</summary>
    public int WindowFrom { get; init; }

    /// <summary>From <see cref="WindowFrom"/> on each so-many-th block is windowed; 2 in Gemma 2. Default 1.</summary>
    public int WindowEvery { get; init; } = 1;

    /// <summary>Width of one head.</summary>
    public int HeadDim => HeadWidth ?? Width / Heads;

    /// <summary>The longest sequence with scaled positions: of linear, dynamic and yarn scaling, factor times the length before it.</summary>
    public int ScaledContext => Scaling?.Longest(Context) ?? Context;

    /// <summary>Tokens that a token sees in a block; null for all.</summary>
    /// <param name="layer">Block, from 0.</param>
    public int? WindowOf(int layer) => layer >= WindowFrom && (layer - WindowFrom) % WindowEvery == 0 ? Window : null;

    /// <summary>Throws when sizes do not fit each other.</summary>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public void Validate()
    {
        foreach ((string name, int value) in new[] { (nameof(Vocabulary), Vocabulary), (nameof(Width), Width), (nameof(MlpWidth), MlpWidth), (nameof(Layers), Layers), (nameof(Heads), Heads), (nameof(KeyValueHeads), KeyValueHeads), (nameof(Context), Context), (nameof(WindowEvery), WindowEvery), (nameof(Window), Window ?? 1) })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        ArgumentOutOfRangeException.ThrowIfNegative(WindowFrom);
        if (!Enum.IsDefined(Family)) throw new ArgumentOutOfRangeException(nameof(Family), Family, "Family is no known architecture.");
        if (!Enum.IsDefined(Activation)) throw new ArgumentOutOfRangeException(nameof(Activation), Activation, "Activation is no known non-linearity.");
        if (Heads % KeyValueHeads != 0)
            throw new ArgumentException($"{Heads} query heads cannot share {KeyValueHeads} key and value heads evenly; KeyValueHeads must divide Heads.", nameof(KeyValueHeads));
        if (HeadWidth is null && Width % Heads != 0) throw new ArgumentException($"Width {Width} is no multiple of {Heads} heads; set HeadWidth.", nameof(Heads));
        if (HeadDim < 2 || HeadDim % 2 != 0) throw new ArgumentException($"A head is {HeadDim} wide; rotary positions turn pairs, so it must be even.", nameof(HeadWidth));
        foreach ((string name, double value) in new[] { (nameof(NormEpsilon), NormEpsilon), (nameof(RopeTheta), RopeTheta), (nameof(QueryScalar), QueryScalar ?? 1), (nameof(AttentionCap), AttentionCap ?? 1), (nameof(LogitCap), LogitCap ?? 1) })
        {
            Finite.Positive(value, name);
        }

        Scaling?.Validate(HeadDim);
    }

    /// <summary>As a config.json of Hugging Face.</summary>
    /// <exception cref="ArgumentException">A config.json of the family cannot say one of the options; the message names it.</exception>
    public string ToJson() => LlamaConfigFile.Write(this);

    /// <summary>Reads a config.json of any <see cref="LlamaFamily"/>. Fields that it leaves out are what transformers takes them for.</summary>
    /// <param name="json">Its text.</param>
    /// <exception cref="InvalidDataException">It is no JSON, another architecture, or asks for what this decoder does not have; the message names it.</exception>
    public static LlamaConfig FromJson(string json) => LlamaConfigFile.Read(json);
}
