using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>First values of factors.</summary>
internal static class Factors
{
    /// <summary>A [r, in] and B [out, r] as new parameters.</summary>
    public static (Parameter A, Parameter B) Start(long inputs, long outputs, int rank, long seed, double scale, FactorStart start, ScalarType type, Device? device = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed) ^ 0xfac7));
        Parameter Made(Tensor value) => Models.LinearOf.Owned(value.to(type).to(device ?? CPU));
        if (start == FactorStart.Zero) return (Made(Uniform(inputs, [rank, inputs], generator)), Made(zeros([outputs, rank])));

        // The entries of B A have the variance r std^4 = w^2, w^2 = 1 / (3 in) that of a default linear layer.
        double deviation = Math.Pow(1.0 / (3.0 * inputs) / rank, 0.25) / Math.Sqrt(Math.Abs(scale));
        return (Made(randn([rank, inputs], generator: generator) * deviation), Made(randn([outputs, rank], generator: generator) * (deviation * Math.Sign(scale))));
    }

    /// <summary>Uniform in +-1/sqrt(in): Kaiming's with a = sqrt 5.</summary>
    public static Tensor Uniform(long inputs, long[] shape, Generator generator)
    {
        double bound = 1 / Math.Sqrt(inputs);
        return (rand(shape, generator: generator) * (2 * bound)) - bound;
    }

    public static double CheckScale(double scale) =>
        scale != 0 && double.IsFinite(scale) ? scale : throw new ArgumentOutOfRangeException(nameof(scale), scale, "scale must be finite and not 0: with 0 the factors would count for nothing.");
}
