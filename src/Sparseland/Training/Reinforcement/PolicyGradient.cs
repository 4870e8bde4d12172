using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Reinforcement;

/// <summary>
/// Losses whose gradient is that of the expected reward, from log-probabilities of what was sampled from the policy itself, one update for each batch. A row is one
/// completion; its mask is true for the tokens that were generated, up to and including the one that ends it.
/// </summary>
public static class PolicyGradient
{
    /// <summary>Added to the deviation of a group.</summary>
    public const double Epsilon = 1e-4;

    /// <summary>
    /// Advantages within groups (Shao et al. 2024): A = (r - mean) / (std + 1e-4) over the samples of one prompt, std with n - 1. Zero throughout a group of equal
    /// rewards.
    /// </summary>
    /// <param name="rewards">[prompts, samples], finite; at least two samples.</param>
    /// <returns>[prompts, samples].</returns>
    /// <exception cref="ArgumentException">A group of one sample, no group, or a reward that is not finite.</exception>
    public static double[,] Advantages(double[,] rewards)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        (int prompts, int samples) = (rewards.GetLength(0), rewards.GetLength(1));
        if (prompts == 0) throw new ArgumentException("rewards has no group.", nameof(rewards));
        if (samples < 2) throw new ArgumentException($"rewards has groups of {samples}; within a group of fewer than two samples nothing can be compared.", nameof(rewards));
        double[,] advantages = new double[prompts, samples];
        for (int p = 0; p < prompts; p++)
        {
            double[] group = [.. Enumerable.Range(0, samples).Select(g => rewards[p, g])];
            if (Array.FindIndex(group, r => !double.IsFinite(r)) is >= 0 and int bad) throw new ArgumentException($"Reward {bad} of group {p} is {group[bad]}; rewards must be finite.", nameof(rewards));
            if (group.All(r => r == group[0])) continue;
            double mean = group.Average(), deviation = Math.Sqrt(group.Sum(r => (r - mean) * (r - mean)) / (samples - 1));
            if (!double.IsFinite(deviation))
            {
                // Squares of large rewards overflow where their spread does not.
                double largest = group.Max(Math.Abs);
                mean = largest * group.Average(r => r / largest);
                deviation = largest * Math.Sqrt(group.Sum(r => ((r / largest) - (mean / largest)) * ((r / largest) - (mean / largest))) / (samples - 1));
            }

            for (int g = 0; g < samples; g++) advantages[p, g] = (group[g] - mean) / (deviation + Epsilon);
        }

