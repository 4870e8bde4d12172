using Sparseland.Data;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class LabelledImagesTests
{
    [Fact]
    public void Grey_and_coloured_images_can_be_seen_flat_and_with_a_channel_axis()
    {
        using var grey = new LabelledImages(zeros(4, 5, 6), zeros(4, dtype: ScalarType.Int64), ["a"]);
        using var colour = new LabelledImages(zeros(4, 3, 5, 6), zeros(4, dtype: ScalarType.Int64), ["a"]);
        Assert.Equal([4, 30], grey.Flat().shape);
        Assert.Equal([4, 1, 5, 6], grey.Planes().shape);
        Assert.Equal([4, 90], colour.Flat().shape);
        Assert.Equal([4, 3, 5, 6], colour.Planes().shape);
        using (colour.Planes())
        {
            // Disposing the view leaves the set alone.
        }
        Assert.Equal(0, colour.Images.sum().ToSingle());
    }

    [Fact]
    public void A_part_is_a_view_that_outlives_its_set()
    {
        GlyphDigitSet set = GlyphDigits.Generate(10, 1);
        using LabelledImages part = set.Part(3, 4);
        Assert.Equal(4, part.Count);
        Assert.Equal(set.Images[3].data<float>().ToArray(), part.Images[0].data<float>().ToArray());
        Assert.Equal(set.Labels[6].item<long>(), part.Labels[3].item<long>());
        Assert.Throws<ArgumentOutOfRangeException>(() => set.Part(7, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.Part(-1, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.Part(0, 0));
        float[] before = part.Images.data<float>().ToArray();
        set.Dispose();
        Assert.Equal(before, part.Images.data<float>().ToArray());
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using Tensor images = zeros(4, 5, 6), labels = zeros(4, dtype: ScalarType.Int64);
        Assert.Equal("images", Assert.Throws<ArgumentException>(() => new LabelledImages(zeros(4, 5), labels, ["a"])).ParamName);
        Assert.Equal("images", Assert.Throws<ArgumentException>(() => new LabelledImages(zeros([4, 5, 6], dtype: ScalarType.Float64), labels, ["a"])).ParamName);
        Assert.Equal("images", Assert.Throws<ArgumentException>(() => new LabelledImages(zeros(0, 5, 6), labels, ["a"])).ParamName);
        Assert.Equal("labels", Assert.Throws<ArgumentException>(() => new LabelledImages(images, zeros(3, dtype: ScalarType.Int64), ["a"])).ParamName);
        Assert.Equal("labels", Assert.Throws<ArgumentException>(() => new LabelledImages(images, zeros(4), ["a"])).ParamName);
        ArgumentException unnamed = Assert.Throws<ArgumentException>(() => new LabelledImages(images, labels.add(2), ["a", "b"]));
        Assert.Contains("from 2 to 2", unnamed.Message);
    }
}
