using Sparseland.Data;
using Sparseland.Tensors;
using Sparseland.Unmixing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Unmixing;

/// <summary>Small problems for the tests of unmixing.</summary>
internal static class UnmixingData
{
    internal static Tensor Uniform(long rows, long columns, long seed, double low = 0.05, double high = 1)
    {
        var random = new SeededRandom(seed, 50);
        double[] values = new double[rows * columns];
        for (int i = 0; i < values.Length; i++) values[i] = random.NextDouble(low, high);
        return tensor(values).view(rows, columns);
    }

    /// <summary>Y, and a start M, A that is far from it.</summary>
    internal static (Tensor Y, Tensor M, Tensor A) Problem(long channels, long pixels, long endmembers, long seed)
    {
        Tensor A = Uniform(endmembers, pixels, seed).pow(2);
        Tensor Y = Uniform(channels, endmembers, seed + 1).mm(A / A.sum([0L], keepdim: true)) + Uniform(channels, pixels, seed + 2, 0, 0.1);
        Y[1] = Uniform(1, pixels, seed + 3, 0, 2)[0];
        return (Y, Uniform(channels, endmembers, seed + 4), Uniform(endmembers, pixels, seed + 5));
    }

    /// <summary>M and A after many sweeps.</summary>
    internal static (Tensor Y, Tensor M, Tensor A) Settled(Tensor Y, Tensor M, Tensor A, UnmixingLoss loss, double[] h, double lambda, double delta, int sweeps)
    {
        for (int sweep = 0; sweep < sweeps; sweep++)
        {
            A = UnmixingSteps.UpdateAbundances(Y, M, A, loss == UnmixingLoss.RobustL21 ? UnmixingSteps.ChannelWeights(Y, M, A) : null, h, lambda, delta);
            M = UnmixingSteps.UpdateEndmembers(Y, M, A);
        }

        return (Y, M, A);
    }

    internal static double[] Guidance(long pixels, long seed) => [.. Uniform(1, pixels, seed, 0, 0.9).data<double>()];

    internal static HyperspectralScene Landscape(long seed, int side = 16, int channels = 40, int bad = 4) =>
        HyperspectralScene.Landscape(new() { Height = side, Width = side, Channels = channels, Endmembers = 3, BadChannels = bad, Smoothness = 3 }, seed);

    internal static double Gap(Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        return (a - b).abs().max().item<double>();
    }
}
