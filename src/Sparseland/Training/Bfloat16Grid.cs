using System.Runtime.CompilerServices;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// The numbers of bfloat16: eight significant bits, so that those near w lie ulp(w) = 2^(floor(log2 |w|) - 7) apart. A weight that is kept in float32 and read in
/// bfloat16 looks unchanged until it has left the cell of all numbers that are rounded to its start, about ulp / 2 on each side.
/// </summary>
public static class Bfloat16Grid
{
    private const int Bits = 7, LeastExponent = -126;

    /// <summary>ulp(w): how far the next larger number in size is. Below the least normal number, 2^-126, and at 0 it is 2^-133.</summary>
    /// <param name="value">w, finite.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value that is not finite.</exception>
    public static double Spacing(double value)
    {
        if (!double.IsFinite(value)) throw new ArgumentOutOfRangeException(nameof(value), value, "value must be finite.");
        return Math.ScaleB(1, (value == 0 ? LeastExponent : Math.Max(Math.ILogB(value), LeastExponent)) - Bits);
    }

    /// <summary>
    /// How far a number of the grid can move towards zero and away from it before it is read as another one: half the distance to each neighbour. Below a power of two
    /// the numbers lie twice as dense, so there the way towards zero is ulp / 4.
    /// </summary>
    /// <param name="value">A number of the grid.</param>
    /// <returns>Both for 0 half the least number.</returns>
    /// <exception cref="ArgumentException">A value that is not finite, or not on the grid.</exception>
    public static (double TowardsZero, double Away) Cell(double value)
    {
        double spacing = Spacing(value);
        if (Math.IEEERemainder(value, spacing) != 0) throw new ArgumentException($"{value} is no number of bfloat16.", nameof(value));
        bool dense = Math.Abs(value) == Math.ScaleB(spacing, Bits) && Math.Abs(value) > Math.ScaleB(1, LeastExponent);
        return (dense ? spacing / 4 : spacing / 2, spacing / 2);
    }

    /// <summary>ulp of every number.</summary>
    /// <param name="values">Float32 or BFloat16, CPU, any shape and finite.</param>
    /// <returns>Float32, of the same shape.</returns>
    /// <exception cref="ArgumentException">Another type or device, or a value that is not finite.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Tensor Spacing(Tensor values)
    {
        Check(values, nameof(values));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor plain = values.to(ScalarType.Float32).contiguous(), result = empty_like(plain);
        ReadOnlySpan<float> from = TensorMemory.Read<float>(plain);
        Span<float> to = TensorMemory.Part<float>(TensorMemory.StartOf(result), 0, from.Length);
        for (int i = 0; i < from.Length; i++)
        {
            int exponent = (BitConverter.SingleToInt32Bits(from[i]) >> 23) & 0xFF;
            to[i] = exponent > Bits + 1
                ? BitConverter.Int32BitsToSingle((exponent - Bits) << 23)
                : MathF.ScaleB(1, Math.Max(exponent, 1) - 127 - Bits);
        }

        return result.MoveToOuterDisposeScope();
    }

    /// <summary>The nearest numbers of the grid, ties to even, in the type of the values.</summary>
    /// <param name="values">Any floating-point tensor.</param>
    public static Tensor Round(Tensor values)
    {
        ArgumentNullException.ThrowIfNull(values);
        using DisposeScope scope = NewDisposeScope();
        Tensor plain = values.detach(), rounded = plain.to(ScalarType.BFloat16).to(values.dtype, copy: true);
        if (values.dtype != ScalarType.Float64) return rounded.MoveToOuterDisposeScope();

        // Float64 goes over float32, where it may become a tie that it is not: then the neighbour on its side is nearer.
        Tensor single = plain.to(ScalarType.Float32), back = single.to(ScalarType.Float64);
        Tensor aside = nextafter(single, where(plain.gt(back), float.PositiveInfinity, float.NegativeInfinity).to(ScalarType.Float32)).to(ScalarType.BFloat16).to(ScalarType.Float64);
        Tensor nearer = (plain - aside).abs().lt((plain - rounded).abs()).logical_and(plain.ne(back));
        return aside.where(nearer, rounded).MoveToOuterDisposeScope();
    }

    /// <summary>Rounds every parameter of a network in place: the start of a training whose weights are read in bfloat16.</summary>
    /// <param name="model">The network.</param>
    public static void Round(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        using IDisposable off = no_grad();
        foreach (Parameter parameter in model.parameters())
        {
            using Tensor rounded = Round((Tensor)parameter);
            parameter.copy_(rounded);
        }
    }

    /// <summary>Whether every number is one of the grid.</summary>
    /// <param name="values">Any floating-point tensor; NaN is none.</param>
    public static bool Holds(Tensor values)
    {
        using DisposeScope scope = NewDisposeScope();
        return Round(values).eq(values).all().item<bool>();
    }

    /// <summary>Whether weights that moved by some way left their cell: |Delta| > ulp(w) / 2. Exact but for cells next to a power of two, and for ties.</summary>
    /// <param name="start">Weights w before, on the grid; Float32, CPU.</param>
    /// <param name="moved">Delta, of the same shape.</param>
    /// <returns>Bool, of the same shape.</returns>
    /// <exception cref="ArgumentException">Shapes differ, another type, or a value that is not finite.</exception>
    public static Tensor LeavesCell(Tensor start, Tensor moved)
    {
        Check(start, nameof(start));
        Check(moved, nameof(moved));
        if (!start.shape.SequenceEqual(moved.shape))
            throw new ArgumentException($"start is [{string.Join(", ", start.shape)}], moved [{string.Join(", ", moved.shape)}]; they must agree.", nameof(moved));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return moved.abs().gt(Spacing(start).mul(0.5)).MoveToOuterDisposeScope();
    }

    /// <summary>The weights of a network that left their cell.</summary>
    /// <param name="start">The network before, on the grid.</param>
    /// <param name="now">The same network later, in float32 and not rounded.</param>
    /// <returns>True where a weight left; dispose it.</returns>
    /// <exception cref="ArgumentException">Other parameters, or as for tensors.</exception>
    public static MaskSet LeavesCell(nn.Module start, nn.Module now)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return MaskSet.Of(now, ParameterPairs.Of(start, now).ToDictionary(p => p.Name, p => LeavesCell((Tensor)p.Before, p.After.sub(p.Before))));
    }

    private static void Check(Tensor values, string name)
    {
        ArgumentNullException.ThrowIfNull(values, name);
        if (values.dtype is not (ScalarType.Float32 or ScalarType.BFloat16)) throw new ArgumentException($"{name} is {values.dtype}; it must be Float32 or BFloat16.", name);
        if (values.device_type != DeviceType.CPU) throw new ArgumentException($"{name} is on {values.device_type}; move it to the CPU first.", name);
        using DisposeScope scope = NewDisposeScope();
        if (!TensorInput.IsFinite(values)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
    }
}
