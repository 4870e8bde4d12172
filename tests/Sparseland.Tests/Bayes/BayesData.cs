using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes;

/// <summary>Small problems that the tests share.</summary>
internal static class BayesData
{
    public static Tensor Random(long[] shape, long seed, ScalarType type = ScalarType.Float64)
    {
        using var scope = NewDisposeScope();
        Tensor Part(long stream)
        {
            var random = new SeededRandom(seed, stream);
            double[] values = new double[shape.Aggregate(1L, (a, b) => a * b)];
            for (int i = 0; i < values.Length; i++) values[i] = random.NextGaussian();
            return tensor(values).reshape(shape);
        }

        return (type == ScalarType.ComplexFloat64 ? complex(Part(0), Part(1)) : Part(0)).MoveToOuterDisposeScope();
    }

    /// <summary>y = Phi x + noise with k entries of x that are not zero; equal rows of the support for all snapshots.</summary>
    public static (Tensor Phi, Tensor X, Tensor Y) Planted(
        int m, int n, int k, double noise, long seed, int snapshots = 1, ScalarType type = ScalarType.Float64)
    {
        using var scope = NewDisposeScope();
        var random = new SeededRandom(seed, 9);
        int[] order = [.. Enumerable.Range(0, n)];
        random.Shuffle(order.AsSpan());
        double[] mask = new double[n];
        foreach (int i in order[..k]) mask[i] = 1;
        Tensor phi = Random([m, n], seed, type).div(Math.Sqrt(m));
        Tensor x = Random([n, snapshots], seed + 100, type).mul(tensor(mask).unsqueeze(1));
        Tensor y = phi.mm(x).add(Random([m, snapshots], seed + 200, type).mul(noise));
        if (snapshots == 1) (x, y) = (x.squeeze(1), y.squeeze(1));
        return (phi.MoveToOuterDisposeScope(), x.MoveToOuterDisposeScope(), y.MoveToOuterDisposeScope());
    }

    public static double MaxDifference(Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        return a.sub(b).abs().max().item<double>();
    }

    public static double Nmse(Tensor truth, Tensor estimate)
    {
        using var scope = NewDisposeScope();
        return estimate.sub(truth).abs().square().sum().item<double>() / truth.abs().square().sum().item<double>();
    }

    /// <summary>The 8 x 12 system of the NumPy run that the expected values come from.</summary>
    public static (Tensor Phi, Tensor Y) Peer()
    {
        using var scope = NewDisposeScope();
        double[,] phi = new double[8, 12];
        double[] y = new double[8];
        for (int i = 0; i < 8; i++)
        {
            for (int j = 0; j < 12; j++) phi[i, j] = Math.Cos(1 + (3 * i) + (5 * j) + (i * j * 0.7));
            y[i] = (1.5 * phi[i, 2]) - (2 * phi[i, 7]) + (0.05 * Math.Sin(i * 2.3));
        }

        return (tensor(phi).MoveToOuterDisposeScope(), tensor(y).MoveToOuterDisposeScope());
    }
}
