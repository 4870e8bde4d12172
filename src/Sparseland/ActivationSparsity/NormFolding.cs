using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>
/// Moves the weights of a decoder's norms into the matrices that read them: W &lt;- W diag(g), g &lt;- 1, the last norm into the head. What the decoder computes stays the same, and a norm
/// without weights commutes with rotations: rms(x Q) = rms(x) Q.
/// </summary>
public static class NormFolding
{
    /// <summary>A copy of a decoder whose norms have no weights of their own.</summary>
    /// <param name="model">The decoder; it stays as it is.</param>
    /// <param name="untie">Whether a head that shares its matrix with the embeddings may get a copy of its own: it takes the last norm, which the embeddings must not. Default false.</param>
    /// <returns>A new decoder of the same type of numbers; dispose it.</returns>
    /// <exception cref="ArgumentException">A tied head without permission, a model with layer norms (GPT-2, Pythia), norms of what blocks add (Gemma 2), or layers that are not linear.</exception>
    public static TinyLM Fold(LanguageModel model, bool untie = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model is TinyLM llama ? Folded(llama, untie)
            : throw new ArgumentException($"{model.GetType().Name} has layer norms, which take the mean off and have biases: they do not commute with rotations. Decoders of the Llama family can be folded.", nameof(model));
    }

    private static TinyLM Folded(TinyLM model, bool untie)
    {
        if (model.Config.TiedEmbeddings && !untie)
            throw new ArgumentException("The head shares its matrix with the embeddings, and the last norm must go into the head alone; allow it to be untied.", nameof(untie));
        if (model.Config.OutputNorms)
            throw new ArgumentException("post_attention_layernorm and post_feedforward_layernorm scale what a block adds to the residual stream; their weights cannot go into a matrix before or behind them.", nameof(model));
        _ = SparsityTable.Dense(model);
        using IDisposable off = no_grad();

        // The model is the caller's, so it is made before the scope of what is only needed here.
        TinyLM folded = new(model.Config with { TiedEmbeddings = false });
        folded.to(model.Embeddings.dtype);
        folded.to(model.Embeddings.device);
        using DisposeScope scope = NewDisposeScope();
        folded.train(model.training);
        Dictionary<string, Parameter> from = model.named_parameters().ToDictionary(p => p.name, p => p.parameter), to = folded.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        foreach ((string name, Parameter parameter) in to) parameter.copy_(name == "lm_head.weight" && model.Config.TiedEmbeddings ? model.Embeddings : from[name]);
        foreach (LlamaBlock block in folded.Blocks)
        {
            Into(block.AttentionNorm, block.Query, block.Key, block.Value);
            Into(block.MlpNorm, block.Gate, block.Up);
        }

        Scale(to["lm_head.weight"], GainOf(to["model.norm.weight"], model.Config));
        Clear(to["model.norm.weight"], model.Config);
        return folded;

        void Into(RootMeanSquareNorm norm, params Linear[] readers)
        {
            foreach (Linear reader in readers) Scale(reader.weight, GainOf(norm.Weight, model.Config));
            Clear(norm.Weight, model.Config);
        }
    }

    private static Tensor GainOf(Tensor weight, LlamaConfig config) => config.NormsAddOne ? weight + 1 : weight;

    private static void Clear(Tensor weight, LlamaConfig config) => weight.fill_(config.NormsAddOne ? 0 : 1);

    private static void Scale(Tensor weight, Tensor gain) => weight.copy_(weight.to(ScalarType.Float64) * gain.to(ScalarType.Float64));
}
