using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>Checks of the arguments that all of unmixing shares.</summary>
internal static class UnmixingInput
{
    /// <summary>A matrix of finite float64 numbers that are not negative.</summary>
    public static void CheckMatrix(Tensor matrix, string name, string shape, bool allowNegative = false)
    {
        CheckShape(matrix, name, shape);
        using var scope = NewDisposeScope();
        if (!TensorInput.IsFinite(matrix)) throw new ArgumentException($"{name}{Place(matrix.isfinite().logical_not())} is not finite.", name);
        if (!allowNegative && matrix.min().item<double>() < 0)
        {
            Tensor negative = matrix.lt(0);
            throw new ArgumentException(
                $"{name} holds {negative.sum().item<long>()} negative values, the first at {Place(negative)}; it must not be negative"
                + (name == "Y" ? " (UnmixingOptions.ClipNegative sets them to 0)." : "."), name);
        }
    }

    public static void CheckShape(Tensor matrix, string name, string shape)
    {
        ArgumentNullException.ThrowIfNull(matrix, name);
        if (matrix.dim() != 2 || matrix.numel() == 0)
            throw new ArgumentException($"{name} must be {shape} and not empty, but is [{string.Join(", ", matrix.shape)}].", name);
        if (matrix.dtype != ScalarType.Float64) throw new ArgumentException($"{name} is {matrix.dtype}; it must be Float64.", name);
        if (matrix.device_type != DeviceType.CPU) throw new ArgumentException($"{name} is on {matrix.device_type}; move it to the CPU first.", name);
        if (matrix.numel() > int.MaxValue) throw new ArgumentException($"{name} has {matrix.numel()} values; at most {int.MaxValue} are taken.", name);
    }

    /// <summary>Y [channels, pixels]: a matrix with at least two pixels, and no channel or pixel that is all zero.</summary>
    public static void CheckData(Tensor Y, bool allowNegative)
    {
        CheckMatrix(Y, nameof(Y), "[channels, pixels]", allowNegative);
        if (Y.shape[1] < 2) throw new ArgumentException($"Y has {Y.shape[1]} pixel; unmixing needs at least 2.", nameof(Y));
        using var scope = NewDisposeScope();

        // After a clip nothing is left of values below zero, so only those above count.
        foreach ((string what, long along) in new[] { ("Channel", 1L), ("Pixel", 0L) })
        {
            Tensor largest = Y.amax([along]);
            long least = largest.argmin().item<long>();
            if (!(largest[least].item<double>() > 0))
                throw new ArgumentException($"{what} {least} of Y has no value above zero; leave it out before unmixing.", nameof(Y));
        }
    }

    public static void CheckCount(Tensor Y, int endmembers, string name)
    {
        long most = Math.Min(Y.shape[0], Y.shape[1]);
        if (endmembers < 2 || endmembers > most)
            throw new ArgumentOutOfRangeException(name, endmembers, $"The number of endmembers must be from 2 to min(channels, pixels) = {most}.");
    }

    /// <summary>Y [L, N], M [L, K], A [K, N]: their sizes agree.</summary>
    public static void CheckAgree(Tensor Y, Tensor M, Tensor? A)
    {
        if (M.shape[0] != Y.shape[0])
            throw new ArgumentException($"M has {M.shape[0]} channels and Y {Y.shape[0]}; they must agree.", nameof(M));
        if (A is not null && (A.shape[0] != M.shape[1] || A.shape[1] != Y.shape[1]))
        {
            throw new ArgumentException(
                $"A is [{string.Join(", ", A.shape)}]; for M [{string.Join(", ", M.shape)}] and Y [{string.Join(", ", Y.shape)}] it must be [{M.shape[1]}, {Y.shape[1]}].", nameof(A));
        }
    }

    /// <summary>Weights or a guidance map: one finite number within its range for each of <paramref name="count"/> things.</summary>
    public static void CheckVector(IReadOnlyList<double> values, long count, string name, string what, Func<double, bool> isRight, string rule)
    {
        ArgumentNullException.ThrowIfNull(values, name);
        if (values.Count != count) throw new ArgumentException($"{name} has {values.Count} values for {count} {what}.", name);
        for (int i = 0; i < values.Count; i++)
        {
            if (!isRight(values[i])) throw new ArgumentException($"{name}[{i}] is {values[i]}; it must be {rule}.", name);
        }
    }

    public static void CheckWeights(IReadOnlyList<double> weights, long channels, string name) =>
        CheckVector(weights, channels, name, "channels", w => w > 0 && double.IsFinite(w), "positive and finite");

    public static void CheckGuidance(IReadOnlyList<double> guidance, long pixels, string name) =>
        CheckVector(guidance, pixels, name, "pixels", h => h >= 0 && h < 1, "in [0, 1)");

    public static void CheckCap(double cap, string name)
    {
        if (!(cap >= 0 && cap < 1)) throw new ArgumentOutOfRangeException(name, cap, $"{name} must be in [0, 1).");
    }

    /// <summary>The values of a float64 tensor, row-major.</summary>
    public static double[] Doubles(Tensor values)
    {
        using Tensor flat = values.contiguous();
        return TensorMemory.Read<double>(flat).ToArray();
    }

    private static string Place(Tensor mask)
    {
        using var scope = NewDisposeScope();
        long at = mask.flatten().to(ScalarType.Int32).argmax().item<long>();
        return $"[{at / mask.shape[1]}, {at % mask.shape[1]}]";
    }
}
