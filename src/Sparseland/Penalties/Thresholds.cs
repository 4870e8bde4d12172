using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Penalties;

/// <summary>
/// A thresholding rule at a fixed step: 0 for |z| at or below a threshold, sign(z) Magnitude(|z|) above it. Every prox of an even
/// penalty that grows with |x| has this form.
/// </summary>
internal interface IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>False where only the scalar form exists; <see cref="Threshold"/> then calls that for the survivors.</summary>
    static virtual bool HasVectorForm => true;

    /// <summary>Largest |z| that gives 0.</summary>
    T Cut { get; }

    /// <summary>|prox| for a magnitude above the cut.</summary>
    T Magnitude(T a);

    /// <summary>The same for eight doubles or sixteen floats; lanes at or below the cut are ignored by the caller.</summary>
    Vector512<T> Magnitude(Vector512<T> a);
}

/// <summary>A penalty whose prox is a threshold rule and finds NaN on its way.</summary>
internal interface IThresholdPenalty : ISeparablePenalty
{
    /// <summary>The prox of a span; true where a number of it is NaN.</summary>
    bool ProxMeetsNaN<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>;
}

/// <summary>Applies a rule to one number or to a span. The loop is compiled for each rule and each number type.</summary>
internal static class Threshold
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<TRule, T>(in TRule rule, T z)
        where TRule : struct, IThresholdRule<T>
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T a = T.Abs(z);

        // Written so that NaN falls through to Magnitude and comes out as NaN.
        return a <= rule.Cut ? T.Zero : T.CopySign(rule.Magnitude(a), z);
    }

    /// <summary>Applies a rule to a span and says whether it met a NaN: seen in passing, that costs nothing where memory is the limit.</summary>
    /// <remarks>Compiled in full at once: a first call in a notebook would run the vectors unoptimized.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool Apply<TRule, T>(in TRule rule, ReadOnlySpan<T> z, Span<T> result)
        where TRule : struct, IThresholdRule<T>
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Guard.SameLength(z.Length, result.Length, nameof(z), nameof(result));
        TRule local = rule;
        Vector512<T> cut = Vector512.Create(local.Cut), numbers = Vector512<T>.AllBitsSet;
        int i = 0, width = Vector512<T>.Count;
        for (; i <= z.Length - width; i += width)
        {
            Vector512<T> v = Vector512.Create(z.Slice(i, width));
            Vector512<T> a = Vector512.Abs(v);
            numbers &= Vector512.Equals(v, v);
            Vector512<T> zero = Vector512.LessThanOrEqual(a, cut);
            if (zero.AsByte() == Vector512<byte>.AllBitsSet)
            {
                Vector512<T>.Zero.CopyTo(result.Slice(i, width));
            }
            else if (TRule.HasVectorForm)
            {
                Vector512<T> signed = Vector512.CopySign(local.Magnitude(a), v);
                Vector512.ConditionalSelect(zero, Vector512<T>.Zero, signed).CopyTo(result.Slice(i, width));
            }
            else
            {
                for (int j = i; j < i + width; j++) result[j] = Apply(local, z[j]);
            }
        }

        // As floating-point numbers all bits set are NaN, which equals nothing.
        bool nan = numbers.AsByte() != Vector512<byte>.AllBitsSet;
        for (; i < z.Length; i++)
        {
            nan |= T.IsNaN(z[i]);
            result[i] = Apply(local, z[i]);
        }

        return nan;
    }
}

/// <summary>Soft thresholding: a - cut.</summary>
internal readonly struct SoftThreshold<T>(double cut) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    public T Cut { get; } = Guard.To<T>(cut);

    public T Magnitude(T a) => a - Cut;

    public Vector512<T> Magnitude(Vector512<T> a) => a - Vector512.Create(Cut);
}

/// <summary>
/// The elastic net's rule: (a - cut)/(1 + shrink). The quotient is two factors, the second 1 for all but huge shrinks: of those
/// 1/(1 + shrink) may be below the range of T where the result is not.
/// </summary>
internal readonly struct ShrunkSoftThreshold<T>(double cut, double step, double ridge) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const double Least = 1e-30;
    private readonly T _first = Guard.To<T>(step * ridge < 1 / Least ? 1 / (1 + (step * ridge)) : Least);
    private readonly T _second = Guard.To<T>(step * ridge < 1 / Least ? 1 : Scaled.Product(1 / step, 1 / ridge, 1 / Least));

    public T Cut { get; } = Guard.To<T>(cut);

    public T Magnitude(T a) => (a - Cut) * _first * _second;

    public Vector512<T> Magnitude(Vector512<T> a) => (a - Vector512.Create(Cut)) * _first * _second;
}

