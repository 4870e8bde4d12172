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

    public static void Apply<TRule, T>(in TRule rule, ReadOnlySpan<T> z, Span<T> result)
        where TRule : struct, IThresholdRule<T>
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Guard.SameLength(z.Length, result.Length, nameof(z), nameof(result));
        TRule local = rule;
        Vector512<T> cut = Vector512.Create(local.Cut);
        int i = 0, width = Vector512<T>.Count;
        for (; i <= z.Length - width; i += width)
        {
            Vector512<T> v = Vector512.Create(z.Slice(i, width));
            Vector512<T> a = Vector512.Abs(v);
            Vector512<T> zero = Vector512.LessThanOrEqual(a, cut);
            if (zero == Vector512<T>.AllBitsSet)
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

        for (; i < z.Length; i++) result[i] = Apply(local, z[i]);
    }
}

/// <summary>Soft thresholding, optionally scaled: (a - cut) scale. Scale 1 is l1, 1/(1 + t lambda2) the elastic net.</summary>
internal readonly struct SoftThreshold<T>(double cut, double scale = 1) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _scale = Guard.To<T>(scale);

    public T Cut { get; } = Guard.To<T>(cut);

    public T Magnitude(T a) => (a - Cut) * _scale;

    public Vector512<T> Magnitude(Vector512<T> a) => (a - Vector512.Create(Cut)) * _scale;
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

/// <summary>SCAD's three pieces (Fan and Li 2001, eq. 2.8, with a step).</summary>
internal readonly struct ScadThreshold<T>(double strength, double a, double step) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _softEnd = Guard.To<T>((1 + step) * strength);
    private readonly T _slope = Guard.To<T>((a - 1) / (a - 1 - step));
    private readonly T _offset = Guard.To<T>(a * step * strength / (a - 1 - step));
    private readonly T _knee = Guard.To<T>(a * strength);

    public T Cut { get; } = Guard.To<T>(step * strength);

    public T Magnitude(T m) => m <= _softEnd ? m - Cut : m <= _knee ? m * _slope - _offset : m;

    public Vector512<T> Magnitude(Vector512<T> m)
    {
        Vector512<T> middle = m * _slope - Vector512.Create(_offset);
        Vector512<T> upper = Vector512.ConditionalSelect(Vector512.LessThanOrEqual(m, Vector512.Create(_knee)), middle, m);
        return Vector512.ConditionalSelect(
            Vector512.LessThanOrEqual(m, Vector512.Create(_softEnd)), m - Vector512.Create(Cut), upper);
    }
}

/// <summary>Half thresholding (Xu, Chang, Xu and Zhang 2012, eq. 16), mu = step lambda in the 1/2 (x - z)^2 convention.</summary>
internal readonly struct HalfThreshold<T>(double mu) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _quarter = Guard.To<T>(mu / 4);
    private readonly T _half = Guard.To<T>(mu / 2);

    public T Cut { get; } = Guard.To<T>(1.5 * Math.Cbrt(mu * mu));

    public T Magnitude(T a)
    {
        T third = a / Guard.To<T>(3);
        T phi = T.Acos(_quarter / (third * T.Sqrt(third)));
        T two = Guard.To<T>(2.0 / 3.0);
        return two * a * (T.One + T.Cos(two * (T.Pi - phi)));
    }

    /// <summary>
    /// Newton on u^3 - a u + mu/2 = 0, u = sqrt(x), the cubic that the cosine solves. From sqrt(a) it falls monotonically to the
    /// largest root, and above the cut (where f' >= a) six steps are exact to rounding; there is no vector arccosine.
    /// </summary>
    public Vector512<T> Magnitude(Vector512<T> a)
    {
        Vector512<T> u = Vector512.Sqrt(a);
        Vector512<T> half = Vector512.Create(_half);
        T three = Guard.To<T>(3);
        for (int step = 0; step < 6; step++)
        {
            Vector512<T> square = u * u;
            u -= (u * (square - a) + half) / (square * three - a);
        }

        return u * u;
    }
}

/// <summary>The l2/3 rule (Cao, Sun and Xu 2013), mu = step lambda in the 1/2 (x - z)^2 convention.</summary>
internal readonly struct TwoThirdsThreshold<T>(double mu) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _quartic = Guard.To<T>(2 / Math.Sqrt(3) * Math.Pow(2 * mu, 0.25));
    private readonly T _scale = Guard.To<T>(27.0 / 16.0 * Math.Pow(2 * mu, -1.5));

    public static bool HasVectorForm => false;

    public T Cut { get; } = Guard.To<T>(2 * Math.Pow(2 * mu / 3, 0.75));

    public T Magnitude(T a)
    {
        // y = x^(1/3) solves y^4 - a y + 2 mu/3 = 0; this is Ferrari's form of its largest root.
        T phi = T.Acosh(_scale * a * a);
        T root = _quartic * T.Sqrt(T.Cosh(phi / Guard.To<T>(3)));
        T y = (root + T.Sqrt(Guard.To<T>(2) * a / root - root * root)) / Guard.To<T>(2);
        return y * y * y;
    }

    public Vector512<T> Magnitude(Vector512<T> a) => throw new NotSupportedException("The l2/3 rule has no vector form.");
}

/// <summary>Log-sum: the larger root of (x - a)(x + epsilon) + mu = 0 above the cut.</summary>
internal readonly struct LogSumThreshold<T>(double mu, double epsilon) : IThresholdRule<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _epsilon = Guard.To<T>(epsilon);
    private readonly T _four = Guard.To<T>(4 * mu);

    public T Cut { get; } = Guard.To<T>(LogSum.Cut(mu, epsilon));

    public T Magnitude(T a)
    {
        T sum = a + _epsilon;
        return (a - _epsilon + T.Sqrt(T.Max(sum * sum - _four, T.Zero))) * Guard.To<T>(0.5);
    }

    public Vector512<T> Magnitude(Vector512<T> a)
    {
        Vector512<T> sum = a + Vector512.Create(_epsilon);
        Vector512<T> root = Vector512.Sqrt(Vector512.Max(sum * sum - Vector512.Create(_four), Vector512<T>.Zero));
        return (a - Vector512.Create(_epsilon) + root) * Guard.To<T>(0.5);
    }
}
