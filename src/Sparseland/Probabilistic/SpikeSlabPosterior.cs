using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Probabilistic;

/// <summary>Where the sums lie: sum s, sum s z, sum y^2 per feature, sum (s z) y^T, sum (s z)(s z)^T (either triangle).</summary>
internal readonly record struct SpikeSlabLayout(int Components, int Features)
{
    public int First => Components;

    public int Squares => 2 * Components;

    public int Products => Squares + Features;

    public int Moments => Products + (Components * Features);

    public int Length => Moments + (Components * Components);
}

/// <summary>
/// What a spike-and-slab E-step shares. For a state with active set s let M = (W Sigma^-1 W^T)_ss + Psi_s^-1 and eta = W_s Sigma^-1 y + Psi_s^-1
/// mu_s. Then z ~ N(M^-1 eta, M^-1), and by the matrix inversion and determinant lemmas log p(y|s) - log p(y|0) is
/// (eta^T M^-1 eta - log|M| - sum_s (log psi + mu^2 / psi)) / 2. With M = L L^T and u = L^-1 eta one more active component appends one row to
/// L and one entry to u.
/// </summary>
internal sealed class SpikeSlabContext : IPosteriorContext
{
    public SpikeSlabContext(SpikeSlabSparseCoding model, StateSet states, double[] scaled, double[] precision)
    {
        (Model, States, Scaled, Precision, Layout) = (model, states, scaled, precision, new(model.Components, model.Features));
        int components = model.Components, features = model.Features;
        Information = new double[components * components];
        Shift = new double[components];
        Constant = new double[components];
        LogOdds = [.. model.Activities.Select(p => Math.Log(p) - Math.Log(1 - p))];
        LogZero = model.Activities.Sum(p => Math.Log(1 - p));
        for (int i = 0; i < components; i++)
        {
            double mean = model.SlabMeans[i], variance = model.SlabVariances[i];
            for (int j = 0; j <= i; j++)
                Information[(i * components) + j] = Information[(j * components) + i] = TensorPrimitives.Dot(scaled.AsSpan(i * features, features), model.Row(j));
            Information[(i * components) + i] += 1 / variance;
            Shift[i] = mean / variance;
            Constant[i] = -0.5 * (Math.Log(variance) + (mean * mean / variance));
        }

        LogNormaliser = -0.5 * ((features * Math.Log(2 * Math.PI)) - precision.Sum(Math.Log));
    }

    public SpikeSlabSparseCoding Model { get; }

    public StateSet States { get; }

    public SpikeSlabLayout Layout { get; }

    /// <summary>W Sigma^-1.</summary>
    public double[] Scaled { get; }

    /// <summary>Diagonal of Sigma^-1.</summary>
    public double[] Precision { get; }

    /// <summary>W Sigma^-1 W^T + Psi^-1.</summary>
    public double[] Information { get; }

    /// <summary>Psi^-1 mu.</summary>
    public double[] Shift { get; }

    /// <summary>-(log psi + mu^2 / psi) / 2.</summary>
    public double[] Constant { get; }

    public double[] LogOdds { get; }

    public double LogZero { get; }

    public double LogNormaliser { get; }

    public int SumsLength => Layout.Length;

    public PointPosterior NewPoint() => new SpikeSlabPosterior(this);
}

/// <summary>The posterior of one point.</summary>
internal sealed class SpikeSlabPosterior : PointPosterior
{
    private const double Negligible = 1e-17;
    private readonly SpikeSlabContext _context;
    private readonly double[] _eta, _rows, _forward, _energy, _prior, _scaled, _mean, _inverse, _first, _square;

    public SpikeSlabPosterior(SpikeSlabContext context)
        : base(context.Model.Components, 1, context.States)
    {
        _context = context;
        int active = States.Active;
        _eta = new double[Components];
        _rows = new double[States.Total * active];
        _forward = new double[States.Total];
        _energy = new double[States.Total];
        _prior = new double[States.Total];
        _scaled = new double[context.Model.Features];
        _mean = new double[active];
        _inverse = new double[active * active];
        _first = new double[Components];
        _square = new double[Components];
    }

    public override void Evaluate(ReadOnlySpan<double> y)
    {
        TensorPrimitives.Multiply(y, _context.Precision, _scaled);
        double zero = _context.LogNormaliser - (0.5 * TensorPrimitives.Dot<double>(_scaled, y));
        LogLikelihood[0] = zero;
        LogPrior[0] = _context.LogZero;
        for (int h = 0; h < Components; h++)
        {
            double eta = _eta[h] = TensorPrimitives.Dot(_context.Scaled.AsSpan(h * y.Length, y.Length), y) + _context.Shift[h];
            double information = _context.Information[(h * Components) + h];
            double gain = (0.5 * ((eta * eta / information) - Math.Log(information))) + _context.Constant[h];
            LogLikelihood[1 + h] = zero + gain;
            LogPrior[1 + h] = _context.LogZero + _context.LogOdds[h];
            Score[h] = gain + _context.LogOdds[h];
        }

        SelectCandidates();
        int first = FirstMultiple - States.Singles;
        for (int state = 0; state < States.Total; state++)
        {
            AppendRow(state);
            if (state < States.Singles) continue;
            LogLikelihood[first + state] = zero + _energy[state];
            LogPrior[first + state] = _context.LogZero + _prior[state];
        }
    }

