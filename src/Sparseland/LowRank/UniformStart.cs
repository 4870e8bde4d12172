using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Uniform starts of layers, from a seed and not from libtorch's global generator.</summary>
internal static class UniformStart
{
    /// <summary>Uniform in +-bound.</summary>
    public static Tensor Of(long[] shape, double bound, long seed, long stream, ScalarType dtype)
    {
        var random = new SeededRandom(seed, stream);
        long count = shape.Aggregate(1L, (product, size) => checked(product * size));
        double[] values = new double[count];
        for (int i = 0; i < values.Length; i++) values[i] = random.NextDouble(-bound, bound);
        using Tensor wide = tensor(values, shape);
        return wide.to(dtype, copy: true);
    }

    public static void CheckType(ScalarType dtype)
    {
        if (dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"dtype is {dtype}; it must be Float32 or Float64.", nameof(dtype));
    }
}
