using Sparseland.Training.Reinforcement;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.Reinforcement;

public class PolicyGradientTests
{
    private static readonly double[,] s_rewards = { { 1, 0, 0, 1 }, { 0, 0, 0, 0 }, { 1, 0, 0, 0 } };

    [Fact]
    public void Advantages_are_those_of_a_group_by_hand()
    {
        double[,] a = PolicyGradient.Advantages(s_rewards);

        // 1, 0, 0, 1: mean 1/2, deviation with n - 1 sqrt(1/3). 1, 0, 0, 0: mean 1/4, deviation 1/2.
        Assert.Equal(0.5 / (Math.Sqrt(1.0 / 3) + 1e-4), a[0, 0], 1e-14);
        Assert.Equal(-0.5 / (Math.Sqrt(1.0 / 3) + 1e-4), a[0, 1], 1e-14);
        Assert.Equal(0.75 / 0.5001, a[2, 0], 1e-14);
        Assert.Equal(-0.25 / 0.5001, a[2, 3], 1e-14);
        for (int g = 0; g < 4; g++) Assert.Equal(0, a[1, g]);
        Assert.Equal([0, 2], PolicyGradient.Informative(s_rewards));
        Assert.Equal(0, PolicyGradient.Advantages(new[,] { { 0.1, 0.1, 0.1 } })[0, 1]);
    }

    // Recorded from torch 1.13.0a0 (Debian's python3-torch) in float64 with the tensors of Case: the loss written out and backward().
    [Theory]
    [InlineData(0, -0.003428822186023598, -0.01443125716267836, -0.024995000999800038, -0.024995000999800038)]
    [InlineData(0.3, -0.0016657607496642604, -0.013955444252858157, -0.02465697009932978, -0.026102014790600887)]
    public void Loss_and_gradient_are_those_of_PyTorch(double klWeight, double loss, double first, double eighth, double last)
    {
        using var scope = NewDisposeScope();
        (Tensor log, Tensor reference, Tensor mask) = Case();
        Tensor value = PolicyGradient.Grpo(log, mask, s_rewards, 5, klWeight > 0 ? reference : null, klWeight);
        value.backward();
        Assert.Equal(loss, value.item<double>(), 1e-15);
        double[] gradient = TrainingData.Numbers(log.grad!);
        Assert.Equal(first, gradient[0], 1e-15);
        Assert.Equal(eighth, gradient[24], 1e-15);
        Assert.Equal(last, gradient[26], 1e-15);

        // Behind the end, and in the group of equal rewards, there is none.
        Assert.All(new[] { 1, 2, 12, 13, 15, 17 }, i => Assert.Equal(0, gradient[i]));
    }

    [Fact]
    public void What_stands_behind_the_end_is_not_looked_at()
    {
        using var scope = NewDisposeScope();
        (Tensor log, Tensor _, Tensor mask) = Case();
        double clean = PolicyGradient.Grpo(log, mask, s_rewards, 5).item<double>();
        Tensor dirty = log.detach().masked_fill(mask.logical_not(), double.NaN).requires_grad_();
        Tensor value = PolicyGradient.Grpo(dirty, mask, s_rewards, 5);
        value.backward();
        Assert.Equal(clean, value.item<double>());
        Assert.True(dirty.grad!.isfinite().all().item<bool>());
    }

    [Fact]
    public void A_batch_of_equal_rewards_has_no_gradient_at_all()
    {
        using var scope = NewDisposeScope();
        (Tensor log, Tensor reference, Tensor mask) = Case();
        Tensor value = PolicyGradient.Grpo(log, mask, new double[3, 4], 5, reference, 0.5);
        Assert.Equal(0, value.item<double>());
        Assert.False(value.requires_grad);
    }

    [Fact]
    public void The_estimate_of_the_divergence_is_zero_for_the_policy_itself_and_never_negative()
    {
        using var scope = NewDisposeScope();
        (Tensor log, Tensor reference, Tensor mask) = Case();
        double none = PolicyGradient.Grpo(log, mask, s_rewards, 5).item<double>();
        Assert.Equal(none, PolicyGradient.Grpo(log, mask, s_rewards, 5, log, 3).item<double>(), 1e-15);
        Assert.True(PolicyGradient.Grpo(log, mask, s_rewards, 5, reference, 3).item<double>() > none);
    }

