using Sparseland.Attention.Vision;
using Sparseland.Data;
using Sparseland.Training;
using TorchSharp;
using static Sparseland.Tests.Attention.Vision.WindowCombTests;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention.Vision;

public class FaViTTests
{
    [Theory, InlineData(32, 1, 8, 5_860), InlineData(64, 2, 4, 15_164), InlineData(128, 4, 2, 50_956), InlineData(256, 8, 1, 192_452)]
    public void A_layer_has_the_published_number_of_parameters(int dim, int heads, int reduction, long count)
    {
        using var layer = new FactorizedAttention(dim, heads, reduction);
        Assert.Equal(count, layer.parameters().Sum(p => p.numel()));
    }

    [Theory, InlineData("b0", 3_427_704), InlineData("B1", 12_958_568), InlineData("b2", 24_919_896)]
    public void A_network_has_the_published_number_of_parameters(string name, long count)
    {
        using var network = new FaViT(FaViTOptions.Named(name));
        Assert.Equal(count, network.ParameterCount);
    }

    [Theory, InlineData(28, 32, 1, 4), InlineData(14, 64, 2, 2), InlineData(7, 128, 4, 1), InlineData(56, 32, 1, 8)]
    public void It_costs_what_a_window_of_49_costs(int side, int dim, int heads, int reduction)
    {
        using var layer = new FactorizedAttention(dim, heads, reduction);
        using var window = new WindowAttention(dim, heads);
        using var dense = new WindowAttention(dim, heads, null);
        long N = side * side;
        Assert.Equal(2 * 49 * N * dim, layer.AttentionMacs(side, side));
        Assert.Equal(layer.AttentionMacs(side, side), window.AttentionMacs(side, side));
        Assert.Equal(layer.AttentionMacs(side, side) * N / 49, dense.AttentionMacs(side, side));
        Assert.All(layer.KeysPerQuery(side, side), keys => Assert.Equal(49, keys));
    }

    [Fact]
    public void The_layer_is_its_steps_written_out()
    {
        using DisposeScope scope = NewDisposeScope();
        using FactorizedAttention layer = Layer(32, 2, 2);
        Tensor x = Normal([2, 196, 32], 2);
        List<Tensor> outputs = [];
        foreach ((Tensor q, Tensor k, Tensor v) in layer.Groups(x, 14, 14))
        {
            Tensor scores = q.MatMul(k.transpose(2, 3)) / Math.Sqrt(q.shape[3]);
            outputs.Add(scores.softmax(-1).MatMul(v).transpose(1, 2).flatten(2));
        }

        Tensor joined = cat([.. outputs], 2);
        Assert.InRange(Apart(joined, layer.Attend(x, 14, 14)), 0, 1e-10);
        Tensor weight = layer.get_parameter("out.weight")!, bias = layer.get_parameter("out.bias")!;
        Assert.InRange(Apart(joined.MatMul(weight.t()) + bias, layer.call(x, 14, 14)), 0, 1e-10);

        // Keys of the first local group, by hand: convolutions, mean over windows, two linear maps per head.
        Tensor map = layer.LocalMap(x, 14, 14), fused = WindowFusion.Mean(map.narrow(1, 0, 14)).view(2, 49, 2, 7).transpose(1, 2);
        Tensor Through(string name, Tensor t) => t.MatMul(layer.get_parameter($"{name}.weight")!.t()) + layer.get_parameter($"{name}.bias")!;
        Tensor keys = Through("local1.kv", Through("local1.fuse", fused)).narrow(3, 0, 7);
        Assert.InRange(Apart(keys, layer.Groups(x, 14, 14)[1].Keys), 0, 1e-10);
    }

    [Fact]
    public void Every_group_reaches_the_whole_map_and_a_window_49_places()
    {
        using DisposeScope scope = NewDisposeScope();
        using FactorizedAttention layer = Layer(32, 1, 2);
        Tensor x = Normal([1, 196, 32], 3);
        (int First, int Count)[] groups = [(0, 4), (4, 14), (18, 14)];
        foreach ((int first, int count) in groups) Assert.Equal(1.0, GradientReach.Share(t => layer.Attend(t, 14, 14).narrow(2, first, count), x, 0));
        using WindowAttention window = new WindowAttention(32, 1).to(ScalarType.Float64);
        double[] reach = GradientReach.Of(t => window.Attend(t, 14, 14), x, 0);

        // Values carry a 3 x 3 convolution over the whole map, so a window reads a rim of one place more.
        int[] read = [.. Enumerable.Range(0, 196).Where(i => reach[i] > 0)];
        Assert.Equal(64, read.Length);
        Assert.All(read, i => Assert.True(i / 14 <= 7 && i % 14 <= 7));
        Assert.All(layer.parameters(), p => Assert.Null(p.grad));
    }