    public override void Accumulate(ReadOnlySpan<double> y, Span<double> sums)
    {
        SpikeSlabLayout layout = _context.Layout;
        Span<double> moments = sums.Slice(layout.Moments, Components * Components), squares = sums.Slice(layout.Squares, y.Length);
        Sum(sums[..Components], moments);
        TensorPrimitives.MultiplyAdd(y, y, squares, squares);
        for (int h = 0; h < Components; h++)
        {
            sums[layout.First + h] += _first[h];
            if (_first[h] == 0) continue;
            Span<double> row = sums.Slice(layout.Products + (h * y.Length), y.Length);
            TensorPrimitives.MultiplyAdd(y, _first[h], row, row);
        }
    }

    /// <summary>The mean and variance are those of s z.</summary>
    public override void Marginals(IReadOnlyList<double> values, Span<double> activity, Span<double> mean, Span<double> variance)
    {
        activity.Clear();
        Sum(activity, []);
        _first.CopyTo(mean);
        for (int h = 0; h < Components; h++) variance[h] = Math.Max(0, _square[h] - (_first[h] * _first[h]));
    }

    /// <summary>Adds E[s] and E[(s z)(s z)^T] = E_q[Lambda + kappa kappa^T] (lower triangle) to the sums; E[s z] and E[(s z)^2] stay in the scratch.</summary>
    private void Sum(Span<double> use, Span<double> moments)
    {
        Array.Clear(_square);
        for (int h = 0; h < Components; h++)
        {
            double weight = Weight[1 + h], information = _context.Information[(h * Components) + h], kappa = _eta[h] / information;
            double second = weight * ((1 / information) + (kappa * kappa));
            use[h] += weight;
            _first[h] = weight * kappa;
            _square[h] = second;
            if (moments.Length > 0) moments[(h * Components) + h] += second;
        }

        for (int state = States.Singles; state < States.Total; state++)
        {
            double weight = WeightOf(state);
            if (weight < Negligible) continue;
            ReadOnlySpan<int> chain = States.Chain(state);
            Invert(chain);
            int size = chain.Length, stride = States.Active;
            for (int i = 0; i < size; i++)
            {
                int row = Candidates[States.Slot[chain[i]]];
                use[row] += weight;
                _first[row] += weight * _mean[i];
                for (int j = 0; j <= i; j++)
                {
                    double second = _mean[i] * _mean[j];
                    for (int m = i; m < size; m++) second += _inverse[(m * stride) + i] * _inverse[(m * stride) + j];
                    if (i == j) _square[row] += weight * second;
                    if (moments.Length > 0) moments[(row * Components) + Candidates[States.Slot[chain[j]]]] += weight * second;
                }
            }
        }
    }

    /// <summary>The row of L and the entry of u that the last component of a state adds to those of its parent.</summary>
    private void AppendRow(int state)
    {
        ReadOnlySpan<int> chain = States.Chain(state);
        int depth = chain.Length - 1, stride = States.Active, component = Candidates[States.Slot[state]];
        Span<double> row = _rows.AsSpan(state * stride, stride);
        ReadOnlySpan<double> information = _context.Information.AsSpan(component * Components, Components);
        double square = information[component], right = _eta[component];
        for (int i = 0; i < depth; i++)
        {
            ReadOnlySpan<double> above = _rows.AsSpan(chain[i] * stride, stride);
            double value = information[Candidates[States.Slot[chain[i]]]];
            for (int m = 0; m < i; m++) value -= row[m] * above[m];
            row[i] = value /= above[i];
            square -= value * value;
            right -= value * _forward[chain[i]];
        }

        // M >= Psi^-1, so the pivot is positive but for rounding.
        square = Math.Max(square, 1e-14 * information[component]);
        row[depth] = Math.Sqrt(square);
        _forward[state] = right / row[depth];
        double gain = (0.5 * ((right * right / square) - Math.Log(square))) + _context.Constant[component];
        int parent = States.Parent[state];
        _energy[state] = gain + (parent < 0 ? 0 : _energy[parent]);
        _prior[state] = _context.LogOdds[component] + (parent < 0 ? 0 : _prior[parent]);
    }

    /// <summary>L^-1 of a state, row by row, and kappa = L^-T u.</summary>
    private void Invert(ReadOnlySpan<int> chain)
    {
        int size = chain.Length, stride = States.Active;
        for (int i = 0; i < size; i++)
        {
            ReadOnlySpan<double> row = _rows.AsSpan(chain[i] * stride, stride);
            for (int j = 0; j < i; j++)
            {
                double value = 0;
                for (int m = j; m < i; m++) value -= row[m] * _inverse[(m * stride) + j];
                _inverse[(i * stride) + j] = value / row[i];
            }

            _inverse[(i * stride) + i] = 1 / row[i];
        }

        for (int i = 0; i < size; i++)
        {
            double mean = 0;
            for (int m = i; m < size; m++) mean += _inverse[(m * stride) + i] * _forward[chain[m]];
            _mean[i] = mean;
        }
    }
}
