using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

internal static class LowRankData
{
    public static Tensor Gaussian(long rows, long columns, ulong seed) => randn([rows, columns], dtype: ScalarType.Float64, generator: new Generator(seed));

    /// <summary>|a - b| / |b|.</summary>
    public static double Distance(Tensor a, Tensor b) => (a.to(ScalarType.Float64) - b.to(ScalarType.Float64)).norm().item<double>() / Math.Max(b.to(ScalarType.Float64).norm().item<double>(), 1e-300);

    /// <summary>A diagonal matrix.</summary>
    public static Tensor Diagonal(params double[] values) => diag(tensor(values));
}
