using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.Kernels;

/// <summary>From a tag to its slot in a window's table: one multiplication, one shift and one mask for each of the four kinds.</summary>
internal readonly struct TagSlots
{
    private const ulong Odd = 0x9E3779B97F4A7C15;
    private readonly ulong _factor, _mix, _mask;
    private readonly int _shift;

    /// <param name="hash">Which bits.</param>
    /// <param name="slots">Slots, a power of two.</param>
    /// <param name="window">Its tags are 0 to rows x columns - 1.</param>
    public TagSlots(TagHash hash, int slots, SpGemmWindow window)
    {
        int log = BitOperations.Log2((uint)slots), bits = BitOperations.Log2((ulong)Math.Max(1, ((long)(window.ToRow - window.FromRow) * (window.ToColumn - window.FromColumn)) - 1)) + 1;
        _mask = (ulong)(slots - 1);
        _factor = hash == TagHash.Multiplicative ? Odd : 1;
        _mix = hash == TagHash.LowMixed ? Odd : 0;
        _shift = hash switch { TagHash.High => Math.Max(0, bits - log), TagHash.Multiplicative when log > 0 => 64 - log, _ => 0 };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Of(long line, long tag) => (int)(((((ulong)tag * _factor) + ((ulong)line * _mix)) >> _shift) & _mask);
}