/// <summary>Hard thresholding: the value itself.</summary>
internal readonly struct HardThreshold<T>(double cut) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    public T Cut { get; } = Guard.To<T>(cut);

    public T Magnitude(T a) => a;

    public Vector512<T> Magnitude(Vector512<T> a) => a;
}

/// <summary>
/// Firm thresholding: min(a, (a - cut) scale) with scale > 1. Beyond the knee the line lies above a, so the minimum picks the
/// identity there without a second comparison. MCP and CEL0 are both this rule.
/// </summary>
internal readonly struct FirmThreshold<T>(double cut, double scale) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _scale = Guard.To<T>(scale);

    public T Cut { get; } = Guard.To<T>(cut);

    public T Magnitude(T a) => T.Min(a, (a - Cut) * _scale);

    public Vector512<T> Magnitude(Vector512<T> a) => Vector512.Min(a, (a - Vector512.Create(Cut)) * _scale);
}

/// <summary>
/// SCAD's three pieces (Fan and Li 2001, eq. 2.8, with a step). The middle line starts where soft thresholding ends, at lambda, with a
/// slope above 1; beyond the knee it lies above a, so the minimum picks the identity there. Written from that end nothing overflows
/// below the knee.
/// </summary>
internal readonly struct ScadThreshold<T>(double strength, double a, double step) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _strength = Guard.To<T>(strength);
    private readonly T _softEnd = Guard.To<T>((1 + step) * strength);
    private readonly T _slope = Guard.To<T>((a - 1) / (a - 1 - step));

    public T Cut { get; } = Guard.To<T>(step * strength);

    public T Magnitude(T m) => m <= _softEnd ? m - Cut : T.Min(m, (m - _softEnd) * _slope + _strength);

    public Vector512<T> Magnitude(Vector512<T> m)
    {
        Vector512<T> softEnd = Vector512.Create(_softEnd);
        Vector512<T> upper = Vector512.Min(m, (m - softEnd) * _slope + Vector512.Create(_strength));
        return Vector512.ConditionalSelect(Vector512.LessThanOrEqual(m, softEnd), m - Vector512.Create(Cut), upper);
    }
}

/// <summary>
/// Half thresholding (Xu, Chang, Xu and Zhang 2012, eq. 16), mu = step lambda in the 1/2 (x - z)^2 convention. With x = a u^2 the
/// stationary points solve u^3 - u + q/2 = 0, q = mu/a^(3/2), the cubic that the paper's cosine solves. Only ratios occur, so no
/// magnitude overflows, and the scalar form is the vector form, number by number.
/// </summary>
/// <remarks>
/// Newton from u = 1 falls monotonically to the largest root; above the cut, where u^2 >= 2/3 and the derivative is at least 1, six steps
/// are exact to rounding.
/// </remarks>
internal readonly struct HalfThreshold<T>(double step, double strength) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Steps = 6;

    // mu^(2/3), at most 2/3 of any a above the cut.
    private readonly T _root = Guard.To<T>(Scaled.TwoThirds(step, strength));

    public T Cut { get; } = Guard.To<T>(1.5 * Scaled.TwoThirds(step, strength));

    public T Magnitude(T a)
    {
        T ratio = _root / a, half = ratio * T.Sqrt(ratio) * Guard.To<T>(0.5), u = T.One, three = Guard.To<T>(3);
        for (int n = 0; n < Steps; n++)
        {
            T square = u * u;
            u -= (u * (square - T.One) + half) / (square * three - T.One);
        }

        return u * u * a;
    }

    public Vector512<T> Magnitude(Vector512<T> a)
    {
        Vector512<T> ratio = Vector512.Create(_root) / a, half = ratio * Vector512.Sqrt(ratio) * Guard.To<T>(0.5), u = Vector512<T>.One;
        T three = Guard.To<T>(3);
        for (int n = 0; n < Steps; n++)
        {
            Vector512<T> square = u * u;
            u -= (u * (square - Vector512<T>.One) + half) / (square * three - Vector512<T>.One);
        }

        return u * u * a;
    }
}

