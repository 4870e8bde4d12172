using FsCheck;
using FsCheck.Fluent;
using Sparseland.AssociativeMemory;
using Sparseland.Data;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.AssociativeMemory;

public class SparseyBaselineTests
{
    [Fact]
    public void The_nearest_item_is_that_of_a_direct_search() => Prop.ForAll<int>(The_nearest_item_is_that_of_a_direct_searchFor).QuickCheckThrowOnFailure();

    private static void The_nearest_item_is_that_of_a_direct_searchFor(int seed)
    {
        var random = new SeededRandom(seed);
        int inputs = 2 + random.NextInt(200), count = 1 + random.NextInt(100);
        int[][] items = [.. Enumerable.Range(0, count).Select(i => BinaryPatterns.Random(inputs, 1 + random.NextInt(inputs), 1, seed + i)[0])];
        var store = new NearestItem(inputs);
        foreach (int[] item in items) store.Store(item);
        int[] cue = BinaryPatterns.Random(inputs, 1 + random.NextInt(inputs), 1, seed - 1L)[0];
        int[] distances = [.. items.Select(item => item.Except(cue).Count() + cue.Except(item).Count())];
        Assert.Equal((Array.IndexOf(distances, distances.Min()), distances.Min()), store.Nearest(cue));
    }

    [Fact]
    public void Willshaw_recalls_few_items_and_gives_similar_ones_unrelated_codes()
    {
        var memory = new WillshawMemory(256, 32, 16, 1);
        int[][] items = BinaryPatterns.GradedFamilies(256, 20, 5, 4, 1);
        int[][] codes = [.. items.Select(memory.Store)];
        Assert.Equal(20, memory.Count);
        Assert.InRange(items.Select((item, i) => CodeMetrics.Overlap(memory.Recall(item), codes[i])).Average(), 0.95, 1);
        (double[] input, double[] code) = CodeMetrics.Pairs(items, codes);
        Assert.InRange(CodeMetrics.Spearman(input, code), -0.2, 0.2);
        Assert.InRange(memory.WeightDensity, 0.01, 0.2);
        Assert.Equal(codes[0], new WillshawMemory(256, 32, 16, 1).Store(items[0]));
    }

    [Fact]
    public void Projections_hash_similar_inputs_to_similar_codes()
    {
        var hash = new KWayProjectionHash(256, 200, 16, 1);
        int[] item = BinaryPatterns.Random(256, 20, 1, 1)[0], code = hash.Code(item);
        Assert.Equal(code, hash.Code([.. item.Reverse()]));
        double[] overlap = [.. new[] { 0, 10, 15, 19, 20 }.Select(o => CodeMetrics.Overlap(code, hash.Code(BinaryPatterns.WithOverlap(item, 256, o, 2))))];
        Assert.Equal(overlap.Order(), overlap);
        Assert.InRange(overlap[0], 0, 0.15);
        Assert.Equal(1, overlap[4]);
        Assert.All(code, (cell, q) => Assert.Equal(q, cell / 16));
    }