        return advantages;
    }

    /// <summary>Groups whose rewards are not all equal: the only ones that say anything.</summary>
    /// <param name="rewards">[prompts, samples].</param>
    public static IReadOnlyList<int> Informative(double[,] rewards)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        return [.. Enumerable.Range(0, rewards.GetLength(0)).Where(p => Enumerable.Range(1, Math.Max(0, rewards.GetLength(1) - 1)).Any(g => rewards[p, g] != rewards[p, 0]))];
    }

    /// <summary>
    /// GRPO on the policy's own samples: - sum over tokens of A log pi(token) / (P G K) for P prompts, G samples of each and at most K tokens of a completion: a fixed
    /// number, not the length of a completion. With a reference besides, weight / (P G K) times the sum of e^d - d - 1, d = log pi_ref - log pi (Schulman 2020).
    /// Groups of equal rewards add nothing, to neither.
    /// </summary>
    /// <param name="logProbabilities">log pi of every token [P G, tokens], the samples of a prompt one after another; with a gradient.</param>
    /// <param name="mask">Tokens that count, Bool [P G, tokens]; what stands elsewhere is not looked at.</param>
    /// <param name="rewards">[P, G].</param>
    /// <param name="limit">K, at least 1.</param>
    /// <param name="reference">log pi_ref [P G, tokens]; null, the default, for none.</param>
    /// <param name="klWeight">Weight of the estimate of the divergence from the reference, not negative. Default 0.</param>
    /// <returns>One number; 0 without a gradient where no group says anything.</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, a group of one sample, a weight without a reference, or a log-probability that counts is above 0 or not finite.</exception>
    public static Tensor Grpo(Tensor logProbabilities, Tensor mask, double[,] rewards, int limit, Tensor? reference = null, double klWeight = 0)
    {
        double[,] advantages = Advantages(rewards);
        (int prompts, int samples) = (advantages.GetLength(0), advantages.GetLength(1));
        Check(logProbabilities, mask, prompts * (long)samples, limit);
        Finite.NotNegative(klWeight);
        if (klWeight > 0 && reference is null) throw new ArgumentException("klWeight is positive, but there is no reference.", nameof(reference));
        if (reference is not null && !reference.shape.SequenceEqual(logProbabilities.shape))
            throw new ArgumentException($"reference is [{string.Join(", ", reference.shape)}]; it must be [{string.Join(", ", logProbabilities.shape)}].", nameof(reference));
        using DisposeScope scope = NewDisposeScope();
        long[] rows = [.. Informative(rewards).SelectMany(p => Enumerable.Range(p * samples, samples)).Select(r => (long)r)];
        if (rows.Length == 0) return zeros([], dtype: logProbabilities.dtype, device: logProbabilities.device).MoveToOuterDisposeScope();
        Tensor at = tensor(rows, device: logProbabilities.device), counted = mask.index_select(0, at);
        Tensor own = logProbabilities.index_select(0, at).masked_fill(counted.logical_not(), 0);
        Tensor weights = tensor([.. rows.Select(r => advantages[(int)(r / samples), (int)(r % samples)])], own.dtype, device: own.device).unsqueeze(1);
        Tensor sum = own.mul(weights).sum().neg();
        if (klWeight > 0)
        {
            Tensor d = reference!.detach().index_select(0, at).masked_fill(counted.logical_not(), 0).sub(own);
            sum = sum.add(d.exp().sub(d).sub(1).sum(), klWeight);
        }

        return sum.div((double)prompts * samples * limit).MoveToOuterDisposeScope();
    }

    /// <summary>REINFORCE (Williams 1992) with a baseline: - sum over tokens of (r - b) log pi(token) / (n K).</summary>
    /// <param name="logProbabilities">log pi of every token [n, tokens], with a gradient.</param>
    /// <param name="mask">Tokens that count, Bool [n, tokens].</param>
    /// <param name="rewards">[n], finite.</param>
    /// <param name="limit">K, at least 1.</param>
    /// <param name="baseline">b, finite; null, the default, for the mean reward of the batch.</param>
    /// <returns>One number.</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, or a number out of its range.</exception>
    public static Tensor Reinforce(Tensor logProbabilities, Tensor mask, double[] rewards, int limit, double? baseline = null)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        Check(logProbabilities, mask, rewards.Length, limit);
        if (rewards.Any(r => !double.IsFinite(r))) throw new ArgumentException("A reward is not finite.", nameof(rewards));
        double b = baseline ?? rewards.Average();
        if (!double.IsFinite(b)) throw new ArgumentOutOfRangeException(nameof(baseline), b, "baseline must be finite.");
        using DisposeScope scope = NewDisposeScope();
        Tensor weights = tensor([.. rewards.Select(r => r - b)], logProbabilities.dtype, device: logProbabilities.device).unsqueeze(1);
        return logProbabilities.masked_fill(mask.logical_not(), 0).mul(weights).sum().neg().div((double)rewards.Length * limit).MoveToOuterDisposeScope();
    }

    private static void Check(Tensor logProbabilities, Tensor mask, long rows, int limit)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(limit);
        CheckPair(logProbabilities, mask);
        if (logProbabilities.shape[0] != rows)
            throw new ArgumentException($"logProbabilities have {logProbabilities.shape[0]} rows, the rewards are {rows}; there must be one for each.", nameof(logProbabilities));
        if (logProbabilities.shape[1] > limit) throw new ArgumentOutOfRangeException(nameof(limit), limit, $"limit is {limit}, but the completions have {logProbabilities.shape[1]} tokens.");
    }

    /// <summary>Log-probabilities [rows, tokens] and their mask; those that count are finite and at most 0.</summary>
    internal static void CheckPair(Tensor logProbabilities, Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(logProbabilities);
        ArgumentNullException.ThrowIfNull(mask);
        if (logProbabilities.dim() != 2 || logProbabilities.numel() == 0)
            throw new ArgumentException($"logProbabilities must be [completions, tokens] and not empty, but are [{string.Join(", ", logProbabilities.shape)}].", nameof(logProbabilities));
        if (logProbabilities.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"logProbabilities are {logProbabilities.dtype}; they must be Float32 or Float64.", nameof(logProbabilities));
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(logProbabilities.shape))
            throw new ArgumentException($"mask must be Bool [{string.Join(", ", logProbabilities.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // Also false for a NaN and for minus infinity. Rounding of a logarithm of 1 may leave a trace above 0.
        Tensor sound = logProbabilities.isfinite().logical_and(logProbabilities.le(1e-5));
        if (!sound.logical_or(mask.logical_not()).all().item<bool>())
            throw new ArgumentException("A log-probability that counts is above 0 or not finite.", nameof(logProbabilities));
    }
}
