using Sparseland.Training;

namespace Sparseland.Tests.Training;

public class TrainingOptionsTests
{
    [Fact]
    public void The_rate_climbs_linearly_then_follows_half_a_cosine()
    {
        var options = new TrainingOptions { Steps = 21, LearningRate = 0.4, WarmUp = 4, FinalRate = 0.25 };
        double[] expected = [0.1, 0.2, 0.3, 0.4, 0.4];
        for (int s = 0; s < expected.Length; s++) Assert.Equal(expected[s], options.RateOf(s), 1e-15);
        Assert.Equal(0.1 + (0.3 * 0.5 * (1 + Math.Cos(Math.PI / 4))), options.RateOf(8), 1e-15);
        Assert.Equal(0.25, options.RateOf(12), 1e-15);
        Assert.Equal(0.1, options.RateOf(20), 1e-15);
        Assert.Equal(0.1, options.RateOf(1000), 1e-15);
        for (int s = 5; s < 21; s++) Assert.True(options.RateOf(s) < options.RateOf(s - 1));
    }

    [Fact]
    public void A_plateau_holds_the_highest_rate_and_leaves_the_rest_to_the_cosine()
    {
        var options = new TrainingOptions { Steps = 101, LearningRate = 1, Plateau = 0.6, FinalRate = 0 };
        Assert.Equal(1, options.RateOf(60), 1e-15);
        Assert.True(options.RateOf(62) < 1);
        Assert.Equal(0.5, options.RateOf(80), 0.02);
        Assert.Equal(0, options.RateOf(100), 1e-15);
        Assert.All(Enumerable.Range(0, 500), s => Assert.Equal(1, (options with { Plateau = 1 }).RateOf(Math.Min(s, 100)), 1e-15));
    }

    [Fact]
    public void One_step_and_a_warm_up_that_fills_all_but_one_are_possible()
    {
        Assert.Equal(0.1, new TrainingOptions { Steps = 1, LearningRate = 1 }.RateOf(0), 1e-15);
        var options = new TrainingOptions { Steps = 5, WarmUp = 4, LearningRate = 1 };
        options.Validate();
        Assert.Equal(1, options.RateOf(3), 1e-15);
        Assert.Equal(0.1, options.RateOf(4), 1e-15);
    }

    [Fact]
    public void Drops_multiply_what_the_rest_of_the_schedule_says()
    {
        var options = new TrainingOptions { Steps = 8, LearningRate = 1, FinalRate = 1, DropAt = [0.5, 0.75], DropTo = 0.1 };
        Assert.Equal([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01], Enumerable.Range(0, 9).Select(s => Math.Round(options.RateOf(s), 12)));
        TrainingOptions cosine = options with { FinalRate = 0.1, WarmUp = 2 };
        for (int s = 0; s < 8; s++) Assert.Equal((cosine with { DropAt = [] }).RateOf(s) * options.RateOf(s), cosine.RateOf(s), 1e-15);
    }

    [Fact]
    public void Values_outside_their_range_are_named()
    {
        var good = new TrainingOptions();
        good.Validate();
        foreach ((string name, TrainingOptions bad) in new (string, TrainingOptions)[]
        {
            ("Steps", good with { Steps = 0 }), ("Accumulate", good with { Accumulate = 0 }), ("WarmUp", good with { WarmUp = -1 }), ("WarmUp", good with { WarmUp = 1000 }),
            ("LearningRate", good with { LearningRate = 0 }), ("LearningRate", good with { LearningRate = double.NaN }), ("LearningRate", good with { LearningRate = double.PositiveInfinity }),
            ("Plateau", good with { Plateau = 1.1 }), ("FinalRate", good with { FinalRate = -0.1 }), ("WeightDecay", good with { WeightDecay = 1000 }), ("WeightDecay", good with { WeightDecay = double.NaN }),
            ("DropAt", good with { DropAt = [0.5, 0.5] }), ("DropAt", good with { DropAt = [1] }), ("DropAt", good with { DropAt = [0] }), ("DropTo", good with { DropTo = 0 }), ("DropTo", good with { DropTo = 1.5 }),
            ("Beta1", good with { Beta1 = 1 }), ("Beta2", good with { Beta2 = -1 }), ("Epsilon", good with { Epsilon = 0 }), ("ClipNorm", good with { ClipNorm = 0 }), ("ClipNorm", good with { ClipNorm = double.NaN }),
            ("EvaluateEvery", good with { EvaluateEvery = -1 }), ("CheckpointEvery", good with { CheckpointEvery = -1 }), ("Checkpoint", good with { CheckpointEvery = 5 }), ("Checkpoint", good with { Checkpoint = " " }),
        })
        {
            ArgumentException error = Assert.ThrowsAny<ArgumentException>(bad.Validate);
            Assert.Equal(name, error.ParamName);
        }

        (good with { ClipNorm = double.PositiveInfinity }).Validate();
    }
}
