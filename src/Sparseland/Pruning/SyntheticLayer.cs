using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// A linear layer whose inputs have a known mean and spread, to see what a pruning method does about each: inputs mu + sigma (0.84 z + 0.55 z A) with z standard normal, A a
/// random mixing of all inputs, sigma log-normal and mu_j = m sigma_j times a standard normal number; weights 0.02 times a normal number times a log-normal factor per input.
/// </summary>
public sealed class SyntheticLayer : IDisposable
{
    private readonly Tensor _mean, _deviation, _mixing;
    private readonly NativeSize _size;

    /// <summary>Draws a layer.</summary>
    /// <param name="inputs">Inputs.</param>
    /// <param name="outputs">Outputs.</param>
    /// <param name="meanSize">m: how large means are beside deviations, not negative.</param>
    /// <param name="seed">Seed of the layer.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public SyntheticLayer(int inputs, int outputs, double meanSize, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        Finite.NotNegative(meanSize);
        using DisposeScope scope = NewDisposeScope();
        using Generator random = new(unchecked((ulong)seed));
        _deviation = randn([inputs], generator: random).mul(0.5).exp().DetachFromDisposeScope();
        _mean = (randn([inputs], generator: random) * _deviation * meanSize).DetachFromDisposeScope();
        _mixing = (randn([inputs, inputs], generator: random) / Math.Sqrt(inputs)).DetachFromDisposeScope();
        Weight = (randn([outputs, inputs], generator: random) * (randn([inputs], generator: random) * 0.5).exp() * 0.02).DetachFromDisposeScope();
        _size = NativeSize.Of(_deviation, _mean, _mixing, Weight);
    }

    /// <summary>The weight [outputs, inputs].</summary>
    public Tensor Weight { get; }

    /// <summary>Draws inputs.</summary>
    /// <param name="sequences">Sequences.</param>
    /// <param name="tokens">Tokens of each.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <returns>[sequences, tokens, inputs]; the caller disposes it.</returns>
    public Tensor Inputs(int sequences, int tokens, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sequences);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        using DisposeScope scope = NewDisposeScope();
        using Generator random = new(unchecked((ulong)seed));
        Tensor z = randn([(long)sequences * tokens, Weight.shape[1]], generator: random);
        return scope.MoveToOuter(((z * 0.84) + (z.mm(_mixing) * 0.55)).mul(_deviation).add(_mean).view(sequences, tokens, -1));
    }

    /// <summary>Frees the layer.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in new[] { _mean, _deviation, _mixing, Weight }) tensor.Dispose();
        _size.Dispose();
    }
}
