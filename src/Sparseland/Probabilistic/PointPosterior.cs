using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Probabilistic;

/// <summary>
/// The truncated posterior of one point, and the scratch memory of one thread. States are numbered: 0 is the zero state, 1 + h * V + v the
/// one where only component h is active, with value v; the states of <see cref="States"/> with two or more active candidates follow.
/// </summary>
internal abstract class PointPosterior
{
    private readonly double[] _joint;

    protected PointPosterior(int components, int values, StateSet states)
    {
        (Components, Values, States) = (components, values, states);
        FirstMultiple = 1 + (components * values);
        int count = FirstMultiple + states.Multiples;
        LogPrior = new double[count];
        LogLikelihood = new double[count];
        Weight = new double[count];
        _joint = new double[count];
        Candidates = new int[states.Candidates];
        Score = new double[components];
    }

    public int Components { get; }

    public int Values { get; }

    public StateSet States { get; }

    /// <summary>Number of the first state with two active candidates.</summary>
    public int FirstMultiple { get; }

    /// <summary>log p(s).</summary>
    public double[] LogPrior { get; }

    /// <summary>log p(y|s).</summary>
    public double[] LogLikelihood { get; }

    /// <summary>q(s), sums to 1; set by <see cref="Normalise"/>.</summary>
    public double[] Weight { get; }

    /// <summary>I_n in increasing order.</summary>
    public int[] Candidates { get; }

    /// <summary>Selection score of each component.</summary>
    protected double[] Score { get; }

    /// <summary>Chooses candidates and fills <see cref="LogPrior"/> and <see cref="LogLikelihood"/>.</summary>
    public abstract void Evaluate(ReadOnlySpan<double> y);

    /// <summary>Adds the sufficient statistics of the point, under <see cref="Weight"/>.</summary>
    public abstract void Accumulate(ReadOnlySpan<double> y, Span<double> sums);

    /// <summary>
    /// q(s) proportional to exp(log p(s) + log p(y|s) / T), or with T on both. Returns log sum_K p(s, y), which is without T, and the free
    /// energy of q: E_q[log p(s, y)] + H(q), at most the first and equal to it at T = 1.
    /// </summary>
    public (double LogLikelihood, double FreeEnergy) Normalise(double inverseTemperature, bool annealPrior)
    {
        TensorPrimitives.Add(LogPrior, LogLikelihood, _joint);
        if (inverseTemperature == 1)
        {
            double log = SoftMax(_joint, Weight);
            return (log, log);
        }

        double logLikelihood = SoftMax(_joint, Weight);
        double[] annealed = Weight;
        if (annealPrior) TensorPrimitives.Multiply(_joint, inverseTemperature, annealed);
        else TensorPrimitives.MultiplyAdd(LogLikelihood, inverseTemperature, LogPrior, annealed);

        // E_q[log p] + H(q) with log q = annealed - log Z.
        TensorPrimitives.Subtract(_joint, annealed, _joint);
        double logZ = SoftMax(annealed, annealed);
        return (logLikelihood, TensorPrimitives.Dot<double>(_joint, annealed) + logZ);
    }

    /// <summary>Adds P(s_h is not 0) and the mean of s_h.</summary>
    /// <param name="values">The values a component can take.</param>
    /// <param name="activity">[components].</param>
    /// <param name="mean">[components].</param>
    /// <param name="variance">[components], filled by models whose active components have a variance.</param>
    public virtual void Marginals(IReadOnlyList<double> values, Span<double> activity, Span<double> mean, Span<double> variance)
    {
        activity.Clear();
        mean.Clear();
        for (int h = 0; h < Components; h++)
        {
            for (int v = 0; v < Values; v++)
            {
                double weight = Weight[1 + (h * Values) + v];
                activity[h] += weight;
                mean[h] += weight * values[v];
            }
        }

        for (int state = States.Singles; state < States.Total; state++)
        {
            double weight = WeightOf(state);
            if (weight == 0) continue;
            foreach (int link in States.Chain(state))
            {
                (int position, int v) = Math.DivRem(States.Slot[link], Values);
                activity[Candidates[position]] += weight;
                mean[Candidates[position]] += weight * values[v];
            }
        }
    }

    /// <summary>The active components of a state and the numbers of their values.</summary>
    public (int Component, int Value)[] Describe(int state)
    {
        if (state == 0) return [];
        if (state < FirstMultiple) return [Math.DivRem(state - 1, Values)];
        var found = new List<(int, int)>();
        foreach (int link in States.Chain(state - FirstMultiple + States.Singles))
        {
            (int position, int v) = Math.DivRem(States.Slot[link], Values);
            found.Add((Candidates[position], v));
        }

        return [.. found];
    }

    /// <summary>The candidates are the components of the highest <see cref="Score"/>; ties go to the lower index.</summary>
    protected void SelectCandidates()
    {
        int wanted = Candidates.Length, have = 0;
        for (int h = 0; h < Components; h++)
        {
            if (have == wanted && !(Score[h] > Score[Candidates[have - 1]])) continue;
            int at = have < wanted ? have++ : have - 1;
            while (at > 0 && Score[h] > Score[Candidates[at - 1]])
            {
                Candidates[at] = Candidates[at - 1];
                at--;
            }

            Candidates[at] = h;
        }

        Array.Sort(Candidates);
    }

    /// <summary>Where the point's states stand in a tree over all components, found by descending it.</summary>
    protected void Locate(StateSet all, int[] place)
    {
        ReadOnlySpan<int> parent = States.Parent, slot = States.Slot, child = all.FirstChild;
        for (int state = 0; state < States.Total; state++)
        {
            int up = parent[state], component = Candidates[slot[state]];
            place[state] = up < 0 ? component : child[place[up]] + component - Candidates[slot[up]] - 1;
        }
    }

    protected double WeightOf(int treeState) => Weight[FirstMultiple + treeState - States.Singles];

    private static double SoftMax(ReadOnlySpan<double> log, Span<double> weights)
    {
        double max = TensorPrimitives.Max(log);
        TensorPrimitives.Subtract(log, max, weights);
        TensorPrimitives.Exp<double>(weights, weights);
        double sum = TensorPrimitives.Sum<double>(weights);
        TensorPrimitives.Divide(weights, sum, weights);
        return max + Math.Log(sum);
    }
}

/// <summary>What all points of an E-step share: precomputed from the parameters, never changed, read by all threads.</summary>
internal interface IPosteriorContext
{
    /// <summary>Length of the sufficient statistics.</summary>
    int SumsLength { get; }

    /// <summary>Scratch for one thread.</summary>
    PointPosterior NewPoint();
}