    [Fact]
    public void Windows_are_dense_attention_inside_each_window()
    {
        using DisposeScope scope = NewDisposeScope();
        using WindowAttention window = new WindowAttention(16, 2, 7).to(ScalarType.Float64), shifted = new WindowAttention(16, 2, 7, 3).to(ScalarType.Float64), dense = new WindowAttention(16, 2, null).to(ScalarType.Float64);
        foreach (WindowAttention layer in new[] { shifted, dense }) layer.load_state_dict(window.state_dict());
        Tensor x = Normal([2, 14 * 21, 16], 5);
        int Shifted(int place, int length) => place < 3 ? -1 : (place - 3) / 7;
        AssertAs(window, (y, _) => y / 7, (z, _) => z / 7);
        AssertAs(shifted, (y, length) => Shifted(y, length), (z, length) => Shifted(z, length));
        Assert.InRange(Apart(dense.Attend(x.narrow(1, 0, 49), 7, 7), window.Attend(x.narrow(1, 0, 49), 7, 7)), 0, 1e-12);
        Assert.InRange(Apart(dense.Attend(x.narrow(1, 0, 49), 7, 7), shifted.Attend(x.narrow(1, 0, 49), 7, 7)), 0, 1e-12);

        void AssertAs(WindowAttention layer, Func<int, int, int> row, Func<int, int, int> column)
        {
            // A masked product over all pairs: rows and columns of the same window only.
            Tensor[] parts = nn.functional.linear(x, layer.get_parameter("qkv.weight")!, layer.get_parameter("qkv.bias")!).chunk(3, 2);
            Tensor values = parts[2].view(2, 14, 21, 16).permute(0, 3, 1, 2);
            values = values + nn.functional.conv2d(values, layer.get_parameter("position.weight")!, layer.get_parameter("position.bias")!, padding: [1, 1], groups: 16);
            parts[2] = values.flatten(2).transpose(1, 2);
            Tensor[] heads = [.. parts.Select(p => p.reshape(2, 294, 2, 8).transpose(1, 2))];
            Tensor ids = tensor(Enumerable.Range(0, 294).Select(i => (100L * row(i / 21, 14)) + column(i % 21, 21)).ToArray());
            Tensor scores = heads[0].MatMul(heads[1].transpose(2, 3)) / Math.Sqrt(8);
            Tensor expected = scores.masked_fill(ids.unsqueeze(0).ne(ids.unsqueeze(1)), double.NegativeInfinity).softmax(-1).MatMul(heads[2]).transpose(1, 2).flatten(2);
            Assert.InRange(Apart(expected, layer.Attend(x, 14, 21)), 0, 1e-10);
        }
    }

    [Fact]
    public void One_window_makes_both_fusions_one_layer()
    {
        using DisposeScope scope = NewDisposeScope();
        using FactorizedAttention mean = Layer(32, 2, 1);
        using FactorizedAttention published = new FactorizedAttention(32, 2, 1, asPublished: true).to(ScalarType.Float64);
        published.load_state_dict(mean.state_dict());
        Tensor x = Normal([2, 49, 32], 6);
        Assert.InRange(Apart(mean.call(x, 7, 7), published.call(x, 7, 7)), 0, 1e-14);
        using FactorizedAttention two = Layer(32, 2, 2), twoPublished = new FactorizedAttention(32, 2, 2, asPublished: true).to(ScalarType.Float64);
        twoPublished.load_state_dict(two.state_dict());
        Tensor larger = Normal([2, 196, 32], 6);
        Assert.True(Apart(two.call(larger, 14, 14), twoPublished.call(larger, 14, 14)) > 1e-3);
    }

    [Theory, InlineData(MapMixing.Factorized), InlineData(MapMixing.Windows), InlineData(MapMixing.ShiftedWindows), InlineData(MapMixing.Dense), InlineData(MapMixing.None)]
    public void Every_arm_runs_learns_and_is_its_seed(MapMixing mixing)
    {
        using DisposeScope scope = NewDisposeScope();
        FaViTOptions options = FaViTOptions.Flat28 with { Mixing = mixing, Channels = 1, Classes = 2 };
        using FaViT a = new(options, 1), b = new(options, 1), c = new(options, 2);
        using FarPairSet set = FarPairs.Generate(16, 1);
        Assert.Equal([16L, 2], a.call(set.Planes()).shape);
        Assert.Equal(0, Apart(a.call(set.Planes()), b.call(set.Planes())));
        Assert.NotEqual(0, Apart(a.call(set.Planes()), c.call(set.Planes())));
        nn.functional.cross_entropy(a.call(set.Planes()), set.Labels).backward();
        Assert.All(a.named_parameters(), p => Assert.NotNull(p.parameter.grad));
        using TrainingLoop loop = new(b, new SampleBatches(set.Planes(), set.Labels, 16, 1), batch => nn.functional.cross_entropy(b.call(batch.Input), batch.Target), new() { Steps = 25, LearningRate = 0.003 });
        TrainingResult result = loop.Run();
        Assert.True(result.History[^1].Loss < result.History[0].Loss - 0.01, $"{result.History[0].Loss} to {result.History[^1].Loss}");
    }

