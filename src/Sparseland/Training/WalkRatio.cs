using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// How far weights moved against a random walk: mean |Delta| / (rate sqrt(T)). Adam moves a weight by about the rate each step; steps of one sign give sqrt(T), steps
/// whose sign is noise about 0.87 (the mean of a normal number's size, and what the moving average of the gradient adds).
/// </summary>
public static class WalkRatio
{
    /// <summary>The ratio over all parameters; tied ones count once.</summary>
    /// <param name="start">The network before.</param>
    /// <param name="end">The network after, not rounded.</param>
    /// <param name="rate">Learning rate, constant over the training; positive and finite.</param>
    /// <param name="steps">T, positive.</param>
    /// <exception cref="ArgumentException">Other parameters, or a number out of its range.</exception>
    public static double Of(nn.Module start, nn.Module end, double rate, long steps)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        Finite.Positive(rate);
        using IDisposable off = no_grad();
        double sum = 0;
        long count = 0;
        foreach ((string _, TorchSharp.Modules.Parameter before, TorchSharp.Modules.Parameter after) in ParameterPairs.Of(start, end))
        {
            using DisposeScope scope = NewDisposeScope();
            sum += after.to(ScalarType.Float64).sub(before.to(ScalarType.Float64)).abs().sum().item<double>();
            count += after.numel();
        }

        return sum / count / (rate * Math.Sqrt(steps));
    }
}
