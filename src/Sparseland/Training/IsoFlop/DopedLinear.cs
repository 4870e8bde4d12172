using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>Sparse Doped's linear layer: y = W x + V (U x), a sparse "weight" [out, in] beside two dense factors, "u" [rank, in] and "v" [out, rank].</summary>
public sealed class DopedLinear : DopedLayer
{
    /// <summary>Weights of zeros.</summary>
    /// <param name="inputs">Inputs, positive.</param>
    /// <param name="outputs">Outputs, positive.</param>
    /// <param name="rank">d, positive.</param>
    /// <exception cref="ArgumentException">A number is not positive.</exception>
    public DopedLinear(int inputs, int outputs, int rank)
        : base(nameof(DopedLinear), Shape(inputs, outputs), rank)
    {
    }

    private protected override Tensor Product(Tensor input, Tensor weight) => nn.functional.linear(input, weight);

    private protected override Tensor Back(Tensor inner, Tensor weight) => nn.functional.linear(inner, weight);

    private static long[] Shape(int inputs, int outputs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        return [outputs, inputs];
    }
}
