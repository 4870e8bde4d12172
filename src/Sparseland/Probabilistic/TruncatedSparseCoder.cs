using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Probabilistic;

/// <summary>
/// A sparse coding model y = superposition of active components + Gaussian noise, with a prior on discrete latents s, learned by truncated EM
/// (Exarchakis et al., arXiv 1908.06843). A model is its parameters; it never changes, and an M-step gives a new one.
/// </summary>
/// <remarks>
/// The exact posterior over all states is exponential in the number of components. The truncated one looks at few states per point, chosen
/// for each point and anew at every step; see <see cref="Truncation"/>.
/// </remarks>
public abstract class TruncatedSparseCoder
{
    /// <summary>Probabilities stay this far from 0 and 1.</summary>
    internal const double LeastProbability = 1e-5;

    /// <summary>Noise stays above this even where all data are zero, so that its precision is finite.</summary>
    internal const double LeastSigma = 1e-100;

    private protected TruncatedSparseCoder(double[] weights, int features, double sigma)
    {
        (Weights, Features, Components, Sigma) = (weights, features, weights.Length / features, sigma);
    }

    /// <summary>H.</summary>
    public int Components { get; }

    /// <summary>D.</summary>
    public int Features { get; }

    /// <summary>Standard deviation of the noise; where features have their own, the root of the mean variance.</summary>
    public double Sigma { get; }

    /// <summary>Name of the model in the literature.</summary>
    public abstract string Name { get; }

    /// <summary>Values other than zero that a latent can take.</summary>
    public virtual IReadOnlyList<double> Values => [1];

    /// <summary>pi, the prior probability that a component is active, averaged over components.</summary>
    public abstract double Activity { get; }

    /// <summary>W [components, features], row-major.</summary>
    internal double[] Weights { get; }

    /// <summary>W as a new tensor, float64 [components, features]; row h is what component h adds.</summary>
    public Tensor Dictionary() => tensor(Weights, [Components, Features]);

    /// <summary>A, the prior probability that at most so many components are active.</summary>
    /// <param name="active">gamma.</param>
    public virtual double PriorMass(int active) => BinomialMass(Components, Activity, active).Mass;

    /// <summary>Draws latents from the prior and data from the model.</summary>
    /// <param name="count">Points, at least 1.</param>
    /// <param name="seed">Seed; the first points do not depend on the count.</param>
    /// <returns>Data float64 [points, features] and states float64 [points, components].</returns>
    public (Tensor Data, Tensor States) Sample(int count, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        double[] data = new double[count * Features], states = new double[count * Components];
        for (int n = 0; n < count; n++)
        {
            var random = new SeededRandom(seed, n);
            Span<double> state = states.AsSpan(n * Components, Components), y = data.AsSpan(n * Features, Features);
            DrawState(ref random, state);
            Combine(state, y);
            for (int d = 0; d < Features; d++) y[d] += NoiseOf(d) * random.NextGaussian();
        }

        return (tensor(data, [count, Features]), tensor(states, [count, Components]));
    }

    /// <summary>The data without noise that states give.</summary>
    /// <param name="states">[points, components].</param>
    /// <returns>float64 [points, features].</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, or a value that is not finite.</exception>
    public Tensor Superpose(Tensor states)
    {
        double[] values = ProbabilisticInput.Matrix(states, nameof(states), "[points, components]");
        if (states.shape[1] != Components)
            throw new ArgumentException($"states has {states.shape[1]} columns for the {Components} components of the model.", nameof(states));
        int count = (int)states.shape[0];
        double[] data = new double[count * Features];
        for (int n = 0; n < count; n++) Combine(values.AsSpan(n * Components, Components), data.AsSpan(n * Features, Features));
        return tensor(data, [count, Features]);
    }

