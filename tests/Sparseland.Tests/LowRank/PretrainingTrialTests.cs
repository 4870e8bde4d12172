using Sparseland.LowRank;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class PretrainingTrialTests
{
    private static readonly string[] s_articles = [.. Enumerable.Range(0, 60).Select(i => $"Article {i} says that {i} times two is {2 * i}.")];

    [Fact]
    public void Characters_have_ids_and_read_back()
    {
        Assert.Equal([33, 66, 0, 94, 95, 96, 96, 96], ByteText.Encode("Ab ~\n€"));
        Assert.Equal("Ab ~\n\uFFFD\uFFFD\uFFFD", ByteText.Decode(ByteText.Encode("Ab ~\n€")));
        Assert.Equal([33, 95, 96, 96, 96, 95, 34], ByteText.Of(["A", "B"]).Ids.ToArray());
        Assert.Equal("A|B|C", ByteText.Decode(ByteText.Of(["A", "B", "C"], "|").Ids));
        Assert.Equal(4, ByteText.Of(["AB", "CD", "EF"], "", most: 4).Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => ByteText.Decode([97]));
        Assert.Throws<ArgumentException>(() => ByteText.Of(["A"]));
    }

    [Fact]
    public void The_network_has_the_sizes_and_the_start_of_the_trial()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = PretrainingTrial.Start(2), again = PretrainingTrial.Start(2), other = PretrainingTrial.Start(3);
        Assert.Equal(230_976, model.parameters().Sum(p => p.numel()));
        Tensor down = model.Blocks[1].Down.weight!;
        Assert.InRange(down.abs().max().item<float>(), 0.99 / 16, 1.0 / 16);
        Assert.Equal(1.0 / Math.Sqrt(3 * 256), down.square().mean().sqrt().item<float>(), 0.002);
        Assert.Equal(0.02, model.Embeddings.square().mean().sqrt().item<float>(), 0.001);
        Assert.True(down.equal(again.Blocks[1].Down.weight!).all().item<bool>());
        Assert.False(down.equal(other.Blocks[1].Down.weight!).all().item<bool>());
    }

    [Fact]
    public void A_trial_learns_is_repeatable_and_gives_curve_and_counts()
    {
        using var scope = NewDisposeScope();
        TokenText text = ByteText.Of(s_articles);
        var trial = new PretrainingTrial(text, text);
        TrialOptions options = new() { Steps = 12, CurveEvery = 6, HeldOut = 600, LearningRate = 0.01 };
        using TrialResult one = trial.Run("dense", null, options), two = trial.Run("dense", null, options);
        Assert.Equal(one.Loss, two.Loss);
        Assert.Equal([6L, 12L], one.Curve.Select(c => c.Step));
        Assert.Equal(one.Curve[^1].Loss, one.Loss);
        Assert.InRange(one.Loss, 1, 4.3);
        Assert.Equal(230_976, one.Trained);
        using TrialResult low = trial.Run("low", (name, l) => new LowRankLinear(l.weight!.shape[1], l.weight.shape[0], 12, 5), options);
        Assert.Equal(53_568, low.Trained);
        using TrialResult galore = trial.Run("galore", null, options with { Optimizer = m => new GaLoreOptimizer(m, new() { Rank = 12, Gap = 5 }) });
        Assert.Equal(230_976, galore.Trained);
        Assert.NotEqual(one.Loss, galore.Loss);
    }

    [Fact]
    public void Bad_input_and_cancellation()
    {
        TokenText text = ByteText.Of(s_articles);
        Assert.Throws<ArgumentException>(() => new PretrainingTrial(ByteText.Of(["short"]), text));
        Assert.Contains("id 97", Assert.Throws<ArgumentException>(() => new PretrainingTrial(new TokenText([.. Enumerable.Repeat(97, 200)]), text)).Message, StringComparison.Ordinal);
        var trial = new PretrainingTrial(text, text);
        Assert.Throws<ArgumentOutOfRangeException>(() => trial.Run("dense", null, new() { Steps = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => trial.Run("dense", null, new() { HeldOut = 1 }));
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => trial.Run("dense", null, new() { Steps = 5 }, cancel: stop.Token));
    }
}
