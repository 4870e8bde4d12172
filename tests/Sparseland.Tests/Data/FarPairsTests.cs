using Sparseland.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Data;

public class FarPairsTests
{
    [Fact]
    public void Pairs_depend_on_seed_and_place_alone_and_keep_their_distance()
    {
        using FarPairSet many = FarPairs.Generate(400, 3), few = FarPairs.Generate(10, 3);
        using Tensor first = many.Images.narrow(0, 0, 10);
        Assert.True(first.equal(few.Images).all().item<bool>());
        Assert.All(many.Distances, d => Assert.InRange(d, 7.2, 24.8));
        Assert.InRange(many.Labels.to(ScalarType.Float64).mean().item<double>(), 0.42, 0.58);
        Assert.InRange(many.Distances.Average(), 14, 18);
        Assert.Contains("Distances", many.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Without_noise_two_bars_of_ten_pixels_stand_on_grey()
    {
        using FarPairSet set = FarPairs.Generate(50, 1, new() { Noise = 0 });
        using Tensor bright = set.Images.gt(0.5).sum(1L).sum(1L);
        Assert.All(bright.data<long>().ToArray(), n => Assert.Equal(20, n));
    }

    [Fact]
    public void Options_out_of_range_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>("samples", () => FarPairs.Generate(0, 1));
        Assert.Throws<ArgumentOutOfRangeException>("MinDistance", () => FarPairs.Generate(1, 1, new() { MinDistance = 4 }));
        Assert.Throws<ArgumentOutOfRangeException>("MaxDistance", () => FarPairs.Generate(1, 1, new() { MaxDistance = 27 }));
        Assert.Throws<ArgumentOutOfRangeException>("Noise", () => FarPairs.Generate(1, 1, new() { Noise = double.NaN }));
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => FarPairs.Generate(10, 1, cancel: source.Token));
    }
}
