using System.Numerics;
using System.Numerics.Tensors;
using Sparseland.Selection;

namespace Sparseland.Pruning;

/// <summary>What the rows of a layer share in <see cref="DSnoT"/>.</summary>
/// <param name="Sums">S of each input.</param>
/// <param name="Norms">Norm of each input.</param>
/// <param name="Divisor">V^p of each input.</param>
/// <param name="Run">M of an N:M pattern; 0 for none.</param>
/// <param name="Cycles">Most swaps of a row.</param>
/// <param name="Threshold">Expected errors up to this are left.</param>
/// <param name="Stop">When a row stops.</param>
internal sealed record SwapInputs(double[] Sums, double[] Norms, double[] Divisor, int Run, int Cycles, double Threshold, SwapStop Stop);

/// <summary>
/// The swaps of one row. Of each kind of candidate the row looks at no more than it may make swaps: those are selected when the first is asked for, put in order, and a pointer
/// moves along them, so that a cycle costs a step and not a scan.
/// </summary>
internal sealed class SwapRow : IDisposable
{
    private readonly SwapInputs _shared;
    private readonly double[] _weights, _contribution, _removed, _scores;
    private readonly bool[] _moved;
    private readonly int _most;
    private readonly RowKernel<double> _kernel = RowKernel<double>.For(RowKernel<double>.Widest);
    private readonly RowKernel<double>.IScratch _scratch;
    private readonly Candidates _up, _down, _negative, _positive;

    public SwapRow(SwapInputs shared, int columns)
    {
        (_shared, _most) = (shared, Math.Min(shared.Cycles, columns));
        (_weights, _contribution, _removed, _scores, _moved) = (new double[columns], new double[columns], new double[columns], new double[columns], new bool[columns]);
        _scratch = _kernel.Rent(columns, _most);
        (_up, _down, _negative, _positive) = (new(_most), new(_most), new(_most), new(_most));
    }

    /// <summary>Improves the mask of a row.</summary>
    /// <param name="weights">[in].</param>
    /// <param name="mask">1 where a weight stays.</param>
    /// <param name="trajectory">Takes the expected error after every swap.</param>
    /// <returns>Expected errors, swaps, and how many weights the mask removes.</returns>
    /// <exception cref="ArgumentException">A weight is not finite.</exception>
    public (double Before, double After, int Swaps, int Removed) Refine<T>(ReadOnlySpan<T> weights, Span<byte> mask, List<double>? trajectory)
        where T : unmanaged, INumberBase<T>
    {
        TensorPrimitives.ConvertTruncating(weights, _weights.AsSpan());
        if (!double.IsFinite(TensorPrimitives.MaxMagnitude<double>(_weights))) throw new ArgumentException("A weight is not finite.", "weight");
        TensorPrimitives.Multiply(_weights, _shared.Sums, _contribution);
        TensorPrimitives.ConvertTruncating<byte, double>(mask, _removed);
        TensorPrimitives.Subtract(1.0, _removed, _removed);
        double error = 0;
        for (int j = 0; j < mask.Length; j++) error += _removed[j] * _contribution[j];
        double before = error;
        int removed = (int)TensorPrimitives.Sum<double>(_removed);
        trajectory?.Add(error);
        if (Math.Abs(error) <= _shared.Threshold || _most == 0) return (before, error, 0, removed);
        Array.Clear(_moved);
        foreach (Candidates list in (ReadOnlySpan<Candidates>)[_up, _down, _negative, _positive]) list.Forget();
        int swaps = 0;
        while (swaps < _shared.Cycles && Math.Abs(error) > _shared.Threshold)
        {
            bool rise = error > 0;
            int grow = NextToGrow(rise);
            if (grow < 0) break;
            int prune = _shared.Run > 0 ? WeakestOfRun(grow, mask) : NextToPrune(!rise);
            if (prune < 0) break;
            double next = error - _contribution[grow] + _contribution[prune];
            if (_shared.Run > 0 && Math.Sign(next) != Math.Sign(error)) break;
            if (_shared.Stop == SwapStop.Decrease && Math.Abs(next) >= Math.Abs(error)) break;
            (mask[grow], mask[prune], _moved[grow], _moved[prune]) = (1, 0, true, true);
            error = next;
            swaps++;
            trajectory?.Add(error);
        }

        return (before, error, swaps, removed);
    }

    public void Dispose() => _scratch.Dispose();

