using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

/// <summary>Random queries, keys and values.</summary>
internal static class AttentionInputs
{
    public static (Tensor Q, Tensor K, Tensor V) Draw(
        int seed, int batch, int heads, int keyValueHeads, int tokens, int headDim, int? valueDim = null, int? keys = null, ScalarType type = ScalarType.Float32, double size = 1)
    {
        var generator = new Generator((ulong)seed);
        Tensor One(int count, int rows, int width) => randn([batch, count, rows, width], generator: generator, dtype: type) * size;
        return (One(heads, tokens, headDim), One(keyValueHeads, keys ?? tokens, headDim), One(keyValueHeads, keys ?? tokens, valueDim ?? headDim));
    }

    /// <summary>Attention by the formula, in float64.</summary>
    public static (Tensor Output, Tensor Sums) ByFormula(Tensor q, Tensor k, Tensor v, Tensor? kept, double? scale = null)
    {
        (q, k, v) = (q.to(ScalarType.Float64), k.to(ScalarType.Float64), v.to(ScalarType.Float64));
        long group = q.shape[1] / k.shape[1];
        (k, v) = (k.repeat_interleave(group, 1), v.repeat_interleave(group, 1));
        Tensor scores = einsum("bhid,bhjd->bhij", q, k) * (scale ?? 1 / Math.Sqrt(q.shape[3]));
        if (kept is not null) scores = scores.masked_fill(kept.logical_not(), double.NegativeInfinity);
        Tensor most = scores.amax([-1L], keepdim: true).clamp_min(-1e300), weights = (scores - most).exp(), sums = weights.sum(-1, keepdim: true);
        return (einsum("bhij,bhjd->bhid", weights / sums.clamp_min(1e-300), v), (most + sums.log()).squeeze(-1));
    }

    public static Tensor Causal(long tokens, long keys) => ones([tokens, keys], dtype: ScalarType.Bool).tril(keys - tokens);

    public static double Far(Tensor a, Tensor b) => (a.to(ScalarType.Float64) - b.to(ScalarType.Float64)).abs().nan_to_num(1e9).max().item<double>();
}
