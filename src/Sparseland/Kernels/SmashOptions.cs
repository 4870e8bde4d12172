using System.Numerics;

namespace Sparseland.Kernels;

/// <summary>Where the table of a window keeps its sums.</summary>
public enum SlotLayout
{
    /// <summary>Tag and sum stand in the slot: versions 1 and 2 of SMASH. Writing back walks the whole table.</summary>
    SumInSlot,

    /// <summary>The slot holds an index; tags and sums stand densely in order of arrival: version 3. Writing back copies dense pieces and only tags are cleared.</summary>
    Arrival,
}

/// <summary>How windows come to threads.</summary>
public enum WindowDeal
{
    /// <summary>In turn, whatever they hold: version 1 of SMASH.</summary>
    Turns,

    /// <summary>A queue: whoever is done takes the next.</summary>
    Queue,
}

/// <summary>Settings of <see cref="Smash"/>.</summary>
public sealed record SmashOptions
{
    /// <summary>Version 1 of the thesis: high bits, windows in turn, sums in the slots.</summary>
    public static SmashOptions Version1 { get; } = new() { Hash = TagHash.High, Deal = WindowDeal.Turns, Layout = SlotLayout.SumInSlot };

    /// <summary>Version 2: low bits, a queue, sums in the slots.</summary>
    public static SmashOptions Version2 { get; } = new() { Hash = TagHash.Low, Deal = WindowDeal.Queue, Layout = SlotLayout.SumInSlot };

    /// <summary>Version 3: low bits, a queue, sums in order of arrival.</summary>
    public static SmashOptions Version3 { get; } = Version2 with { Layout = SlotLayout.Arrival };

    /// <summary>Which bits of a tag choose its slot. Default <see cref="TagHash.Multiplicative"/>.</summary>
    public TagHash Hash { get; init; } = TagHash.Multiplicative;

    /// <summary>How windows come to threads. Default <see cref="WindowDeal.Queue"/>.</summary>
    public WindowDeal Deal { get; init; } = WindowDeal.Queue;

    /// <summary>Where sums stand. Default <see cref="SlotLayout.Arrival"/>.</summary>
    public SlotLayout Layout { get; init; } = SlotLayout.Arrival;

    /// <summary>Most multiplications of a window, a power of two; the table has twice as many slots. Default 2^14: tags and indices of 400 KB, for a second cache.</summary>
    public int Capacity { get; init; } = 1 << 14;

    /// <summary>
    /// Whether all threads work on one window and one table with atomic operations, entry by entry of A, as on the accelerator. Sums then depend on the schedule in their last bits. Sums stand in
    /// the slots. Default false: a table for each thread, no atomics, the same bits always.
    /// </summary>
    public bool SharedTable { get; init; }

    /// <summary>Threads; 0, the default, for as many as libtorch has here.</summary>
    public int Threads { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        if (!Enum.IsDefined(Hash)) throw new ArgumentOutOfRangeException(nameof(Hash), Hash, "Hash is High, Low, LowMixed or Multiplicative.");
        if (!Enum.IsDefined(Deal)) throw new ArgumentOutOfRangeException(nameof(Deal), Deal, "Deal is Turns or Queue.");
        if (!Enum.IsDefined(Layout)) throw new ArgumentOutOfRangeException(nameof(Layout), Layout, "Layout is SumInSlot or Arrival.");
        if (Capacity is < 2 or > 1 << 28 || !BitOperations.IsPow2(Capacity)) throw new ArgumentOutOfRangeException(nameof(Capacity), Capacity, "Capacity is a power of two from 2 to 2^28.");
        if (SharedTable && Layout != SlotLayout.SumInSlot) throw new ArgumentException("A shared table keeps its sums in the slots: take SlotLayout.SumInSlot.", nameof(Layout));
        ArgumentOutOfRangeException.ThrowIfNegative(Threads);
    }
}
