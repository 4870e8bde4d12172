using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Solvers;

/// <summary>
/// A problem given by formulas and its solutions from scikit-learn 1.2.1 (Debian): n = 8, p = 12, D rows cos(0.7 (i+1)(j+1) + 0.3 i^2)
/// scaled to unit norm, X rows sin(1.1 (s+1)(j+1)) + 0.5 cos(0.4 j (s+2)). Lasso(alpha/n, tol=1e-14), ElasticNet(0.5/n, l1_ratio=0.4,
/// tol=1e-14), lars_path(method="lasso"), orthogonal_mp_gram, all without intercept.
/// </summary>
internal static class Peer
{
    public const double Strength = 0.3;

    public static double[] Lasso { get; } =
    [
        2.0678544494244138, -0.890447561728468, 0, 0, 0, 0, 0, 0, 0.5791898318424812, 0.0009926818132723336, 0, 0,
        0, -0.317693088076131, 0, 0.08905856408269887, 0, 0, -0.5924605948632066, 0, 0, 0, 0, 1.8459766850820738,
        0, 0.1967403522254922, 0, 1.0637156816189557, 0.9137514310133592, -0.44914363521862005, 0, 0, 0, 0, 0.23028504256586085, 0,
    ];

    public static double[] NonNegative { get; } =
    [
        2.3403554423612527, 0, 0, 0, 0, 0, 0, 0, 0.7860651440001775, 0, 0, 0,
        0.021378152816033173, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5993412800231819, 1.904594168677942,
        0, 0.2651156520464693, 0.17312083622918042, 0.9969950863483201, 0.9436525739895314, 0, 0, 0, 0, 0, 0.2714893525187318, 0,
    ];

    /// <summary>lambda1 = 0.2, lambda2 = 0.3.</summary>
    public static double[] ElasticNet { get; } =
    [
        1.1952028787391986, -0.8289407950092932, 0, 0, 0, 0, 0, -0.35830402322346283, 0.48556599018815644, 0.608061178363609, 0, 0,
        0, -0.3773004420226128, -0.17577582126148028, 0.19108202825986387, 0, 0.7619830758565201, -0.38163193597369005, -0.003073842884522047, 0, 0, 0.22441780322103494, 0.7961124985269715,
        0, 0.26630032601148673, 0, 0.9068109948027071, 0.8257356041415624, -0.28934226839476224, -0.05689737766726352, 0, 0, 0, 0.23179793771409923, -0.15978358576114762,
    ];

    /// <summary>Knots of sample 0.</summary>
    public static double[] Knots { get; } =
    [
        2.4948557506951183, 1.6000942254811465, 0.8242142073294706, 0.3019655479285477, 0.10303738237959219, 0.0654980054815858, 0.060686788739731566, 0.016779928957391884,
    ];

    public static double[] AtEnd { get; } =
    [
        2.3188954767948506, -1.0162513445542254, -0.07349088113017478, -0.11748502664074165, 0.03386904761047728, 0, 0, 0, 0.9320034275095936, 0.15158349146609118, -0.045546981564715774, 0,
    ];

    /// <summary>orthogonal_mp_gram(D D^T, D x, tol=0.5, norms_squared=x^T x): tol bounds the squared residual norm.</summary>
    public static double[] OmpToError { get; } =
    [
        2.3885164279084674, -1.0482640573521664, 0, 0, 0, 0, 0, 0, 0.9107135662772488, 0, 0, 0,
        0, 0, 0, 0, 0, 0, -0.956222859041701, 0, 0, 0, 0, 2.1590979706782085,
        0, 0, 0, 1.3793055852297393, 1.1013918987665443, -0.7934589025080584, 0, 0, 0, 0, 0, 0,
    ];

    public static Tensor Dictionary()
    {
        using var scope = NewDisposeScope();
        Tensor raw = Table(12, 8, (i, j) => Math.Cos((0.7 * (i + 1) * (j + 1)) + (0.3 * i * i)));
        return raw.div(raw.norm(1, keepdim: true)).MoveToOuterDisposeScope();
    }

    public static Tensor X() => Table(3, 8, (s, j) => Math.Sin(1.1 * (s + 1) * (j + 1)) + (0.5 * Math.Cos(0.4 * j * (s + 2))));

    public static void Near(IReadOnlyList<double> expected, IReadOnlyList<double> actual, double tolerance)
    {
        Assert.Equal(expected.Count, actual.Count);
        for (int i = 0; i < expected.Count; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= tolerance, $"[{i}]: expected {expected[i]}, but was {actual[i]}");
    }

    private static Tensor Table(int rows, int columns, Func<int, int, double> value)
    {
        double[,] table = new double[rows, columns];
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++) table[i, j] = value(i, j);
        }

        return tensor(table);
    }
}
