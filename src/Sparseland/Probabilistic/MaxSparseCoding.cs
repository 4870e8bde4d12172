using Sparseland.Tensors;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Probabilistic;

/// <summary>
/// Binary latents that combine by the largest weight instead of the sum, feature by feature: what occludes is what is seen. Learning uses a
/// smooth maximum, whose exponent rho grows as the temperature falls; a cold model is still a little soft.
/// </summary>
public abstract class MaxSparseCoding : TruncatedSparseCoder
{
    /// <summary>|W| stays at or above this, so that its logarithm exists.</summary>
    internal const double LeastWeight = 1e-4;

    /// <summary>Posterior weights below this add nothing to a sum in double precision.</summary>
    private const double Negligible = 1e-17;

    /// <summary>A table over all components is made where it has at most so many numbers.</summary>
    private const double MostTableNumbers = 4e6;

    private protected MaxSparseCoding(double[] weights, int features, double activity, double sigma, MaxHardness hardness)
        : base(weights, features, Finite.Positive(sigma))
    {
        if (!Enum.IsDefined(hardness)) throw new ArgumentOutOfRangeException(nameof(hardness), hardness, "hardness must be Soft or Hard.");
        (Activity, Hardness) = (ProbabilisticInput.Probability(activity, nameof(activity)), hardness);
    }

    /// <inheritdoc/>
    public override double Activity { get; }

    /// <summary>Whether posteriors use the smooth or the hard maximum.</summary>
    public MaxHardness Hardness { get; }

    /// <summary>Exponent of the smooth maximum at a temperature.</summary>
    /// <param name="temperature">T, at least 1.</param>
    public abstract double Rho(double temperature);

    /// <summary>The smooth maximum of active components at T = 1, whatever the <see cref="Hardness"/>.</summary>
    /// <param name="active">Indices of active components.</param>
    /// <param name="temperature">T. Default 1.</param>
    /// <returns>[features].</returns>
    public double[] SmoothMaximum(IReadOnlyList<int> active, double temperature = 1)
    {
        ArgumentNullException.ThrowIfNull(active);
        if (!(temperature >= 1)) throw new ArgumentOutOfRangeException(nameof(temperature), temperature, "The temperature must be at least 1.");
        int[] sorted = [.. active.Order()];
        if (sorted.Length == 0) return new double[Features];
        if (sorted[0] < 0 || sorted[^1] >= Components || sorted.Distinct().Count() != sorted.Length)
            throw new ArgumentException($"active must hold different indices from 0 to {Components - 1}.", nameof(active));
        double rho = Rho(temperature);
        var weights = new MaxWeights(Weights, Features, rho, MaxHardness.Soft);
        double[] mean = new double[Features];
        for (int d = 0; d < Features; d++)
        {
            double sum = sorted.Sum(h => weights.Powers[(h * Features) + d]);
            mean[d] = Math.CopySign(Math.Exp(weights.LogScale + (Math.Log(Math.Abs(sum)) / rho)), sum);
        }

        return mean;
    }

    internal override IPosteriorContext Prepare(StateSet states, double temperature) => new Context(this, states, Rho(temperature));

    internal override TruncatedSparseCoder Maximise(ReadOnlySpan<double> sums, int points, int active)
    {
        int size = Components * Features;
        double[] weights = NextWeights(sums.Slice(2, size), sums.Slice(2 + size, size));
        double sigma = Math.Sqrt(Math.Max(sums[1] / (points * (double)Features), 1e-12 * TensorPrimitives.SumOfSquares<double>(Weights) / size));
        return With(weights, NextActivity(Components, Activity, active, sums[0] / points), sigma);
    }

    internal override TruncatedSparseCoder Perturb(Annealing noise, ref SeededRandom random) => With(
        Bounded(Noisy(Weights, noise.WeightNoise, ref random)), ClipProbability(Noisy(Activity, noise.PriorNoise, ref random)),
        Math.Max(Noisy(Sigma, noise.SigmaNoise, ref random), 0.01 * Sigma));

    /// <summary>W from sum A y and sum A.</summary>
    private protected abstract double[] NextWeights(ReadOnlySpan<double> numerator, ReadOnlySpan<double> denominator);

    private protected abstract double[] Bounded(double[] weights);

    private protected abstract TruncatedSparseCoder With(double[] weights, double activity, double sigma);

    /// <summary>The selection score of a component; the higher the better.</summary>
    /// <param name="component">W_h.</param>
    /// <param name="y">The point.</param>
    /// <param name="distanceSquared">||y - W_h||^2.</param>
    /// <param name="scratch">[features].</param>
    private protected abstract double ScoreOf(ReadOnlySpan<double> component, ReadOnlySpan<double> y, double distanceSquared, Span<double> scratch);

    private protected override void DrawState(ref SeededRandom random, Span<double> state)
    {
        for (int h = 0; h < state.Length; h++) state[h] = random.NextDouble() < Activity ? 1 : 0;
    }

    /// <summary>The hard maximum: what the model generates, however soft its learning.</summary>
    private protected override void Combine(ReadOnlySpan<double> state, Span<double> mean)
    {
        mean.Clear();
        for (int h = 0; h < Components; h++)
        {
            if (state[h] == 0) continue;
            ReadOnlySpan<double> row = Row(h);
            for (int d = 0; d < mean.Length; d++) mean[d] = Math.Abs(row[d]) > Math.Abs(mean[d]) ? row[d] : mean[d];
        }
    }