    [Fact]
    public void Presets_know_their_maps_and_costs()
    {
        Assert.Equal([(56, 56), (28, 28), (14, 14), (7, 7)], FaViTOptions.B0.Maps(224, 224));
        Assert.Equal([(28, 28), (14, 14), (7, 7)], FaViTOptions.Small28.Maps(28, 28));
        using var small = new FaViT(FaViTOptions.Small28);
        Assert.Equal(2 * 49 * ((784 * 32) + (196 * 64) + (49 * 128)), small.AttentionMacs(28, 28));
        Assert.Equal(3, small.Attentions.Count);
        using var b0 = new FaViT();
        b0.CheckImage(224, 224);
        Assert.Contains("Widths", FaViTOptions.B0.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Saved_parameters_load_again()
    {
        using DisposeScope scope = NewDisposeScope();
        using FaViT a = new(FaViTOptions.Flat28, 1), b = new(FaViTOptions.Flat28, 2);
        b.load_state_dict(a.state_dict());
        Tensor x = rand(new long[] { 2, 3, 28, 28 }, generator: new Generator(1));
        Assert.Equal(0, Apart(a.call(x), b.call(x)));
    }

    [Fact]
    public void Sizes_that_do_not_fit_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Assert.Throws<ArgumentException>("dim", () => new FactorizedAttention(24, 1, 2));
        Assert.Throws<ArgumentException>("dim", () => new FactorizedAttention(20, 1, 1));
        Assert.Throws<ArgumentException>("heads", () => new FactorizedAttention(32, 3, 2));
        Assert.Throws<ArgumentOutOfRangeException>("reduction", () => new FactorizedAttention(32, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>("window", () => new FactorizedAttention(32, 1, 2, 6));
        Assert.Throws<ArgumentException>("heads", () => new WindowAttention(32, 5));
        Assert.Throws<ArgumentOutOfRangeException>("shift", () => new WindowAttention(32, 1, 7, 7));
        Assert.Throws<ArgumentOutOfRangeException>("shift", () => new WindowAttention(32, 1, null, 1));
        using var layer = new FactorizedAttention(32, 1, 2);
        Assert.Throws<ArgumentException>("x", () => layer.call(zeros(1, 195, 32), 14, 14));
        Assert.Throws<ArgumentException>("x", () => layer.call(zeros(1, 196, 16), 14, 14));
        Assert.Throws<ArgumentException>("height", () => layer.call(zeros(1, 210, 32), 15, 14));
        Assert.Throws<ArgumentException>("height", () => new WindowAttention(32, 1).call(zeros(1, 210, 32), 15, 14));
        Assert.Throws<ArgumentException>("name", () => FaViTOptions.Named("b4"));
        Assert.Throws<ArgumentException>("Depths", () => new FaViT(FaViTOptions.B0 with { Depths = [1] }));
        Assert.Throws<ArgumentOutOfRangeException>("StemKernel", () => new FaViT(FaViTOptions.B0 with { StemKernel = 4 }));
        using var b0 = new FaViT();
        string message = Assert.Throws<ArgumentException>("height", () => b0.call(zeros(1, 3, 32, 32))).Message;
        Assert.Contains("stage 1", message, StringComparison.Ordinal);
        Assert.Contains("32 x 32", message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("images", () => b0.call(zeros(1, 1, 224, 224)));
        Assert.Throws<ArgumentOutOfRangeException>("token", () => GradientReach.Of(t => t, zeros(1, 5, 3), 5));
        Assert.Throws<ArgumentException>("x", () => GradientReach.Of(t => t, full(new long[] { 1, 5, 3 }, double.NaN), 0));
    }

    private static FactorizedAttention Layer(int dim, int heads, int reduction)
    {
        FactorizedAttention layer = new FactorizedAttention(dim, heads, reduction).to(ScalarType.Float64);
        using IDisposable off = no_grad();
        using Generator generator = new(7);
        foreach ((_, var p) in layer.named_parameters()) p.copy_(randn(p.shape, generator: generator) * 0.3);
        return layer;
    }

    private static Tensor Normal(long[] shape, ulong seed) => randn(shape, dtype: ScalarType.Float64, generator: new Generator(seed));
}
