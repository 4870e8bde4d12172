using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Routing;

/// <summary>How differently heads attend (Roy et al. 2021, section 6).</summary>
public static class HeadDivergence
{
    /// <summary>Mean Jensen-Shannon divergence of two patterns over their rows: 0 for equal ones, ln 2 = 0.693 for disjoint ones.</summary>
    /// <param name="first">Rows of weights [..., tokens, keys], brought to sum one here: a token whose list shows it nothing has less.</param>
    /// <param name="second">Of the same shape.</param>
    /// <returns>In nats. Rows without any weight in one of the two are left out; NaN where none is left.</returns>
    /// <exception cref="ArgumentException">Shapes differ, or a weight is negative or not finite.</exception>
    public static double JensenShannon(Tensor first, Tensor second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.dim() < 1 || first.numel() == 0 || !first.shape.SequenceEqual(second.shape))
            throw new ArgumentException($"The patterns are [{string.Join(", ", first.shape)}] and [{string.Join(", ", second.shape)}]; they must agree and not be empty.", nameof(second));
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        (Tensor p, Tensor r) = (first.detach().to(ScalarType.Float64), second.detach().to(ScalarType.Float64));
        foreach ((string name, Tensor x) in new[] { (nameof(first), p), (nameof(second), r) })
        {
            if (!x.isfinite().logical_and(x.ge(0)).all().item<bool>()) throw new ArgumentException($"{name} holds a weight that is negative or not finite.", name);
        }

        Tensor counted = p.sum(-1).gt(0).logical_and(r.sum(-1).gt(0));
        (p, r) = (p.div(p.sum(-1, keepdim: true).clamp_min(1e-300)), r.div(r.sum(-1, keepdim: true).clamp_min(1e-300)));
        Tensor mean = p.add(r).div(2);
        Tensor rows = Information(p, mean).add(Information(r, mean)).div(2);
        return rows.masked_select(counted).mean().item<double>();
    }

    /// <summary>sum p log(p / m), 0 log 0 = 0.</summary>
    private static Tensor Information(Tensor p, Tensor mean) => p.mul(p.clamp_min(1e-300).log().sub(mean.clamp_min(1e-300).log())).sum(-1);
}
