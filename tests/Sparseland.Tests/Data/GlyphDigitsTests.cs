using Sparseland.Data;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class GlyphDigitsTests
{
    [Fact]
    public void Digits_are_repeatable_and_a_larger_set_begins_with_the_smaller()
    {
        using GlyphDigitSet small = GlyphDigits.Generate(20, seed: 3);
        using GlyphDigitSet large = GlyphDigits.Generate(50, seed: 3);
        Assert.Equal(small.Images.data<float>().ToArray(), large.Images[..20].contiguous().data<float>().ToArray());
        Assert.Equal(small.Labels.data<long>().ToArray(), large.Labels[..20].data<long>().ToArray());
        using GlyphDigitSet other = GlyphDigits.Generate(20, seed: 4);
        Assert.NotEqual(small.Images.data<float>().ToArray(), other.Images.data<float>().ToArray());
    }

    [Fact]
    public void Pixels_are_from_0_to_1_and_every_class_occurs_as_often()
    {
        using GlyphDigitSet set = GlyphDigits.Generate(5000, seed: 0);
        Assert.Equal([5000, 28, 28], set.Images.shape);
        Assert.Equal(ScalarType.Float32, set.Images.dtype);
        Assert.Equal(ScalarType.Int64, set.Labels.dtype);
        Assert.True(set.Images.min().ToSingle() >= 0);
        Assert.True(set.Images.max().ToSingle() <= 1);
        double ink = set.Images.mean().ToDouble();
        Assert.InRange(ink, 0.05, 0.3);
        foreach (int count in set.Labels.data<long>().ToArray().CountBy(d => d).Select(pair => pair.Value))
            Assert.InRange(count, 400, 600);
    }

    [Fact]
    public void A_linear_classifier_is_well_above_chance_and_well_below_nearest_neighbours_of_many()
    {
        using GlyphDigitSet train = GlyphDigits.Generate(4000, seed: 1), test = GlyphDigits.Generate(500, seed: 2);
        using var scope = NewDisposeScope();
        Tensor x = train.Images.reshape(-1, 784).to(ScalarType.Float64), y = nn.functional.one_hot(train.Labels, 10).to(ScalarType.Float64);
        Tensor ridge = linalg.solve(x.T.mm(x).add(eye(784, dtype: ScalarType.Float64).mul(50)), x.T.mm(y));
        Tensor z = test.Images.reshape(-1, 784).to(ScalarType.Float64);
        double linear = z.mm(ridge).argmax(1).eq(test.Labels).to(ScalarType.Float64).mean().ToDouble();
        Tensor distance = x.square().sum(1).unsqueeze(0).sub(z.mm(x.T).mul(2));
        double nearest = train.Labels[distance.argmin(1)].eq(test.Labels).to(ScalarType.Float64).mean().ToDouble();
        Assert.True(linear is > 0.6 and < 0.95, $"linear {linear}");
        Assert.True(nearest > linear + 0.01 && nearest > 0.9, $"nearest {nearest}, linear {linear}");
    }

    [Fact]
    public void Bad_options_are_refused_by_name()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => GlyphDigits.Generate(0, 0));
        var refused = Assert.Throws<ArgumentOutOfRangeException>(() => GlyphDigits.Generate(1, 0, new() { MinPen = 3, MaxPen = 2 }));
        Assert.Equal("MaxPen", refused.ParamName);
        Assert.Equal("Noise", Assert.Throws<ArgumentOutOfRangeException>(() => GlyphDigits.Generate(1, 0, new() { Noise = double.NaN })).ParamName);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => GlyphDigits.Generate(10, 0, cancel: cancelled.Token));
    }
}
