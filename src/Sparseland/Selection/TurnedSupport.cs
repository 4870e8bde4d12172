using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Selection;

/// <summary>A support, its transpose, and the way of values from the one to the other: what products with W and with W^T need, found once for all of them.</summary>
internal sealed class TurnedSupport
{
    // So many values are worth handing to another thread.
    private const int OneThread = 1 << 15;

    private readonly int[] _order;

    /// <summary>Turns a support.</summary>
    public TurnedSupport(Support rows)
    {
        Rows = rows;
        Columns = rows.Transpose(out _order);
    }

    /// <summary>The support of W.</summary>
    public Support Rows { get; }

    /// <summary>The support of W^T.</summary>
    public Support Columns { get; }

    /// <summary>Values [Count] of W in the order of W^T; without gradients.</summary>
    public Tensor Turn(Tensor values)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor own = values.detach().resolve_conj().resolve_neg().contiguous();
        if (own.dim() != 1 || own.shape[0] != _order.Length || own.device_type != DeviceType.CPU || own.element_size() > sizeof(ulong))
            throw new ArgumentException($"values must be [{_order.Length}] on the CPU, but are {own.dtype} [{string.Join(", ", own.shape)}] on {own.device_type}.", nameof(values));
        Tensor turned = empty_like(own);
        switch (own.element_size())
        {
            case sizeof(byte): Collect<byte>(own, turned); break;
            case sizeof(ushort): Collect<ushort>(own, turned); break;
            case sizeof(uint): Collect<uint>(own, turned); break;
            default: Collect<ulong>(own, turned); break;
        }

        return turned.MoveToOuterDisposeScope();
    }

    private void Collect<T>(Tensor values, Tensor turned)
        where T : unmanaged
    {
        if (_order.Length == 0) return;
        (nint from, nint to, int[] order) = (TensorMemory.StartOf(values), TensorMemory.StartOf(turned), _order);
        Pieces.For(order.Length, OneThread, (first, count) =>
        {
            ReadOnlySpan<T> all = TensorMemory.Part<T>(from, 0, order.Length);
            Span<T> part = TensorMemory.Part<T>(to, first, count);
            ReadOnlySpan<int> places = order.AsSpan((int)first, count);
            for (int i = 0; i < part.Length; i++) part[i] = all[places[i]];
        });
    }
}