    [Fact]
    public void Reinforce_weighs_by_reward_minus_baseline()
    {
        using var scope = NewDisposeScope();
        Tensor log = tensor(new[] { -0.5, -1, -2, -0.25 }, [2, 2]).requires_grad_(), mask = tensor(new[] { true, true, true, false }, [2, 2]);
        Tensor value = PolicyGradient.Reinforce(log, mask, [1, 0], 3);
        value.backward();

        // The baseline is 1/2: -(1/2 (-1.5) - 1/2 (-2)) / (2 3).
        Assert.Equal(-(0.5 * -1.5 - (0.5 * -2)) / 6, value.item<double>(), 1e-15);
        Surface.Close([-1 / 12.0, -1 / 12.0, 1 / 12.0, 0], log.grad!);
        Assert.Equal(1.5 / 6, PolicyGradient.Reinforce(log, mask, [1, 0], 3, baseline: 0).item<double>(), 1e-15);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        (Tensor log, Tensor reference, Tensor mask) = Case();
        Assert.Throws<ArgumentException>("rewards", () => PolicyGradient.Advantages(new double[3, 1]));
        Assert.Throws<ArgumentException>("rewards", () => PolicyGradient.Advantages(new double[0, 4]));
        Assert.Throws<ArgumentException>("rewards", () => PolicyGradient.Advantages(new[,] { { 0, double.NaN } }));
        Assert.Throws<ArgumentException>("logProbabilities", () => PolicyGradient.Grpo(log, mask, new double[2, 4], 5));
        Assert.Throws<ArgumentException>("logProbabilities", () => PolicyGradient.Grpo(log.neg(), mask, s_rewards, 5));
        Assert.Throws<ArgumentException>("logProbabilities", () => PolicyGradient.Grpo(log.mul(double.NaN), mask, s_rewards, 5));
        Assert.Throws<ArgumentException>("mask", () => PolicyGradient.Grpo(log, mask.to(ScalarType.Float32), s_rewards, 5));
        Assert.Throws<ArgumentOutOfRangeException>("limit", () => PolicyGradient.Grpo(log, mask, s_rewards, 2));
        Assert.Throws<ArgumentOutOfRangeException>("limit", () => PolicyGradient.Grpo(log, mask, s_rewards, 0));
        Assert.Throws<ArgumentException>("reference", () => PolicyGradient.Grpo(log, mask, s_rewards, 5, null, 0.1));
        Assert.Throws<ArgumentException>("reference", () => PolicyGradient.Grpo(log, mask, s_rewards, 5, reference[0], 0.1));
        Assert.Throws<ArgumentOutOfRangeException>("klWeight", () => PolicyGradient.Grpo(log, mask, s_rewards, 5, reference, -1));
        Assert.Throws<ArgumentException>("rewards", () => PolicyGradient.Reinforce(log, mask, [.. Enumerable.Repeat(double.NaN, 12)], 5));
        Assert.Throws<ArgumentOutOfRangeException>("Samples", () => new GrpoOptions { Samples = 1 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>("NewTokens", () => new GrpoOptions { Rollout = new() { NewTokens = 0 } }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>("RandomRewards", () => new GrpoOptions { RandomRewards = 1 }.Validate());
    }

    private static (Tensor Log, Tensor Reference, Tensor Mask) Case()
    {
        double[] log = [.. Enumerable.Range(0, 36).Select(g => -0.1 - (0.05 * (g * 7 % 11)))], reference = [.. Enumerable.Range(0, 36).Select(g => -0.2 - (0.04 * (g * 5 % 13)))];
        bool[] mask = [.. Enumerable.Range(0, 36).Select(g => g % 3 < (g / 3 % 3) + 1)];
        return (tensor(log, [12, 3]).requires_grad_(), tensor(reference, [12, 3]), tensor(mask, [12, 3]));
    }
}

public class PreferenceLossTests
{
    [Fact]
    public void Dpo_is_that_of_PyTorch_and_of_the_formula()
    {
        using var scope = NewDisposeScope();
        Tensor chosen = tensor(new[] { -3, -2.5 }).requires_grad_(), rejected = tensor(new[] { -4.0, -1 }).requires_grad_();
        Tensor loss = PreferenceLoss.Dpo(chosen, rejected, tensor(new[] { -3.5, -2 }), tensor(new[] { -3.0, -2 }));
        loss.backward();

        // Gaps 0.5 + 1 and -0.5 - 1: the mean of log(1 + exp(-0.15)) and log(1 + exp(0.15)). Recorded from torch 1.13.0a0 with logsigmoid in float64.
        Assert.Equal((Math.Log(1 + Math.Exp(-0.15)) + Math.Log(1 + Math.Exp(0.15))) / 2, loss.item<double>(), 1e-15);
        Assert.Equal(0.695957047789532, loss.item<double>(), 1e-15);
        Surface.Close([-0.023128507732812525, -0.02687149226718748], chosen.grad!);
        Surface.Close([0.023128507732812525, 0.02687149226718748], rejected.grad!);
    }

    [Fact]
    public void At_the_reference_it_is_log_2_and_large_gaps_do_not_overflow()
    {
        using var scope = NewDisposeScope();
        Tensor a = tensor(new[] { -3.0 }), b = tensor(new[] { -7.0 });
        Assert.Equal(Math.Log(2), PreferenceLoss.Dpo(a, b, a, b).item<double>(), 1e-15);
        Assert.Equal(99_999.7, PreferenceLoss.Dpo(tensor(new[] { -1e6 }), b, a, b).item<double>(), 1e-9);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        Tensor a = tensor(new[] { -3.0, -1 }), one = tensor(new[] { -3.0 });
        Assert.Throws<ArgumentException>("rejected", () => PreferenceLoss.Dpo(a, one, a, a));
        Assert.Throws<ArgumentException>("referenceRejected", () => PreferenceLoss.Dpo(a, a, a, a.mul(double.NaN)));
        Assert.Throws<ArgumentOutOfRangeException>("beta", () => PreferenceLoss.Dpo(a, a, a, a, 0));
        Assert.Throws<ArgumentException>("chosen", () => PreferenceLoss.Dpo(a.unsqueeze(0), a, a, a));
    }
}
