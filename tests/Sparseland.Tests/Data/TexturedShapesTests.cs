using Sparseland.Data;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class TexturedShapesTests
{
    [Fact]
    public void Shapes_are_repeatable_and_a_larger_set_begins_with_the_smaller()
    {
        using LabelledImages small = TexturedShapes.Generate(20, seed: 3), large = TexturedShapes.Generate(50, seed: 3), other = TexturedShapes.Generate(20, seed: 4);
        using LabelledImages start = large.Part(0, 20);
        Assert.Equal(Numbers(small), Numbers(start));
        Assert.Equal(small.Labels.data<long>().ToArray(), start.Labels.data<long>().ToArray());
        Assert.NotEqual(Numbers(small), Numbers(other));
    }

    [Fact]
    public async Task One_thread_draws_the_same_as_many()
    {
        using LabelledImages many = TexturedShapes.Generate(64, seed: 5);
        float[] alone = [];
        // A scheduler of one thread: Parallel.For inside it cannot spread.
        await new TaskFactory(new ConcurrentExclusiveSchedulerPair(TaskScheduler.Default, 1).ExclusiveScheduler).StartNew(() =>
        {
            using LabelledImages one = TexturedShapes.Generate(64, seed: 5);
            alone = Numbers(one);
        });
        Assert.Equal(Numbers(many), alone);
    }

    [Fact]
    public void Values_are_from_0_to_1_and_every_class_occurs_as_often()
    {
        using LabelledImages set = TexturedShapes.Generate(4000, seed: 0);
        Assert.Equal([4000, 3, 32, 32], set.Images.shape);
        Assert.Equal(10, set.ClassNames.Count);
        Assert.True(set.Images.min().ToSingle() >= 0);
        Assert.True(set.Images.max().ToSingle() <= 1);
        (int Label, int Count)[] counts = [.. set.Labels.data<long>().ToArray().CountBy(d => d).Select(p => ((int)p.Key, p.Value))];
        Assert.Equal(10, counts.Length);
        // 400 expected, standard deviation 19.
        Assert.All(counts, c => Assert.InRange(c.Count, 320, 480));
    }

    [Fact]
    public void Mean_colours_say_nothing_of_the_class_and_a_linear_classifier_little()
    {
        using LabelledImages train = TexturedShapes.Generate(6000, seed: 1), test = TexturedShapes.Generate(1000, seed: 2);
        using var scope = NewDisposeScope();
        Assert.InRange(Ridge(train.Images.mean([2, 3]), test.Images.mean([2, 3])), 0.05, 0.16);
        // Halved, for the test's time.
        Assert.InRange(Ridge(Half(train), Half(test)), 0.08, 0.4);

        Tensor Half(LabelledImages set) => nn.functional.avg_pool2d(set.Images, 2).flatten(1);

        double Ridge(Tensor x, Tensor z)
        {
            x = cat([x, ones([x.shape[0], 1])], 1).to(ScalarType.Float64);
            z = cat([z, ones([z.shape[0], 1])], 1).to(ScalarType.Float64);
            Tensor y = nn.functional.one_hot(train.Labels, 10).to(ScalarType.Float64);
            Tensor weights = linalg.solve(x.T.mm(x).add(eye(x.shape[1], dtype: ScalarType.Float64).mul(50)), x.T.mm(y));
            return z.mm(weights).argmax(1).eq(test.Labels).to(ScalarType.Float64).mean().ToDouble();
        }
    }

    [Fact]
    public void Without_nuisances_each_class_has_its_own_area_of_the_right_size()
    {
        // Shapes of radius 10 in the middle, at full contrast: the share of pixels unlike the background is the shape's area.
        var plain = new TexturedShapesOptions { Rotation = 0, MinRadius = 10, MaxRadius = 10, Shift = 0, Stretch = 0, Wobble = 0, Occluders = 0, Contrast = 0.5, Texture = 0, Noise = 0 };
        using LabelledImages set = TexturedShapes.Generate(200, seed: 6, plain);
        using var scope = NewDisposeScope();
        Tensor corner = set.Images.narrow(2, 0, 1).narrow(3, 0, 1);
        Tensor inside = set.Images.sub(corner).square().sum([1]).sqrt();
        Tensor peak = inside.flatten(1).max(1).values.unsqueeze(1).unsqueeze(2);
        double[] area = inside.div(peak).sum([1, 2]).to(ScalarType.Float64).data<double>().ToArray();
        long[] labels = set.Labels.data<long>().ToArray();
        // By the formulas of their areas, to a fifth of a pixel all along the rim: circles have corners, and heights are multiples of 1/4.
        Check("disk", Math.PI * 9.5 * 9.5);
        Check("ring", Math.PI * (100 - (5.2 * 5.2)));
        Check("square", 16.8 * 16.8);
        Check("cross", (20 * 6.8 * 2) - (6.8 * 6.8));
        Check("triangle", 20.4 * 18.3 / 2);
        foreach (string name in set.ClassNames) Assert.InRange(Of(name).Max() - Of(name).Min(), 0, 0.01);

        void Check(string name, double expected) => Assert.InRange(Of(name).Average(), expected - 6, expected + 6);

        double[] Of(string name) => [.. area.Where((_, i) => set.ClassNames[(int)labels[i]] == name)];
    }

    [Fact]
    public void Bad_options_are_refused_by_name()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => TexturedShapes.Generate(0, 0));
        (TexturedShapesOptions Options, string Name)[] bad =
        [
            (new() { Rotation = 46 }, "Rotation"), (new() { MinRadius = 3 }, "MinRadius"), (new() { MinRadius = 10, MaxRadius = 9 }, "MaxRadius"),
            (new() { Shift = -1 }, "Shift"), (new() { Stretch = 0.6 }, "Stretch"), (new() { Wobble = double.NaN }, "Wobble"), (new() { Occluders = 5 }, "Occluders"),
            (new() { Contrast = 1.1 }, "Contrast"), (new() { Texture = 0.6 }, "Texture"), (new() { Noise = double.NaN }, "Noise"),
        ];
        foreach ((TexturedShapesOptions options, string name) in bad)
            Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(() => TexturedShapes.Generate(1, 0, options)).ParamName);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => TexturedShapes.Generate(10, 0, cancel: cancelled.Token));
    }

    private static float[] Numbers(LabelledImages set) => set.Images.data<float>().ToArray();
}
