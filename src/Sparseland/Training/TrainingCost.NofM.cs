using Sparseland.Training.NofM;

namespace Sparseland.Training;

/// <content>N:M training: which of the three products shrink, and what the weights' traffic is.</content>
public static partial class TrainingCost
{
    /// <summary>
    /// Shares of the three products that are left under N:M along their reduction. The masked weight of <see cref="PrunedProducts.Forward"/> has zeros in the input gradient too, but not N of M along the outputs:
    /// no hardware skips them, and that product counts whole.
    /// </summary>
    /// <param name="products">What is pruned.</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static (double Forward, double InputGradient, double WeightGradient) NofMShares(PrunedProducts products, int n, int m)
    {
        _ = PruningPattern.NofM(n, m);
        if (!Enum.IsDefined(products)) throw new ArgumentOutOfRangeException(nameof(products), products, "There are no such products.");
        double kept = (double)n / m;
        return (
            products is PrunedProducts.Forward or PrunedProducts.Both ? kept : 1,
            products is PrunedProducts.BackwardWeights or PrunedProducts.BackwardGradient or PrunedProducts.Both ? kept : 1,
            1);
    }

    /// <summary>Multiply-adds of a training step of pruned layers relative to dense: (2 + N/M)/3 where one product is pruned, (1 + 2 N/M)/3 where two are.</summary>
    /// <param name="products">What is pruned.</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double OfNofM(PrunedProducts products, int n, int m)
    {
        (double forward, double inputs, double weights) = NofMShares(products, n, m);
        return (forward + inputs + weights) / 3;
    }

    /// <summary>Multiply-adds of a training by a schedule relative to dense: (2 d + 1)/3 with d the mean density of the effective weight, where zeros count in the forward product and in the input gradient.</summary>
    /// <param name="schedule">The schedule.</param>
    /// <param name="steps">Its steps.</param>
    /// <exception cref="ArgumentOutOfRangeException">No steps.</exception>
    public static double OfNofM(NofMSchedule schedule, long steps)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return ((2 * schedule.MeanDensity(steps)) + 1) / 3;
    }

    /// <summary>Multiply-adds of the three products of each layer, for one sample.</summary>
    /// <param name="layers">The layers of a network; see <see cref="LayerShape.Of"/>.</param>
    /// <param name="pruned">Which of them are pruned, by name of their weight.</param>
    /// <param name="products">What is pruned.</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <exception cref="ArgumentException">There are no layers, or a number is out of its range.</exception>
    public static IReadOnlyList<NofMLayerCost> OfNofM(IReadOnlyList<LayerShape> layers, Func<string, bool> pruned, PrunedProducts products, int n, int m)
    {
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentNullException.ThrowIfNull(pruned);
        if (layers.Count == 0) throw new ArgumentException("There are no layers to count.", nameof(layers));
        (double forward, double inputs, double weights) = NofMShares(products, n, m);
        return [.. layers.Select(layer => pruned(layer.Name)
            ? new NofMLayerCost(layer.Name, layer.MultiplyAdds * forward, layer.MultiplyAdds * inputs, layer.MultiplyAdds * weights)
            : new NofMLayerCost(layer.Name, layer.MultiplyAdds, layer.MultiplyAdds, layer.MultiplyAdds))];
    }

    /// <summary>Bytes of an N:M copy per weight of the matrix: N/M times a value and its place in the run, (v + ceil(log2 M)/8) N/M.</summary>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <param name="valueBytes">v, bytes of a value. Default 2.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double NofMBytes(int n, int m, int valueBytes = 2)
    {
        _ = PruningPattern.NofM(n, m);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(valueBytes);
        int bits = 0;
        while (1L << bits < m) bits++;
        return (double)n / m * (valueBytes + (bits / 8.0));
    }

    /// <summary>Bytes of weights that forward product and input gradient move in a step, per weight: with masks cut when weights are read 2 v, with both copies written once and read once 4 c.</summary>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <param name="generatedBefore">Whether the compressed copies are made once, after the weight update.</param>
    /// <param name="valueBytes">v. Default 2.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double NofMTraffic(int n, int m, bool generatedBefore, int valueBytes = 2) => generatedBefore ? 4 * NofMBytes(n, m, valueBytes) : 2.0 * valueBytes;
}

/// <summary>Multiply-adds of a layer's three products in a training step, for one sample.</summary>
/// <param name="Name">Name of its weight.</param>
/// <param name="Forward">FF.</param>
/// <param name="InputGradient">BP.</param>
/// <param name="WeightGradient">WU.</param>
public sealed record NofMLayerCost(string Name, double Forward, double InputGradient, double WeightGradient)
{
    /// <summary>All three.</summary>
    public double Total => Forward + InputGradient + WeightGradient;
}
