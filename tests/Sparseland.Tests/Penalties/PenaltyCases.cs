using Sparseland.Penalties;

namespace Sparseland.Tests.Penalties;

/// <summary>The penalties that the tests below walk through.</summary>
internal static class PenaltyCases
{
    public static readonly string[] Names =
        ["l1", "l0", "l1/2", "l2/3", "SCAD", "MCP", "CEL0", "CEL0 c=0.7", "CEL0 c=3", "log-sum", "log-sum jump", "elastic net"];

    public static ISeparablePenalty Create(string name, double strength) => name switch
    {
        "l1" => new L1(strength),
        "l0" => new L0(strength),
        "l1/2" => new LHalf(strength),
        "l2/3" => new LTwoThirds(strength),
        "SCAD" => new Scad(strength, 3.2),
        "MCP" => new Mcp(strength, 2.1),
        "CEL0" => new Cel0(strength),
        "CEL0 c=0.7" => new Cel0(strength, 0.7),
        "CEL0 c=3" => new Cel0(strength, 3),
        "log-sum" => new LogSum(strength, 2),
        "log-sum jump" => new LogSum(strength, 0.05),
        "elastic net" => new ElasticNet(strength, 0.8),
        _ => throw new ArgumentException($"No case {name}.", nameof(name)),
    };

    public static TheoryData<string> All() => [.. Names];

    /// <summary>Smallest |z| with a non-zero prox, by bisection on the prox itself.</summary>
    public static double Cut(ISeparablePenalty penalty, double step)
    {
        double low = 0, high = 100;
        while (true)
        {
            double middle = (low + high) / 2;
            if (middle <= low || middle >= high) return high;
            if (penalty.Prox(middle, step) == 0) low = middle;
            else high = middle;
        }
    }
}
