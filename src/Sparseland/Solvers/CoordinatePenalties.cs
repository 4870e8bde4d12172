using Sparseland.Penalties;

namespace Sparseland.Solvers;

/// <summary>A penalty as coordinate descent sees it. Implemented by structs, so that a sweep is compiled for each penalty.</summary>
internal interface ICoordinatePenalty
{
    /// <summary>argmin_x 1/2 (x - z)^2 + step pen_j(x).</summary>
    double Prox(int j, double z, double step);

    /// <summary>pen_j(x), x within the constraint.</summary>
    double Value(int j, double x);

    /// <summary>Smallest strength that keeps coefficient j at zero against a correlation; used for convex penalties only.</summary>
    double Needed(int j, double correlation);

    /// <summary>
    /// The largest |gradient| at which coefficient j stays zero, whatever its curvature; NaN for penalties of which that cannot be said.
    /// </summary>
    double ZeroUpTo(int j) => double.NaN;
}

internal readonly struct Uniform<TPenalty>(TPenalty penalty) : ICoordinatePenalty
    where TPenalty : ISeparablePenalty
{
    public double Prox(int j, double z, double step) => penalty.Prox(z, step);

    public double Value(int j, double x) => penalty.Value(x);

    public double Needed(int j, double correlation) => Math.Abs(correlation);

    public double ZeroUpTo(int j) => penalty is ElasticNet net ? net.Strength : double.NaN;
}

internal readonly struct SoftL1(double strength) : ICoordinatePenalty
{
    public double Prox(int j, double z, double step)
    {
        double cut = step * strength;
        return z > cut ? z - cut : z < -cut ? z + cut : 0;
    }

    public double Value(int j, double x) => strength * Math.Abs(x);

    public double Needed(int j, double correlation) => Math.Abs(correlation);

    public double ZeroUpTo(int j) => strength;
}

internal readonly struct Weighted(double strength, double[] weights) : ICoordinatePenalty
{
    public double Prox(int j, double z, double step) => new SoftL1(strength * weights[j]).Prox(j, z, step);

    public double Value(int j, double x) => strength * weights[j] * Math.Abs(x);

    public double Needed(int j, double correlation) => Math.Abs(correlation) / weights[j];

    public double ZeroUpTo(int j) => strength * weights[j];
}

/// <summary>With the constraint x >= 0; exact for the reason <see cref="NonNegative"/> gives.</summary>
internal readonly struct Positive<TInner>(TInner inner) : ICoordinatePenalty
    where TInner : struct, ICoordinatePenalty
{
    public double Prox(int j, double z, double step) => z <= 0 ? 0 : inner.Prox(j, z, step);

    public double Value(int j, double x) => inner.Value(j, x);

    public double Needed(int j, double correlation) => correlation <= 0 ? 0 : inner.Needed(j, correlation);

    public double ZeroUpTo(int j) => inner.ZeroUpTo(j);
}

/// <summary>Work that is compiled for each kind of penalty.</summary>
internal interface ICoordinateWork<out TResult>
{
    TResult Run<TPenalty>(TPenalty penalty)
        where TPenalty : struct, ICoordinatePenalty;
}

internal static class CoordinatePenalties
{
    /// <summary>Runs the work with the penalty's struct; false where the penalty does not separate into coordinates.</summary>
    public static bool TryRun<TResult>(IPenalty penalty, ICoordinateWork<TResult> work, out TResult? result)
    {
        (bool done, result) = penalty switch
        {
            L1 p => (true, work.Run(new SoftL1(p.Strength))),
            WeightedL1 p => (true, work.Run(new Weighted(p.Strength, p.Weights.ToArray()))),
            NonNegative { Inner: not NonNegative } p => (TryRun(p.Inner, new Constrained<TResult>(work), out result), result),
            ElasticNet p => (true, work.Run(new Uniform<ElasticNet>(p))),
            L0 p => (true, work.Run(new Uniform<L0>(p))),
            LHalf p => (true, work.Run(new Uniform<LHalf>(p))),
            LTwoThirds p => (true, work.Run(new Uniform<LTwoThirds>(p))),
            Scad p => (true, work.Run(new Uniform<Scad>(p))),
            Mcp p => (true, work.Run(new Uniform<Mcp>(p))),
            Cel0 p => (true, work.Run(new Uniform<Cel0>(p))),
            ISeparablePenalty p => (true, work.Run(new Uniform<ISeparablePenalty>(p))),
            _ => (false, default),
        };
        return done;
    }

    private sealed class Constrained<TResult>(ICoordinateWork<TResult> work) : ICoordinateWork<TResult>
    {
        public TResult Run<TPenalty>(TPenalty penalty)
            where TPenalty : struct, ICoordinatePenalty => work.Run(new Positive<TPenalty>(penalty));
    }
}
