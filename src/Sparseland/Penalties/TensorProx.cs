using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Penalties;

/// <summary>Proximal operators on tensors.</summary>
public static class TensorProx
{
    // Fixed, so that the result never depends on the number of threads.
    private const int ChunkLength = 1 << 14;

    // Of coefficients that have nothing to do with each other: each piece of work must be worth handing out.
    private const int PieceLength = 1 << 15;

    /// <summary>prox(z, step) as a new tensor of the same shape and type.</summary>
    /// <param name="penalty">The penalty. A penalty with a <see cref="IPenalty.Length"/> is applied to each row of the last dimension.</param>
    /// <param name="z">float32 or float64 tensor on the CPU.</param>
    /// <param name="step">t, positive.</param>
    /// <exception cref="ArgumentException">Wrong type, device or row length, NaN, or a step that the penalty refuses.</exception>
    public static Tensor Prox(this IPenalty penalty, Tensor z, double step)
    {
        ArgumentNullException.ThrowIfNull(z);
        using DisposeScope scope = NewDisposeScope();
        Tensor source = z.contiguous();
        Check(penalty, source);
        Tensor result = empty_like(source);
        Run(penalty, source, result, step);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>Replaces z by prox(z, step).</summary>
    /// <param name="penalty">The penalty. A penalty with a <see cref="IPenalty.Length"/> is applied to each row of the last dimension.</param>
    /// <param name="z">Contiguous float32 or float64 tensor on the CPU.</param>
    /// <param name="step">t, positive.</param>
    /// <exception cref="ArgumentException">Wrong type, device, layout or row length, NaN, or a step that the penalty refuses.</exception>
    public static void ProxInPlace(this IPenalty penalty, Tensor z, double step)
    {
        Check(penalty, z);
        Run(penalty, z, z, step);
    }

    /// <summary>pen(x) over all entries, summed in double in a fixed order.</summary>
    /// <param name="penalty">The penalty.</param>
    /// <param name="x">float32 or float64 tensor on the CPU.</param>
    /// <exception cref="ArgumentException">Wrong type, device or row length.</exception>
    public static double Value(this IPenalty penalty, Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        using Tensor flat = x.contiguous();
        Check(penalty, flat);
        return flat.dtype == ScalarType.Float64 ? Sum<double>(penalty, flat) : Sum<float>(penalty, flat);
    }

    private static void Run(IPenalty penalty, Tensor source, Tensor result, double step)
    {
        if (source.dtype == ScalarType.Float64) Run<double>(penalty, source, result, step);
        else Run<float>(penalty, source, result, step);
    }

    private static unsafe void Run<T>(IPenalty penalty, Tensor source, Tensor result, double step)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Span<T> from = MemoryMarshal.Cast<byte, T>(source.bytes), to = MemoryMarshal.Cast<byte, T>(result.bytes);
        if (from.IsEmpty) return;
        int chunk = ChunkOf(penalty), length = from.Length;
        if (length <= chunk)
        {
            Apply<T>(penalty, from, to, 0, step);
            return;
        }

        fixed (T* first = from, firstResult = to)
        {
            T* input = first, output = firstResult;
            try
            {
                Pieces.For(length, chunk, (start, count) =>
                    Apply(penalty, new ReadOnlySpan<T>(input + start, count), new Span<T>(output + start, count), (int)start, step));
            }
            catch (AggregateException e) when (e.InnerExceptions.All(inner => inner is ArgumentException))
            {
                throw new ArgumentException(e.InnerExceptions[0].Message, "z", e.InnerExceptions[0]);
            }
        }
    }

    private static void Apply<T>(IPenalty penalty, ReadOnlySpan<T> z, Span<T> result, int offset, double step)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (penalty is IThresholdPenalty threshold)
        {
            // NaN in is NaN out, and z may be the same memory as the result.
            if (threshold.ProxMeetsNaN(z, step, result)) throw Refused<T>(result, offset);
            return;
        }

        if (TensorPrimitives.IsNaNAny(z)) throw Refused(z, offset);
        int row = penalty.Length ?? z.Length;
        for (int i = 0; i < z.Length; i += row) penalty.Prox(z.Slice(i, row), step, result.Slice(i, row));
    }

    private static ArgumentException Refused<T>(ReadOnlySpan<T> part, int offset)
        where T : unmanaged, IFloatingPointIeee754<T> => new($"z is NaN at flat index {offset + IndexOfNaN(part)}.", "z");

    private static int IndexOfNaN<T>(ReadOnlySpan<T> part)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int i = 0;
        while (!T.IsNaN(part[i])) i++;
        return i;
    }

    private static double Sum<T>(IPenalty penalty, Tensor x)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        ReadOnlySpan<T> all = MemoryMarshal.Cast<byte, T>(x.bytes);
        int chunk = penalty.Length ?? ChunkLength;
        double sum = 0;
        for (int i = 0; i < all.Length; i += chunk) sum += penalty.Value(all.Slice(i, Math.Min(chunk, all.Length - i)));
        return sum;
    }

    private static int ChunkOf(IPenalty penalty)
        => penalty.Length is int row ? Math.Max(1, ChunkLength / row) * row : PieceLength;

    private static void Check(IPenalty penalty, Tensor z)
    {
        ArgumentNullException.ThrowIfNull(penalty);
        ArgumentNullException.ThrowIfNull(z);
        if (z.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"The tensor is {z.dtype}; a prox takes Float32 or Float64.", nameof(z));
        if (z.device_type != DeviceType.CPU)
            throw new ArgumentException($"The tensor is on {z.device_type}; move it to the CPU first.", nameof(z));
        if (!z.is_contiguous())
            throw new ArgumentException("The tensor is not contiguous; call contiguous() first.", nameof(z));
        if (penalty.Length is int length && (z.dim() == 0 || z.shape[^1] != length))
        {
            throw new ArgumentException(
                $"The last dimension of [{string.Join(", ", z.shape)}] must be {length}, the number of coefficients of the {penalty.Name}.", nameof(z));
        }
    }
}
