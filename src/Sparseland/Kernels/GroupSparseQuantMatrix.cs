using System.Runtime.InteropServices;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// GQSA's matrix (Zeng et al. 2025): of each row the kept groups of G consecutive columns, ascending, every group as G integers of b bits with one scale
/// and one zero point. What is dropped and what is quantised together is the same object, so that the product needs one index and one scale per G weights.
/// </summary>
/// <remarks>
/// Bytes for N groups: N (G b / 8 + 2 + 2) + N b / 8 rounded up + 4 (rows + 1): integers, 16-bit group indices, float16 scales, zero points of b bits and row offsets.
/// Per weight of the dense shape at b = 4, G = 16 and half the groups that is 3.13 bits. The inner loop of one vector is s (sum_k q_k x_k - z sum_k x_k); the sums of x
/// are made once for all rows. It has wide forms for 4 bits and G a multiple of 16.
/// </remarks>
public sealed unsafe class GroupSparseQuantMatrix : ScheduledMatrix
{
    // Beyond the end, for reads of whole words.
    private const int Slack = 8;

    private readonly ushort[] _groups;
    private readonly byte[] _integers;
    private readonly byte[] _zeros;
    private readonly Half[] _scales;

    private GroupSparseQuantMatrix(Support groups, GroupQuantizer quantizer, byte[] integers, Half[] scales, byte[] zeros)
        : base(groups.Rows, groups.Columns * quantizer.GroupSize, groups.RowOffsets.ToArray())
    {
        (Quantizer, _scales) = (quantizer, scales);
        (_integers, _zeros) = ([.. integers, .. new byte[Slack]], [.. zeros, .. new byte[Slack]]);
        _groups = Array.ConvertAll(groups.ColumnIndices.ToArray(), group => (ushort)group);
        LongestRow = groups.Rows == 0 ? 0 : groups.CountsPerRow().Max() * quantizer.GroupSize;
    }

    /// <summary>Bits and size of the groups.</summary>
    public GroupQuantizer Quantizer { get; }

    /// <summary>N, the kept groups.</summary>
    public int Groups => _groups.Length;

    /// <inheritdoc/>
    public override long Count => (long)Groups * Quantizer.GroupSize;

    /// <inheritdoc/>
    public override long Bytes => BytesOf(Rows, Groups, Quantizer);

    /// <inheritdoc/>
    public override string Format => "gqsa";

    internal override IReadOnlyDictionary<string, int> Settings => new Dictionary<string, int> { ["bits"] = Quantizer.Bits, ["group_size"] = Quantizer.GroupSize };

    private protected override int LongestRow { get; }

    private protected override int ScratchLength => Columns / Quantizer.GroupSize;

    private bool HasWideForm => Quantizer.Bits == 4 && Quantizer.GroupSize % GroupDots.Lanes == 0;

    /// <summary>Bytes of a matrix by the formula.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="groups">N, the kept groups.</param>
    /// <param name="quantizer">Bits and size of the groups.</param>
    public static long BytesOf(int rows, long groups, GroupQuantizer quantizer)
    {
        ArgumentNullException.ThrowIfNull(quantizer);
        return (groups * ((quantizer.GroupSize * quantizer.Bits / 8) + sizeof(ushort) + 2)) + BitPacking.Length(groups, quantizer.Bits) + (sizeof(int) * ((long)rows + 1));
    }

    /// <summary>Packs groups.</summary>
    /// <param name="groups">The groups; copied.</param>
    /// <exception cref="ArgumentException">As for <see cref="QuantizedGroups.Validate"/>.</exception>
    public static GroupSparseQuantMatrix Pack(QuantizedGroups groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        groups.Validate();
        int bits = groups.Quantizer.Bits;
        return new(groups.Groups, groups.Quantizer, BitPacking.Pack(groups.Integers, bits), [.. groups.Scales], BitPacking.Pack(groups.Zeros, bits));
    }

    /// <summary>Quantises the kept groups of a weight in one shot and packs them.</summary>
    /// <param name="weight">Float32 [rows, columns].</param>
    /// <param name="groups">Kept groups: a support of [rows, columns / G].</param>
    /// <param name="quantizer">Bits and size of the groups; null, the default, for 4 bits and 16 weights.</param>
    /// <exception cref="ArgumentException">As for <see cref="GroupQuantizer.Quantize(Tensor, Support)"/>.</exception>
    public static GroupSparseQuantMatrix From(Tensor weight, Support groups, GroupQuantizer? quantizer = null) => Pack((quantizer ?? new()).Quantize(weight, groups));

