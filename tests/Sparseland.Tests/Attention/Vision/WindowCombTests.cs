using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention.Vision;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention.Vision;

public class WindowCombTests
{
    [Fact]
    public void Reflected_places_are_those_of_the_formula()
    {
        // Key (3, 5), H = W = 14, D = 2: rows 6 and 13 + 6 = 19 -> 7; columns 10 and 13 + 10 = 23 -> 3.
        int[][] keys = WindowComb.Positions(14, 14, 7, 2);
        Assert.Equal([(6 * 14) + 10, (6 * 14) + 3, (7 * 14) + 10, (7 * 14) + 3], keys[(3 * 7) + 5]);
        Assert.Equal([0, 25], WindowComb.Axis(28, 7, 4)[0]);
        Assert.Equal(49, keys.Length);
    }

    [Theory, InlineData(14, 1, 1.0), InlineData(14, 2, 1.0), InlineData(28, 4, 169.0 / 784), InlineData(56, 8, 0.0625)]
    public void Coverage_is_the_share_of_places_read(int side, int dilation, double share)
    {
        Assert.Equal(share, WindowComb.Coverage(side, side, 7, dilation), 12);
        int[,] reads = WindowComb.Reads(side, side, 7, dilation);
        Assert.Equal(share, reads.Cast<int>().Count(n => n > 0) / (double)reads.Length, 12);
        int windows = WindowComb.Windows(side, 7, dilation);
        Assert.Equal(49 * windows * windows, reads.Cast<int>().Sum());
    }

    [Fact]
    public void A_28_map_with_dilation_4_is_read_up_to_four_times() => Assert.Equal(4, WindowComb.Reads(28, 28, 7, 4).Cast<int>().Max());

    [Fact]
    public void The_mean_is_the_mean_over_the_places_of_any_map()
    {
        Prop.ForAll<int, int, int>((a, b, c) =>
        {
            int window = a % 2 == 0 ? 3 : 7, dilation = 1 + (Math.Abs(b) % 3), height = 14 + (Math.Abs(a) % 9), width = 14 + (Math.Abs(c) % 9);
            int side = ((window - 1) * dilation) + 1;
            if (side - (Math.Min(height, width) % side) >= Math.Min(height, width)) return true;
            using DisposeScope scope = NewDisposeScope();
            using Generator generator = new(unchecked((ulong)a));
            Tensor map = randn(new long[] { 2, 6, height, width }, dtype: ScalarType.Float64, generator: generator), fused = WindowFusion.Mean(map, window, dilation);
            Tensor published = WindowFusion.AsPublished(map, 2, window, dilation);
            return (fused - Definition(map, window, dilation)).abs().max().item<double>() < 1e-12 && (published - Published(map, 2, window, dilation)).abs().max().item<double>() < 1e-12;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Rolling_by_a_window_changes_nothing_and_rolling_by_one_rolls_the_keys()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor map = randn(new long[] { 1, 8, 28, 21 }, dtype: ScalarType.Float64, generator: new Generator(3)), fused = WindowFusion.Mean(map);
        Tensor Rolled(Tensor t, int by) => t.roll([by, by], [2, 3]);
        Assert.InRange(Apart(WindowFusion.Mean(Rolled(map, 7)), fused), 0, 1e-12);
        Tensor keys = fused.transpose(1, 2).view(1, 8, 7, 7);
        Assert.InRange(Apart(WindowFusion.Mean(Rolled(map, 1)), Rolled(keys, 1).flatten(2).transpose(1, 2)), 0, 1e-12);
        Assert.True(Apart(WindowFusion.AsPublished(Rolled(map, 7), 1), WindowFusion.AsPublished(map, 1)) > 0.1);
    }

    [Fact]
    public void One_window_is_the_map_itself_by_both_rules()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor map = randn(new long[] { 3, 8, 7, 7 }, dtype: ScalarType.Float64, generator: new Generator(4)), tokens = map.flatten(2).transpose(1, 2);
        Assert.Equal(0, Apart(WindowFusion.Mean(map), tokens));
        Assert.Equal(0, Apart(WindowFusion.AsPublished(map, 4), tokens));
    }

    [Theory, InlineData(7, 1), InlineData(14, 4), InlineData(28, 16)]
    public void Means_of_n_windows_divide_the_variance_of_noise_by_n(int side, int windows)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor noise = randn(new long[] { 40, 32, side, side }, generator: new Generator(5));
        Assert.InRange(WindowFusion.Mean(noise).square().mean().item<float>() * windows, 0.95, 1.05);
    }

