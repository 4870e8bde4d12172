using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// The Lorentz model of hyperbolic space: points x = (x_0, x_rest) on the upper sheet -x_0^2 + |x_rest|^2 = 1/K, K &lt; 0 (Nickel and Kiela 2018; Chen et al. 2022).
/// </summary>
public static class LorentzMath
{
    /// <summary>How far &lt;x, x&gt; may be from 1/K, relative to the size of its terms, before a point counts as off the sheet.</summary>
    public const double Tolerance = 1e-3;

    /// <summary>-x_0 y_0 + x_rest . y_rest.</summary>
    /// <param name="x">[..., d + 1].</param>
    /// <param name="y">[..., d + 1], of a shape that broadcasts.</param>
    /// <returns>[...].</returns>
    public static Tensor Inner(Tensor x, Tensor y)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        using DisposeScope scope = NewDisposeScope();
        Tensor terms = x * y;
        return (terms.sum(-1) - (2 * terms.select(-1, 0))).MoveToOuterDisposeScope();
    }

    /// <summary>The point of the sheet above some coordinates: (sqrt(|rest|^2 - 1/K), rest).</summary>
    /// <param name="rest">[..., d].</param>
    /// <param name="curvature">K, negative. Default -1.</param>
    /// <returns>[..., d + 1].</returns>
    /// <exception cref="ArgumentOutOfRangeException">K is not negative.</exception>
    public static Tensor Lift(Tensor rest, double curvature = -1)
    {
        ArgumentNullException.ThrowIfNull(rest);
        CheckCurvature(curvature);
        using DisposeScope scope = NewDisposeScope();

        // In float64: squares of numbers that narrower types hold have no place in them.
        if (IsNarrow(rest)) return Lift(rest.to(ScalarType.Float64), curvature).to(rest.dtype).MoveToOuterDisposeScope();
        return cat([(rest.square().sum(-1, keepdim: true) - (1 / curvature)).sqrt(), rest], -1).MoveToOuterDisposeScope();
    }

    /// <summary>arcosh(K &lt;x, y&gt;) / sqrt(-K), not negative.</summary>
    /// <param name="x">[..., d + 1], on the sheet.</param>
    /// <param name="y">[..., d + 1], on the sheet, of a shape that broadcasts.</param>
    /// <param name="curvature">K, negative. Default -1.</param>
    /// <returns>[...].</returns>
    /// <remarks>By K &lt;x, y&gt; - 1 = -K/2 &lt;x - y, x - y&gt;, which is exactly 0 for equal points and keeps the digits of near ones. Its gradient at equal points is 0.</remarks>
    /// <exception cref="ArgumentException">K is not negative, or a point is off the sheet; its row is named.</exception>
    public static Tensor Distance(Tensor x, Tensor y, double curvature = -1)
    {
        CheckOnSheet(x, curvature, nameof(x));
        CheckOnSheet(y, curvature, nameof(y));
        using DisposeScope scope = NewDisposeScope();
        if (IsNarrow(x) && IsNarrow(y)) return Distance(x.to(ScalarType.Float64), y.to(ScalarType.Float64), curvature).to(promote_types(x.dtype, y.dtype)).MoveToOuterDisposeScope();
        Tensor apart = x - y, above = (Inner(apart, apart) * (-curvature / 2)).clamp_min(0);

        // arcosh(1 + a) = log(1 + a + sqrt(a (a + 2))); a root at 0 has no gradient, so it is taken of 1 there and left out.
        Tensor some = above.gt(0), safe = where(some, above, 1);
        Tensor length = (safe + (safe * (safe + 2)).sqrt()).log1p() / Math.Sqrt(-curvature);
        return where(some, length, zeros_like(length)).MoveToOuterDisposeScope();
    }

    /// <summary>Throws where points are off the sheet.</summary>
    /// <param name="x">[..., d + 1].</param>
    /// <param name="curvature">K, negative.</param>
    /// <param name="name">Name in messages.</param>
    /// <exception cref="ArgumentException">K is not negative, or a point is off the sheet by more than <see cref="Tolerance"/>, or not finite; its row is named.</exception>
    public static void CheckOnSheet(Tensor x, double curvature, string name)
    {
        ArgumentNullException.ThrowIfNull(x);
        CheckCurvature(curvature);
        if (x.dim() == 0 || x.shape[^1] < 2) throw new ArgumentException($"{name} must be [..., d + 1] with d at least 1, but is [{string.Join(", ", x.shape)}].", name);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = x.detach().to(ScalarType.Float64).reshape(-1, x.shape[^1]), first = rows.select(1, 0);
        Tensor wrong = ((Inner(rows, rows) - (1 / curvature)).abs() / (first.square() - (1 / curvature))).le(Tolerance).logical_and(first.gt(0)).logical_not();
        if (!wrong.any().item<bool>()) return;
        long row = wrong.to(ScalarType.Int32).argmax().item<long>();
        throw new ArgumentException($"Row {row} of {name} is off the sheet: <x, x> is {Inner(rows[row], rows[row]).item<double>():G4}, and 1/K is {1 / curvature:G4}.", name);
    }

    private static bool IsNarrow(Tensor x) => x.dtype is ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;

    internal static void CheckCurvature(double curvature)
    {
        if (!(curvature < 0 && double.IsFinite(curvature))) throw new ArgumentOutOfRangeException(nameof(curvature), curvature, "The curvature must be negative and finite.");
    }
}
