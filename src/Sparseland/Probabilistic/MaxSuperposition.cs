using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Probabilistic;

/// <summary>How components that overlap combine in a max model.</summary>
public enum MaxHardness
{
    /// <summary>A power mean of the active weights, whose exponent grows as the temperature falls: differentiable, and what learning uses.</summary>
    Soft,

    /// <summary>The largest active weight itself.</summary>
    Hard,
}

/// <summary>
/// W of a max model prepared for one E-step: |W| and its powers. The smooth maximum is sign(t) |t|^(1/rho) with t = sum sign(W) |W|^rho over
/// active components.
/// </summary>
internal sealed class MaxWeights
{
    public MaxWeights(double[] weights, int features, double rho, MaxHardness hardness)
    {
        (Weights, Features, Rho, Hardness) = (weights, features, rho, hardness);
        LogMagnitude = new double[weights.Length];
        Powers = new double[weights.Length];
        for (int i = 0; i < weights.Length; i++) LogMagnitude[i] = Math.Log(Math.Abs(weights[i]));

        // In units of the largest weight, so that no power overflows.
        LogScale = TensorPrimitives.Max<double>(LogMagnitude);
        for (int i = 0; i < weights.Length; i++) Powers[i] = Math.CopySign(Math.Exp(rho * (LogMagnitude[i] - LogScale)), weights[i]);
    }

    public double[] Weights { get; }

    public int Features { get; }

    public double Rho { get; }

    public MaxHardness Hardness { get; }

    public double[] LogMagnitude { get; }

    public double[] Powers { get; }

    public double LogScale { get; }
}

/// <summary>
/// Superpositions of all states of a tree over some components, and the derivative of each to the weights of its members. Neither depends
/// on the data: where all components fit into one tree, one table serves all points of an E-step.
/// </summary>
internal sealed class MaxTable
{
    private readonly MaxWeights _weights;
    private readonly StateSet _states;
    private readonly double[] _sum, _mean, _logMagnitude, _norm;
    private readonly double[]? _shares;
    private readonly int[] _components;

    public MaxTable(MaxWeights weights, StateSet states, bool keepShares)
    {
        (_weights, _states) = (weights, states);
        int length = states.Total * weights.Features;
        _sum = new double[weights.Hardness == MaxHardness.Soft ? length : 0];
        _mean = new double[length];
        _logMagnitude = new double[length];
        _norm = new double[states.Total];
        _shares = keepShares ? new double[length * states.Active] : null;
        _components = new int[states.Candidates];
    }

    public StateSet States => _states;

    /// <summary>Computes all states.</summary>
    /// <param name="components">The component of each candidate of the tree, increasing.</param>
    public void Fill(ReadOnlySpan<int> components)
    {
        components.CopyTo(_components);
        int features = _weights.Features, first = _states.Singles * features;
        ReadOnlySpan<int> parents = _states.Parent;
        for (int state = 0; state < _states.Total; state++)
        {
            int at = state * features, weight = _components[_states.Slot[state]] * features, parent = parents[state];
            if (parent < 0)
            {
                _weights.Weights.AsSpan(weight, features).CopyTo(_mean.AsSpan(at));
                _weights.LogMagnitude.AsSpan(weight, features).CopyTo(_logMagnitude.AsSpan(at));
                if (_sum.Length > 0) _weights.Powers.AsSpan(weight, features).CopyTo(_sum.AsSpan(at));
            }
            else if (_weights.Hardness == MaxHardness.Soft)
            {
                TensorPrimitives.Add(_sum.AsSpan(parent * features, features), _weights.Powers.AsSpan(weight, features), _sum.AsSpan(at, features));
            }
            else
            {
                for (int d = 0, up = parent * features; d < features; d++)
                {
                    bool larger = _weights.LogMagnitude[weight + d] > _logMagnitude[up + d];
                    _mean[at + d] = larger ? _weights.Weights[weight + d] : _mean[up + d];
                    _logMagnitude[at + d] = larger ? _weights.LogMagnitude[weight + d] : _logMagnitude[up + d];
                }
            }
        }

        if (_weights.Hardness == MaxHardness.Soft) Root(_sum.AsSpan(first), _logMagnitude.AsSpan(first), _mean.AsSpan(first));
        for (int state = 0; state < _states.Total; state++) _norm[state] = TensorPrimitives.SumOfSquares<double>(_mean.AsSpan(state * features, features));
        if (_shares is not null) FillShares(_shares);
    }

    public ReadOnlySpan<double> Mean(int state) => _mean.AsSpan(state * _weights.Features, _weights.Features);

    public double NormSquared(int state) => _norm[state];

    /// <summary>d mean / d W of a member of a state, at most 1: close to the indicator of where that member is the largest.</summary>
    public ReadOnlySpan<double> Share(int state, int member, Span<double> scratch)
    {
        if (_shares is not null) return _shares.AsSpan(((state * _states.Active) + member) * _weights.Features, _weights.Features);
        ComputeShare(state, _states.Chain(state)[member], scratch);
        return scratch;
    }

    private void FillShares(double[] shares)
    {
        for (int state = _states.Singles; state < _states.Total; state++)
        {
            ReadOnlySpan<int> chain = _states.Chain(state);
            for (int i = 0; i < chain.Length; i++)
                ComputeShare(state, chain[i], shares.AsSpan(((state * _states.Active) + i) * _weights.Features, _weights.Features));
        }
    }

    private void ComputeShare(int state, int link, Span<double> share)
    {
        int features = _weights.Features;
        ReadOnlySpan<double> own = _weights.LogMagnitude.AsSpan(_components[_states.Slot[link]] * features, features);
        ReadOnlySpan<double> whole = _logMagnitude.AsSpan(state * features, features);
        if (_weights.Hardness == MaxHardness.Hard)
        {
            for (int d = 0; d < features; d++) share[d] = own[d] >= whole[d] ? 1 : 0;
            return;
        }

        // Weights of opposite sign may cancel to less than one of them, or to nothing; the derivative is then cut at 1.
        TensorPrimitives.Subtract(own, whole, share);
        TensorPrimitives.Min(share, 0, share);
        TensorPrimitives.Multiply(share, _weights.Rho - 1, share);
        TensorPrimitives.Exp<double>(share, share);
    }

    private void Root(ReadOnlySpan<double> sum, Span<double> logMagnitude, Span<double> mean)
    {
        TensorPrimitives.Abs(sum, logMagnitude);
        TensorPrimitives.Log<double>(logMagnitude, logMagnitude);
        TensorPrimitives.Multiply(logMagnitude, 1 / _weights.Rho, logMagnitude);
        TensorPrimitives.Add(logMagnitude, _weights.LogScale, logMagnitude);
        TensorPrimitives.Exp<double>(logMagnitude, mean);
        TensorPrimitives.CopySign(mean, sum, mean);
    }
}
