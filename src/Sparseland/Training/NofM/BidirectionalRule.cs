using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.NofM;

/// <summary>What a layer of a bidirectional training does: the mask along the inputs forward, the mask along the outputs for the input gradient, as its products say.</summary>
/// <param name="N">Kept of a run.</param>
/// <param name="M">Length of a run.</param>
/// <param name="Products">What is pruned.</param>
/// <param name="Options">Settings.</param>
/// <param name="Stream">Which of the network's layers it is, for random masks. Default 0.</param>
public sealed record BidirectionalRule(int N, int M, PrunedProducts Products, BidirectionalOptions Options, int Stream = 0) : IProductRule
{
    /// <inheritdoc/>
    public Tensor Mask(Tensor raw)
    {
        ArgumentNullException.ThrowIfNull(raw);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor mask = Products is PrunedProducts.Forward or PrunedProducts.Both ? NofMLayout.Mask(raw.detach().abs(), N, M) : ones_like(raw, dtype: ScalarType.Bool);
        return mask.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Effective(Tensor raw, Tensor mask) => StraightThrough.Weight(raw, mask, pull: Options.Pull);

    /// <inheritdoc/>
    public Tensor Linear(Tensor input, Tensor raw, Tensor? bias, Tensor mask)
    {
        using DisposeScope scope = NewDisposeScope();
        return NofMProducts.Linear(input, raw, bias, mask, Out(raw, mask), Products == PrunedProducts.BackwardGradient ? (N, M) : null, Options.RescaleGradient, Options.Pull).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Backward(Tensor raw, Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(raw);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return where(Out(raw, mask), raw.detach(), 0).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Products} {N}:{M}";

    /// <summary>The mask of W_BP.</summary>
    /// <param name="raw">W.</param>
    /// <param name="mask">The forward mask.</param>
    /// <returns>Bool, of the shape of W.</returns>
    public Tensor Out(Tensor raw, Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(raw);
        ArgumentNullException.ThrowIfNull(mask);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (Products is not (PrunedProducts.BackwardWeights or PrunedProducts.Both)) return mask.alias().MoveToOuterDisposeScope();
        Tensor size = raw.detach().abs();
        Tensor chosen = Options.BackwardMask switch
        {
            BackwardMask.OfForward => NofMLayout.MaskAlongOutputs(where(mask, size, 0), N, M).logical_and(mask),
            BackwardMask.Random => NofMLayout.MaskAlongOutputs(Drawn(raw.shape), N, M),
            _ => NofMLayout.MaskAlongOutputs(size, N, M),
        };
        return chosen.MoveToOuterDisposeScope();
    }

    private Tensor Drawn(long[] shape)
    {
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)Options.Seed) ^ SeededRandom.Mix((ulong)Stream + 1)));
        return rand(shape, generator: generator);
    }
}
