using Sparseland.AssociativeMemory;
using Sparseland.Data;

namespace Sparseland.Tests.AssociativeMemory;

/// <summary>The statistical claims of the paper's reproduction, means over five seeds with their margins.</summary>
public class SparseyClaimsTests
{
    private static readonly int[] Seeds = [1, 2, 3, 4, 5];

    [Fact]
    public void Similar_inputs_get_similar_codes_and_are_recalled()
    {
        var runs = Seeds.Select(seed => Ensemble(seed, LearningNoise.Familiarity)).ToArray();
        Assert.InRange(runs.Average(r => r.Near - r.Far), 0.25, 1);
        Assert.InRange(runs.Average(r => r.Spearman), 0.3, 1);
        Assert.All(runs, r => Assert.InRange(r.Distinct, 38, 40));
        Assert.InRange(runs.Average(r => r.Recall), 0.95, 1);
    }

    [Fact]
    public void Without_graded_noise_similarity_or_identity_is_lost()
    {
        Assert.All(Seeds, seed => Assert.InRange(Ensemble(seed, LearningNoise.Uniform).Spearman, -0.1, 0.1));
        Assert.All(Seeds, seed => Assert.InRange(Ensemble(seed, LearningNoise.None).Distinct, 1, 4));
    }

    [Fact]
    public void Capacity_is_finite()
    {
        double Accuracy(int items) => Seeds.Average(seed =>
        {
            int[][] all = BinaryPatterns.Random(144, 12, items, seed);
            var mac = new Macrocolumn(new() { Inputs = 144, Q = 24, K = 8, Seed = seed });
            CodeResult[] codes = mac.StoreAll(all);
            return mac.RecallAll(all).Zip(codes, (r, c) => CodeMetrics.Overlap(r.Winners, c.Winners)).Average();
        });
        Assert.InRange(Accuracy(20), 0.995, 1);
        Assert.InRange(Accuracy(50), 0.92, 0.995);
        Assert.InRange(Accuracy(200), 0, 0.6);
    }

    [Fact]
    public void Sequences_are_recalled_from_their_first_frame_by_context()
    {
        (double Winners, double Features, double Context)[] ten = [.. Seeds.Select(seed => Sequences(10, seed, MacSignals.All))];
        Assert.InRange(ten.Average(r => r.Winners), 0.97, 1);
        Assert.InRange(ten.Average(r => r.Features), 0.97, 1);
        Assert.All(ten, r => Assert.InRange(r.Context, 0, 0.25));
        Assert.InRange(Seeds.Average(seed => Sequences(20, seed, MacSignals.All).Winners), 0.9, 1);
        Assert.InRange(Seeds.Average(seed => Sequences(40, seed, MacSignals.All).Winners), 0, 0.6);
        Assert.InRange(Seeds.Average(seed => Sequences(10, seed, MacSignals.U).Context), 0.6, 1);
        Assert.InRange(Seeds.Average(seed => Sequences(20, seed, MacSignals.U).Winners), 0, 0.85);
    }

    [Fact]
    public void Without_freezing_a_thousand_digits_look_all_alike()
    {
        using GlyphDigitSet train = GlyphDigits.Generate(1000, 1), test = GlyphDigits.Generate(300, 2);
        int[][] items = BinaryFeatures.OneHotLevels(train.Images), cues = BinaryFeatures.OneHotLevels(test.Images);
        long[] labels = train.Labels.data<long>().ToArray(), truth = test.Labels.data<long>().ToArray();
        (double Accuracy, double Familiarity) Run(double freeze)
        {
            var mac = new Macrocolumn(new()
            {
                Inputs = 588, Q = 50, K = 50, G0 = 0.7, Gamma = 4, Chi = 10, Sigmoid = new LogisticSigmoid(40, 34), FreezeFraction = freeze,
            });
            var readout = new LabelReadout(2500, 50, 10);
            CodeResult[] codes = mac.StoreAll(items);
            for (int i = 0; i < codes.Length; i++) readout.Learn(codes[i].Winners, (int)labels[i]);
            CodeResult[] recalled = mac.RecallAll(cues);
            return (recalled.Zip(truth, (r, y) => readout.Classify(r.Winners) == y ? 1.0 : 0).Average(), recalled.Average(r => r.Familiarity));
        }

        (double with, _) = Run(0.45);
        (double without, double alike) = Run(1);
        Assert.InRange(with - without, 0.3, 1);
        Assert.InRange(alike, 0.99, 1);
    }

    private static (double Near, double Far, double Spearman, int Distinct, double Recall) Ensemble(int seed, LearningNoise noise)
    {
        int[][] items = BinaryPatterns.GradedFamilies(256, 20, 5, 8, seed);
        var mac = new Macrocolumn(new() { Inputs = 256, Q = 32, K = 16, Seed = seed, Noise = noise });
        int[][] codes = [.. mac.StoreAll(items).Select(c => c.Winners)];
        (double[] input, double[] code) = CodeMetrics.Pairs(items, codes);
        double Mean(Func<double, bool> which) => input.Zip(code).Where(p => which(p.First)).Average(p => p.Second);
        double recall = mac.RecallAll(items).Zip(codes, (r, c) => CodeMetrics.Overlap(r.Winners, c)).Average();
        return (Mean(o => o >= 0.6 - 1e-9), Mean(o => o <= 0.1 + 1e-9), CodeMetrics.Spearman(input, code), CodeMetrics.Distinct(codes), recall);
    }

    private static (double Winners, double Features, double Context) Sequences(int count, int seed, MacSignals choice)
    {
        const int shared = 3;
        int[][][] all = BinaryPatterns.Sequences(256, 10, count, 8, seed, shared);
        var memory = new SequenceMemory(new(new() { Inputs = 256, Q = 32, K = 16, Seed = seed }), choice);
        CodeResult[][] codes = [.. all.Select(memory.StoreSequence)];
        SequenceRecall[] recalls = [.. all.Select(s => memory.RecallSequence([s[0]], 8, 10))];
        double winners = recalls.Zip(codes, (r, c) => r.Codes.Zip(c, (x, y) => CodeMetrics.Overlap(x.Winners, y.Winners)).Average()).Average();
        double features = recalls.Zip(all, (r, s) => r.Frames.Zip(s, CodeMetrics.InputOverlap).Average()).Average();
        double context = Enumerable.Range(0, count / 2).Average(p => CodeMetrics.Overlap(codes[2 * p][shared].Winners, codes[(2 * p) + 1][shared].Winners));
        return (winners, features, context);
    }
}