/// <summary>
/// The l2/3 rule (Cao, Sun and Xu 2013), mu = step lambda in the 1/2 (x - z)^2 convention. With x = a u^3 the stationary points solve
/// u^4 - u + p = 0, p = (2 mu/3)/a^(4/3), the quartic that the paper's hyperbolic cosine solves; only ratios occur.
/// </summary>
/// <remarks>
/// Newton from u = 1 falls monotonically to the largest root; above the cut, where u^3 >= 1/2 and the derivative is at least 1, six steps
/// are exact to rounding.
/// </remarks>
internal readonly struct TwoThirdsThreshold<T>(double step, double strength) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // (2 mu/3)^(3/4), at most half of any a above the cut.
    private readonly T _root = Guard.To<T>(Scaled.ThreeQuarters(step, 2 * (strength / 3)));

    public static bool HasVectorForm => false;

    public T Cut { get; } = Guard.To<T>(2 * Scaled.ThreeQuarters(step, 2 * (strength / 3)));

    public T Magnitude(T a)
    {
        T ratio = _root / a, p = ratio * T.Cbrt(ratio), u = T.One, four = Guard.To<T>(4);
        for (int n = 0; n < 6; n++)
        {
            T cube = u * u * u;
            u -= (u * (cube - T.One) + p) / (cube * four - T.One);
        }

        return u * u * u * a;
    }

    public Vector512<T> Magnitude(Vector512<T> a) => throw new NotSupportedException("The l2/3 rule has no vector form.");
}

/// <summary>
/// Log-sum: the larger root of (x - a)(x + epsilon) + mu = 0 above the cut. In units of the larger of a and epsilon, so that nothing
/// overflows, and where epsilon is the larger by the form of the root that does not subtract it from itself.
/// </summary>
internal readonly struct LogSumThreshold<T>(double step, double strength, double epsilon) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _epsilon = Guard.To<T>(epsilon);
    private readonly T _root = Guard.To<T>(Scaled.Root(step, strength));
    private readonly T _rootShare = Guard.To<T>(Scaled.Root(step, strength) / epsilon);
    private readonly T _slope = Guard.To<T>(Scaled.Quotient(step, strength, epsilon));

    public T Cut { get; } = Guard.To<T>(LogSum.Cut(step, strength, epsilon));

    public T Magnitude(T a)
    {
        bool isLarge = a >= _epsilon;
        T share = isLarge ? _epsilon / a : a / _epsilon;
        T twice = Guard.To<T>(2) * (isLarge ? _root / a : _rootShare), sum = T.One + share;
        T rest = T.One - share, root = T.Sqrt(T.Max((sum - twice) * (sum + twice), T.Zero));
        return T.Min(a, isLarge ? (rest + root) * Guard.To<T>(0.5) * a : (a - _slope) * (Guard.To<T>(2) / (rest + root)));
    }

    public Vector512<T> Magnitude(Vector512<T> a)
    {
        T half = Guard.To<T>(0.5), two = Guard.To<T>(2);
        Vector512<T> epsilon = Vector512.Create(_epsilon), one = Vector512<T>.One;
        Vector512<T> isLarge = Vector512.GreaterThanOrEqual(a, epsilon);
        Vector512<T> share = Vector512.ConditionalSelect(isLarge, epsilon, a) / Vector512.ConditionalSelect(isLarge, a, epsilon);
        Vector512<T> twice = Vector512.ConditionalSelect(isLarge, Vector512.Create(_root) / a, Vector512.Create(_rootShare)) * two;
        Vector512<T> sum = one + share, rest = one - share;
        Vector512<T> root = Vector512.Sqrt(Vector512.Max((sum - twice) * (sum + twice), Vector512<T>.Zero));
        Vector512<T> small = (a - Vector512.Create(_slope)) * (Vector512.Create(two) / (rest + root));
        return Vector512.Min(a, Vector512.ConditionalSelect(isLarge, (rest + root) * half * a, small));
    }
}
