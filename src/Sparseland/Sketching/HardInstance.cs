using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>Regressions to try sketches on: one with a residual of few large entries, which sparse sketches cannot hide, and one without.</summary>
public static class HardInstance
{
    /// <summary>
    /// H(t): A = [I_d; 0] and b = [Gaussian; t entries +-1/sqrt(t) at random other rows], so that ||r|| = ||A^+|| = 1. Where a spike falls
    /// into the row of a column of A, that coordinate is wrong by 1/sqrt(t), whatever d is.
    /// </summary>
    /// <param name="inputs">n, at least d + t.</param>
    /// <param name="unknowns">d, at least 1.</param>
    /// <param name="spikes">t, at least 1.</param>
    /// <param name="seed">Seed.</param>
    /// <returns>The problem on its d + t rows that are not zero.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size outside.</exception>
    public static RegressionProblem Spiky(int inputs, int unknowns, int spikes, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(unknowns, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(spikes, 1);
        if (inputs < (long)unknowns + spikes)
            throw new ArgumentOutOfRangeException(nameof(inputs), inputs, $"{unknowns} unknowns and {spikes} spikes need as many rows.");
        var random = new SeededRandom(seed, SketchDraws.Instance);
        int[] spikeRows = SketchDraws.Sample(spikes, inputs - unknowns, replacement: false, ref random);
        double[] b = new double[unknowns + spikes];
        for (int i = 0; i < b.Length; i++)
            b[i] = i < unknowns ? random.NextGaussian() : (random.NextInt(2) == 0 ? 1 : -1) / Math.Sqrt(spikes);
        using Tensor right = tensor(b);
        return OnIdentity(inputs, unknowns, [.. Enumerable.Range(0, unknowns), .. spikeRows.Select(r => unknowns + r)], right);
    }

    /// <summary>A benign regression: A and b Gaussian, so the residual is spread over all rows.</summary>
    /// <param name="inputs">n, above d.</param>
    /// <param name="unknowns">d, at least 1.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size outside.</exception>
    public static RegressionProblem Benign(int inputs, int unknowns, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(unknowns, 1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(inputs, unknowns);
        var random = new SeededRandom(seed, SketchDraws.Instance);
        double[] numbers = new double[(long)inputs * (unknowns + 1)];
        for (int i = 0; i < numbers.Length; i++) numbers[i] = random.NextGaussian();
        using var scope = NewDisposeScope();
        Tensor all = tensor(numbers, [inputs, unknowns + 1]);
        return RegressionProblem.From(all.narrow(1, 0, unknowns).contiguous(), all.select(1, unknowns).contiguous()).MovedToOuterScope();
    }

    /// <summary>A = [I_d; 0] on its rows and b on the same: x* is the head of b, r its tail.</summary>
    internal static RegressionProblem OnIdentity(int inputs, int d, int[] rows, Tensor b)
    {
        using var scope = NewDisposeScope();
        double norm = b.narrow(0, d, rows.Length - d).norm().item<double>();
        return new RegressionProblem(
            inputs, rows, eye(rows.Length, d, dtype: ScalarType.Float64), b.clone(), b.narrow(0, 0, d).clone(), norm, 1).MovedToOuterScope();
    }
}
