namespace Sparseland.Training;

/// <summary>A share of some steps in whole steps. A product like 0.29 * 100 is 28.999999999999996: what a share means may not slip by a step for that.</summary>
internal static class WholeSteps
{
    private const double Guard = 1e-6;

    /// <summary>The whole steps that lie within a share of them: rounded down.</summary>
    public static long In(double share, long steps) => (long)Math.Floor((share * steps) + Guard);

    /// <summary>The first step, from 0, that does not lie before a share of them: rounded up.</summary>
    public static long From(double share, long steps) => (long)Math.Ceiling((share * steps) - Guard);
}
