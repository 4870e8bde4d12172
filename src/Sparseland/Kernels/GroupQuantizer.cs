using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// Asymmetric quantisation of groups of consecutive inputs of a row, one scale s and zero point z per group (GQSA, Zeng et al. 2025, after EfficientQAT's quantiser):
/// s = (max - min) / (2^b - 1), at least 1e-4; z = round(-min / s); q = clamp(round(w / s) + z, 0, 2^b - 1); w^ = (q - z) s.
/// </summary>
/// <param name="Bits">b, from 2 to 8. Default 4.</param>
/// <param name="GroupSize">G, weights of a group; G b is whole bytes. Default 16.</param>
/// <remarks>Scales are rounded to float16 before anything is computed with them: what is trained and measured is what is stored.</remarks>
public sealed record GroupQuantizer(int Bits = 4, int GroupSize = 16)
{
    private const double LeastScale = 1e-4;
    private const double MostScale = 65504;

    /// <summary>
    /// Whether a group's range is stretched to hold zero. Default true: z must be one of 0 .. 2^b - 1, and for a group of weights of one sign it would be cut to an end
    /// of that range, so that a large part of the weights falls out of it.
    /// </summary>
    public bool ZeroInRange { get; init; } = true;

    /// <summary>2^b - 1, the largest integer.</summary>
    public int Levels => (1 << Bits) - 1;

    /// <summary>Checks the numbers.</summary>
    /// <exception cref="ArgumentException">Bits outside 2 to 8, no weight in a group, or a group that is not whole bytes.</exception>
    public void Validate()
    {
        if (Bits is < 2 or > 8) throw new ArgumentOutOfRangeException(nameof(Bits), Bits, "Bits must be from 2 to 8.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(GroupSize);
        if (GroupSize * Bits % 8 != 0) throw new ArgumentException($"A group of {GroupSize} weights of {Bits} bits is no whole number of bytes.", nameof(GroupSize));
    }

    /// <summary>Scale and zero point of every group.</summary>
    /// <param name="weight">Float32 [rows, columns], finite; G divides the columns.</param>
    /// <returns>Float32 [rows, columns / G] each: scales that float16 holds, and zero points from 0 to 2^b - 1.</returns>
    /// <exception cref="ArgumentException">G does not divide the columns, a weight is not finite, or a range is too wide for float16.</exception>
    public (Tensor Scales, Tensor Zeros) Ranges(Tensor weight)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor groups = Grouped(weight);
        if (!TensorInput.IsFinite(groups)) throw new ArgumentException("The weight holds a value that is not finite.", nameof(weight));
        (Tensor low, Tensor high) = (groups.amin(2), groups.amax(2));
        if (ZeroInRange) (low, high) = (low.clamp(max: 0), high.clamp(min: 0));
        Tensor scales = (high - low).div(Levels).clamp(min: LeastScale);
        if (scales.numel() > 0 && scales.max().item<float>() > MostScale) throw new ArgumentException("A group's range over its levels is beyond float16, which holds 65,504 at most.", nameof(weight));
        scales = Stored(scales);
        Tensor zeroPoints = (-low / scales).round().clamp(0, Levels);
        return (scales.MoveToOuterDisposeScope(), zeroPoints.MoveToOuterDisposeScope());
    }