    /// <summary>The groups again, exactly.</summary>
    public QuantizedGroups Unpack() => new(
        new Support(Rows, Columns / Quantizer.GroupSize, RowOffsets, Array.ConvertAll(_groups, group => (int)group)), Quantizer,
        BitPacking.Unpack(_integers, checked((int)Count), Quantizer.Bits), [.. _scales], BitPacking.Unpack(_zeros, Groups, Quantizer.Bits));

    internal override Dictionary<string, Tensor> Arrays()
    {
        Tensor scales = empty(Groups, dtype: ScalarType.Float16);
        _scales.CopyTo(TensorMemory.Part<Half>(TensorMemory.StartOf(scales), 0, Groups));
        return new()
        {
            ["row_index"] = tensor(RowOffsets.ToArray()),
            ["group_index"] = ArrayTensors.Of(_groups),
            ["values"] = tensor(_integers[..^Slack]),
            ["scale"] = scales,
            ["zero"] = tensor(_zeros[..^Slack]),
        };
    }

    internal static GroupSparseQuantMatrix FromArrays(int rows, int columns, int bits, int groupSize, ArrayReader arrays)
    {
        var quantizer = new GroupQuantizer(bits, groupSize);
        return arrays.Checked(() =>
        {
            quantizer.Validate();
            if (columns % groupSize != 0) throw new ArgumentException($"Groups of {groupSize} do not divide the {columns} columns.", nameof(groupSize));
            int[] indices = Array.ConvertAll(arrays.Get<ushort>("group_index"), group => (int)group);
            int n = indices.Length;
            var support = new Support(rows, columns / groupSize, arrays.Get<int>("row_index", rows + 1), indices);
            byte[] integers = arrays.Get<byte>("values", (long)n * groupSize * bits / 8), zeros = arrays.Get<byte>("zero", BitPacking.Length(n, bits));
            return Pack(new(support, quantizer, BitPacking.Unpack(integers, checked(n * groupSize), bits), arrays.Get<Half>("scale", n), BitPacking.Unpack(zeros, n, bits)));
        });
    }

    private protected override int ReadRow(int row, int* places, float* values)
    {
        int size = Quantizer.GroupSize, n = 0;
        for (int g = RowOffsets[row]; g < RowOffsets[row + 1]; g++)
        {
            float scale = (float)_scales[g];
            int zero = BitPacking.At(_zeros, g, Quantizer.Bits);
            for (int k = 0; k < size; k++, n++)
                (places[n], values[n]) = ((_groups[g] * size) + k, (BitPacking.At(_integers, ((long)g * size) + k, Quantizer.Bits) - zero) * scale);
        }

        return n;
    }

    private protected override void Prepare(float* x, float* scratch)
    {
        int size = Quantizer.GroupSize;
        for (int g = 0; g < ScratchLength; g++)
        {
            float sum = 0;
            for (int k = 0; k < size; k++) sum += x[(g * size) + k];
            scratch[g] = sum;
        }
    }

    private protected override float Part(float* x, float* scratch, int from, int to)
    {
        if (!HasWideForm || Path == KernelPath.Scalar) return OneByOne(x, scratch, from, to);
        fixed (ushort* groups = _groups)
        fixed (byte* integers = _integers, zeros = _zeros)
        fixed (Half* scales = _scales)
        {
            var parts = new GroupDots.Parts(groups, integers, (ushort*)scales, zeros, Quantizer.GroupSize);
            return Path == KernelPath.Vector512 ? GroupDots.Wide(parts, x, scratch, from, to) : GroupDots.Narrow(parts, x, scratch, from, to);
        }
    }

    private float OneByOne(float* x, float* sums, int from, int to)
    {
        int size = Quantizer.GroupSize, bits = Quantizer.Bits;
        float total = 0;
        for (int g = from; g < to; g++)
        {
            float* at = x + (_groups[g] * size);
            float sum = 0;
            for (int k = 0; k < size; k++) sum = MathF.FusedMultiplyAdd(BitPacking.At(_integers, ((long)g * size) + k, bits), at[k], sum);
            total = MathF.FusedMultiplyAdd((float)_scales[g], sum - (BitPacking.At(_zeros, g, bits) * sums[_groups[g]]), total);
        }

        return total;
    }
}
