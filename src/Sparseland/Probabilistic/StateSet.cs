namespace Sparseland.Probabilistic;

/// <summary>
/// All states over H' candidates with at most gamma active ones, as a tree: the parent of a state is the state without its last active
/// candidate. Whatever is a sum over active components then costs one addition per state, and a Cholesky factor one row.
/// </summary>
/// <remarks>
/// States are numbered level by level, those with one active candidate first. Within a level a parent's children are neighbours, in the
/// order of the added candidate and then of its value. The zero state is not in the tree.
/// </remarks>
public sealed class StateSet
{
    private readonly int[] _parent, _slot, _chain, _firstChild;
    private readonly byte[] _depth;

    private StateSet(int candidates, int active, int values, int total)
    {
        (Candidates, Active, Values, Total) = (candidates, active, values, total);
        Singles = candidates * values;
        _parent = new int[total];
        _slot = new int[total];
        _depth = new byte[total];
        _firstChild = new int[total];
        _chain = new int[total * active];
    }

    /// <summary>H'.</summary>
    public int Candidates { get; }

    /// <summary>gamma.</summary>
    public int Active { get; }

    /// <summary>Values other than zero that a component can take.</summary>
    public int Values { get; }

    /// <summary>States with exactly one active candidate; they are numbered first.</summary>
    public int Singles { get; }

    /// <summary>All states of the tree.</summary>
    public int Total { get; }

    /// <summary>States with two or more active candidates.</summary>
    public int Multiples => Total - Singles;

    /// <summary>State without the last active candidate; -1 for states with one.</summary>
    internal ReadOnlySpan<int> Parent => _parent;

    /// <summary>The last active candidate and its value, as candidate * Values + value.</summary>
    internal ReadOnlySpan<int> Slot => _slot;

    /// <summary>Active candidates.</summary>
    internal ReadOnlySpan<byte> Depth => _depth;

    /// <summary>The first state that adds a candidate to this one.</summary>
    internal ReadOnlySpan<int> FirstChild => _firstChild;

    /// <summary>States with 2 .. gamma active of H' candidates: the sum of C(H', k) values^k.</summary>
    /// <param name="candidates">H'.</param>
    /// <param name="active">gamma.</param>
    /// <param name="values">Values other than zero. Default 1.</param>
    public static double CountStates(int candidates, int active, int values = 1)
    {
        double sum = 0, term = (double)candidates * values;
        for (int k = 2; k <= active; k++)
        {
            term *= (double)(candidates - k + 1) / k * values;
            sum += term;
        }

        return sum;
    }

    /// <summary>Enumerates the states.</summary>
    /// <param name="candidates">H', at least 1.</param>
    /// <param name="active">gamma, from 1 to H'.</param>
    /// <param name="values">Values other than zero that a component can take, at least 1. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range, or there are too many states.</exception>
    public static StateSet Build(int candidates, int active, int values = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(values);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(candidates);
        new Truncation(candidates, active).Validate(candidates, values);
        var set = new StateSet(candidates, active, values, (candidates * values) + (int)Math.Round(CountStates(candidates, active, values)));
        int next = 0;
        for (int slot = 0; slot < set.Singles; slot++) set.Add(next++, -1, slot);
        for (int state = 0; state < set.Total; state++)
        {
            set._firstChild[state] = next;
            if (set._depth[state] == active) continue;
            for (int slot = ((set._slot[state] / values) + 1) * values; slot < set.Singles; slot++) set.Add(next++, state, slot);
        }

        return set;
    }

    /// <summary>The states on the way to a state, itself last: their slots are its active candidates.</summary>
    internal ReadOnlySpan<int> Chain(int state) => _chain.AsSpan(state * Active, _depth[state]);

    /// <summary>The states with two or more active candidates as rows: 0 where not active, else 1 + the number of the value.</summary>
    /// <returns>[<see cref="Multiples"/>, <see cref="Candidates"/>].</returns>
    public sbyte[,] ToMatrix()
    {
        var rows = new sbyte[Multiples, Candidates];
        for (int state = Singles; state < Total; state++)
        {
            foreach (int link in Chain(state)) rows[state - Singles, _slot[link] / Values] = (sbyte)(1 + (_slot[link] % Values));
        }

        return rows;
    }

    private void Add(int state, int parent, int slot)
    {
        _parent[state] = parent;
        _slot[state] = slot;
        int depth = 0;
        if (parent >= 0)
        {
            depth = _depth[parent];
            _chain.AsSpan(parent * Active, depth).CopyTo(_chain.AsSpan(state * Active));
        }

        _chain[(state * Active) + depth] = state;
        _depth[state] = (byte)(depth + 1);
    }
}