    /// <summary>The E-step: truncated posteriors of all points and the sums over them.</summary>
    /// <param name="Y">[points, features].</param>
    /// <param name="truncation">H' and gamma.</param>
    /// <param name="annealing">Temperature and cut-out; its noise and share are for <see cref="TruncatedEm"/> and ignored here. None by default.</param>
    /// <param name="threads">Most threads; -1 for all. The result does not depend on it. Default -1.</param>
    /// <param name="cancel">Checked between chunks of points.</param>
    /// <exception cref="ArgumentException">Shapes, values or the truncation do not fit.</exception>
    public ExpectationStep Expect(Tensor Y, Truncation truncation, Annealing? annealing = null, int threads = -1, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(truncation);
        truncation.Validate(Components, Values.Count);
        annealing ??= Annealing.None;
        if (!(annealing.Temperature >= 1) || !double.IsFinite(annealing.Temperature))
            throw new ArgumentOutOfRangeException(nameof(annealing), annealing.Temperature, "Temperature must be finite and at least 1.");
        if (!(annealing.CutOut is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(annealing), annealing.CutOut, "CutOut must be in [0, 1].");
        if (threads is 0 or < -1) throw new ArgumentOutOfRangeException(nameof(threads), threads, "threads must be positive, or -1 for all.");
        double[] data = ProbabilisticInput.Data(Y, Features);
        return Expectation.Run(
            this, new PointData(data, Features), StateSet.Build(truncation.Candidates, truncation.Active, Values.Count), annealing, truncation.Active, threads, cancel);
    }

    /// <summary>Mean log sum_K p(s, y) over the points, in nats: a lower bound of the log-likelihood, exact when the truncation is.</summary>
    /// <inheritdoc cref="Expect"/>
    public double LogLikelihood(Tensor Y, Truncation truncation, int threads = -1, CancellationToken cancel = default)
        => Expect(Y, truncation, null, threads, cancel).LogLikelihood;

    /// <summary>The M-step: the model with the parameters that fit the sums of an E-step best.</summary>
    /// <param name="expectation">Result of <see cref="Expect"/> of this model with the same truncation.</param>
    /// <param name="truncation">H' and gamma, for the correction of the prior.</param>
    /// <exception cref="ArgumentException">The E-step is of another model.</exception>
    public TruncatedSparseCoder Maximise(ExpectationStep expectation, Truncation truncation)
    {
        ArgumentNullException.ThrowIfNull(expectation);
        ArgumentNullException.ThrowIfNull(truncation);
        if (!ReferenceEquals(expectation.Model, this))
            throw new ArgumentException("The E-step must be one of this model: its posteriors belong to its parameters.", nameof(expectation));
        return Maximise(expectation.Sums, expectation.Used, truncation.Active);
    }

    /// <summary>Truncated posteriors of points: see <see cref="PosteriorInference.Of"/>.</summary>
    /// <inheritdoc cref="PosteriorInference.Of"/>
    public PosteriorInference Infer(
        Tensor Y, Truncation truncation, int topK = 1, Truncation? adaptUpTo = null, int threads = -1, IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default) => PosteriorInference.Of(this, Y, truncation, topK, adaptUpTo, threads, progress, cancel);

    /// <summary>Noise standard deviation of a feature.</summary>
    internal virtual double NoiseOf(int feature) => Sigma;

    internal abstract IPosteriorContext Prepare(StateSet states, double temperature);

    internal abstract TruncatedSparseCoder Maximise(ReadOnlySpan<double> sums, int points, int active);

    /// <summary>Gaussian noise on the parameters, clipped to where they may be.</summary>
    internal abstract TruncatedSparseCoder Perturb(Annealing noise, ref SeededRandom random);

    private protected abstract void DrawState(ref SeededRandom random, Span<double> state);

    /// <summary>The mean of y for a state; linear unless overridden.</summary>
    private protected virtual void Combine(ReadOnlySpan<double> state, Span<double> mean)
    {
        mean.Clear();
        for (int h = 0; h < Components; h++)
        {
            if (state[h] != 0) TensorPrimitives.MultiplyAdd(Row(h), state[h], mean, mean);
        }
    }

    internal ReadOnlySpan<double> Row(int component) => Weights.AsSpan(component * Features, Features);

    /// <summary>W W^T.</summary>
    internal static double[] Gram(double[] weights, int features)
    {
        int count = weights.Length / features;
        double[] gram = new double[count * count];
        for (int i = 0; i < count; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                gram[(i * count) + j] = gram[(j * count) + i] =
                    TensorPrimitives.Dot<double>(weights.AsSpan(i * features, features), weights.AsSpan(j * features, features));
            }
        }

        return gram;
    }

