using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Drawn heads and plain references.</summary>
internal static class AttentionData
{
    public static Tensor Draw(long seed, params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: new Generator((ulong)seed));

    public static (Tensor Q, Tensor K, Tensor V) Heads(int tokens, int headDim = 8, int batch = 2, int heads = 4, int keyHeads = 2, long seed = 1) =>
        (Draw(seed, batch, heads, tokens, headDim), Draw(seed + 1, batch, keyHeads, tokens, headDim), Draw(seed + 2, batch, keyHeads, tokens, 5));

    /// <summary>Rows of weights over values: W V / W 1.</summary>
    public static Tensor Quotient(Tensor weights, Tensor v)
    {
        Tensor values = v.repeat_interleave(weights.shape[1] / v.shape[1], 1);
        return weights.matmul(values).div(weights.sum(-1, keepdim: true));
    }

    public static void AssertClose(Tensor expected, Tensor actual, double tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        double apart = expected.numel() == 0 ? 0 : (expected.to(ScalarType.Float64) - actual.to(ScalarType.Float64)).abs().max().item<double>();
        Assert.True(apart <= tolerance, $"{apart} apart, at most {tolerance} allowed");
    }
}
