using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Hashing;

/// <summary>Gaussian projections of the hashes.</summary>
internal static class HashDirections
{
    /// <summary>[width * count], row-major.</summary>
    public static double[] Draw(int width, int count, long seed)
    {
        var random = new SeededRandom(seed, 8_100);
        double[] directions = new double[width * count];
        for (int i = 0; i < directions.Length; i++) directions[i] = random.NextGaussian();
        return directions;
    }

    /// <summary>x R [..., count].</summary>
    public static Tensor Project(Tensor x, double[] directions, int width, int count) =>
        x.detach().MatMul(tensor(directions, [width, count]).to(x.dtype).to(x.device));

    public static void CheckWidth(Tensor x, int width)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() == 0 || x.shape[^1] != width || x.numel() == 0)
            throw new ArgumentException($"x must be [..., {width}] and not empty, but is [{string.Join(", ", x.shape)}].", nameof(x));
        if (x.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"x is {x.dtype}; it must be Float32 or Float64.", nameof(x));
        if (!TensorInput.IsFinite(x)) throw new ArgumentException("x holds NaN or infinity, which are in no bucket.", nameof(x));
    }
}
