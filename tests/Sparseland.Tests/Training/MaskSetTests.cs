using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class MaskSetTests
{
    [Theory]
    [InlineData(1.0)]
    [InlineData(0.5)]
    [InlineData(0.2)]
    [InlineData(0.013)]
    public void A_random_mask_has_exactly_its_density(double density)
    {
        using Sequential network = TrainingData.Mlp(hidden: 64);
        using MaskSet masks = MaskSet.Random(network, density, 3);
        Assert.Equal(network.named_parameters().Where(p => p.parameter.dim() > 1).Select(p => p.name), masks.Names);
        Assert.All(masks.Names, name => Assert.Equal((long)Math.Round(density * masks.ParameterOf(name).numel(), MidpointRounding.AwayFromZero), masks.ActiveOf(name)));
        Assert.Equal((double)masks.Active / masks.Size, masks.Density);
    }

    [Fact]
    public void Masks_depend_on_the_seed_and_layers_differ()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("a", nn.Linear(20, 20)), ("b", nn.Linear(20, 20)));
        using MaskSet first = MaskSet.Random(network, 0.5, 1), again = MaskSet.Random(network, 0.5, 1), other = MaskSet.Random(network, 0.5, 2);
        Assert.Equal(first.SupportOf("a.weight"), again.SupportOf("a.weight"));
        Assert.NotEqual(first.SupportOf("a.weight"), other.SupportOf("a.weight"));
        Assert.NotEqual(first.SupportOf("a.weight"), first.SupportOf("b.weight"));
    }

    [Fact]
    public void Inactive_weights_and_gradients_become_plain_zeros()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("a", nn.Linear(6, 5)));
        using MaskSet masks = MaskSet.Random(network, 0.4, 1);
        Parameter weight = masks.ParameterOf("a.weight");
        network.call(ones(2, 6)).sum().neg().backward();
        using (no_grad()) weight.fill_(-float.Epsilon).index_put_(tensor(float.NaN), TensorIndex.Single(0));
        masks.Apply();
        masks.MaskGradients();
        Tensor off = masks["a.weight"].logical_not();
        Assert.All(weight.masked_select(off).data<float>().ToArray(), w => Assert.Equal(0, BitConverter.SingleToInt32Bits(w)));
        Assert.All(weight.grad!.masked_select(off).data<float>().ToArray(), g => Assert.Equal(0, BitConverter.SingleToInt32Bits(g)));
        Assert.Equal(12, MaskSet.FromNonZeros(network).Active);
    }

    [Fact]
    public void A_layer_counts_as_pruned_from_a_share_of_zeros_on()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("a", nn.Linear(10, 10)), ("b", nn.Linear(10, 10)), ("c", nn.Linear(10, 10)));
        Parameter[] weights = [.. network.parameters().Where(p => p.dim() == 2)];
        using (no_grad())
        {
            weights[0].flatten().narrow(0, 0, 10).zero_();
            weights[1].flatten().narrow(0, 0, 9).zero_();
        }

        using MaskSet masks = MaskSet.FromNonZeros(network, 0.1), all = MaskSet.FromNonZeros(network, 0);
        Assert.Equal(["a.weight"], masks.Names);
        Assert.Equal(90, masks.Active);
        Assert.Equal(281, all.Active);
        Assert.Throws<ArgumentException>("minSparsity", () => MaskSet.FromNonZeros(network, 0.2));
        foreach (double share in new[] { -0.1, 1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>("minSparsity", () => MaskSet.FromNonZeros(network, share));
    }

    [Fact]
    public void A_file_gives_the_same_masks_back()
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("sparseland-masks-").FullName, "masks.safetensors");
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 4);
        masks.Save(path);
        using MaskSet read = MaskSet.Load(path, network);
        Assert.Equal(masks.Names, read.Names);
        Assert.All(masks.Names, name => Assert.Equal(masks.SupportOf(name), read.SupportOf(name)));
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("a", nn.Linear(6, 5)));
        foreach (double density in new[] { 0, -0.1, 1.1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>("densities", () => MaskSet.Random(network, density, 1));
        Assert.Contains("a.weight", Assert.Throws<ArgumentException>("densities", () => MaskSet.Random(network, 0.01, 1)).Message, StringComparison.Ordinal);
        Assert.Contains("b.weight", Assert.Throws<ArgumentException>("names", () => MaskSet.Random(network, 0.5, 1, ["b.weight"])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("mask", () => MaskSet.Of(network, new Dictionary<string, Tensor> { ["a.weight"] = ones(6, 5, dtype: ScalarType.Bool) }));
        Assert.Throws<ArgumentException>("mask", () => MaskSet.Of(network, new Dictionary<string, Tensor> { ["a.weight"] = ones(5, 6) }));
        using MaskSet masks = MaskSet.Random(network, 0.5, 1);
        Assert.Throws<ArgumentException>("name", () => masks["a.bias"]);
    }

    [Fact]
    public void Random_growth_explores_what_the_formula_says()
    {
        // One update by hand: n = 10, 4 active, 2 move. A place that never was active grows with chance 2 / (6 + 2).
        Assert.Equal(1 - (0.6 * (1 - (2.0 / 8))), FiredSet.ExpectedUnderRandomGrowth(10, 4, [2]), 1e-15);
        Assert.Equal(0.4, FiredSet.ExpectedUnderRandomGrowth(10, 4, []), 1e-15);
        Assert.Equal(1, FiredSet.ExpectedUnderRandomGrowth(10, 10, [0, 5]), 1e-15);
        Assert.Throws<ArgumentOutOfRangeException>("counts", () => FiredSet.ExpectedUnderRandomGrowth(10, 4, [5]));
    }
}