    [Fact]
    public void Gradients_flow_to_every_place_that_is_read()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor map = randn(new long[] { 1, 2, 28, 28 }, dtype: ScalarType.Float64, generator: new Generator(6)).requires_grad_();
        WindowFusion.Mean(map, 7, 4).sum().backward();
        int[,] reads = WindowComb.Reads(28, 28, 7, 4);
        Tensor expected = tensor(reads.Cast<int>().Select(n => n / 4.0).ToArray(), [28, 28]).expand(1, 2, 28, 28);
        Assert.InRange(Apart(map.grad!, expected), 0, 1e-12);
    }

    [Fact]
    public void Windows_that_do_not_fit_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Assert.Contains("padding of 41", Assert.Throws<ArgumentException>("length", () => WindowComb.Axis(8, 7, 8)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("window", () => WindowComb.Axis(14, 6));
        Assert.Throws<ArgumentOutOfRangeException>("window", () => WindowComb.Axis(14, 1));
        Assert.Throws<ArgumentOutOfRangeException>("dilation", () => WindowComb.Axis(14, 7, 0));
        Assert.Throws<ArgumentOutOfRangeException>("length", () => WindowComb.Axis(0));
        Assert.Throws<ArgumentException>("map", () => WindowFusion.Mean(zeros(3, 14, 14)));
        Assert.Throws<ArgumentException>("map", () => WindowFusion.Mean(zeros(new long[] { 1, 3, 14, 14 }, dtype: ScalarType.Int64)));
        Assert.Throws<ArgumentException>("heads", () => WindowFusion.AsPublished(zeros(1, 6, 14, 14), 4));
        Assert.Throws<ArgumentNullException>("map", () => WindowFusion.Mean(null!));
    }

    internal static double Apart(Tensor a, Tensor b) => (a - b).abs().max().to(ScalarType.Float64).item<double>();

    /// <summary>Place by place.</summary>
    private static Tensor Definition(Tensor map, int window, int dilation)
    {
        int[][] keys = WindowComb.Positions((int)map.shape[2], (int)map.shape[3], window, dilation);
        Tensor flat = map.flatten(2);
        return stack([.. keys.Select(places => stack([.. places.Select(p => flat.select(2, p))]).mean([0L]))], 1);
    }

    /// <summary>The published code's order with loops: flat number w c + channel, output j the mean of numbers j n to (j + 1) n - 1.</summary>
    private static Tensor Published(Tensor map, int heads, int window, int dilation)
    {
        int[][] keys = WindowComb.Positions((int)map.shape[2], (int)map.shape[3], window, dilation);
        int channels = (int)map.shape[1], each = channels / heads, n = keys[0].Length;
        Tensor result = zeros(map.shape[0], keys.Length, channels, dtype: map.dtype), flat = map.flatten(2);
        for (int key = 0; key < keys.Length; key++)
        {
            for (int head = 0; head < heads; head++)
            {
                Tensor[] row = [.. Enumerable.Range(0, n).SelectMany(w => Enumerable.Range(0, each).Select(c => flat.select(2, keys[key][w]).select(1, (head * each) + c)))];
                for (int j = 0; j < each; j++) result.select(1, key).select(1, (head * each) + j).copy_(stack(row[(j * n)..((j + 1) * n)]).mean([0L]));
            }
        }

        return result;
    }
}
