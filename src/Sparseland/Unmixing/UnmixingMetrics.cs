using Sparseland.Evaluation;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>Estimated endmembers paired with the true ones, least sum of spectral angles.</summary>
/// <param name="Assignment">For each true endmember the index of its estimate.</param>
/// <param name="Angles">Their spectral angles in radian.</param>
public sealed record EndmemberMatch(IReadOnlyList<int> Assignment, IReadOnlyList<double> Angles)
{
    /// <summary>Mean spectral angle (SAD) in radian.</summary>
    public double MeanAngle => Angles.Average();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>How unmixing is judged.</summary>
public static class UnmixingMetrics
{
    /// <summary>arccos(a . b / (|a| |b|)) in radian; blind to the brightness of a spectrum.</summary>
    /// <param name="a">A spectrum, finite, not zero.</param>
    /// <param name="b">Another of the same length.</param>
    /// <exception cref="ArgumentException">Lengths differ, or a spectrum is zero or not finite.</exception>
    public static double SpectralAngle(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        if (a.Length != b.Length || a.IsEmpty) throw new ArgumentException($"The spectra have {a.Length} and {b.Length} channels; both need the same number, at least 1.", nameof(b));
        double[] p = Unit(a, nameof(a)), q = Unit(b, nameof(b));

        // 2 atan(|p - q|/|p + q|): the arccos of a number near 1 keeps half its digits only.
        double apart = 0, together = 0;
        for (int l = 0; l < p.Length; l++)
        {
            apart += (p[l] - q[l]) * (p[l] - q[l]);
            together += (p[l] + q[l]) * (p[l] + q[l]);
        }

        return 2 * Math.Atan2(Math.Sqrt(apart), Math.Sqrt(together));
    }

    /// <summary>Pairs estimated endmembers with true ones.</summary>
    /// <param name="estimate">[channels, endmembers].</param>
    /// <param name="truth">[channels, endmembers].</param>
    /// <param name="channels">The channels that count; null for all. A dead channel has no true spectrum.</param>
    /// <exception cref="ArgumentException">Shapes differ, a channel is out of range, or a spectrum is zero or not finite.</exception>
    public static EndmemberMatch Match(Tensor estimate, Tensor truth, IReadOnlyList<int>? channels = null)
    {
        UnmixingInput.CheckShape(estimate, nameof(estimate), "[channels, endmembers]");
        UnmixingInput.CheckShape(truth, nameof(truth), "[channels, endmembers]");
        if (!estimate.shape.SequenceEqual(truth.shape))
            throw new ArgumentException($"The estimate is [{string.Join(", ", estimate.shape)}], the truth [{string.Join(", ", truth.shape)}]; they must have one shape.", nameof(truth));
        long all = truth.shape[0];
        channels ??= [.. Enumerable.Range(0, (int)all)];
        if (channels.Count == 0) throw new ArgumentException("There is no channel to compare.", nameof(channels));
        foreach (int channel in channels)
        {
            if (channel < 0 || channel >= all) throw new ArgumentException($"There is no channel {channel}; they go from 0 to {all - 1}.", nameof(channels));
        }

        double[][] found = Spectra(estimate, channels), real = Spectra(truth, channels);
        int count = real.Length;
        double[] angles = new double[count * count];
        for (int i = 0; i < count; i++)
        {
            for (int j = 0; j < count; j++) angles[(i * count) + j] = SpectralAngle(real[i], found[j]);
        }

        int[] assignment = LinearAssignment.Solve(angles, count, count);
        return new(assignment, [.. assignment.Select((j, i) => angles[(i * count) + j])]);
    }

    /// <summary>Root mean square difference of abundances.</summary>
    /// <param name="estimate">[endmembers, pixels].</param>
    /// <param name="truth">[endmembers, pixels].</param>
    /// <param name="assignment">For each true endmember the row of the estimate; null when the order is the same.</param>
    /// <param name="pixels">The pixels that count; null for all.</param>
    /// <exception cref="ArgumentException">Shapes differ, or an index is out of range.</exception>
    public static double AbundanceRmse(Tensor estimate, Tensor truth, IReadOnlyList<int>? assignment = null, IReadOnlyList<int>? pixels = null)
    {
        UnmixingInput.CheckShape(estimate, nameof(estimate), "[endmembers, pixels]");
        UnmixingInput.CheckShape(truth, nameof(truth), "[endmembers, pixels]");
        if (!estimate.shape.SequenceEqual(truth.shape))
            throw new ArgumentException($"The estimate is [{string.Join(", ", estimate.shape)}], the truth [{string.Join(", ", truth.shape)}]; they must have one shape.", nameof(truth));
        if (assignment is not null && assignment.Count != truth.shape[0])
            throw new ArgumentException($"The assignment has {assignment.Count} entries for {truth.shape[0]} endmembers.", nameof(assignment));
        using var scope = NewDisposeScope();
        Tensor found = assignment is null ? estimate : estimate.index_select(0, Indices(assignment, truth.shape[0], nameof(assignment)));
        Tensor difference = found - truth;
        if (pixels is not null) difference = difference.index_select(1, Indices(pixels, truth.shape[1], nameof(pixels)));
        return difference.square().mean().sqrt().item<double>();
    }

    private static Tensor Indices(IReadOnlyList<int> indices, long count, string name)
    {
        if (indices.Count == 0) throw new ArgumentException($"{name} is empty.", name);
        foreach (int index in indices)
        {
            if (index < 0 || index >= count) throw new ArgumentException($"{name} holds {index}; indices go from 0 to {count - 1}.", name);
        }

        return tensor(indices.Select(i => (long)i).ToArray());
    }

    private static double[][] Spectra(Tensor M, IReadOnlyList<int> channels)
    {
        double[] values = UnmixingInput.Doubles(M);
        int count = (int)M.shape[1];
        return [.. Enumerable.Range(0, count).Select(k => channels.Select(l => values[(l * count) + k]).ToArray())];
    }

    private static double[] Unit(ReadOnlySpan<double> spectrum, string name)
    {
        double largest = 0, squares = 0;
        foreach (double value in spectrum) largest = double.IsFinite(value) ? Math.Max(largest, Math.Abs(value)) : throw new ArgumentException($"{name} holds {value}; a spectrum must be finite.", name);
        if (largest == 0) throw new ArgumentException($"{name} is zero and has no direction.", name);
        double[] unit = new double[spectrum.Length];
        for (int l = 0; l < unit.Length; l++)
        {
            unit[l] = spectrum[l] / largest;
            squares += unit[l] * unit[l];
        }

        for (int l = 0; l < unit.Length; l++) unit[l] /= Math.Sqrt(squares);
        return unit;
    }
}
