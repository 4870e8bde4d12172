using Sparseland.FineTuning;
using Sparseland.Models.Language;
using Sparseland.Selection;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

public class CoupledStructureTests
{
    public static TheoryData<LlamaConfig> Decoders =>
    [
        TuneData.Config,
        TuneData.Config with { Family = LlamaFamily.Qwen3, HeadNorms = true, HeadWidth = 6, TiedEmbeddings = false },
        TuneData.Config with { Family = LlamaFamily.Qwen2, QueryKeyValueBias = true, MlpBias = true, Activation = GateActivation.GeluTanh },
    ];

    [Theory]
    [MemberData(nameof(Decoders))]
    public void Renumbering_channels_groups_and_heads_of_a_group_leaves_the_logits(LlamaConfig config)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        TinyLM model = TuneData.Decoder(config);
        foreach (var p in model.parameters().Where(p => p.dim() == 1)) p.add_(arange(p.numel()).mul(0.01));
        Tensor ids = TuneData.Ids(), before = model.Logits(ids);
        double size = before.abs().max().item<float>();
        foreach (LlamaBlock block in model.Blocks)
        {
            using Tensor down = block.Down.weight.detach().clone(), output = block.Output.weight.detach().clone();
            CoupledStructure.Mlp(block).Permute([.. Enumerable.Range(0, 20).Select(i => i * 7 % 20)]);
            CoupledStructure.Attention(block).Permute([2, 0, 1]);
            Assert.False(TuneData.Same(down, block.Down.weight));
            Assert.False(TuneData.Same(output, block.Output.weight));
            Assert.InRange(TuneData.Farthest(before, model.Logits(ids)), 0, 2e-5 * size);
            CoupledStructure.Attention(block).PermuteHeads([1, 0, 2, 3, 5, 4]);
            Assert.InRange(TuneData.Farthest(before, model.Logits(ids)), 0, 2e-5 * size);
        }
    }

    [Fact]
    public void Heads_of_two_groups_do_not_change_places()
    {
        using TinyLM model = TuneData.Decoder();
        CoupledStructure attention = CoupledStructure.Attention(model.Blocks[0]);
        Assert.Equal((3, 2), (attention.Count, attention.HeadsPerGroup));
        using Tensor before = model.Blocks[0].Query.weight.detach().clone();
        ArgumentException error = Assert.Throws<ArgumentException>(() => attention.PermuteHeads([0, 2, 1, 3, 4, 5]));
        Assert.Contains("groups of 2", error.Message, StringComparison.Ordinal);
        Assert.True(TuneData.Same(before, model.Blocks[0].Query.weight));

        // What the check is for: by hand, queries and outputs exchanged across groups, keys and values left where they are.
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor ids = TuneData.Ids(), logits = model.Logits(ids), heads = tensor((long[])[.. new[] { 0, 2, 1, 3, 4, 5 }.SelectMany(h => Enumerable.Range(h * 4, 4)).Select(i => (long)i)]);
        LlamaBlock block = model.Blocks[0];
        block.Query.weight.copy_(block.Query.weight.index_select(0, heads));
        block.Output.weight.copy_(block.Output.weight.index_select(1, heads));
        Assert.True(TuneData.Farthest(logits, model.Logits(ids)) > 0.01);
    }

    [Fact]
    public void An_order_has_each_unit_once()
    {
        using TinyLM model = TuneData.Decoder();
        CoupledStructure attention = CoupledStructure.Attention(model.Blocks[0]);
        Assert.Throws<ArgumentException>(() => attention.Permute([0, 1]));
        Assert.Throws<ArgumentException>(() => attention.Permute([0, 1, 1]));
        Assert.Throws<ArgumentException>(() => attention.Permute([0, 1, 3]));
        Assert.Throws<ArgumentNullException>(() => attention.Permute(null!));
        Assert.Throws<ArgumentException>(() => attention.PermuteHeads([0, 1, 2]));
        Assert.Throws<ArgumentException>(() => attention.OrderFor([0, 0], [1]));
        Assert.Throws<ArgumentException>(() => attention.OrderFor([0], [3]));
    }

    [Fact]
    public void Selected_units_of_both_matrices_come_to_stand_together()
    {
        using TinyLM model = TuneData.Decoder();
        SliceOrder order = CoupledStructure.Mlp(model.Blocks[0]).OrderFor([3, 9, 1], [9, 12]);
        Assert.Equal([1, 3, 9, 12], order.Order.Take(4));
        Assert.Equal(20, order.Order.Distinct().Count());
        Assert.Equal((3, 2, 4), (order.FirstEnd, order.SecondStart, order.SecondEnd));
    }

    [Fact]
    public void A_random_selection_is_of_all_layers_together_and_of_its_seed()
    {
        StructureSelection selection = StructureSelection.Random(TuneData.Config, SlicedMatrix.Down, 0.25, 1);
        Assert.Equal(10, selection.Units.Count);
        Assert.Equal(selection, StructureSelection.Random(TuneData.Config, SlicedMatrix.Down, 0.25, 1));
        Assert.NotEqual(selection, StructureSelection.Random(TuneData.Config, SlicedMatrix.Down, 0.25, 2));
        Assert.Contains(Enumerable.Range(0, 20).Select(seed => StructureSelection.Random(TuneData.Config, SlicedMatrix.Down, 0.25, seed).Units.CountsPerRow()), counts => counts[0] != counts[1]);
        Assert.Equal(10 * 24, selection.ParametersIn(TuneData.Config));
        StructureSelection heads = StructureSelection.Random(TuneData.Config, SlicedMatrix.Output, 1.0 / 12, 1);
        Assert.Equal(4, heads.IndicesOf(heads.Units.CountsPerRow()[0] == 1 ? 0 : 1, TuneData.Config).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => StructureSelection.Random(TuneData.Config, SlicedMatrix.Down, 0.01, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => StructureSelection.Random(TuneData.Config, SlicedMatrix.Down, double.NaN, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => StructureSelection.Random(TuneData.Config, (SlicedMatrix)99, 0.5, 1));
        Assert.Throws<ArgumentException>(() => selection.IndicesOf(0, TuneData.Config with { MlpWidth = 24 }));
    }

    [Fact]
    public void Scores_rank_units()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = TuneData.Decoder();
        using (no_grad())
        {
            model.Blocks[0].Down.weight[TensorIndex.Colon, 5].mul_(100);
            model.Blocks[1].Down.weight[TensorIndex.Colon, 7].zero_();
            model.Blocks[1].Up.weight[2].mul_(1_000);
            model.Blocks[1].Output.weight[TensorIndex.Colon, TensorIndex.Slice(8, 12)].mul_(50);
        }

        Tensor weight = StructureScores.Weight(model, SlicedMatrix.Down);
        Assert.Equal([2L, 20L], weight.shape);
        Assert.Equal([5], StructureSelection.ByScore(SlicedMatrix.Down, weight, ScoreEnd.Largest, Budget.Global(1)).Units.Row(0).ToArray());
        Assert.Equal([7], StructureSelection.ByScore(SlicedMatrix.Down, weight, ScoreEnd.Smallest, Budget.Global(1)).Units.Row(1).ToArray());
        Assert.Equal([1, 1], StructureSelection.ByScore(SlicedMatrix.Down, weight, ScoreEnd.Smallest, Budget.PerRow(1)).Units.CountsPerRow());
        Assert.Equal(1 * 6 + 2, StructureScores.Weight(model, SlicedMatrix.Output).argmax().item<long>());
        Assert.Equal(20 + 2, StructureScores.Activation(model, SlicedMatrix.Down, TuneData.Ids()).argmax().item<long>());
        Assert.Equal([2L, 3L], StructureScores.Activation(model, SlicedMatrix.Value, TuneData.Ids()).shape);
        Assert.Equal([2L, 6L], StructureScores.Activation(model, SlicedMatrix.Output, TuneData.Ids()).shape);

        Tensor Loss() => model.Logits(TuneData.Ids()).square().mean();
        Tensor gradient = StructureScores.Gradient(model, SlicedMatrix.Down, Loss);
        model.zero_grad();
        Loss().backward();
        Assert.InRange(TuneData.Farthest(gradient[1], model.Blocks[1].Down.weight.grad!.to(ScalarType.Float64).norm(0, false, 2)), 0, 1e-5 * gradient.max().item<double>());
        Assert.Throws<ArgumentException>(() => StructureSelection.ByScore(SlicedMatrix.Down, weight.mul(double.NaN), ScoreEnd.Largest, Budget.Global(1)));
        Assert.Throws<ArgumentException>(() => StructureSelection.ByScore(SlicedMatrix.Down, weight, ScoreEnd.Largest, Budget.Global(0)));
    }
}
