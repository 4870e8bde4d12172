using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>Sparse Parallel's linear layer, from [samples, inputs] to [samples, outputs].</summary>
public sealed class ParallelLinear : ParallelLayer
{
    private readonly int _inputs;

    /// <summary>Branches of zeros.</summary>
    /// <param name="inputs">Inputs, positive.</param>
    /// <param name="outputs">Outputs, positive.</param>
    /// <param name="branches">Branches, positive.</param>
    /// <param name="inner">What stands in each before the sum.</param>
    /// <exception cref="ArgumentException">A number is not positive.</exception>
    public ParallelLinear(int inputs, int outputs, int branches, InnerActivation inner)
        : base(nameof(ParallelLinear), Shape(inputs, outputs), branches, inner, n => nn.BatchNorm1d(n)) => _inputs = inputs;

    /// <summary>One linear layer that computes the same at inference, the norms' scales and shifts folded in. k masks of density 1 - s leave it a density of about 1 - s^k: smaller than the branches.</summary>
    /// <returns>A new layer with bias; the caller disposes it.</returns>
    /// <exception cref="InvalidOperationException">There is a ReLU in each branch: the sum is no linear map.</exception>
    public Linear Fold() => FoldInto((type, device) => nn.Linear(_inputs, Outputs, dtype: type, device: device), layer => (layer.weight!, layer.bias!));

    private protected override Tensor Product(Tensor input, Tensor weight) => nn.functional.linear(input, weight);

    private static long[] Shape(int inputs, int outputs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        return [outputs, inputs];
    }
}
