using Sparseland.Tensors;
using Sparseland.Training;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>What a method asks of a layer's inputs.</summary>
public enum InputKnowledge
{
    /// <summary>Nothing: no text is needed.</summary>
    None,

    /// <summary>Sums and sums of squares of each input.</summary>
    Moments,

    /// <summary>Second moments of all pairs of inputs besides.</summary>
    Gram,
}

/// <summary>One linear layer that is to be pruned.</summary>
/// <param name="Name">Path in the network.</param>
/// <param name="Weight">[out, in], dense. Read it, change nothing.</param>
/// <param name="Inputs">What is known of its inputs; null for a method that asks for nothing.</param>
public sealed record LayerContext(string Name, Tensor Weight, ActivationStatistics? Inputs)
{
    /// <summary>The statistics, or a refusal that names who wants them.</summary>
    /// <param name="method">Name of the method.</param>
    /// <exception cref="ArgumentException">There are none.</exception>
    public ActivationStatistics InputsFor(string method) =>
        Inputs ?? throw new ArgumentException($"{method} needs to know the inputs of {Name}, and nothing is known of them: run texts through the network first.", nameof(method));

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>What a method makes of a layer.</summary>
/// <param name="Mask">True where a weight stays; Bool [out, in].</param>
/// <param name="Weight">New values [out, in], zero where the mask is false; null where the kept weights stay as they are.</param>
/// <exception cref="ArgumentException">The mask is of another type.</exception>
public sealed record PrunedWeight(Tensor Mask, Tensor? Weight = null) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Mask, Weight);

    /// <summary>True where a weight stays; Bool [out, in].</summary>
    public Tensor Mask { get; init; } = Mask is { dtype: not ScalarType.Bool } ? throw new ArgumentException($"A mask is a tensor of Bool, this one is of {Mask.dtype}.", nameof(Mask)) : Mask;

    /// <summary>The pruned layer's weight: what the method repaired, or else the weight that it pruned, with zeros at all places that go.</summary>
    /// <param name="weight">The weight that was pruned [out, in]; it stays as it is.</param>
    /// <returns>[out, in] of its own memory; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Another shape than the mask's.</exception>
    public Tensor Of(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (!weight.shape.SequenceEqual(Mask.shape)) throw new ArgumentException($"weight is [{string.Join(", ", weight.shape)}], the mask [{string.Join(", ", Mask.shape)}]; they must agree.", nameof(weight));
        return MaskedZeros.Of(Weight ?? weight, Mask);
    }

    /// <summary>Frees both.</summary>
    public void Dispose()
    {
        Mask.Dispose();
        Weight?.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>A method that prunes one linear layer by itself.</summary>
public interface ILayerPruner
{
    /// <summary>Short name.</summary>
    string Name { get; }

    /// <summary>What it asks of the layer's inputs.</summary>
    InputKnowledge Needs { get; }

    /// <summary>The pattern that the method's paper means by a share.</summary>
    /// <param name="sparsity">Share that goes.</param>
    PruningPattern PatternOf(double sparsity);

    /// <summary>Prunes a layer. The tensors of the result are the caller's.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="pattern">How sparse, and who competes with whom.</param>
    /// <param name="cancel">Stops a method that takes long over one layer. Never by default.</param>
    /// <exception cref="ArgumentException">The pattern does not fit, or scores are not finite; the layer is named.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    PrunedWeight Prune(LayerContext layer, PruningPattern pattern, CancellationToken cancel = default);
}
