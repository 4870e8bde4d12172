using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sparseland.Kernels;

/// <summary>
/// What a convolution does with some neighbouring numbers at once. Each form rounds every number alike (one rounding per multiplication and addition), so that a kernel
/// written once gives the same bits on every path.
/// </summary>
/// <typeparam name="V">The numbers together.</typeparam>
internal unsafe interface ILanes<V>
    where V : unmanaged
{
    /// <summary>How many numbers.</summary>
    static abstract int Count { get; }

    /// <summary>One number in all lanes.</summary>
    static abstract V Broadcast(float value);

    /// <summary>Reads all lanes.</summary>
    static abstract V Load(float* from);

    /// <summary>Writes all lanes.</summary>
    static abstract void Store(float* to, V value);

    /// <summary>Lanes below a count.</summary>
    static abstract V Mask(int count);

    /// <summary>Reads the lanes of a mask and nothing else.</summary>
    static abstract V Load(float* from, V mask);

    /// <summary>Writes the lanes of a mask and nothing else.</summary>
    static abstract void Store(float* to, V mask, V value);

    /// <summary>a b + c, rounded once.</summary>
    static abstract V MultiplyAdd(V a, V b, V c);

    /// <summary>Cut to low and high; NaN stays.</summary>
    static abstract V Clamp(V value, V low, V high);

    /// <summary>a + b.</summary>
    static abstract V Add(V a, V b);

    /// <summary>a - b.</summary>
    static abstract V Subtract(V a, V b);

    /// <summary>a b.</summary>
    static abstract V Multiply(V a, V b);

    /// <summary>The larger of each two; NaN where one is.</summary>
    static abstract V Max(V a, V b);

    /// <summary>Lanes of a mask from one, the others from another.</summary>
    static abstract V Select(V mask, V inside, V outside);

    /// <summary>2^x for x of at most 0, to 2e-7 of itself: 0 below -126, where numbers lose their precision, and for -infinity; NaN stays.</summary>
    static abstract V PowerOfTwo(V x);
}

/// <summary>Sixteen: AVX-512.</summary>
internal readonly unsafe struct Lanes16 : ILanes<Vector512<float>>
{
    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 16;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Broadcast(float value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* from) => Vector512.Load(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* to, Vector512<float> value) => value.Store(to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Mask(int count) => Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* from, Vector512<float> mask) => Avx512F.MaskLoad(from, mask, Vector512<float>.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* to, Vector512<float> mask, Vector512<float> value) => Avx512F.MaskStore(to, mask, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Vector512.FusedMultiplyAdd(a, b, c);

    // The instruction gives its second operand where one is NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Clamp(Vector512<float> value, Vector512<float> low, Vector512<float> high) => Avx512F.Min(high, Avx512F.Max(low, value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Subtract(Vector512<float> a, Vector512<float> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Multiply(Vector512<float> a, Vector512<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Max(Vector512<float> a, Vector512<float> b) => Vector512.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Select(Vector512<float> mask, Vector512<float> inside, Vector512<float> outside) => Vector512.ConditionalSelect(mask, inside, outside);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> PowerOfTwo(Vector512<float> x)
    {
        Vector512<float> tiny = Vector512.LessThan(x, Vector512.Create(Exp2.Lowest)), whole = Vector512.Round(x), rest = x - whole, sum = Vector512.Create(Exp2.C6);
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(Exp2.C5));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(Exp2.C4));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(Exp2.C3));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(Exp2.C2));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512.Create(Exp2.C1));
        sum = Vector512.FusedMultiplyAdd(sum, rest, Vector512<float>.One);
        Vector512<int> exponent = Vector512.ConvertToInt32Native(whole) + Vector512.Create(127);
        return Vector512.AndNot(sum * (Vector512.ShiftLeft(exponent, 23)).AsSingle(), tiny);
    }
}

/// <summary>Eight: AVX2.</summary>
internal readonly unsafe struct Lanes8 : ILanes<Vector256<float>>
{
    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 8;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Broadcast(float value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(float* from) => Vector256.Load(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* to, Vector256<float> value) => value.Store(to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Mask(int count) => Vector256.LessThan(Vector256<int>.Indices, Vector256.Create(count)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(float* from, Vector256<float> mask) => Avx.MaskLoad(from, mask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* to, Vector256<float> mask, Vector256<float> value) => Avx.MaskStore(to, mask, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Fma.MultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Clamp(Vector256<float> value, Vector256<float> low, Vector256<float> high) => Avx.Min(high, Avx.Max(low, value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Max(Vector256<float> a, Vector256<float> b) => Vector256.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Select(Vector256<float> mask, Vector256<float> inside, Vector256<float> outside) => Vector256.ConditionalSelect(mask, inside, outside);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> PowerOfTwo(Vector256<float> x)
    {
        Vector256<float> tiny = Vector256.LessThan(x, Vector256.Create(Exp2.Lowest)), whole = Vector256.Round(x), rest = x - whole, sum = Vector256.Create(Exp2.C6);
        sum = Vector256.FusedMultiplyAdd(sum, rest, Vector256.Create(Exp2.C5));
        sum = Vector256.FusedMultiplyAdd(sum, rest, Vector256.Create(Exp2.C4));
        sum = Vector256.FusedMultiplyAdd(sum, rest, Vector256.Create(Exp2.C3));
        sum = Vector256.FusedMultiplyAdd(sum, rest, Vector256.Create(Exp2.C2));
        sum = Vector256.FusedMultiplyAdd(sum, rest, Vector256.Create(Exp2.C1));
        sum = Vector256.FusedMultiplyAdd(sum, rest, Vector256<float>.One);
        Vector256<int> exponent = Vector256.ConvertToInt32Native(whole) + Vector256.Create(127);
        return Vector256.AndNot(sum * (Vector256.ShiftLeft(exponent, 23)).AsSingle(), tiny);
    }
}

/// <summary>One: the reference.</summary>
internal readonly unsafe struct Lanes1 : ILanes<float>
{
    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Broadcast(float value) => value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(float* from) => *from;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* to, float value) => *to = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Mask(int count) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(float* from, float mask) => *from;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* to, float mask, float value) => *to = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MultiplyAdd(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Clamp(float value, float low, float high) => value < low ? low : value > high ? high : value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Add(float a, float b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Subtract(float a, float b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Multiply(float a, float b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(float a, float b) => MathF.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Select(float mask, float inside, float outside) => mask != 0 ? inside : outside;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float PowerOfTwo(float x) => x < Exp2.Lowest ? 0 : MathF.Pow(2, x);
}

/// <summary>2^x = 2^round(x) times a series in the rest, ln(2)^k / k!.</summary>
internal static class Exp2
{
    public const float Lowest = -126, C1 = 0.69314718056f, C2 = 0.24022650696f, C3 = 0.05550410866f, C4 = 0.00961812911f, C5 = 0.00133335581f, C6 = 0.00015403530f;
}