    [Fact]
    public void Labels_follow_the_formula_of_naive_bayes()
    {
        var readout = new LabelReadout(4, 2, 2, 0.5);
        readout.Learn([0, 2], 0);
        readout.Learn([0, 3], 0);
        readout.Learn([1, 3], 1);
        double[] scores = readout.Scores([0, 3]);
        Assert.Equal(Math.Log(2.5 / 3) + Math.Log(1.5 / 3), scores[0], 1e-12);
        Assert.Equal(Math.Log(0.5 / 2) + Math.Log(1.5 / 2), scores[1], 1e-12);
        Assert.Equal(0, readout.Classify([0, 3]));
        Assert.Equal(1, readout.Classify([1, 3]));
        Assert.Equal([2L, 1], readout.ClassCounts);
        Assert.Equal(2, readout[0, 0]);
        Assert.Throws<ArgumentException>(() => readout.Learn([0, 1], 0));
        Assert.Throws<ArgumentException>(() => readout.Scores([0]));
        Assert.Throws<ArgumentOutOfRangeException>(() => readout.Learn([0, 2], 2));
        Assert.Throws<ArgumentException>(() => new LabelReadout(5, 2, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LabelReadout(4, 2, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LabelReadout(4, 2, 2, 0));
    }

    [Fact]
    public void Metrics_are_what_they_say()
    {
        Assert.Equal(0.75, CodeMetrics.Overlap([1, 2, 3, 4], [1, 2, 3, 0]));
        Assert.Equal(0.5, CodeMetrics.InputOverlap([1, 2], [2, 5]));
        Assert.Equal(0.25, CodeMetrics.InputOverlap([1], [1, 2, 3, 4]));
        Assert.Equal(2, CodeMetrics.Distinct([[1, 2], [1, 3], [1, 2]]));
        (double[] input, double[] code) = CodeMetrics.Pairs([[1, 2], [2, 3], [8, 9]], [[0, 2], [0, 3], [1, 3]]);
        Assert.Equal([0.5, 0, 0], input);
        Assert.Equal([0.5, 0, 0.5], code);

        // scipy.stats.spearmanr([1, 2, 2, 4, 5], [2, 1, 3, 3, 9]) = 0.763157894736842 (mean ranks of ties).
        Assert.Equal(0.763157894736842, CodeMetrics.Spearman([1, 2, 2, 4, 5], [2, 1, 3, 3, 9]), 1e-12);
        Assert.Equal(-1, CodeMetrics.Spearman([1, 2, 3], [9, 4, 1]), 1e-12);
        Assert.Throws<ArgumentException>(() => CodeMetrics.Overlap([1], [1, 2]));
        Assert.Throws<ArgumentException>(() => CodeMetrics.Overlap([], []));
        Assert.Throws<ArgumentException>(() => CodeMetrics.Pairs([[1]], [[0]]));
        Assert.Throws<ArgumentException>(() => CodeMetrics.Spearman([1, double.NaN], [1, 2]));
    }

    [Fact]
    public void Patterns_have_the_overlaps_that_were_asked_for()
    {
        int[][] items = BinaryPatterns.Random(50, 9, 20, 4);
        Assert.All(items, item => Assert.Equal(item.Distinct().Order(), item));
        Assert.All(items, item => Assert.Equal(9, item.Length));
        Assert.Equal(items[..5], BinaryPatterns.Random(50, 9, 5, 4));
        Assert.NotEqual(items[0], BinaryPatterns.Random(50, 9, 1, 5)[0]);
        for (int shared = 0; shared <= 9; shared++)
        {
            int[] other = BinaryPatterns.WithOverlap(items[0], 50, shared, shared);
            Assert.Equal((9, shared), (other.Length, other.Intersect(items[0]).Count()));
        }

        int[][] families = BinaryPatterns.GradedFamilies(200, 20, 3, 6, 1, 0.5);
        Assert.Equal(18, families.Length);
        Assert.Equal([20, 18, 16, 14, 12, 10], families[6..12].Select(m => m.Intersect(families[6]).Count()));
        int[][][] sequences = BinaryPatterns.Sequences(100, 5, 4, 6, 1, 2);
        Assert.Equal(sequences[0][2], sequences[1][2]);
        Assert.Equal(sequences[2][2], sequences[3][2]);
        Assert.NotEqual(sequences[1][2], sequences[2][2]);
        Assert.NotEqual(sequences[0][1], sequences[1][1]);
        Assert.Throws<ArgumentException>(() => BinaryPatterns.WithOverlap([0, 1, 2], 4, 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => BinaryPatterns.Random(5, 6, 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => BinaryPatterns.GradedFamilies(9, 3, 1, 2, 1, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => BinaryPatterns.Sequences(9, 3, 1, 2, 1, 2));
    }

    [Fact]
    public void Features_of_pictures_are_fixed_in_number()
    {
        using var scope = NewDisposeScope();
        Tensor picture = tensor(new double[] { 0, 0, 1, 1, 0, 0, 1, 1, 0.5, 0.5, 0, 0, 0.5, 0.5, 0, 0.4 }).reshape(1, 4, 4);
        Assert.Equal([[0, 3 + 2, 6 + 1, 9 + 0]], BinaryFeatures.OneHotLevels(picture, 2, 3));

        // A vertical edge from dark to light: the gradient points right, direction 0, at the two columns beside it.
        Tensor edge = tensor(new double[] { 0, 0, 1, 1, 0, 0, 1, 1 }).reshape(1, 2, 4);
        Assert.Equal([[8, 16, 40, 48]], BinaryFeatures.Edges(edge, 4, 1));
        Assert.Equal([[(8 * 1) + 2, (8 * 2) + 2]], BinaryFeatures.Edges(tensor(new double[] { 0, 0, 1, 1 }).reshape(1, 4, 1), 2, 1));
        using GlyphDigitSet digits = GlyphDigits.Generate(5, 1);
        Assert.All(BinaryFeatures.Edges(digits.Images, 40), item => Assert.Equal(40, item.Select(f => f / 8).Distinct().Count()));
        Assert.All(BinaryFeatures.OneHotLevels(digits.Images), item => Assert.Equal(Enumerable.Range(0, 196), item.Select(f => f / 3)));
        Assert.Equal("pool", Assert.Throws<ArgumentException>(() => BinaryFeatures.Edges(picture, 2, 3)).ParamName);
        Assert.Equal("active", Assert.Throws<ArgumentOutOfRangeException>(() => BinaryFeatures.Edges(picture, 5, 2)).ParamName);
        Assert.Equal("levels", Assert.Throws<ArgumentOutOfRangeException>(() => BinaryFeatures.OneHotLevels(picture, 2, 1)).ParamName);
        Assert.Throws<ArgumentException>(() => BinaryFeatures.OneHotLevels(picture.mul(2)));
        Assert.Throws<ArgumentException>(() => BinaryFeatures.OneHotLevels(full([1, 4, 4], double.NaN)));
        Assert.Throws<ArgumentException>(() => BinaryFeatures.OneHotLevels(zeros([4, 4])));
        Assert.Throws<ArgumentException>(() => BinaryFeatures.OneHotLevels(zeros([1, 4, 4], ScalarType.Int64)));
    }

    [Fact]
    public void Bad_input_of_the_baselines_is_refused()
    {
        var store = new NearestItem(5);
        Assert.Throws<InvalidOperationException>(() => store.Nearest([1]));
        Assert.Throws<ArgumentException>(() => store.Store([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => store.Store([5]));
        Assert.Equal(0, store.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => new NearestItem(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new WillshawMemory(5, 0, 2, 1));
        Assert.Throws<ArgumentException>(() => new WillshawMemory(5, 2, 2, 1).Recall([1, 1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new KWayProjectionHash(5, 2, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new KWayProjectionHash(5, 2, 2, 1).Code([7]));
    }
}
