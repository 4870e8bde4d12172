using Sparseland.LowRank;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class LowRankSparseLinearTests
{
    [Fact]
    public void Output_and_gradients_are_those_of_the_dense_layer_in_both_forms()
    {
        using var scope = NewDisposeScope();
        foreach ((int inputs, int outputs, int rank, double density, double? alpha) in new[] { (9, 7, 3, 0.2, (double?)1.5), (5, 8, 2, 0.03, null), (6, 6, 0, 0.3, null), (40, 30, 4, 0.1, -2.0), (3, 2, 1, 0.17, 1.0) })
        {
            foreach (ForwardMode mode in new[] { ForwardMode.FormWeight, ForwardMode.Factored })
            {
                using var layer = new LowRankSparseLinear(inputs, outputs, new() { Rank = rank, Density = density, Alpha = alpha, Seed = 4, Mode = mode }, bias: true, ScalarType.Float64);
                using (no_grad())
                {
                    layer.B?.copy_(LowRankData.Gaussian(outputs, rank, 8));
                    layer.Bias!.copy_(LowRankData.Gaussian(1, outputs, 9).view(-1));
                }

                Tensor x = LowRankData.Gaussian(6, inputs, 5).requires_grad_(), direction = LowRankData.Gaussian(6, outputs, 6);
                Tensor y = layer.call(x.view(2, 3, inputs));
                y.view(6, outputs).mul(direction).sum().backward();
                Tensor W = layer.EffectiveWeight(), G = direction.t().mm(x.detach());
                Close(nn.functional.linear(x.detach(), W, layer.Bias!.detach()), y.detach().view(6, outputs));
                Close(direction.mm(W), x.grad!);
                Close(layer.Support.Gather(G), layer.Values.grad!);
                Close(direction.sum([0L]), layer.Bias.grad!);
                Assert.Equal((int)(density * inputs * outputs), layer.Support.Count);
                if (rank == 0) continue;
                Close(G.mm(layer.A!.detach().t()) * layer.Scale, layer.B!.grad!);
                Close(layer.B.detach().t().mm(G) * layer.Scale, layer.A.grad!);
                using Linear merged = layer.Merge();
                Close(merged.call(x).detach(), y.detach().view(6, outputs));
            }
        }
    }

    [Fact]
    public void The_start_is_a_random_sparse_layer_and_the_seed_is_a_part_of_the_model()
    {
        using var scope = NewDisposeScope();
        using var layer = new LowRankSparseLinear(64, 48, new() { Rank = 8, Density = 0.1, Seed = 1 });
        using var again = new LowRankSparseLinear(64, 48, new() { Rank = 8, Density = 0.1, Seed = 1 });
        using var other = new LowRankSparseLinear(64, 48, new() { Rank = 8, Density = 0.1, Seed = 2 });
        Assert.Equal(0, layer.B!.abs().max().item<float>());
        Assert.InRange(layer.Values.abs().max().item<float>(), 0.9 / 8, 1.0 / 8);
        Assert.Equal(layer.Support, again.Support);
        Assert.NotEqual(layer.Support, other.Support);
        Assert.True(layer.Values.equal(again.Values).all().item<bool>());
        Assert.Equal((8 * 112) + 307, layer.ParameterCount);
        (SpectrumReport total, SpectrumReport low, SpectrumReport sparse) = layer.SpectrumParts();
        Assert.Equal(0, low.Rank());
        Assert.Equal(sparse.SingularValues, total.SingularValues);
    }

    [Fact]
    public void Random_supports_are_uniform_and_of_the_exact_size()
    {
        foreach ((int rows, int columns, int count) in new[] { (7, 9, 0), (7, 9, 1), (7, 9, 31), (7, 9, 32), (7, 9, 62), (7, 9, 63), (1, 64, 64), (5, 0, 0), (0, 3, 0), (100, 3, 5) })
        {
            Support support = Support.Random(rows, columns, count, 3);
            Assert.Equal(count, support.Count);
            Assert.Equal(rows, support.CountsPerRow().Length);
            Assert.Equal(support, new Support(rows, columns, support.RowOffsets, support.ColumnIndices));
        }

        // 4,000 draws of 3 of 10: each place 1,200 times, standard deviation 29.
        int[] hits = new int[10];
        for (int seed = 0; seed < 4_000; seed++)
        {
            Support support = Support.Random(2, 5, 3, seed);
            for (int row = 0; row < 2; row++)
            {
                foreach (int column in support.Row(row)) hits[(row * 5) + column]++;
            }
        }

        Assert.All(hits, h => Assert.InRange(h, 1_085, 1_315));
        Assert.Throws<ArgumentOutOfRangeException>(() => Support.Random(2, 2, 5, 1));
        Assert.NotEqual(Support.Random(3, 3, 4, 1).Hash(), Support.Random(3, 3, 4, 2).Hash());
    }

    [Fact]
    public void A_dense_layer_is_taken_apart_and_with_all_places_is_itself()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(12, 9, dtype: ScalarType.Float64);
        using LowRankSparseLinear all = LowRankSparseLinear.FromDense(linear, 2, rest => Support.FromMask(ones_like(rest, dtype: ScalarType.Bool)));
        Close(linear.weight!.detach(), all.EffectiveWeight());
        using LowRankSparseLinear top = LowRankSparseLinear.FromDense(linear, 2, rest => Select.TopK(rest.abs(), Budget.Global(10)));
        using LowRankSparseLinear random = LowRankSparseLinear.FromDense(linear, 2, rest => Support.Random(9, 12, 10, 1));
        Assert.True(LowRankData.Distance(top.EffectiveWeight(), linear.weight) < LowRankData.Distance(random.EffectiveWeight(), linear.weight));
        Assert.Throws<ArgumentException>(() => LowRankSparseLinear.FromDense(linear, 2, _ => Support.Random(3, 3, 2, 1)));
    }

    [Fact]
    public void A_file_is_read_back_and_another_support_is_refused()
    {
        using var scope = NewDisposeScope();
        string path = Path.Combine(Path.GetTempPath(), $"sltrain-{Guid.NewGuid():N}.safetensors");
        try
        {
            SLTrainOptions options = new() { Rank = 3, Density = 0.1, Alpha = 6, Seed = 5 };
            using var layer = new LowRankSparseLinear(20, 10, options, bias: true);
            using (no_grad()) layer.B!.copy_(randn(10, 3));
            layer.Save(path);
            using LowRankSparseLinear read = LowRankSparseLinear.Load(path);
            Assert.True(read.EffectiveWeight().equal(layer.EffectiveWeight()).all().item<bool>());
            Assert.Equal(2.0, read.Scale);
            using var same = new LowRankSparseLinear(20, 10, options, bias: true);
            same.LoadInto(path);
            Assert.True(same.EffectiveWeight().equal(layer.EffectiveWeight()).all().item<bool>());
            using var other = new LowRankSparseLinear(20, 10, options with { Seed = 6 }, bias: true);
            Tensor before = other.EffectiveWeight();
            Assert.Contains("support", Assert.Throws<InvalidDataException>(() => other.LoadInto(path)).Message, StringComparison.Ordinal);
            Assert.True(other.EffectiveWeight().equal(before).all().item<bool>());
            using var wider = new LowRankSparseLinear(21, 10, options, bias: true);
            Assert.Contains("shape", Assert.Throws<InvalidDataException>(() => wider.LoadInto(path)).Message, StringComparison.Ordinal);
            byte[] bytes = File.ReadAllBytes(path);
            File.WriteAllBytes(path, bytes[..^7]);
            Assert.Throws<InvalidDataException>(() => LowRankSparseLinear.Load(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Bad_options_and_inputs_are_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankSparseLinear(4, 4, new() { Rank = 5 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankSparseLinear(4, 4, new() { Rank = 1, Density = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankSparseLinear(4, 4, new() { Rank = 1, Density = 0.01 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankSparseLinear(4, 4, new() { Rank = 2, Density = 0.5, Alpha = 0 }));
        using var layer = new LowRankSparseLinear(4, 4, new() { Rank = 2, Density = 0.5 });
        Assert.Contains("..., 4", Assert.Throws<ArgumentException>(() => layer.call(zeros(2, 3))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => layer.call(zeros([2, 4], dtype: ScalarType.Float64)));
        Assert.True(new LowRankSparseLinear(4096, 1024, new() { Rank = 128 }).IsFactored(512));
    }

    private static void Close(Tensor expected, Tensor actual) => Assert.True((expected - actual).abs().max().item<double>() < 1e-10, $"{(expected - actual).abs().max().item<double>()}");
}
