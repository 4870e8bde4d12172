namespace Sparseland.Probabilistic;

/// <summary>What an E-step found: how well the points are explained, and the sums that the M-step needs.</summary>
public sealed class ExpectationStep
{
    internal ExpectationStep(TruncatedSparseCoder model, double[] pointLogLikelihood, double freeEnergy, bool[]? used, double[] sums, double priorMass)
    {
        (Model, PointLogLikelihood, FreeEnergy, Sums) = (model, pointLogLikelihood, freeEnergy, sums);
        Used = used is null ? pointLogLikelihood.Length : used.Count(u => u);
        LogLikelihood = pointLogLikelihood.Average();
        CutLogLikelihood = (used is null ? LogLikelihood : pointLogLikelihood.Where((_, n) => used[n]).Average()) - Math.Log(priorMass);
    }

    /// <summary>log sum_K p(s, y) of each point at T = 1, in nats: a lower bound of log p(y), whatever the temperature of the step.</summary>
    public IReadOnlyList<double> PointLogLikelihood { get; }

    /// <summary>Mean of <see cref="PointLogLikelihood"/>.</summary>
    public double LogLikelihood { get; }

    /// <summary>
    /// Mean of E_q[log p(s, y)] + H(q) under the posterior q that the step used, in nats per point: at most <see cref="LogLikelihood"/>, equal at
    /// T = 1. The parameters of a max model depend on T through the softness of the maximum, and so do both numbers.
    /// </summary>
    public double FreeEnergy { get; }

    /// <summary>
    /// Mean log-likelihood of the points that the M-step uses, minus log A: that of data cut to states with at most gamma active components.
    /// </summary>
    public double CutLogLikelihood { get; }

    /// <summary>Points that the M-step uses.</summary>
    public int Used { get; }

    /// <summary>All points.</summary>
    public int Points => PointLogLikelihood.Count;

    internal TruncatedSparseCoder Model { get; }

    internal double[] Sums { get; }
}

/// <summary>The E-step over many points.</summary>
internal static class Expectation
{
    /// <summary>Sums are made over so many chunks at most, each in the order of its points, and then added in order.</summary>
    private const int MostChunks = 32;
    private const int LeastPointsPerChunk = 32;

    public static ExpectationStep Run(
        TruncatedSparseCoder model, PointData data, StateSet states, Annealing annealing, int active, int threads, CancellationToken cancel)
    {
        IPosteriorContext context = model.Prepare(states, annealing.Temperature);
        int count = data.Count;
        double mass = model.PriorMass(active);
        int use = Math.Clamp((int)Math.Floor(count * (1 - ((1 - mass) * annealing.CutOut))), 1, count);
        double[] logLikelihood = new double[count];
        double free = 0;
        bool[]? used = null;
        double[] sums;
        if (use == count)
        {
            sums = Pass(null);
        }
        else
        {
            // Who is cut is known only when all have been seen. Few are, but keeping every posterior would cost more memory than
            // a second look costs time.
            Pass(null, accumulate: false);
            int[] order = [.. Enumerable.Range(0, count).OrderByDescending(n => logLikelihood[n])];
            used = new bool[count];
            foreach (int n in order.AsSpan(0, use)) used[n] = true;
            sums = Pass(used);
        }

        return new(model, logLikelihood, free / count, used, sums, mass);

        double[] Pass(bool[]? only, bool accumulate = true)
        {
            int chunks = Math.Clamp(count / LeastPointsPerChunk, 1, MostChunks);
            double[][] partial = new double[chunks][];
            double[] freeOf = new double[chunks];
            var options = new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = threads };
            Parallel.For(0, chunks, options, () => (Point: context.NewPoint(), Scratch: new double[model.Features]), (c, _, work) =>
            {
                double[] mine = new double[accumulate ? context.SumsLength : 0];
                for (int n = (int)((long)c * count / chunks), to = (int)((long)(c + 1) * count / chunks); n < to; n++)
                {
                    if (only is not null && !only[n]) continue;
                    ReadOnlySpan<double> y = data.Row(n, work.Scratch);
                    work.Point.Evaluate(y);
                    (logLikelihood[n], double energy) = work.Point.Normalise(1 / annealing.Temperature, annealing.AnnealPrior);
                    if (only is null) freeOf[c] += energy;
                    if (accumulate) work.Point.Accumulate(y, mine);
                }

                partial[c] = mine;
                return work;
            }, _ => { });
            if (only is null) free = freeOf.Sum();
            double[] total = partial[0];
            for (int c = 1; c < chunks; c++)
            {
                for (int i = 0; i < total.Length; i++) total[i] += partial[c][i];
            }

            return total;
        }
    }
}
