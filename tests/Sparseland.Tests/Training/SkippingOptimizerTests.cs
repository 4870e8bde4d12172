using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class SkippingOptimizerTests
{
    [Fact]
    public void A_step_without_gradients_is_as_if_it_had_never_been()
    {
        using var scope = NewDisposeScope();
        using Surface plain = new(), skipping = new();
        using var adam = new AdamWOptimizer(plain, 0);
        using var optimizer = new SkippingOptimizer(new AdamWOptimizer(skipping, 0));
        foreach (int t in new[] { 0, -1, 1, -1, -1, 2 })
        {
            skipping.zero_grad();
            if (t >= 0)
            {
                plain.Step(adam, t, 0.02);
                skipping.Loss(t).backward();
            }

            optimizer.Step(0.02);
        }

        Assert.Equal(TrainingData.Parameters(plain), TrainingData.Parameters(skipping));
        Assert.All(adam.State, s => Assert.Equal(TrainingData.Numbers(s.Value), TrainingData.Numbers(optimizer.State["inner." + s.Key])));
        Assert.Equal((6, 3, 3), (optimizer.Count, optimizer.Skipped, adam.Count));
    }

    [Fact]
    public void State_is_taken_up_with_its_own_count_of_steps()
    {
        using var scope = NewDisposeScope();
        using Surface first = new(), second = new();
        using var one = new SkippingOptimizer(new AdamWOptimizer(first, 0));
        using var two = new SkippingOptimizer(new AdamWOptimizer(second, 0));
        first.zero_grad();
        one.Step(0.02);
        first.Step(one, 0, 0.02);
        Dictionary<string, Tensor> state = one.State.ToDictionary(s => s.Key, s => s.Value.clone());
        using (no_grad()) foreach ((var a, var b) in first.parameters().Zip(second.parameters())) b.copy_(a);
        two.Load(state, 2);
        first.Step(one, 1, 0.02);
        second.Step(two, 1, 0.02);
        Assert.Equal(TrainingData.Parameters(first), TrainingData.Parameters(second));
        Assert.Equal((3, 1), (two.Count, two.Skipped));
        state["steps"].fill_(9);
        Assert.Throws<ArgumentException>("state", () => two.Load(state, 2));
        Assert.Throws<ArgumentException>("inner", () => new SkippingOptimizer(two));
    }
}
