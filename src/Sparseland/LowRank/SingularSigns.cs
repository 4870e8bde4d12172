using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Signs of singular vectors.</summary>
internal static class SingularSigns
{
    /// <summary>The pairs with the largest entry of each u positive. A pair and its negative are the same matrix, but not once a function stands between the factors.</summary>
    public static (Tensor U, Tensor Vt) Fix(Tensor u, Tensor vt)
    {
        Tensor largest = u.abs().argmax(0, keepdim: true), sign = where(u.gather(0, largest) < 0, -1.0, 1.0);
        return (u * sign, vt * sign.t());
    }
}
