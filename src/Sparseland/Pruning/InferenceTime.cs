using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Time of one call of two networks, measured in turns, so that a machine that slows down slows both.</summary>
/// <param name="First">Median seconds of the first.</param>
/// <param name="Second">Median seconds of the second.</param>
public sealed record InferenceTime(double First, double Second)
{
    /// <summary>How many times faster the second is.</summary>
    public double Ratio => First / Second;

    /// <summary>Measures in evaluation mode without gradients; both networks are left so.</summary>
    /// <param name="first">A network.</param>
    /// <param name="second">Another.</param>
    /// <param name="X">[batch, ...].</param>
    /// <param name="rounds">Measured calls of each, at least 1; a few more come before them. Default 30.</param>
    /// <param name="cancel">Checked between rounds.</param>
    public static InferenceTime Compare(
        nn.Module<Tensor, Tensor> first, nn.Module<Tensor, Tensor> second, Tensor X, int rounds = 30, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        ArgumentNullException.ThrowIfNull(X);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rounds);
        first.eval();
        second.eval();
        using IDisposable off = no_grad();
        double[] a = new double[rounds], b = new double[rounds];
        for (int round = -3; round < rounds; round++)
        {
            cancel.ThrowIfCancellationRequested();
            double one = Seconds(first, X), other = Seconds(second, X);
            if (round >= 0) (a[round], b[round]) = (one, other);
        }

        return new InferenceTime(Median(a), Median(b));
    }

    private static double Seconds(nn.Module<Tensor, Tensor> network, Tensor X)
    {
        long start = Stopwatch.GetTimestamp();
        using Tensor answer = network.call(X);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        int half = values.Length / 2;
        return values.Length % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
    }
}
