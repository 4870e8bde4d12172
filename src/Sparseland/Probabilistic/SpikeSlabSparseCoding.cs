using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Probabilistic;

/// <summary>Whether all features share one noise variance.</summary>
public enum NoiseShape
{
    /// <summary>One variance.</summary>
    Scalar,

    /// <summary>One variance per feature.</summary>
    Diagonal,
}

/// <summary>The slab of active components given the state: z ~ N(mean, covariance).</summary>
/// <param name="Active">Active components, increasing.</param>
/// <param name="Mean">kappa [active].</param>
/// <param name="Covariance">Lambda [active, active].</param>
public sealed record SlabPosterior(int[] Active, double[] Mean, double[,] Covariance)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Gaussian Sparse Coding, a spike and slab (Sheikh, Shelton and Lücke 2014): s_h is 1 with probability pi_h, z ~ N(mu, diag(psi)),
/// y = sum_h s_h z_h W_h + noise. The slab z is integrated out exactly; only the binary s is truncated.
/// </summary>
/// <remarks>The scales of W_h and of (mu_h, psi_h) can be traded without changing the model; see <see cref="WithUnitSlab"/>.</remarks>
public sealed class SpikeSlabSparseCoding : TruncatedSparseCoder
{
    /// <summary>Every pi_h stays this far from 0 and 1.</summary>
    internal const double LeastShare = 5e-5;

    private readonly double[] _activities, _means, _variances, _noise;

    /// <summary>A model with given parameters.</summary>
    /// <param name="dictionary">W [components, features], finite, at least two components.</param>
    /// <param name="activities">pi [components], strictly between 0 and 1.</param>
    /// <param name="slabMeans">mu [components].</param>
    /// <param name="slabVariances">psi [components], positive.</param>
    /// <param name="noiseVariances">Sigma: one variance, or one per feature; positive. Decides the <see cref="Noise"/>.</param>
    /// <exception cref="ArgumentException">A value is outside its range, or a length does not fit.</exception>
    public SpikeSlabSparseCoding(
        Tensor dictionary, IReadOnlyList<double> activities, IReadOnlyList<double> slabMeans, IReadOnlyList<double> slabVariances,
        IReadOnlyList<double> noiseVariances)
        : this(ReadDictionary(dictionary), Copied(activities), Copied(slabMeans), Copied(slabVariances), Copied(noiseVariances))
    {
        ProbabilisticInput.Finite(_means, nameof(slabMeans));
        Check(_activities, nameof(activities), Components, ProbabilisticInput.Probability);
        Check(_means, nameof(slabMeans), Components, (v, _) => v);
        Check(_variances, nameof(slabVariances), Components, Finite.Positive);
        Check(_noise, nameof(noiseVariances), _noise.Length == 1 ? 1 : Features, Finite.Positive);
    }

    private SpikeSlabSparseCoding((double[] Weights, int Features) w, double[] activities, double[] means, double[] variances, double[] noise)
        : base(w.Weights, w.Features, Math.Sqrt(noise.Length == 0 ? double.NaN : noise.Average()))
    {
        (_activities, _means, _variances, _noise) = (activities, means, variances, noise);
        Activity = activities.Length == 0 ? double.NaN : activities.Average();
    }

    /// <inheritdoc/>
    public override string Name => "GSC";

    /// <inheritdoc/>
    public override double Activity { get; }

    /// <summary>pi_h.</summary>
    public IReadOnlyList<double> Activities => _activities;

    /// <summary>mu_h.</summary>
    public IReadOnlyList<double> SlabMeans => _means;

    /// <summary>psi_h.</summary>
    public IReadOnlyList<double> SlabVariances => _variances;

    /// <summary>Noise variance, one or one per feature.</summary>
    public IReadOnlyList<double> NoiseVariances => _noise;

    /// <summary>Whether all features share one noise variance.</summary>
    public NoiseShape Noise => _noise.Length == 1 ? NoiseShape.Scalar : NoiseShape.Diagonal;

