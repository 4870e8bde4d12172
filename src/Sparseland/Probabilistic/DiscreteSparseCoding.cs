using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>
/// Discrete Sparse Coding (Exarchakis and Lücke 2017): s_h takes one of given values, zero among them, with learned probabilities;
/// y = sum_h s_h W_h + noise. Candidates have the best log-joint alone, over all values.
/// </summary>
public sealed class DiscreteSparseCoding : LinearSparseCoding
{
    private const double LeastShare = 1e-6;
    private readonly double[] _values, _probabilities;

    /// <summary>A model with given parameters.</summary>
    /// <param name="dictionary">W [components, features], finite, at least two components.</param>
    /// <param name="values">phi, finite and all different, 0 among them.</param>
    /// <param name="probabilities">pi, the probability of each value, positive, with sum 1.</param>
    /// <param name="sigma">Standard deviation of the noise, positive.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public DiscreteSparseCoding(Tensor dictionary, IReadOnlyList<double> values, IReadOnlyList<double> probabilities, double sigma)
        : this(Checked(values), CheckedShares(probabilities, values), sigma, ReadDictionary(dictionary))
    {
    }

    private DiscreteSparseCoding(double[] values, double[] probabilities, double sigma, (double[] Weights, int Features) w)
        : base(w.Weights, w.Features, sigma)
    {
        (_values, _probabilities) = (values, probabilities);
        Zero = Array.IndexOf(values, 0);
        Values = [.. values.Where(v => v != 0)];
        Activity = probabilities.Where((_, k) => k != Zero).Sum();
    }

    /// <inheritdoc/>
    public override string Name => "DSC";

    /// <inheritdoc/>
    public override double Activity { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<double> Values { get; }

    /// <summary>phi, zero included, in the order given.</summary>
    public IReadOnlyList<double> AllValues => _values;

    /// <summary>Probability of each of <see cref="AllValues"/>.</summary>
    public IReadOnlyList<double> Probabilities => _probabilities;

    private protected override double[] LogOdds => [.. _probabilities.Where((_, k) => k != Zero).Select(p => Math.Log(p) - LogZero)];

    private protected override double LogZero => Math.Log(_probabilities[Zero]);

    private int Zero { get; }

    /// <summary>Where learning starts: a component is active with probability 1/H, with all values equally likely.</summary>
    /// <param name="Y">[points, features], at least as many points as components.</param>
    /// <param name="components">H, at least 2.</param>
    /// <param name="values">phi, finite and all different, 0 among them.</param>
    /// <param name="seed">Seed of the noise on W.</param>
    /// <exception cref="ArgumentException">Too few points, equal points, or values that are not allowed.</exception>
    public static DiscreteSparseCoding Initial(Tensor Y, int components, IReadOnlyList<double> values, int seed)
    {
        double[] phi = Checked(values);
        (double[] weights, double sigma) = Start(Y, components, seed);
        double share = 1.0 / components / (phi.Length - 1);
        return new(phi, [.. phi.Select(v => v == 0 ? 1 - (1.0 / components) : share)], sigma, (weights, weights.Length / components));
    }

    private protected override LinearSparseCoding With(double[] weights, double sigma, ReadOnlySpan<double> counts, int points, int active)
    {
        // How often a component is active is corrected for the truncation as in the other models; which value it then has needs no correction.
        double found = 0;
        for (int v = 0; v < Values.Count; v++) found += counts[v];
        double activity = NextActivity(Components, Activity, active, found / points);
        double[] shares = new double[_values.Length];
        for (int k = 0, v = 0; k < shares.Length; k++)
        {
            if (k != Zero) shares[k] = found > 0 ? activity * counts[v++] / found : 0;
        }

        shares[Zero] = 1 - activity;
        return new DiscreteSparseCoding(_values, Floored(shares), sigma, (weights, Features));
    }

    private protected override LinearSparseCoding WithPriorNoise(double[] weights, double sigma, double deviation, ref SeededRandom random)
    {
        double[] shares = [.. _probabilities];
        for (int k = 0; k < shares.Length; k++) shares[k] = Noisy(shares[k], deviation, ref random);
        return new DiscreteSparseCoding(_values, deviation == 0 ? _probabilities : Floored(shares), sigma, (weights, Features));
    }

    private protected override void DrawState(ref SeededRandom random, Span<double> state)
    {
        for (int h = 0; h < state.Length; h++)
        {
            double u = random.NextDouble();
            int k = 0;
            while (k < _values.Length - 1 && u >= _probabilities[k]) u -= _probabilities[k++];
            state[h] = _values[k];
        }
    }

    private static double[] Floored(double[] shares)
    {
        double[] floored = [.. shares.Select(s => Math.Max(s, LeastShare))];
        double sum = floored.Sum();
        return [.. floored.Select(s => s / sum)];
    }

    private static double[] Checked(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        double[] phi = [.. values];
        ProbabilisticInput.Finite(phi, nameof(values));
        if (phi.Length is < 2 or > 100) throw new ArgumentException($"values has {phi.Length} entries; there must be from 2 to 100, zero among them.", nameof(values));
        if (!phi.Contains(0)) throw new ArgumentException($"values is {string.Join(", ", phi)}; 0 must be among them.", nameof(values));
        if (phi.Distinct().Count() != phi.Length) throw new ArgumentException($"values is {string.Join(", ", phi)}; each value may stand once.", nameof(values));
        return phi;
    }

    private static double[] CheckedShares(IReadOnlyList<double> probabilities, IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(probabilities);
        if (probabilities.Count != values.Count)
            throw new ArgumentException($"There are {probabilities.Count} probabilities for {values.Count} values.", nameof(probabilities));
        foreach (double p in probabilities) ProbabilisticInput.Probability(p, nameof(probabilities));
        if (Math.Abs(probabilities.Sum() - 1) > 1e-9)
            throw new ArgumentException($"The probabilities add up to {probabilities.Sum()}; they must add up to 1.", nameof(probabilities));
        return [.. probabilities];
    }
}
