using Sparseland.Data;
using Sparseland.Tests.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class PaddedImagesTests
{
    [Fact]
    public void Images_stand_in_the_middle_of_zeros()
    {
        using var scope = NewDisposeScope();
        using LabelledImages set = new(rand([3, 5, 6]).add(1), tensor(new long[] { 0, 1, 1 }), ["a", "b"]), color = new(rand([2, 3, 4, 4]), tensor(new long[] { 0, 1 }), ["a", "b"]);
        using LabelledImages padded = set.Padded(8), wide = color.Padded(6), same = color.Padded(4);
        Assert.Equal([3, 8, 8], padded.Images.shape);
        Assert.True(padded.Images.narrow(1, 1, 5).narrow(2, 1, 6).Same(set.Images));
        Assert.Equal(set.Images.sum().item<float>(), padded.Images.sum().item<float>(), 1e-3f);
        Assert.True(padded.Labels.Same(set.Labels));
        Assert.Equal([2, 3, 6, 6], wide.Images.shape);
        Assert.True(same.Images.Same(color.Images));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.Padded(5));
    }
}
