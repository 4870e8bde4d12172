using Sparseland.Tensors;
using TorchSharp;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Probabilistic;

/// <summary>
/// Discrete latents that combine by sum: y = sum_h s_h W_h + noise of variance sigma^2. The E-step needs no D-vector per state: with
/// q = W y and G = W W^T, ||y - s W||^2 = ||y||^2 - 2 s.q + s^T G s, one short sum per state from its parent in the tree.
/// </summary>
public abstract class LinearSparseCoding : TruncatedSparseCoder
{
    private protected LinearSparseCoding(double[] weights, int features, double sigma)
        : base(weights, features, Finite.Positive(sigma))
    {
    }

    /// <summary>log p(value v) - log p(0).</summary>
    private protected abstract double[] LogOdds { get; }

    private protected abstract double LogZero { get; }

    /// <summary>Whether candidates are chosen by the cosine with y; otherwise by their best singleton log-joint.</summary>
    private protected virtual bool SelectsByCosine => false;

    internal override IPosteriorContext Prepare(StateSet states, double temperature) => new Context(this, states);

    internal override TruncatedSparseCoder Maximise(ReadOnlySpan<double> sums, int points, int active)
    {
        var layout = new Layout(Values.Count, Components, Features);
        ReadOnlySpan<double> products = sums.Slice(layout.Products, Components * Features);
        double[] moments = sums.Slice(layout.Moments, Components * Components).ToArray();
        for (int i = 0; i < Components; i++)
        {
            for (int j = 0; j < i; j++) moments[(j * Components) + i] = moments[(i * Components) + j] += moments[(j * Components) + i];
        }

        double[] weights = NormalEquations.Solve(moments, products, Components, Features);
        ReadOnlySpan<double> squares = sums.Slice(layout.Squares, Features);

        // The noise is that of the new W. A perfect fit would make every other state impossible for ever; the floor keeps it finite.
        double rest = NormalEquations.Residuals(squares, moments, products, weights).Sum(), floor = 1e-6 * Math.Sqrt(TensorPrimitives.Sum(squares) / (points * (double)Features));
        double sigma = Math.Max(Math.Sqrt(rest / (points * (double)Features)), Math.Max(floor, LeastSigma));
        return With(weights, sigma, sums[..Values.Count], points, active);
    }

    internal override TruncatedSparseCoder Perturb(Annealing noise, ref SeededRandom random)
    {
        double[] weights = Noisy(Weights, noise.WeightNoise, ref random);
        double sigma = Math.Max(Noisy(Sigma, noise.SigmaNoise, ref random), 0.01 * Sigma);
        return WithPriorNoise(weights, sigma, noise.PriorNoise, ref random);
    }

    /// <summary>A model with new W and sigma and the prior that the counts of values give.</summary>
    private protected abstract LinearSparseCoding With(double[] weights, double sigma, ReadOnlySpan<double> counts, int points, int active);

    private protected abstract LinearSparseCoding WithPriorNoise(double[] weights, double sigma, double deviation, ref SeededRandom random);

    /// <summary>Where the sums lie: counts of values, sum y^2 per feature, sum s y^T, sum s s^T (either triangle).</summary>
    private readonly record struct Layout(int Values, int Components, int Features)
    {
        public int Squares => Values;

        public int Products => Squares + Features;

        public int Moments => Products + (Components * Features);

        public int Length => Moments + (Components * Components);
    }

    private sealed class Context(LinearSparseCoding model, StateSet states) : IPosteriorContext
    {
        public LinearSparseCoding Model => model;

        public StateSet States => states;

        public Layout Layout { get; } = new(model.Values.Count, model.Components, model.Features);

        public double[] Gram { get; } = TruncatedSparseCoder.Gram(model.Weights, model.Features);

        public double[] Values { get; } = [.. model.Values];

        public double[] LogOdds { get; } = model.LogOdds;

        public int SumsLength => Layout.Length;

        public PointPosterior NewPoint() => new Point(this);
    }

    private sealed class Point : PointPosterior
    {
        /// <summary>Posterior weights below this add nothing to a sum in double precision.</summary>
        private const double Negligible = 1e-17;
        private readonly Context _context;
        private readonly double[] _energy, _fields, _cross, _mean, _below, _first, _second;

        public Point(Context context)
            : base(context.Model.Components, context.Values.Length, context.States)
        {
            _context = context;
            StateSet states = context.States;
            _mean = new double[Components];
            _energy = new double[states.Total];
            _below = new double[states.Total];
            _fields = new double[states.Singles * states.Active];
            _cross = new double[states.Singles * states.Singles];
            _first = new double[states.Candidates];
            _second = new double[states.Candidates * states.Candidates];
            FillPrior();
        }

        public override void Evaluate(ReadOnlySpan<double> y)
        {
            LinearSparseCoding model = _context.Model;
            double precision = 1 / (model.Sigma * model.Sigma), square = TensorPrimitives.Dot(y, y);
            double zero = -0.5 * ((model.Features * Math.Log(2 * Math.PI / precision)) + (precision * square));
            LogLikelihood[0] = zero;
            for (int h = 0; h < Components; h++)
            {
                double q = TensorPrimitives.Dot(model.Row(h), y), length = _context.Gram[(h * Components) + h];
                double best = double.NegativeInfinity;
                for (int v = 0; v < Values; v++)
                {
                    double value = _context.Values[v], gain = precision * value * (q - (0.5 * value * length));
                    LogLikelihood[1 + (h * Values) + v] = zero + gain;
                    best = Math.Max(best, gain + _context.LogOdds[v]);
                }

                // ||y|| is the same for all; a component without length points nowhere.
                Score[h] = !model.SelectsByCosine ? best : length > 0 ? q / Math.Sqrt(length) : double.MinValue;
            }

            SelectCandidates();
            FillLocal(precision, zero);
            Descend(0, 0, 0, 0);
            TensorPrimitives.Add(_energy.AsSpan(States.Singles), zero, LogLikelihood.AsSpan(FirstMultiple));
        }

