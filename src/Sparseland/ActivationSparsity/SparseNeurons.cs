using Sparseland.Models;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>What passes of one kind have read.</summary>
/// <param name="Passes">Calls of the model.</param>
/// <param name="Tokens">Tokens in them.</param>
/// <param name="Weights">Weights of the blocks' matrices that they read, together. Tokens of one pass read a weight once.</param>
public readonly record struct PassReads(int Passes, long Tokens, long Weights);

/// <summary>
/// A decoder whose gated MLPs can use some hidden units only, and then read no weights of the others: with <see cref="GateScore"/> the whole gate and the chosen rows of up and columns of down, with
/// <see cref="PromptScore"/> the chosen rows of gate as well. The same weights and the same cache serve the dense and the sparse model: <see cref="Prefill"/> and <see cref="Check"/> are dense,
/// <see cref="Draft"/> is sparse. Called in any other way the model is dense.
/// </summary>
/// <remarks>One model and one call at a time. The first draft makes a transposed copy of each down matrix. Float32 on the CPU skips reads; elsewhere zeros are put in place and all is read.</remarks>
public sealed class SparseNeurons : IDisposable
{
    private readonly NeuronBlock[] _blocks;
    private readonly IReadOnlyList<ReplacedLayer> _replaced;
    private readonly long _apart;
    private bool _done, _prompt;

    private SparseNeurons(TinyLM model, NeuronScore score, double density, WeightReads step)
    {
        (Model, Score, Density, Step) = (model, score, density, step);
        _blocks = [.. model.Blocks.Select((block, layer) => new NeuronBlock(layer, block, score, density))];
        _apart = step.Dense - (3L * model.Layers * model.Width * model.Config.MlpWidth);
        _replaced = LinearSlots.Replace(model, (name, _) => PartOf(name));
    }

    /// <summary>The model.</summary>
    public TinyLM Model { get; }

    /// <summary>By what units are chosen.</summary>
    public NeuronScore Score { get; }

    /// <summary>Share of the hidden units that a draft uses.</summary>
    public double Density { get; }

    /// <summary>What the formula says that one sparse token reads, with all of the attention.</summary>
    public WeightReads Step { get; }

    /// <summary>Dense passes over prompts since the counters were set to zero.</summary>
    public PassReads Prefills { get; private set; }

    /// <summary>Sparse passes since the counters were set to zero.</summary>
    public PassReads Drafts { get; private set; }

    /// <summary>Dense passes over drafted tokens since the counters were set to zero.</summary>
    public PassReads Checks { get; private set; }

