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
    /// <summary>Factors over all components are made where they have at most so many numbers.</summary>
    private const double MostTableNumbers = 1e6;

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
        double all = StateSet.CountStates(components, states.Active) + components;
        if (all > Truncation.MostStates || all * (states.Active + 3) > MostTableNumbers) return;
        Table = new SpikeSlabFactors(this, StateSet.Build(components, states.Active));
        Table.Fill([.. Enumerable.Range(0, components)]);
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

    /// <summary>Factors of all states of all components, where there are few enough.</summary>
    public SpikeSlabFactors? Table { get; }

    public int SumsLength => Layout.Length;

    public PointPosterior NewPoint() => new SpikeSlabPosterior(this);
}

/// <summary>The Cholesky rows of all states of a tree over some components, and what they add to the log-joint. None depends on the data.</summary>
internal sealed class SpikeSlabFactors(SpikeSlabContext context, StateSet states)
{
    private readonly double[] _rows = new double[states.Total * states.Active];

    public StateSet States => states;

    /// <summary>The part of log p(y|s) - log p(y|0) that is the same for all y.</summary>
    public double[] Constant { get; } = new double[states.Total];

    /// <summary>log p(s).</summary>
    public double[] LogPrior { get; } = new double[states.Total];

    /// <summary>The last row of L of a state.</summary>
    public ReadOnlySpan<double> Row(int state) => _rows.AsSpan(state * states.Active, states.Active);

    /// <summary>Computes all states.</summary>
    /// <param name="components">The component of each candidate of the tree.</param>
    public void Fill(ReadOnlySpan<int> components)
    {
        int stride = states.Active, count = context.Model.Components;
        ReadOnlySpan<int> slot = states.Slot, parents = states.Parent;
        for (int state = 0; state < states.Total; state++)
        {
            ReadOnlySpan<int> chain = states.Chain(state);
            int depth = chain.Length - 1, component = components[slot[state]], parent = parents[state];
            Span<double> row = _rows.AsSpan(state * stride, stride);
            ReadOnlySpan<double> information = context.Information.AsSpan(component * count, count);
            double square = information[component];
            for (int i = 0; i < depth; i++)
            {
                ReadOnlySpan<double> above = _rows.AsSpan(chain[i] * stride, stride);
                double value = information[components[slot[chain[i]]]];
                for (int m = 0; m < i; m++) value -= row[m] * above[m];
                row[i] = value /= above[i];
                square -= value * value;
            }

            // M >= Psi^-1, so the pivot is positive but for rounding.
            square = Math.Max(square, 1e-14 * information[component]);
            row[depth] = Math.Sqrt(square);
            Constant[state] = context.Constant[component] - (0.5 * Math.Log(square)) + (parent < 0 ? 0 : Constant[parent]);
            LogPrior[state] = context.LogOdds[component] + (parent < 0 ? context.LogZero : LogPrior[parent]);
        }
    }
}

/// <summary>The posterior of one point.</summary>
internal sealed class SpikeSlabPosterior : PointPosterior
{
    private const double Negligible = 1e-17;
    private readonly SpikeSlabContext _context;
    private readonly SpikeSlabFactors _factors;
    private readonly int[] _place;
    private readonly double[] _eta, _forward, _fit, _scaled, _mean, _inverse, _first, _square;

    public SpikeSlabPosterior(SpikeSlabContext context)
        : base(context.Model.Components, 1, context.States)
    {
        _context = context;
        int active = States.Active;
        _eta = new double[Components];
        _factors = context.Table ?? new SpikeSlabFactors(context, States);
        _place = [.. Enumerable.Range(0, States.Total)];
        _forward = new double[States.Total];
        _fit = new double[States.Total];
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
        if (_context.Table is null) _factors.Fill(Candidates);
        else Locate(_factors.States, _place);
        ReadOnlySpan<int> slot = States.Slot, parent = States.Parent;
        for (int state = 0; state < States.Total; state++)
        {
            // The entry of u that the last component appends.
            int place = _place[state], depth = States.Depth[state] - 1;
            ReadOnlySpan<double> row = _factors.Row(place);
            ReadOnlySpan<int> chain = States.Chain(state);
            double right = _eta[Candidates[slot[state]]];
            for (int i = 0; i < depth; i++) right -= row[i] * _forward[chain[i]];
            double u = _forward[state] = right / row[depth];
            double fit = _fit[state] = (0.5 * u * u) + (depth == 0 ? 0 : _fit[parent[state]]);
            if (depth == 0) continue;
            LogLikelihood[FirstMultiple + state - States.Singles] = zero + fit + _factors.Constant[place];
            LogPrior[FirstMultiple + state - States.Singles] = _factors.LogPrior[place];
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

    /// <summary>L^-1 of a state, row by row, and kappa = L^-T u.</summary>
    private void Invert(ReadOnlySpan<int> chain)
    {
        int size = chain.Length, stride = States.Active;
        for (int i = 0; i < size; i++)
        {
            ReadOnlySpan<double> row = _factors.Row(_place[chain[i]]);
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
