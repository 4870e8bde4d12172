using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>
/// One attention out of parts over disjoint keys: lse = logaddexp(lse1, lse2), O = exp(lse1 - lse) O1 + exp(lse2 - lse) O2. Sinks and window, slash blocks and columns, a
/// cache in two places: all are this one rule. Keys that stand in both parts would count twice.
/// </summary>
public static class AttentionMerge
{
    /// <summary>Joins two parts.</summary>
    /// <param name="first">Output [batch, heads, tokens, valueDim] and log-sum-exp [batch, heads, tokens] over some keys.</param>
    /// <param name="second">The same over other keys.</param>
    /// <returns>Output and log-sum-exp over both; without keys in either 0 and -infinity.</returns>
    /// <exception cref="ArgumentException">Shapes differ.</exception>
    public static (Tensor Output, Tensor LogSumExp) Combine((Tensor Output, Tensor LogSumExp) first, (Tensor Output, Tensor LogSumExp) second)
    {
        if (!first.Output.shape.SequenceEqual(second.Output.shape) || !first.LogSumExp.shape.SequenceEqual(second.LogSumExp.shape) || !first.LogSumExp.shape.SequenceEqual(first.Output.shape[..^1]))
        {
            throw new ArgumentException(
                $"The parts have outputs [{string.Join(", ", first.Output.shape)}] and [{string.Join(", ", second.Output.shape)}], and sums [{string.Join(", ", first.LogSumExp.shape)}] and [{string.Join(", ", second.LogSumExp.shape)}]; they must agree.", nameof(second));
        }

        using DisposeScope scope = NewDisposeScope();
        Tensor most = maximum(first.LogSumExp, second.LogSumExp), finite = most.masked_fill(most.detach().eq(double.NegativeInfinity), 0);
        Tensor a = (first.LogSumExp - finite).exp(), b = (second.LogSumExp - finite).exp(), sum = a + b, safe = sum.clamp_min(1e-30);
        Tensor output = ((a / safe).unsqueeze(-1) * first.Output) + ((b / safe).unsqueeze(-1) * second.Output);
        return (scope.MoveToOuter(output), scope.MoveToOuter(finite + sum.log()));
    }
}
