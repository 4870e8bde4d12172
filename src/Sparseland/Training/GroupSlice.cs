using System.Numerics;
using System.Numerics.Tensors;
using Sparseland.Penalties;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Training;

/// <summary>
/// Which numbers of one parameter belong to which groups: group first + j owns, for b = 0 .. blocks - 1, the run of
/// <paramref name="Length"/> numbers from offset + j stride + b blockStride. One slice describes rows, filters, biases, columns or heads.
/// </summary>
/// <param name="Name">Name of the parameter, for messages and reports.</param>
/// <param name="Parameter">Contiguous float32 or float64 tensor on the CPU.</param>
/// <param name="Groups">Groups that own a part of it.</param>
/// <param name="Offset">Where the first group begins.</param>
/// <param name="Stride">From one group to the next.</param>
/// <param name="Length">Numbers of one run.</param>
/// <param name="Blocks">Runs per group. Default 1.</param>
/// <param name="BlockStride">From one run of a group to its next. Default 0.</param>
/// <param name="First">First of the groups. Default 0.</param>
public sealed record GroupSlice(
    string Name, Tensor Parameter, int Groups, long Offset, long Stride, int Length, int Blocks = 1, long BlockStride = 0, int First = 0)
{
    /// <summary>Numbers that one group owns here.</summary>
    public int Size => Length * Blocks;

    internal nint Identity => TensorMemory.Identity(Parameter);

    internal void Check()
    {
        ArgumentNullException.ThrowIfNull(Parameter);
        if (Parameter.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"{Name} is {Parameter.dtype}; groups are made of Float32 or Float64.", nameof(Parameter));
        if (Parameter.device_type != DeviceType.CPU)
            throw new ArgumentException($"{Name} is on {Parameter.device_type}; move the network to the CPU first.", nameof(Parameter));
        if (!Parameter.is_contiguous())
            throw new ArgumentException($"{Name} is not contiguous in memory; groups are runs of it.", nameof(Parameter));
        if (Groups < 1 || Length < 1 || Blocks < 1 || First < 0 || Offset < 0 || Stride < 0 || BlockStride < 0)
            throw new ArgumentException($"The slice of {Name} has a negative place or no length; it is {this with { Parameter = null! }}.", nameof(Groups));
        long last = Offset + ((Groups - 1) * Stride) + ((Blocks - 1) * BlockStride) + Length;
        if (last > Parameter.numel())
            throw new ArgumentException($"The slice of {Name} ends at {last}, but the parameter has {Parameter.numel()} numbers.", nameof(Length));
    }

    /// <summary>Marks the numbers of the slice.</summary>
    internal void Mark(Span<byte> seen)
    {
        for (int j = 0; j < Groups; j++)
        {
            for (int b = 0; b < Blocks; b++)
            {
                Span<byte> run = seen.Slice(checked((int)(Offset + (j * Stride) + (b * BlockStride))), Length);
                if (run.ContainsAnyExcept((byte)0))
                    throw new ArgumentException($"Group {First + j} takes numbers of {Name} that another group has; groups must not overlap.", nameof(GroupSpec));
                run.Fill(1);
            }
        }
    }

    /// <summary>Adds the sums of squares of its groups.</summary>
    internal void AddSquares(Span<double> squares)
    {
        if (Parameter.dtype == ScalarType.Float64) AddSquares<double>(squares);
        else AddSquares<float>(squares);
    }

    /// <summary>Multiplies each group by its number.</summary>
    internal void Scale(ReadOnlySpan<double> scales)
    {
        if (Parameter.dtype == ScalarType.Float64) Scale<double>(scales);
        else Scale<float>(scales);
    }

    private unsafe void AddSquares<T>(Span<double> squares)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T* data = (T*)TensorMemory.Address(Parameter);
        for (int j = 0; j < Groups; j++)
        {
            T* start = data + Offset + (j * Stride);
            double sum = 0;
            for (int b = 0; b < Blocks; b++) sum += SumOfSquares.Of(new ReadOnlySpan<T>(start + (b * BlockStride), Length));
            squares[First + j] += sum;
        }

        GC.KeepAlive(Parameter);
    }

    private unsafe void Scale<T>(ReadOnlySpan<double> scales)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T* data = (T*)TensorMemory.Address(Parameter);
        for (int j = 0; j < Groups; j++)
        {
            double scale = scales[First + j];
            if (scale == 1) continue;
            T* start = data + Offset + (j * Stride);
            for (int b = 0; b < Blocks; b++)
            {
                var run = new Span<T>(start + (b * BlockStride), Length);
                if (scale == 0) run.Clear();
                else TensorPrimitives.Multiply(run, T.CreateSaturating(scale), run);
            }
        }

        GC.KeepAlive(Parameter);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
