using Sparseland.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class ImageCorruptionTests
{
    [Theory, InlineData(CorruptionKind.Noise), InlineData(CorruptionKind.Blur), InlineData(CorruptionKind.Contrast), InlineData(CorruptionKind.Occlusion)]
    public void Strength_spoils_more_and_zero_nothing(CorruptionKind kind)
    {
        using DisposeScope scope = NewDisposeScope();
        using LabelledImages set = TexturedShapes.Generate(20, 1);
        double last = 0;
        foreach (double strength in new[] { 0, 0.25, 0.5, 1 })
        {
            Tensor spoilt = ImageCorruption.Apply(set.Images, kind, strength);
            Assert.Equal(set.Images.shape, spoilt.shape);
            Assert.InRange(spoilt.min().item<float>(), 0, 1);
            Assert.InRange(spoilt.max().item<float>(), 0, 1);
            double change = (spoilt - set.Images).square().mean().item<float>();
            if (strength == 0) Assert.Equal(0, change);
            else Assert.True(change > last);
            last = change;
            Assert.True(spoilt.equal(ImageCorruption.Apply(set.Images, kind, strength)).all().item<bool>());
            Tensor part = ImageCorruption.Apply(set.Images.narrow(0, 0, 5), kind, strength);
            Assert.InRange((part - spoilt.narrow(0, 0, 5)).abs().max().item<float>(), 0, 1e-6);
        }
    }

    [Fact]
    public void A_blur_is_a_normalised_gaussian_and_occlusion_a_square()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor dot = zeros(1, 41, 41);
        dot[0][20][20] = 1;
        Tensor blurred = ImageCorruption.Apply(dot, CorruptionKind.Blur, 0.5)[0];
        Assert.Equal(1, blurred.sum().item<float>(), 4);
        Tensor square = (arange(41, dtype: ScalarType.Float32) - 20).square();
        Assert.Equal(1.5 * 1.5, (blurred.sum(1L) * square).sum().item<float>(), 1);
        Tensor covered = ImageCorruption.Apply(zeros(3, 20, 20), CorruptionKind.Occlusion, 0.5);
        Assert.Equal(3 * 36 * 0.5, covered.sum().item<float>(), 4);
        Assert.InRange(ImageCorruption.Apply(rand(2, 9, 9), CorruptionKind.Contrast, 1).std([1L, 2L]).max().item<float>(), 0, 1e-6);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Assert.Throws<ArgumentException>("images", () => ImageCorruption.Apply(zeros(4, 4), CorruptionKind.Blur, 0.5));
        Assert.Throws<ArgumentException>("images", () => ImageCorruption.Apply(full(new long[] { 1, 4, 4 }, float.NaN), CorruptionKind.Blur, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>("strength", () => ImageCorruption.Apply(zeros(1, 4, 4), CorruptionKind.Blur, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>("kind", () => ImageCorruption.Apply(zeros(1, 4, 4), (CorruptionKind)9, 0.5));
    }
}
