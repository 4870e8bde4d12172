using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Where the last of a decoder's hidden states is taken; the others are outputs of blocks.</summary>
public enum FinalState
{
    /// <summary>Behind the last norm, as the library that the method was published with has it.</summary>
    AfterNorm,

    /// <summary>Before it: the last block's output.</summary>
    BeforeNorm,
}

/// <summary>The hidden state behind each block of a decoder that ran by itself from its input, with gradients where they are recorded.</summary>
public sealed class HiddenStates : IDisposable
{
    private readonly Tensor[] _layers;
    private readonly NativeSize _size;

    private HiddenStates(Tensor[] layers, Tensor? logits)
    {
        (_layers, Logits) = ([.. layers.Select(l => l.DetachFromDisposeScope())], logits?.DetachFromDisposeScope());
        _size = NativeSize.Of([.. _layers, logits]);
    }

    /// <summary>States [batch, tokens, dModel] behind block 1 to the last; they belong to this object. The embeddings are not among them.</summary>
    public IReadOnlyList<Tensor> Layers => _layers;

    /// <summary>Logits [batch, tokens, vocabulary] of the same call; null where they were not asked for.</summary>
    public Tensor? Logits { get; }

    /// <summary>Runs a model.</summary>
    /// <param name="model">The model, in the mode it is in.</param>
    /// <param name="ids">Token ids [batch, tokens], int64.</param>
    /// <param name="final">Where the last state is taken. Default <see cref="FinalState.AfterNorm"/>.</param>
    /// <param name="logits">Whether logits are computed and kept. Default false.</param>
    /// <exception cref="ArgumentException">Wrong ids, or more tokens than the context.</exception>
    public static HiddenStates Of(LanguageModel model, Tensor ids, FinalState final = FinalState.AfterNorm, bool logits = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!Enum.IsDefined(final)) throw new ArgumentOutOfRangeException(nameof(final), final, "final is AfterNorm or BeforeNorm.");
        using DisposeScope scope = NewDisposeScope();
        ActivationSite[] sites = [.. Enumerable.Range(0, model.Layers).Select(layer => new ActivationSite(layer, Activation.ResidualAfter))];
        using var recorder = new ActivationRecorder(sites);
        Tensor? scores = null;
        if (logits) scores = model.Logits(ids, recorder);
        else model.Visit(ids, recorder);
        Tensor[] layers = [.. sites.Select(site => recorder[site].alias())];
        if (final == FinalState.AfterNorm) layers[^1] = model.FinalNorm(layers[^1]);
        return new(layers, scores);
    }

    /// <summary>Frees the states and the logits.</summary>
    public void Dispose()
    {
        foreach (Tensor layer in _layers) layer.Dispose();
        Logits?.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"HiddenStates of {_layers.Length} blocks, [{string.Join(", ", _layers[0].shape)}]";
}