    /// <summary>The next of the weights that were removed at the beginning with a contribution of a sign, the largest and most reliable first.</summary>
    private int NextToGrow(bool positive)
    {
        Candidates list = positive ? _up : _down;
        if (!list.IsKnown)
        {
            var zero = Vector<double>.Zero;
            var sign = new Vector<double>(positive ? 1.0 : -1.0);
            int j = 0;
            for (; j <= _scores.Length - Vector<double>.Count; j += Vector<double>.Count)
            {
                Vector<double> c = new Vector<double>(_contribution, j) * sign, score = c / new Vector<double>(_shared.Divisor, j);
                Vector<long> wanted = Vector.GreaterThan(c, zero) & Vector.GreaterThan(new Vector<double>(_removed, j), zero);
                Vector.ConditionalSelect(wanted, score, new(double.NegativeInfinity)).CopyTo(_scores, j);
            }

            for (; j < _scores.Length; j++)
            {
                double c = positive ? _contribution[j] : -_contribution[j];
                _scores[j] = c > 0 && _removed[j] > 0 ? c / _shared.Divisor[j] : double.NegativeInfinity;
            }

            Select(list);
        }

        return list.Next();
    }

    /// <summary>The next of the weights that were kept at the beginning with a contribution of a sign, the least important first.</summary>
    private int NextToPrune(bool positive)
    {
        Candidates list = positive ? _positive : _negative;
        if (!list.IsKnown)
        {
            var zero = Vector<double>.Zero;
            var sign = new Vector<double>(positive ? 1.0 : -1.0);
            int j = 0;
            for (; j <= _scores.Length - Vector<double>.Count; j += Vector<double>.Count)
            {
                Vector<double> c = new Vector<double>(_contribution, j) * sign, score = -(Vector.Abs(new Vector<double>(_weights, j)) * new Vector<double>(_shared.Norms, j));
                Vector<long> wanted = Vector.GreaterThan(c, zero) & Vector.Equals(new Vector<double>(_removed, j), zero);
                Vector.ConditionalSelect(wanted, score, new(double.NegativeInfinity)).CopyTo(_scores, j);
            }

            for (; j < _scores.Length; j++)
            {
                double c = positive ? _contribution[j] : -_contribution[j];
                _scores[j] = c > 0 && _removed[j] == 0 ? -(Math.Abs(_weights[j]) * _shared.Norms[j]) : double.NegativeInfinity;
            }

            Select(list);
        }

        return list.Next();
    }

    // The scores are finite or infinite, never NaN: contributions that are zero are no candidates.
    private void Select(Candidates list)
    {
        _kernel.Select(_scores, _most, list.Indices, _scratch);
        list.Order(_scores);
    }

    /// <summary>The kept weight of smallest Wanda score in the run of a grown one, whatever its sign; -1 where all have moved.</summary>
    private int WeakestOfRun(int grow, ReadOnlySpan<byte> mask)
    {
        int first = grow / _shared.Run * _shared.Run, weakest = -1;
        double least = double.PositiveInfinity;
        for (int j = first; j < first + _shared.Run; j++)
        {
            double score = Math.Abs(_weights[j]) * _shared.Norms[j];
            if (mask[j] == 0 || _moved[j] || score >= least) continue;
            (weakest, least) = (j, score);
        }

        return weakest;
    }

    /// <summary>The best candidates of a kind, in the order in which they are taken: highest score first, ties by index.</summary>
    private sealed class Candidates(int most)
    {
        private readonly int[] _indices = new int[most];
        private readonly double[] _keys = new double[most];
        private int _count = -1, _at;

        public bool IsKnown => _count >= 0;

        public Span<int> Indices => _indices;

        public void Forget() => (_count, _at) = (-1, 0);

        public int Next() => _at < _count ? _indices[_at++] : -1;

        /// <summary>Puts the indices, which ascend, in order; those whose score is minus infinity are no candidates.</summary>
        public void Order(double[] scores)
        {
            _count = 0;
            foreach (int j in _indices)
            {
                double key = scores[j];
                if (double.IsNegativeInfinity(key)) continue;
                int at = _count++;
                for (; at > 0 && _keys[at - 1] < key; at--) (_keys[at], _indices[at]) = (_keys[at - 1], _indices[at - 1]);
                (_keys[at], _indices[at]) = (key, j);
            }
        }
    }
}
