using Sparseland.Tensors;

namespace Sparseland.Training.NofM;

/// <summary>
/// A model of an array that multiplies dense matrices and N:M ones: the time of a product is that of its multiply-adds or of its traffic, whichever is longer. It stands for the accelerator of Fang et
/// al. (2024), of which it has none of the details.
/// </summary>
/// <param name="DensePerSecond">Multiply-adds per second of a dense product.</param>
/// <param name="SparsePerSecond">Multiply-adds per second with kept weights alone.</param>
/// <param name="BytesPerSecond">Bytes per second to and from memory.</param>
public sealed record AcceleratorModel(double DensePerSecond, double SparsePerSecond, double BytesPerSecond)
{
    /// <summary>Seconds of one product.</summary>
    /// <param name="multiplyAdds">Multiply-adds if all weights counted.</param>
    /// <param name="density">Share of the weights that count: 1 for a dense product.</param>
    /// <param name="bytes">Bytes that it moves.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative, or the density is not above 0 and at most 1.</exception>
    public double Seconds(double multiplyAdds, double density, double bytes)
    {
        Validate();
        ArgumentOutOfRangeException.ThrowIfNegative(multiplyAdds);
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "density must be above 0 and at most 1.");
        double compute = density == 1 ? multiplyAdds / DensePerSecond : multiplyAdds * density / SparsePerSecond;
        return Math.Max(compute, bytes / BytesPerSecond);
    }

    /// <summary>Seconds of a layer's three products in one training step.</summary>
    /// <param name="outputs">Outputs of the layer.</param>
    /// <param name="inputs">Its inputs.</param>
    /// <param name="batch">Samples of a mini-batch, times positions.</param>
    /// <param name="products">What is pruned.</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <param name="valueBytes">Bytes of a number. Default 2.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public double StepSeconds(long outputs, long inputs, long batch, PrunedProducts products, int n, int m, int valueBytes = 2)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        (double forward, double backward, double update) = TrainingCost.NofMShares(products, n, m);
        double work = (double)outputs * inputs * batch, dense = (double)outputs * inputs * valueBytes;
        double activations = (outputs + inputs) * (double)batch * valueBytes;
        double Weights(double share) => share < 1 ? outputs * inputs * TrainingCost.NofMBytes(n, m, valueBytes) : dense;
        return Seconds(work, forward, Weights(products == PrunedProducts.BackwardGradient ? 1 : forward) + activations)
            + Seconds(work, backward, Weights(products == PrunedProducts.BackwardGradient ? 1 : backward) + activations)
            + Seconds(work, update, dense + activations);
    }

    /// <summary>Amdahl's law: how much faster a training step is of which a share is made faster.</summary>
    /// <param name="share">f: the share of time in the pruned layers' products, from 0 to 1.</param>
    /// <param name="relative">Their time afterwards relative to before, positive.</param>
    /// <returns>1 / (1 - f + f relative).</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double SpeedUp(double share, double relative)
    {
        if (!(share is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "share must be from 0 to 1.");
        Finite.Positive(relative);
        return 1 / (1 - share + (share * relative));
    }

    /// <summary>The share f at which Amdahl's law gives a speed-up.</summary>
    /// <param name="speedUp">At least 1.</param>
    /// <param name="relative">As there, below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range, or no share gives so much.</exception>
    public static double ShareFor(double speedUp, double relative)
    {
        if (!(relative is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(relative), relative, "relative must lie between 0 and 1.");
        double share = (1 - (1 / speedUp)) / (1 - relative);
        return share is >= 0 and <= 1 ? share : throw new ArgumentOutOfRangeException(nameof(speedUp), speedUp, $"A speed-up is from 1 to {1 / relative} here.");
    }

    /// <summary>Throws when a rate is not positive.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A rate is not positive.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(DensePerSecond);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(SparsePerSecond);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BytesPerSecond);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
