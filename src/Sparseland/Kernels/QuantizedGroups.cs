using Sparseland.Selection;
using Sparseland.Tensors;

namespace Sparseland.Kernels;

/// <summary>The kept groups of a weight as integers, unpacked: what <see cref="GroupSparseQuantMatrix"/> packs and gives back.</summary>
/// <param name="Groups">Which groups are kept: a support of [rows, columns / G]; N in all.</param>
/// <param name="Quantizer">Bits and size of the groups.</param>
/// <param name="Integers">[N G], group after group in the order of the support, from 0 to 2^b - 1.</param>
/// <param name="Scales">[N], above 0.</param>
/// <param name="Zeros">[N], from 0 to 2^b - 1.</param>
public sealed record QuantizedGroups(Support Groups, GroupQuantizer Quantizer, byte[] Integers, Half[] Scales, byte[] Zeros)
{
    /// <summary>Rows of the weight.</summary>
    public int Rows => Groups.Rows;

    /// <summary>Columns of the weight.</summary>
    public int Columns => Groups.Columns * Quantizer.GroupSize;

    /// <summary>The same integers with other scales: what training end to end changes.</summary>
    /// <param name="scales">[N], above 0.</param>
    /// <exception cref="ArgumentException">Another number, or a scale that is not above 0 and finite.</exception>
    public QuantizedGroups WithScales(Half[] scales)
    {
        QuantizedGroups changed = this with { Scales = scales };
        changed.Validate();
        return changed;
    }

    /// <summary>Checks that all parts belong together.</summary>
    /// <exception cref="ArgumentException">A length, an integer, a zero point or a scale is out of its range, or a row has more than 65,535 groups; the message says where.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Groups);
        ArgumentNullException.ThrowIfNull(Quantizer);
        ArgumentNullException.ThrowIfNull(Integers);
        ArgumentNullException.ThrowIfNull(Scales);
        ArgumentNullException.ThrowIfNull(Zeros);
        Quantizer.Validate();
        if (Groups.Columns > ushort.MaxValue) throw new ArgumentException($"A row has {Groups.Columns} groups; the format's 16-bit indices hold 65,535.", nameof(Groups));
        int n = Groups.Count;
        if (Scales.Length != n || Zeros.Length != n || Integers.Length != (long)n * Quantizer.GroupSize)
            throw new ArgumentException($"{n} groups of {Quantizer.GroupSize} need {n} scales, {n} zeros and {(long)n * Quantizer.GroupSize} integers, not {Scales.Length}, {Zeros.Length} and {Integers.Length}.", nameof(Integers));
        int bad = Array.FindIndex(Scales, s => !(s > Half.Zero) || !Half.IsFinite(s));
        if (bad >= 0) throw new ArgumentException($"The scale of group {bad} is {Scales[bad]}; it must be above 0 and finite.", nameof(Scales));
        bad = Array.FindIndex(Zeros, z => z > Quantizer.Levels);
        if (bad >= 0) throw new ArgumentException($"The zero point of group {bad} is {Zeros[bad]}; {Quantizer.Bits} bits hold {Quantizer.Levels} at most.", nameof(Zeros));
        bad = Array.FindIndex(Integers, q => q > Quantizer.Levels);
        if (bad >= 0) throw new ArgumentException($"Integer {bad} is {Integers[bad]}; {Quantizer.Bits} bits hold {Quantizer.Levels} at most.", nameof(Integers));
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