        public override void Accumulate(ReadOnlySpan<double> y, Span<double> sums)
        {
            Layout layout = _context.Layout;
            Span<double> moments = sums.Slice(layout.Moments, Components * Components);
            for (int h = 0; h < Components; h++)
            {
                double mean = 0, second = 0;
                for (int v = 0; v < Values; v++)
                {
                    double weight = Weight[1 + (h * Values) + v], value = _context.Values[v];
                    sums[v] += weight;
                    mean += weight * value;
                    second += weight * value * value;
                }

                _mean[h] = mean;
                moments[(h * Components) + h] += second;
            }

            AccumulateMultiples(sums, moments);
            TensorPrimitives.MultiplyAdd(y, y, sums.Slice(layout.Squares, y.Length), sums.Slice(layout.Squares, y.Length));
            for (int h = 0; h < Components; h++)
            {
                if (_mean[h] == 0) continue;
                Span<double> row = sums.Slice(layout.Products + (h * y.Length), y.Length);
                TensorPrimitives.MultiplyAdd(y, _mean[h], row, row);
            }
        }

        /// <summary>
        /// Energies of all states below one. The field of a state is what each further slot would add to it; its children are neighbours, so
        /// they cost one addition of vectors.
        /// </summary>
        private void Descend(int depth, int firstChild, int from, double energy)
        {
            int singles = States.Singles, count = singles - from;
            ReadOnlySpan<double> field = _fields.AsSpan((depth * singles) + from, count);
            TensorPrimitives.Add(field, energy, _energy.AsSpan(firstChild, count));
            if (depth + 1 == States.Active) return;
            for (int child = firstChild, slot = from; slot < singles; child++, slot++)
            {
                int next = slot - (slot % Values) + Values, left = singles - next;
                if (left == 0) break;
                TensorPrimitives.Subtract(field[(next - from)..], _cross.AsSpan((slot * singles) + next, left), _fields.AsSpan(((depth + 1) * singles) + next, left));
                Descend(depth + 1, States.FirstChild[child], next, _energy[child]);
            }
        }

        /// <summary>
        /// Each state passes its weight to its parent, so that a state knows the weight of all states that contain it; a pair of active
        /// candidates is then counted once, at the state where the later of the two was added.
        /// </summary>
        private void AccumulateMultiples(Span<double> sums, Span<double> moments)
        {
            StateSet states = States;
            ReadOnlySpan<int> parent = states.Parent, slot = states.Slot;
            double[] values = _context.Values;
            int candidates = states.Candidates;
            Array.Clear(_first);
            Array.Clear(_second);
            Array.Clear(_below, 0, states.Singles);
            Weight.AsSpan(FirstMultiple).CopyTo(_below.AsSpan(states.Singles));
            for (int state = states.Total - 1; state >= 0; state--)
            {
                double below = _below[state];
                if (below < Negligible) continue;
                (int position, int v) = Math.DivRem(slot[state], Values);
                double weighted = below * values[v];
                sums[v] += below;
                _first[position] += weighted;
                _second[(position * candidates) + position] += weighted * values[v];
                int up = parent[state];
                if (up < 0) continue;
                _below[up] += below;
                foreach (int link in states.Chain(up))
                {
                    (int other, int u) = Math.DivRem(slot[link], Values);
                    _second[(position * candidates) + other] += weighted * values[u];
                }
            }

            for (int i = 0; i < candidates; i++)
            {
                _mean[Candidates[i]] += _first[i];
                for (int j = 0; j <= i; j++) moments[(Candidates[i] * Components) + Candidates[j]] += _second[(i * candidates) + j];
            }
        }

        private void FillPrior()
        {
            double zero = _context.Model.LogZero * Components;
            LogPrior[0] = zero;
            for (int h = 0; h < Components; h++)
            {
                for (int v = 0; v < Values; v++) LogPrior[1 + (h * Values) + v] = zero + _context.LogOdds[v];
            }

            for (int state = States.Singles; state < States.Total; state++)
            {
                double sum = zero;
                foreach (int link in States.Chain(state)) sum += _context.LogOdds[States.Slot[link] % Values];
                LogPrior[FirstMultiple + state - States.Singles] = sum;
            }
        }

        /// <summary>What a candidate's value adds alone, and what a pair of them takes away.</summary>
        private void FillLocal(double precision, double zero)
        {
            int candidates = States.Candidates, singles = States.Singles;
            for (int i = 0; i < candidates; i++)
            {
                for (int v = 0; v < Values; v++) _fields[(i * Values) + v] = LogLikelihood[1 + (Candidates[i] * Values) + v] - zero;
                for (int j = 0; j < i; j++)
                {
                    double overlap = precision * _context.Gram[(Candidates[i] * Components) + Candidates[j]];
                    for (int v = 0; v < Values; v++)
                    {
                        for (int u = 0; u < Values; u++) _cross[(((j * Values) + u) * singles) + (i * Values) + v] = overlap * _context.Values[v] * _context.Values[u];
                    }
                }
            }
        }
    }
}
