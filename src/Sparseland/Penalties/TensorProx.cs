using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Penalties;

/// <summary>Proximal operators on tensors.</summary>
public static class TensorProx
{
    // Fixed, so that the result never depends on the number of threads.
    private const int ChunkLength = 1 << 14;

    /// <summary>prox(z, step) as a new tensor of the same shape and type.</summary>
    /// <param name="penalty">The penalty. A penalty with a <see cref="IPenalty.Length"/> is applied to each row of the last dimension.</param>
    /// <param name="z">float32 or float64 tensor on the CPU.</param>
    /// <param name="step">t, positive.</param>
    /// <exception cref="ArgumentException">Wrong type, device or row length, NaN, or a step that the penalty refuses.</exception>
    public static Tensor Prox(this IPenalty penalty, Tensor z, double step)
    {
        ArgumentNullException.ThrowIfNull(z);
        Tensor result = z.is_contiguous() ? z.clone() : z.contiguous();
        try
        {
            penalty.ProxInPlace(result, step);
            return result;
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    /// <summary>Replaces z by prox(z, step).</summary>
    /// <param name="penalty">The penalty. A penalty with a <see cref="IPenalty.Length"/> is applied to each row of the last dimension.</param>
    /// <param name="z">Contiguous float32 or float64 tensor on the CPU.</param>
    /// <param name="step">t, positive.</param>
    /// <exception cref="ArgumentException">Wrong type, device, layout or row length, NaN, or a step that the penalty refuses.</exception>
    public static void ProxInPlace(this IPenalty penalty, Tensor z, double step)
    {
        Check(penalty, z);
        if (z.dtype == ScalarType.Float64) Run<double>(penalty, z, step);
        else Run<float>(penalty, z, step);
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

    private static unsafe void Run<T>(IPenalty penalty, Tensor z, double step)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Span<T> all = MemoryMarshal.Cast<byte, T>(z.bytes);
        if (all.IsEmpty) return;
        int chunk = ChunkOf(penalty), length = all.Length;
        if (length <= chunk)
        {
            Apply(penalty, all, 0, step);
            return;
        }

        fixed (T* start = all)
        {
            T* data = start;
            try
            {
                Parallel.For(0, (length + chunk - 1) / chunk, c =>
                {
                    int from = c * chunk;
                    Apply(penalty, new Span<T>(data + from, Math.Min(chunk, length - from)), from, step);
                });
            }
            catch (AggregateException e) when (e.InnerExceptions.All(inner => inner is ArgumentException))
            {
                throw new ArgumentException(e.InnerExceptions[0].Message, nameof(z), e.InnerExceptions[0]);
            }
        }
    }

    private static void Apply<T>(IPenalty penalty, Span<T> part, int offset, double step)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (TensorPrimitives.IsNaNAny<T>(part))
        {
            int at = part.IndexOfAnyNaN();
            throw new ArgumentException($"z is NaN at flat index {offset + at}.", "z");
        }

        int row = penalty.Length ?? part.Length;
        for (int i = 0; i < part.Length; i += row) penalty.Prox<T>(part.Slice(i, row), step, part.Slice(i, row));
    }

    private static int IndexOfAnyNaN<T>(this Span<T> part)
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
        => penalty.Length is int row ? Math.Max(1, ChunkLength / row) * row : ChunkLength;

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