    /// <summary>
    /// Prior mass A of at most gamma active of H components, and B / A, the mean number of active ones among such states. The M-step of pi on
    /// data cut to them is pi (A / B) times the mean number that was found.
    /// </summary>
    internal static (double Mass, double MeanActive) BinomialMass(int components, double probability, int active)
    {
        if (active >= components) return (1, components * probability);
        double[] log = new double[active + 1];
        double odds = Math.Log(probability) - Math.Log(1 - probability);
        log[0] = components * Math.Log(1 - probability);
        for (int k = 1; k <= active; k++) log[k] = log[k - 1] + Math.Log((double)(components - k + 1) / k) + odds;

        // Relative to the largest: all of them underflow when pi is large and gamma small.
        double largest = log.Max(), mass = 0, mean = 0;
        for (int k = 0; k <= active; k++)
        {
            double term = Math.Exp(log[k] - largest);
            mass += term;
            mean += k * term;
        }

        return (Math.Min(1, mass * Math.Exp(largest)), mean / mass);
    }

    /// <summary>The next pi from the mean number of active components of a point.</summary>
    internal static double NextActivity(int components, double probability, int active, double meanActive) =>
        ClipProbability(probability * meanActive / BinomialMass(components, probability, active).MeanActive);

    internal static double ClipProbability(double value) => Math.Clamp(value, LeastProbability, 1 - LeastProbability);

    internal static double[] Noisy(double[] weights, double deviation, ref SeededRandom random)
    {
        if (deviation == 0) return weights;
        double[] noisy = [.. weights];
        for (int i = 0; i < noisy.Length; i++) noisy[i] += deviation * random.NextGaussian();
        return noisy;
    }

    internal static double Noisy(double value, double deviation, ref SeededRandom random) =>
        deviation == 0 ? value : value + (deviation * random.NextGaussian());

    /// <summary>Where learning starts: W = mean of the data + noise of sd/4, sigma = mean standard deviation of a feature.</summary>
    internal static (double[] Weights, double Sigma) Start(Tensor Y, int components, int seed)
    {
        double[] data = ProbabilisticInput.Matrix(Y, nameof(Y), "[points, features]");
        ArgumentOutOfRangeException.ThrowIfLessThan(components, 2);
        int count = (int)Y.shape[0], features = (int)Y.shape[1];
        if (count < components)
            throw new ArgumentException($"There are {count} points for {components} components; there must be at least as many.", nameof(Y));
        double[] mean = new double[features], square = new double[features];
        for (int n = 0; n < count; n++) TensorPrimitives.Add(mean, data.AsSpan(n * features, features), mean);
        TensorPrimitives.Divide(mean, count, mean);
        for (int n = 0; n < count; n++)
        {
            for (int d = 0; d < features; d++) square[d] += Math.Pow(data[(n * features) + d] - mean[d], 2);
        }

        double sigma = square.Average(s => Math.Sqrt(s / count));
        if (sigma == 0) throw new ArgumentException("All points are equal; there is nothing to learn.", nameof(Y));
        var random = new SeededRandom(seed, 301);
        double[] weights = new double[components * features];
        for (int i = 0; i < weights.Length; i++) weights[i] = mean[i % features] + (sigma / 4 * random.NextGaussian());
        return (weights, sigma);
    }

    internal static (double[] Weights, int Features) ReadDictionary(Tensor dictionary)
    {
        double[] weights = ProbabilisticInput.Matrix(dictionary, nameof(dictionary), "[components, features]");
        if (dictionary.shape[0] < 2)
            throw new ArgumentException($"dictionary has {dictionary.shape[0]} component; a model needs at least two.", nameof(dictionary));
        return (weights, (int)dictionary.shape[1]);
    }
}