    /// <summary>Where learning starts: W and sigma as for the other models, pi = 1/H, slabs N(1, 1).</summary>
    /// <param name="Y">[points, features], at least as many points as components.</param>
    /// <param name="components">H, at least 2.</param>
    /// <param name="seed">Seed of the noise on W.</param>
    /// <param name="noise">Whether all features share one noise variance. Default Scalar.</param>
    /// <exception cref="ArgumentException">Too few points, equal points, or values that are not finite.</exception>
    public static SpikeSlabSparseCoding Initial(Tensor Y, int components, int seed, NoiseShape noise = NoiseShape.Scalar)
    {
        if (!Enum.IsDefined(noise)) throw new ArgumentOutOfRangeException(nameof(noise), noise, "noise must be Scalar or Diagonal.");
        (double[] weights, double sigma) = Start(Y, components, seed);
        int features = weights.Length / components;
        double[] Same(int count, double value) => [.. Enumerable.Repeat(value, count)];
        return new(
            (weights, features), Same(components, 1.0 / components), Same(components, 1), Same(components, 1),
            Same(noise == NoiseShape.Scalar ? 1 : features, sigma * sigma));
    }

    /// <inheritdoc/>
    public override double PriorMass(int active)
    {
        if (active >= Components) return 1;
        double[] mass = new double[active + 1];
        mass[0] = 1;
        foreach (double pi in _activities)
        {
            for (int k = active; k >= 0; k--) mass[k] = (mass[k] * (1 - pi)) + (k > 0 ? mass[k - 1] * pi : 0);
        }

        return Math.Min(1, mass.Sum());
    }

    /// <summary>The same model with psi_h = 1 and mu_h not negative, by the scale and sign of W_h: dictionaries can then be compared.</summary>
    public SpikeSlabSparseCoding WithUnitSlab()
    {
        double[] weights = [.. Weights], means = new double[Components];
        for (int h = 0; h < Components; h++)
        {
            double scale = Math.CopySign(Math.Sqrt(_variances[h]), _means[h]);
            for (int d = 0; d < Features; d++) weights[(h * Features) + d] *= scale;
            means[h] = _means[h] / scale;
        }

        return new((weights, Features), _activities, means, [.. Enumerable.Repeat(1.0, Components)], _noise);
    }

    /// <summary>Posterior of the slab of given active components: Lambda = (W_s Sigma^-1 W_s^T + Psi_s^-1)^-1 and kappa = Lambda (W_s Sigma^-1 y + Psi_s^-1 mu_s).</summary>
    /// <param name="y">[features].</param>
    /// <param name="active">Different indices of components.</param>
    /// <exception cref="ArgumentException">A length or an index does not fit.</exception>
    public SlabPosterior Slab(Tensor y, IReadOnlyList<int> active)
    {
        ArgumentNullException.ThrowIfNull(y);
        ArgumentNullException.ThrowIfNull(active);
        using Tensor row = y.reshape(1, -1);
        double[] point = ProbabilisticInput.Data(row, Features, nameof(y));
        int[] sorted = [.. active.Order()];
        if (sorted.Length > 0 && (sorted[0] < 0 || sorted[^1] >= Components || sorted.Distinct().Count() != sorted.Length))
            throw new ArgumentException($"active must hold different indices from 0 to {Components - 1}.", nameof(active));
        int size = sorted.Length;
        if (size == 0) return new(sorted, [], new double[0, 0]);
        using var scope = NewDisposeScope();
        double[] scaled = ScaledWeights();
        Tensor some = tensor(sorted.Select(h => (long)h).ToArray());
        Tensor whitened = tensor(scaled, [Components, Features]).index_select(0, some), weights = Dictionary().index_select(0, some);
        Tensor precision = diag(tensor(sorted.Select(h => 1 / _variances[h]).ToArray()));
        Tensor covariance = linalg.inv(whitened.mm(weights.t()) + precision);
        Tensor mean = covariance.mv(whitened.mv(tensor(point)) + tensor(sorted.Select(h => _means[h] / _variances[h]).ToArray()));
        double[] flat = covariance.contiguous().data<double>().ToArray();
        double[,] square = new double[size, size];
        Buffer.BlockCopy(flat, 0, square, 0, flat.Length * sizeof(double));
        return new(sorted, mean.data<double>().ToArray(), square);
    }