    private sealed class Context : IPosteriorContext
    {
        public Context(MaxSparseCoding model, StateSet states, double rho)
        {
            (Model, States) = (model, states);
            Weights = new MaxWeights(model.Weights, model.Features, rho, model.Hardness);
            Norms = [.. Enumerable.Range(0, model.Components).Select(h => TensorPrimitives.SumOfSquares(model.Row(h)))];
            double all = StateSet.CountStates(model.Components, states.Active) + model.Components;
            if (all > Truncation.MostStates || all * model.Features * (states.Active + 3) > MostTableNumbers) return;
            Table = new MaxTable(Weights, StateSet.Build(model.Components, states.Active), keepShares: true);
            Table.Fill([.. Enumerable.Range(0, model.Components)]);
        }

        public MaxSparseCoding Model { get; }

        public StateSet States { get; }

        public MaxWeights Weights { get; }

        public double[] Norms { get; }

        /// <summary>Superpositions over all components, where there are few enough.</summary>
        public MaxTable? Table { get; }

        public int SumsLength => 2 + (2 * Model.Components * Model.Features);

        public PointPosterior NewPoint() => new Point(this);
    }

    private sealed class Point : PointPosterior
    {
        private readonly Context _context;
        private readonly MaxTable _table;
        private readonly int[] _place;
        private readonly double[] _scratch, _share;
        private double _highest;

        public Point(Context context)
            : base(context.Model.Components, 1, context.States)
        {
            _context = context;
            _table = context.Table ?? new MaxTable(context.Weights, context.States, keepShares: false);
            _place = [.. Enumerable.Range(0, context.States.Total)];
            _scratch = new double[context.Model.Features];
            _share = new double[context.Model.Features];
            double zero = Components * Math.Log(1 - context.Model.Activity), odds = Math.Log(context.Model.Activity) - Math.Log(1 - context.Model.Activity);
            LogPrior.AsSpan(1, Components).Fill(zero + odds);
            LogPrior[0] = zero;
            for (int state = States.Singles; state < States.Total; state++) LogPrior[FirstMultiple + state - States.Singles] = zero + (odds * States.Depth[state]);
        }

        public override void Evaluate(ReadOnlySpan<double> y)
        {
            MaxSparseCoding model = _context.Model;
            double variance = model.Sigma * model.Sigma, half = -0.5 / variance, square = TensorPrimitives.Dot(y, y);
            _highest = -0.5 * model.Features * Math.Log(2 * Math.PI * variance);
            LogLikelihood[0] = _highest + (half * square);
            for (int h = 0; h < Components; h++)
            {
                ReadOnlySpan<double> row = model.Row(h);
                double distance = Math.Max(0, square - (2 * TensorPrimitives.Dot(row, y)) + _context.Norms[h]);
                LogLikelihood[1 + h] = _highest + (half * distance);
                Score[h] = model.ScoreOf(row, y, distance, _scratch);
            }

            SelectCandidates();
            if (_context.Table is null) _table.Fill(Candidates);
            else Locate(_table.States, _place);
            for (int state = States.Singles; state < States.Total; state++)
            {
                int place = _place[state];
                double distance = Math.Max(0, square - (2 * TensorPrimitives.Dot(_table.Mean(place), y)) + _table.NormSquared(place));
                LogLikelihood[FirstMultiple + state - States.Singles] = _highest + (half * distance);
            }
        }

        public override void Accumulate(ReadOnlySpan<double> y, Span<double> sums)
        {
            int features = y.Length, size = Components * features;
            Span<double> numerator = sums.Slice(2, size), denominator = sums.Slice(2 + size, size);
            double likelihood = 0, active = 0;
            for (int h = 0; h < Components; h++)
            {
                double weight = Weight[1 + h];
                active += weight;
                likelihood += weight * LogLikelihood[1 + h];
                if (weight < Negligible) continue;

                // Alone a component is the maximum everywhere: A = 1.
                Span<double> below = denominator.Slice(h * features, features), above = numerator.Slice(h * features, features);
                TensorPrimitives.Add(below, weight, below);
                TensorPrimitives.MultiplyAdd(y, weight, above, above);
            }

            for (int state = States.Singles; state < States.Total; state++)
            {
                double weight = WeightOf(state);
                active += weight * States.Depth[state];
                likelihood += weight * LogLikelihood[FirstMultiple + state - States.Singles];
                if (weight < Negligible) continue;
                ReadOnlySpan<int> chain = States.Chain(state);
                for (int i = 0; i < chain.Length; i++)
                {
                    int at = Candidates[States.Slot[chain[i]]] * features;
                    TensorPrimitives.Multiply(_table.Share(_place[state], i, _share), weight, _scratch);
                    Span<double> below = denominator.Slice(at, features), above = numerator.Slice(at, features);
                    TensorPrimitives.Add(below, _scratch, below);
                    TensorPrimitives.MultiplyAdd(_scratch, y, above, above);
                }
            }

            sums[0] += active;

            // The expected squared error, back from the log-likelihoods.
            likelihood += Weight[0] * LogLikelihood[0];
            sums[1] += 2 * _context.Model.Sigma * _context.Model.Sigma * (_highest - likelihood);
        }
    }
}