    /// <summary>q = clamp(round(w / s) + z, 0, 2^b - 1).</summary>
    /// <param name="weight">[rows, columns].</param>
    /// <param name="scales">[rows, columns / G].</param>
    /// <param name="zeroPoints">[rows, columns / G], whole numbers.</param>
    /// <returns>Whole numbers, Float32 [rows, columns].</returns>
    /// <exception cref="ArgumentException">Shapes do not fit.</exception>
    public Tensor Integers(Tensor weight, Tensor scales, Tensor zeroPoints)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor groups = Grouped(weight);
        CheckParameters(groups, scales, zeroPoints);
        return ((groups / scales.unsqueeze(2)).round() + zeroPoints.unsqueeze(2)).clamp(0, Levels).reshape(weight.shape).MoveToOuterDisposeScope();
    }

    /// <summary>w^ = (q - z) s. Gradients flow to s and z.</summary>
    /// <param name="integers">[rows, columns].</param>
    /// <param name="scales">[rows, columns / G].</param>
    /// <param name="zeroPoints">[rows, columns / G].</param>
    /// <returns>[rows, columns].</returns>
    /// <exception cref="ArgumentException">Shapes do not fit.</exception>
    public Tensor Values(Tensor integers, Tensor scales, Tensor zeroPoints)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor groups = Grouped(integers);
        CheckParameters(groups, scales, zeroPoints);
        return ((groups - zeroPoints.unsqueeze(2)) * scales.unsqueeze(2)).reshape(integers.shape).MoveToOuterDisposeScope();
    }

    /// <summary>What float16 keeps of scales.</summary>
    /// <param name="scales">Scales, Float32.</param>
    public static Tensor Stored(Tensor scales)
    {
        ArgumentNullException.ThrowIfNull(scales);
        using DisposeScope scope = NewDisposeScope();
        return scales.to(ScalarType.Float16).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>Quantises the kept groups of a weight, each by its own range.</summary>
    /// <param name="weight">Float32 [rows, columns].</param>
    /// <param name="groups">Kept groups: a support of [rows, columns / G].</param>
    /// <exception cref="ArgumentException">As for <see cref="Ranges"/>, or a support of another shape.</exception>
    public QuantizedGroups Quantize(Tensor weight, Support groups)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor scales, Tensor zeroPoints) = Ranges(weight);
        return Quantize(weight, scales, zeroPoints, groups);
    }

    /// <summary>Fixes the integers of the kept groups under given scales and zero points, as training leaves them: s goes to float16, z to the nearest whole number.</summary>
    /// <param name="weight">Float32 [rows, columns].</param>
    /// <param name="scales">[rows, columns / G], above 0.</param>
    /// <param name="zeroPoints">[rows, columns / G].</param>
    /// <param name="groups">Kept groups: a support of [rows, columns / G].</param>
    /// <exception cref="ArgumentException">Shapes do not fit, or a value is not finite, or a scale is not above 0 in float16.</exception>
    public QuantizedGroups Quantize(Tensor weight, Tensor scales, Tensor zeroPoints, Support groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor all = Grouped(weight);
        if (groups.Rows != all.shape[0] || groups.Columns != all.shape[1])
            throw new ArgumentException($"groups must be a support of [{all.shape[0]}, {all.shape[1]}], one place per group of {GroupSize}, but is [{groups.Rows}, {groups.Columns}].", nameof(groups));
        CheckParameters(all, scales, zeroPoints);
        Tensor s = Stored(scales), z = zeroPoints.round().clamp(0, Levels);
        if (!TensorInput.IsFinite(all) || !TensorInput.IsFinite(s) || !TensorInput.IsFinite(z) || s.numel() > 0 && !(s.min().item<float>() > 0))
            throw new ArgumentException("Weights, scales and zero points must be finite, and scales above 0 in float16.", nameof(weight));
        Tensor q = Integers(weight, s, z).to(ScalarType.Byte).reshape(all.shape);
        Tensor kept = groups.ToMask();
        return new(groups, this, Bytes(q.index(TensorIndex.Tensor(kept)).reshape(-1)), Array.ConvertAll(Floats(groups.Gather(s)), v => (Half)v), Bytes(groups.Gather(z).to(ScalarType.Byte)));
    }

    private static byte[] Bytes(Tensor tensor) => TensorMemory.Read<byte>(tensor.contiguous()).ToArray();

    private static float[] Floats(Tensor tensor) => TensorMemory.Read<float>(tensor.contiguous()).ToArray();

    private Tensor Grouped(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        Validate();
        if (weight.dim() != 2 || weight.dtype != ScalarType.Float32) throw new ArgumentException($"The weight must be Float32 [rows, columns], but is {weight.dtype} [{string.Join(", ", weight.shape)}].", nameof(weight));
        if (weight.shape[1] % GroupSize != 0) throw new ArgumentException($"Groups of {GroupSize} do not divide the {weight.shape[1]} columns.", nameof(weight));
        return weight.reshape(weight.shape[0], weight.shape[1] / GroupSize, GroupSize);
    }

    private static void CheckParameters(Tensor groups, Tensor scales, Tensor zeroPoints)
    {
        ArgumentNullException.ThrowIfNull(scales);
        ArgumentNullException.ThrowIfNull(zeroPoints);
        foreach ((Tensor tensor, string name) in new[] { (scales, nameof(scales)), (zeroPoints, nameof(zeroPoints)) })
        {
            if (!tensor.shape.SequenceEqual(groups.shape[..2])) throw new ArgumentException($"{name} must be [{groups.shape[0]}, {groups.shape[1]}], one per group, but are [{string.Join(", ", tensor.shape)}].", name);
        }
    }
}