    internal override double NoiseOf(int feature) => Math.Sqrt(_noise[_noise.Length == 1 ? 0 : feature]);

    internal override IPosteriorContext Prepare(StateSet states, double temperature) =>
        new SpikeSlabContext(this, states, ScaledWeights(), [.. Enumerable.Range(0, Features).Select(d => 1 / (NoiseOf(d) * NoiseOf(d)))]);

    internal override TruncatedSparseCoder Maximise(ReadOnlySpan<double> sums, int points, int active)
    {
        var layout = new SpikeSlabLayout(Components, Features);
        ReadOnlySpan<double> use = sums[..Components], first = sums.Slice(layout.First, Components);
        ReadOnlySpan<double> products = sums.Slice(layout.Products, Components * Features), squares = sums.Slice(layout.Squares, Features);
        double[] moments = sums.Slice(layout.Moments, Components * Components).ToArray();
        for (int i = 0; i < Components; i++)
        {
            for (int j = 0; j < i; j++) moments[(j * Components) + i] = moments[(i * Components) + j] += moments[(j * Components) + i];
        }

        double[] weights = NormalEquations.Solve(moments, products, Components, Features);
        double[] activities = new double[Components], means = [.. _means], variances = [.. _variances];
        for (int h = 0; h < Components; h++)
        {
            activities[h] = Math.Clamp(use[h] / points, LeastShare, 1 - LeastShare);

            // A component that no point uses says nothing about its slab.
            if (use[h] < 1e-8) continue;
            means[h] = first[h] / use[h];
            variances[h] = Math.Max((moments[(h * Components) + h] / use[h]) - (means[h] * means[h]), 1e-6 * (_variances[h] + (means[h] * means[h])));
        }

        double[] rest = NormalEquations.Residuals(squares, moments, products, weights);
        double floor = 1e-12 * TensorPrimitives.Sum(squares) / (points * (double)Features);
        double[] noise = Noise == NoiseShape.Scalar ? [rest.Sum() / (points * (double)Features)] : [.. rest.Select(r => r / points)];
        return new SpikeSlabSparseCoding((weights, Features), activities, means, variances, [.. noise.Select(v => Math.Max(v, Math.Max(floor, LeastSigma * LeastSigma)))]);
    }

    internal override TruncatedSparseCoder Perturb(Annealing noise, ref SeededRandom random)
    {
        double[] weights = Noisy(Weights, noise.WeightNoise, ref random), activities = Noisy(_activities, noise.PriorNoise, ref random);
        double factor = Math.Max(Noisy(Sigma, noise.SigmaNoise, ref random) / Sigma, 0.01);
        return new SpikeSlabSparseCoding(
            (weights, Features), [.. activities.Select(p => Math.Clamp(p, LeastShare, 1 - LeastShare))], _means, _variances, [.. _noise.Select(v => v * factor * factor)]);
    }

    /// <summary>s z, the coefficients that multiply W.</summary>
    private protected override void DrawState(ref SeededRandom random, Span<double> state)
    {
        for (int h = 0; h < state.Length; h++)
        {
            bool active = random.NextDouble() < _activities[h];
            state[h] = active ? _means[h] + (Math.Sqrt(_variances[h]) * random.NextGaussian()) : 0;
        }
    }

    private static double[] Copied(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return [.. values];
    }

    private static void Check(double[] values, string name, int length, Func<double, string, double> check)
    {
        if (values.Length != length) throw new ArgumentException($"{name} has {values.Length} entries; there must be {length}.", name);
        foreach (double value in values) check(value, name);
    }

    /// <summary>W Sigma^-1.</summary>
    private double[] ScaledWeights()
    {
        double[] scaled = new double[Weights.Length];
        for (int i = 0; i < scaled.Length; i++) scaled[i] = Weights[i] / _noise[_noise.Length == 1 ? 0 : i % Features];
        return scaled;
    }
}
