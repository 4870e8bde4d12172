using Sparseland.Attention.Vision;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention.Vision;

/// <summary>Attacks on attention over maps: scales at which squares vanish, maps that are views or no squares, sizes at the end of the numbers, gradients that are switched off.</summary>
public sealed class VisionTrialTests
{
    private static Tensor Drawn(int seed, params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: new Generator((ulong)seed));

    private static double[] Numbers(Tensor x) => [.. x.detach().to(ScalarType.Float64).contiguous().data<double>()];

    [Theory]
    [InlineData(1e-25f), InlineData(1e-36f), InlineData(1e25f), InlineData(1f)]
    public void Reach_is_proportional_to_the_layer_at_any_scale(float scale)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = Drawn(1, 1, 6, 4).to(ScalarType.Float32), mix = Drawn(2, 4, 3).to(ScalarType.Float32);

        // Token t sees itself and the token before it.
        Tensor Layer(Tensor t) => (t + cat([zeros_like(t.narrow(1, 0, 1)), t.narrow(1, 0, 5)], 1)).matmul(mix) * scale;
        Tensor Plain(Tensor t) => (t + cat([zeros_like(t.narrow(1, 0, 1)), t.narrow(1, 0, 5)], 1)).matmul(mix);
        double[] found = GradientReach.Of(Layer, x, 3), plain = GradientReach.Of(Plain, x, 3);
        for (int i = 0; i < 6; i++) Assert.InRange(found[i], plain[i] * scale * 0.9999, plain[i] * scale * 1.0001);
        Assert.Equal(2.0 / 6, GradientReach.Share(Layer, x, 3), 12);
    }

    [Fact]
    public void Reach_needs_no_gradients_around_it_and_leaves_none()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear linear = nn.Linear(4, 4);
        Tensor x = Drawn(3, 1, 4, 5).to(ScalarType.Float32).transpose(1, 2);
        double[] expected = GradientReach.Of(t => linear.call(t), x, 2);
        using (no_grad()) Assert.Equal(expected, GradientReach.Of(t => linear.call(t), x, 2));
        Assert.Null(linear.weight.grad);
        Assert.False(x.requires_grad);
        Assert.Equal(1, expected.Count(r => r > 0));
        double[] own = GradientReach.Of(t => t, x, 0);
        Assert.Equal(1, own.Count(r => r > 0));
    }

    [Fact]
    public void A_layer_that_looks_at_nothing_reaches_nothing()
    {
        using DisposeScope scope = NewDisposeScope();
        Assert.Equal(new double[4], GradientReach.Of(t => ones(1, 2, 3), Drawn(4, 1, 4, 5), 1));
        using Linear linear = nn.Linear(3, 3);
        Assert.Equal(new double[4], GradientReach.Of(t => linear.call(ones(1, 2, 3)), Drawn(4, 1, 4, 5), 1));
    }

    [Theory]
    [InlineData(6, 9, 3, 1), InlineData(9, 3, 3, 2), InlineData(10, 5, 5, 2), InlineData(6, 6, 3, 0)]
    public void Moved_windows_are_attention_among_places_of_one_window_that_were_neighbours(int height, int width, int window, int shift)
    {
        using DisposeScope scope = NewDisposeScope();
        using WindowAttention layer = new(8, 2, window, shift, seed: 5);
        layer.to(ScalarType.Float64);
        int n = height * width;
        Tensor x = Drawn(6, 2, 8, n).transpose(1, 2), found = layer.Attend(x, height, width);
        Tensor qkv = x.matmul(layer.get_parameter("qkv.weight")!.t()) + layer.get_parameter("qkv.bias")!, kernel = layer.get_parameter("position.weight")!, bias = layer.get_parameter("position.bias")!;
        double[] numbers = Numbers(qkv), taps = Numbers(kernel), start = Numbers(bias), got = Numbers(found);
        int down = height > window ? shift : 0, across = width > window ? shift : 0;
        double At(int b, int p, int c) => numbers[(((b * n) + p) * 24) + c];
        double Value(int b, int p, int c)
        {
            double sum = At(b, p, 16 + c) + start[c];
            for (int dy = -1; dy <= 1; dy++)
            {
                for (int dx = -1; dx <= 1; dx++)
                {
                    int y = (p / width) + dy, z = (p % width) + dx;
                    if (y >= 0 && y < height && z >= 0 && z < width) sum += taps[(c * 9) + ((dy + 1) * 3) + dx + 1] * At(b, (y * width) + z, 16 + c);
                }
            }

            return sum;
        }

        // Window of a place along an axis, and whether the roll brought it to the other side.
        (int, bool) Side(int place, int length, int by) => ((((place - by) + length) % length) / window, place < by);
        bool Together(int p, int r) => Side(p / width, height, down) == Side(r / width, height, down) && Side(p % width, width, across) == Side(r % width, width, across);
        for (int b = 0; b < 2; b++)
        {
            for (int p = 0; p < n; p++)
            {
                for (int h = 0; h < 2; h++)
                {
                    int[] keys = [.. Enumerable.Range(0, n).Where(r => Together(p, r))];
                    double[] weights = [.. keys.Select(r => Math.Exp(Enumerable.Range(4 * h, 4).Sum(c => At(b, p, c) * At(b, r, 8 + c)) / 2))];
                    double all = weights.Sum();
                    for (int c = 4 * h; c < (4 * h) + 4; c++)
                        Assert.Equal(keys.Zip(weights, (r, w) => w / all * Value(b, r, c)).Sum(), got[(((b * n) + p) * 8) + c], 10);
                }
            }
        }
    }

    [Theory]
    [InlineData(14, 28, 2), InlineData(7, 21, 1), InlineData(14, 10, 2), InlineData(9, 8, 1)]
    public void Keys_of_a_map_that_is_no_square_are_means_over_its_combs(int height, int width, int reduction)
    {
        using DisposeScope scope = NewDisposeScope();
        using FactorizedAttention layer = new(16, 1, reduction, window: 3, seed: 7);
        layer.to(ScalarType.Float64);
        Tensor x = Drawn(8, 3, 16, height * width).transpose(1, 2), map = layer.LocalMap(x, height, width);
        var groups = layer.Groups(x, height, width);
        double[] values = Numbers(map);
        for (int g = 0; g < layer.Dilations.Count; g++)
        {
            int[][] comb = WindowComb.Positions(height, width, 3, layer.Dilations[g]);
            double[] fused = new double[3 * 9 * layer.LocalWidth];
            for (int b = 0; b < 3; b++)
            {
                for (int key = 0; key < 9; key++)
                {
                    for (int c = 0; c < layer.LocalWidth; c++)
                        fused[(((b * 9) + key) * layer.LocalWidth) + c] = comb[key].Average(p => values[(((b * 14) + (g * layer.LocalWidth) + c) * height * width) + p]);
                }
            }

            Tensor f = tensor(fused, [3, 9, layer.LocalWidth]), W = layer.get_parameter($"local{g + 1}.fuse.weight")!, kv = layer.get_parameter($"local{g + 1}.kv.weight")!;
            Tensor keys = (f.matmul(W.t()) + layer.get_parameter($"local{g + 1}.fuse.bias")!).matmul(kv.t()) + layer.get_parameter($"local{g + 1}.kv.bias")!;
            Assert.InRange(Far(keys.narrow(2, 0, layer.LocalWidth), groups[g + 1].Keys.squeeze(1)), 0, 1e-10);
        }

        // A text alone is what it is in a batch.
        Tensor all = layer.call(x, height, width);
        Assert.InRange(Far(all.narrow(0, 1, 1), layer.call(x.narrow(0, 1, 1).contiguous(), height, width)), 0, 1e-12);
    }

    [Theory]
    [InlineData(1e20), InlineData(1e-30), InlineData(1.0)]
    public void Fused_means_are_those_of_loops_at_any_scale_and_of_views(double scale)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor map = (Drawn(9, 2, 4, 15, 12) * scale).to(ScalarType.Float32).transpose(2, 3), plain = map.contiguous();
        foreach (int dilation in new[] { 1, 2, 3 })
        {
            int[][] comb = WindowComb.Positions(12, 15, 3, dilation);
            Tensor expected = stack([.. comb.Select(p => plain.to(ScalarType.Float64).flatten(2).index_select(2, tensor(p.Select(i => (long)i).ToArray())).mean([2L]))], 1);
            Assert.InRange(Far(WindowFusion.Mean(map, 3, dilation) / scale, expected / scale), 0, 1e-5);
            Assert.InRange(Far(WindowFusion.Mean(plain, 3, dilation) / scale, WindowFusion.Mean(map, 3, dilation) / scale), 0, 1e-5);
            Assert.InRange(Far(WindowFusion.AsPublished(plain, 2, 3, dilation) / scale, WindowFusion.AsPublished(map, 2, 3, dilation) / scale), 0, 1e-5);
        }
    }

    [Fact]
    public void Sizes_at_the_end_of_the_numbers_are_refused_as_sizes()
    {
        Assert.ThrowsAny<ArgumentException>(() => WindowComb.Windows(7, int.MaxValue));
        Assert.ThrowsAny<ArgumentException>(() => WindowComb.Windows(7, int.MaxValue, int.MaxValue));
        Assert.ThrowsAny<ArgumentException>(() => WindowComb.Positions(7, 7, 7, int.MaxValue));
        Assert.ThrowsAny<ArgumentException>(() => WindowComb.Coverage(100, 100, 7, 1 << 30));
        using WindowAttention layer = new(4, 1, null);
        Assert.ThrowsAny<ArgumentException>(() => layer.AttentionMacs(0, 3));
        Assert.ThrowsAny<ArgumentException>(() => new WindowAttention(4, 1, null, shift: 1));
        Assert.ThrowsAny<ArgumentException>(() => new WindowAttention(4, 1, 4));
        Assert.ThrowsAny<ArgumentException>(() => new WindowAttention(4, 1, 3, -1));
        Assert.ThrowsAny<ArgumentException>(() => new FactorizedAttention(0, 1, 1));
        Assert.ThrowsAny<ArgumentException>(() => new FactorizedAttention(24, 1, 2));
        Assert.ThrowsAny<ArgumentException>(() => new FactorizedAttention(16, 2, 1, 6));
        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros(1, 6, 5), 2, 3));
        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros(1, 7, 4), 2, 3));
        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros(0, 6, 4), 2, 3));
        Assert.Throws<ArgumentNullException>(() => layer.call(null!, 2, 3));
    }

    [Fact]
    public void Options_that_mean_nothing_are_named()
    {
        FaViTOptions small = FaViTOptions.Small28;
        Assert.Throws<ArgumentException>("Widths", () => new FaViT(small with { Widths = null! }));
        Assert.Throws<ArgumentException>("Widths", () => new FaViT(small with { Widths = [] }));
        Assert.Throws<ArgumentException>("Depths", () => new FaViT(small with { Depths = null! }));
        Assert.Throws<ArgumentException>("Heads", () => new FaViT(small with { Heads = [1, 2] }));
        Assert.Throws<ArgumentException>("Reductions", () => new FaViT(small with { Reductions = [4, 0, 1] }));
        Assert.Throws<ArgumentOutOfRangeException>("StemKernel", () => new FaViT(small with { StemKernel = 3, StemStride = 3 }));
        Assert.Throws<ArgumentOutOfRangeException>("Mixing", () => new FaViT(small with { Mixing = (MapMixing)9 }));
        Assert.ThrowsAny<ArgumentException>(() => FaViTOptions.Named("b4"));
        using FaViT net = new(small);
        ArgumentException small1 = Assert.ThrowsAny<ArgumentException>(() => net.call(zeros(1, 3, 1, 1)));
        Assert.Contains("stage 1", small1.Message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentException>(() => net.call(zeros(1, 1, 28, 28)));
        Assert.ThrowsAny<ArgumentException>(() => net.call(zeros(0, 3, 28, 28)));
        Assert.ThrowsAny<ArgumentException>(() => net.call(zeros(3, 28, 28)));
    }

    [Theory]
    [InlineData(ScalarType.Byte), InlineData(ScalarType.Float64), InlineData(ScalarType.Int64)]
    public void Images_of_another_type_are_refused_by_name(ScalarType type)
    {
        using FaViT net = new(FaViTOptions.Flat28);
        using Tensor images = ones([1, 3, 28, 28], dtype: type);
        ArgumentException refused = Assert.ThrowsAny<ArgumentException>(() => net.call(images));
        Assert.Contains($"{type}", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(MapMixing.Factorized), InlineData(MapMixing.ShiftedWindows), InlineData(MapMixing.Dense), InlineData(MapMixing.None)]
    public void A_network_knows_no_other_image_of_the_batch_and_is_itself_in_double_precision(MapMixing mixing)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using FaViT net = new(FaViTOptions.Flat28 with { Mixing = mixing }, seed: 3);
        Tensor images = rand([4, 3, 28, 28], generator: new Generator(1)), all = net.call(images);
        Assert.InRange(Far(all.narrow(0, 2, 1), net.call(images.narrow(0, 2, 1))), 0, 1e-5);
        Assert.InRange(Far(all, net.call(images.transpose(2, 3).contiguous().transpose(2, 3))), 0, 1e-5);
        net.to(ScalarType.Float64);
        Assert.InRange(Far(all, net.call(images.to(ScalarType.Float64))), 0, 1e-4);
    }
}