    /// <summary>Makes the MLPs of a decoder ready to use some units.</summary>
    /// <param name="model">The decoder; its layers come back when the result is disposed.</param>
    /// <param name="score"><see cref="GateScore"/> or <see cref="PromptScore"/>. The hidden layer itself cannot be known without reading all.</param>
    /// <param name="density">Share of the units that a draft uses, in (0, 1].</param>
    /// <exception cref="ArgumentException">A number is out of its range, another score, a gate with another non-linearity than the model's, or layers that have been replaced; nothing has been changed.</exception>
    public static SparseNeurons Apply(TinyLM model, NeuronScore score, double density)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(score);
        if (score is not (GateScore or PromptScore)) throw new ArgumentException($"{score} needs the whole hidden layer, so no read can be skipped; NeuronSparsity has it as a bound.", nameof(score));
        if (score is GateScore gate && gate.Gate != model.Config.Activation) throw new ArgumentException($"The score opens the gate with {gate.Gate}, the model with {model.Config.Activation}.", nameof(score));
        return new(model, score, density, WeightReads.OfNeurons(model, density, wholeGate: score is GateScore));
    }

    /// <summary>Reads a prompt, or the rest of one, with all units. With <see cref="PromptScore"/> it chooses the units of the drafts that follow.</summary>
    /// <param name="ids">The prompt [1, tokens], int64.</param>
    /// <param name="cache">An empty cache of the model; takes the prompt in.</param>
    /// <returns>Logits of the next token [1, 1, vocabulary].</returns>
    /// <exception cref="ArgumentException">More than one sequence, a cache that is not empty, or as <see cref="LanguageModel.Logits"/>.</exception>
    public Tensor Prefill(Tensor ids, KeyValueCache cache)
    {
        ArgumentNullException.ThrowIfNull(cache);
        if (cache.Count > 0) throw new ArgumentException($"The cache holds {cache.Count} tokens; a prompt is read whole into an empty one.", nameof(cache));
        (Tensor logits, PassReads reads) = Run(NeuronPass.Prefill, ids, cache, lastOnly: true);
        (Prefills, _prompt) = (Sum(Prefills, reads), true);
        return logits;
    }

    /// <summary>Goes on with some units only; the keys and values in the cache are the sparse model's.</summary>
    /// <param name="ids">Tokens after those in the cache [1, tokens], int64; each chooses its own units, or the prompt has.</param>
    /// <param name="cache">Takes the tokens in.</param>
    /// <returns>Logits [1, tokens, vocabulary].</returns>
    /// <exception cref="ArgumentException">More than one sequence, or as <see cref="LanguageModel.Logits"/>; or the model's activations are not finite.</exception>
    /// <exception cref="InvalidOperationException">With <see cref="PromptScore"/>: no prompt has been read.</exception>
    public Tensor Draft(Tensor ids, KeyValueCache cache)
    {
        RequirePrompt();
        (Tensor logits, PassReads reads) = Run(NeuronPass.Draft, ids, cache);
        Drafts = Sum(Drafts, reads);
        return logits;
    }

    /// <summary>Goes on with some units only on the nodes of a tree that are not in the cache yet.</summary>
    /// <param name="tree">The tree.</param>
    /// <param name="cache">Takes the nodes in.</param>
    /// <returns>Logits [1, nodes read, vocabulary].</returns>
    /// <exception cref="ArgumentException">As <see cref="TinyLM.TreeLogits"/>; or the model's activations are not finite.</exception>
    /// <exception cref="InvalidOperationException">With <see cref="PromptScore"/>: no prompt has been read.</exception>
    public Tensor DraftTree(TokenTree tree, KeyValueCache cache)
    {
        RequirePrompt();
        (Tensor logits, PassReads reads) = Run(NeuronPass.Draft, tree, cache);
        Drafts = Sum(Drafts, reads);
        return logits;
    }

    /// <summary>Goes on with all units.</summary>
    /// <param name="ids">Tokens after those in the cache [1, tokens], int64.</param>
    /// <param name="cache">Takes the tokens in.</param>
    /// <returns>Logits [1, tokens, vocabulary].</returns>
    /// <exception cref="ArgumentException">More than one sequence, or as <see cref="LanguageModel.Logits"/>.</exception>
    public Tensor Check(Tensor ids, KeyValueCache cache)
    {
        (Tensor logits, PassReads reads) = Run(NeuronPass.Check, ids, cache);
        Checks = Sum(Checks, reads);
        return logits;
    }

    /// <summary>Goes on with all units on the nodes of a tree that are not in the cache yet.</summary>
    /// <param name="tree">The tree.</param>
    /// <param name="cache">Takes the nodes in.</param>
    /// <returns>Logits [1, nodes read, vocabulary].</returns>
    /// <exception cref="ArgumentException">As <see cref="TinyLM.TreeLogits"/>.</exception>
    public Tensor CheckTree(TokenTree tree, KeyValueCache cache)
    {
        (Tensor logits, PassReads reads) = Run(NeuronPass.Check, tree, cache);
        Checks = Sum(Checks, reads);
        return logits;
    }

    /// <summary>Units that the last token of the last draft used in a block, ascending.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such block.</exception>
    /// <exception cref="InvalidOperationException">Nothing has been drafted.</exception>
    public IReadOnlyList<int> UnitsOf(int layer)
    {
        if (layer < 0 || layer >= _blocks.Length) throw new ArgumentOutOfRangeException(nameof(layer), layer, $"The model has blocks 0 to {_blocks.Length - 1}.");
        return _blocks[layer].Chosen.Count > 0 ? [.. _blocks[layer].Chosen[^1]] : throw new InvalidOperationException("Nothing has been drafted.");
    }

    /// <summary>Sets all counters to zero.</summary>
    public void ResetReads() => (Prefills, Drafts, Checks) = (default, default, default);

    /// <summary>Puts the model's own layers back.</summary>
    public void Dispose()
    {
        if (_done) return;
        _done = true;
        LinearSlots.Restore(_replaced);
        foreach (ReplacedLayer layer in _replaced) layer.After.Dispose();
        foreach (NeuronBlock block in _blocks) block.Dispose();
    }

    private static PassReads Sum(PassReads a, PassReads b) => new(a.Passes + b.Passes, a.Tokens + b.Tokens, a.Weights + b.Weights);

    private NeuronPart? PartOf(string name)
    {
        if (!name.Contains(".mlp.", StringComparison.Ordinal)) return null;
        NeuronBlock block = _blocks[int.Parse(name.Split('.')[2], System.Globalization.CultureInfo.InvariantCulture)];
        return name.Split('.')[^1] switch
        {
            "gate_proj" => new(name, block.Gate),
            "up_proj" => new(name, block.Up),
            _ => new(name, block.Down),
        };
    }

    private (Tensor Logits, PassReads Reads) Run(NeuronPass pass, Tensor ids, KeyValueCache cache, bool lastOnly = false)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(cache);
        if (ids.dim() == 2 && ids.shape[0] != 1) throw new ArgumentException($"One sequence at a time: ids are [{string.Join(", ", ids.shape)}].", nameof(ids));
        return Run(pass, () => Model.Logits(ids, null, cache, lastOnly));
    }

    private (Tensor Logits, PassReads Reads) Run(NeuronPass pass, TokenTree tree, KeyValueCache cache)
    {
        ArgumentNullException.ThrowIfNull(cache);
        if (cache.Batch != 1) throw new ArgumentException($"One sequence at a time: the cache is for {cache.Batch}.", nameof(cache));
        return Run(pass, () => Model.TreeLogits(tree, cache));
    }

    private void RequirePrompt()
    {
        if (Score is PromptScore && !_prompt) throw new InvalidOperationException("No prompt has been read, so no units are chosen; call Prefill first.");
    }

    private (Tensor Logits, PassReads Reads) Run(NeuronPass pass, Func<Tensor> call)
    {
        ObjectDisposedException.ThrowIf(_done, this);
        using IDisposable off = no_grad();
        foreach (NeuronBlock block in _blocks) (block.Pass, block.Read) = (pass, 0);
        try
        {
            Tensor logits = call();
            return (logits, new(1, _blocks[0].Tokens, _apart + _blocks.Sum(b => b.Read)));
        }
        finally
        {
            foreach (NeuronBlock block in _blocks) block.Pass = NeuronPass.Apart;
        }
    }
}
