namespace Sparseland.Autoencoders;

/// <summary>What float16 cannot hold: it would come back as infinity, or as nothing.</summary>
internal static class HalfRange
{
    /// <summary>The smallest number that is rounded to infinity.</summary>
    public const double LeastInfinite = 65520;

    // The smallest number of full precision.
    private const double LeastNormal = 6.1035e-5;

    /// <summary>Whether numbers of which this is the largest magnitude lose their precision or vanish.</summary>
    public static bool Vanishes(double largest) => largest is > 0 and < LeastNormal;
}
