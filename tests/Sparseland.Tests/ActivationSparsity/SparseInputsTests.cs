using Sparseland.ActivationSparsity;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.ActivationSparsity;

public class SparseInputsTests
{
    [Fact]
    public void A_layer_is_the_dense_one_of_the_masked_input_whether_tokens_come_together_or_alone()
    {
        using var scope = NewDisposeScope();
        Linear linear = nn.Linear(24, 40);
        Tensor x = randn(2, 5, 24), scores = InputScore.Of(x, WeightInformedScore.ColumnNorms(linear.weight));
        Tensor expected = linear.call(x * Select.TopK(scores, Budget.PerRow(9)).ToMask()).detach();
        using SparseInputLinear sparse = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(9));
        Assert.True(sparse.call(x).allclose(expected, 1e-5, 1e-5));
        Assert.Equal(new LayerReads("l", 24, 40, 10, 10, 90, 0, 10 * 9 * 40, 0), sparse.Reads);
        sparse.ResetReads();
        for (int b = 0; b < 2; b++)
        {
            for (int t = 0; t < 5; t++) Assert.True(sparse.call(x[b, t].reshape(1, 1, 24)).allclose(expected[b, t], 1e-5, 1e-5));
        }

        Assert.Equal(new LayerReads("l", 24, 40, 10, 10, 90, 0, 10 * 9 * 40, 10), sparse.Reads);
        Assert.Equal(1 - (9 / 24.0), sparse.Reads.Realised, 1e-12);
    }

    [Fact]
    public void Tokens_before_the_first_sparse_position_are_dense_also_when_they_come_alone()
    {
        using var scope = NewDisposeScope();
        Linear linear = nn.Linear(16, 8, hasBias: false);
        Tensor x = randn(1, 6, 16), dense = linear.call(x).detach();
        using SparseInputLinear sparse = new(linear, "l", new InputMagnitudeScore(), ActivationBudget.Channels(2), sparseFrom: 4);
        Tensor together = sparse.call(x);
        Assert.True(together.narrow(1, 0, 4).allclose(dense.narrow(1, 0, 4), 1e-6, 1e-6));
        Assert.False(together.narrow(1, 4, 2).allclose(dense.narrow(1, 4, 2), 1e-3, 1e-3));
        Assert.Equal((6, 2, 4), (sparse.Reads.Tokens, sparse.Reads.SparseTokens, sparse.Reads.KeptInputs));
        Assert.Equal((4 * 16 * 8) + (2 * 2 * 8), sparse.Reads.WeightsNeeded);

        // A prompt of three tokens, then one at a time: positions go on.
        Tensor[] alone = [sparse.call(x.narrow(1, 0, 3)), .. Enumerable.Range(3, 3).Select(t => sparse.call(x.narrow(1, t, 1)))];
        Assert.True(cat(alone, 1).allclose(together, 1e-5, 1e-5));
        using SparseInputLinear beyond = new(linear, "l", new InputMagnitudeScore(), ActivationBudget.Channels(2), sparseFrom: 100);
        Assert.True(beyond.call(x).allclose(dense, 1e-6, 1e-6));
        Assert.Equal((0, 0), (beyond.Reads.SparseTokens, beyond.Reads.Realised));
    }

    [Fact]
    public void A_layer_that_is_moved_scores_and_multiplies_as_one_made_there()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Linear linear = nn.Linear(12, 7, dtype: ScalarType.Float64);

        // So that the scores choose other inputs than their sizes do.
        linear.weight!.mul_(arange(1, 13).square());
        using SparseInputLinear sparse = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(4));
        Tensor x = randn(1, 12);
        sparse.to(ScalarType.Float32);
        Assert.Equal(ScalarType.Float32, sparse.Dense.weight.dtype);
        using SparseInputLinear made = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(4));
        Assert.True(sparse.call(x).allclose(made.call(x), 1e-6, 1e-6));
        Assert.True(sparse.call(x.expand(3, 12)).allclose(made.call(x.expand(3, 12)), 1e-6, 1e-6));

        // Other weights through another type: the turned copy is made again.
        sparse.to(ScalarType.Float64);
        Assert.Throws<ArgumentException>("input", () => sparse.call(x));
        sparse.Dense.weight!.mul_(-2);
        sparse.to(ScalarType.Float32);
        using SparseInputLinear again = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(4));
        Assert.True(sparse.call(x).allclose(again.call(x), 1e-6, 1e-6));
        Assert.Throws<ArgumentException>("input", () => sparse.call(x.to(ScalarType.Float64)));
        using LowRankFactors factors = LowRankFactors.From(randn(7, 2), randn(2, 12));
        Assert.Throws<ArgumentException>("x", () => factors.Apply(x.to(ScalarType.Float64)));
    }

    [Fact]
    public void What_is_not_finite_is_refused_with_the_layers_name()
    {
        using var scope = NewDisposeScope();
        using SparseInputLinear sparse = new(nn.Linear(4, 3), "block.q", new InputMagnitudeScore(), ActivationBudget.Channels(2));
        Tensor x = ones(1, 2, 4);
        x[0, 1, 2] = float.NaN;
        Assert.Contains("block.q", Assert.Throws<ArgumentException>(() => sparse.forward(x)).Message, StringComparison.Ordinal);
        Assert.Contains("block.q", Assert.Throws<ArgumentException>(() => sparse.forward(x.narrow(1, 1, 1))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => sparse.forward(ones(1, 2, 5)));
        Assert.Equal(0, sparse.Reads.SparseTokens);
    }

    [Fact]
    public void Nothing_dropped_is_the_dense_model_and_the_models_own_layers_come_back()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        Tensor ids = Decoder.Ids(), dense = model.Logits(ids).detach();
        string[] before = [.. model.named_parameters().Select(p => p.name)];
        using (SparseInputs sparse = SparseInputs.Apply(model, SparsityAllocation.Uniform(model, 0)))
        {
            Assert.True(model.Logits(ids).allclose(dense, 1e-5, 1e-5));
            Assert.Equal(0, sparse.Realised, 1e-12);
            Assert.Equal(1, sparse.ShareNeeded, 1e-12);
        }

        Assert.Equal(before, model.named_parameters().Select(p => p.name));
        Assert.True(model.Logits(ids).equal(dense).all().item<bool>());
    }

    /// <summary>Hand-made: the same masks put on the inputs by hooks of the linear layers.</summary>
    [Fact]
    public void A_sparse_decoder_is_the_one_whose_layers_see_masked_inputs()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        using TinyLM other = Decoder.New();
        Tensor ids = Decoder.Ids();
        SparsityTable table = SparsityAllocation.Uniform(model, 0.5).With("model.layers.1.mlp.up_proj", 0.25);
        foreach (LinearSlot slot in LinearSlots.Of(other))
        {
            Linear linear = (Linear)slot.Module;
            int kept = (int)(linear.weight.shape[1] * (1 - table[slot.Name]));
            linear.register_forward_pre_hook((_, x) => x * Select.TopK(x.abs() * linear.weight.square().sum(0L).sqrt(), Budget.PerRow(kept)).ToMask());
        }

        using SparseInputs sparse = SparseInputs.Apply(model, table);
        Assert.True(model.Logits(ids).allclose(other.Logits(ids), 1e-4, 1e-5));
        Assert.Equal(0.25, sparse.Reads.Single(r => r.Layer == "model.layers.1.mlp.up_proj").Realised, 1e-12);
        Assert.Equal(table.Sparsity, sparse.Realised, 1e-12);
        Assert.Equal(WeightReads.Of(other, table).Share, sparse.ShareNeeded, 1e-12);
    }

    [Fact]
    public void Generation_skips_reads_and_says_what_the_model_with_zeros_in_place_says()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        using SparseInputs sparse = SparseInputs.Apply(model, SparsityAllocation.Uniform(model, 0.5));
        GenerationOptions greedy = new() { NewTokens = 6, Temperature = 0 };
        IReadOnlyList<int> made = TextGenerator.Generate(model, [1, 2, 3, 4], greedy);
        Assert.All(sparse.Reads, r => Assert.Equal((9, 9, 5), (r.Tokens, r.SparseTokens, r.SkippedTokens)));
        int[] all = [1, 2, 3, 4, .. made];
        Tensor logits = model.Logits(tensor(all.Select(t => (long)t).ToArray(), [1, all.Length]));
        for (int i = 0; i < made.Count; i++) Assert.Equal(made[i], (int)logits[0, 3 + i].argmax().item<long>());
    }

    [Fact]
    public void Thresholds_realise_their_sparsity_on_fresh_tokens()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        ScoreCalibration calibration = ScoreCalibration.Gather(model, Decoder.Ids(40, 16, 1), new WeightInformedScore());
        Tensor fresh = Decoder.Ids(20, 16, 2);
        foreach (double s in new[] { 0.25, 0.5, 0.75 })
        {
            using SparseInputs sparse = SparseInputs.Apply(model, SparsityAllocation.Uniform(model, s), new() { Score = calibration.Score, Thresholds = calibration });
            model.Logits(fresh);

            // Later layers see what sparse layers before them give, so the whole is a little off.
            Assert.Equal(s, sparse.Reads[0].Realised, 0.02);
            Assert.Equal(s, sparse.Realised, 0.05);
        }
    }

    [Fact]
    public void What_belongs_to_another_model_or_is_missing_is_refused_before_anything_changes()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(), wider = new(Decoder.Config with { MlpWidth = 64 });
        SparsityTable table = SparsityAllocation.Uniform(model, 0.5);
        Assert.Contains("another model", Assert.Throws<ArgumentException>(() => SparseInputs.Apply(wider, table)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => SparsityAllocation.Uniform(model, 1));
        Assert.Contains("no layer", Assert.Throws<ArgumentException>(() => table.With("x", 0.1)).Message, StringComparison.Ordinal);
        Assert.Contains("256", Assert.Throws<ArgumentException>(() => ScoreCalibration.Gather(model, Decoder.Ids(2, 16), new InputMagnitudeScore())).Message, StringComparison.Ordinal);
        ScoreCalibration calibration = ScoreCalibration.Gather(model, Decoder.Ids(20, 16), new InputMagnitudeScore());
        Assert.Throws<ArgumentException>(() => SparseInputs.Apply(model, table, new() { Thresholds = calibration }));
        Assert.Throws<ArgumentException>(() => calibration["x"]);
        Assert.All(LinearSlots.Of(model), slot => Assert.IsType<Linear>(slot.Module));
    }

    [Fact]
    public void Greedy_allocation_reaches_its_target_block_by_block_and_contains_the_lower_ones()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        Tensor ids = Decoder.Ids(20, 16), dense = model.Logits(ids).detach();
        GreedyBlockOptions options = new() { Step = 0.05 };
        SparsityTable high = SparsityAllocation.GreedyBlock(model, ids, 0.5, options), low = SparsityAllocation.GreedyBlock(model, ids, 0.3, options);
        foreach (SparsityTable table in new[] { high, low, high.At(0.4) })
        {
            double target = ReferenceEquals(table, high) ? 0.5 : ReferenceEquals(table, low) ? 0.3 : 0.4;
            foreach (IGrouping<string, LayerSparsity> block in table.Layers.GroupBy(l => l.Layer.Split('.')[2]))
                Assert.InRange(block.Sum(l => l.Weights * l.Sparsity) / block.Sum(l => l.Weights), target - 1e-9, target + 0.05 + 1e-9);
        }

        Assert.Equal(low.Layers, high.At(0.3).Layers);
        Assert.All(high.Path.GroupBy(s => s.Layer), steps => Assert.Equal(steps.Select(s => s.Sparsity).Order(), steps.Select(s => s.Sparsity)));
        Assert.True(model.Logits(ids).equal(dense).all().item<bool>());
        Assert.Throws<ArgumentOutOfRangeException>(() => high.At(0.9));
        Assert.Throws<InvalidOperationException>(() => SparsityAllocation.Uniform(model, 0.5).At(0.2));
        Assert.Throws<OperationCanceledException>(() => SparsityAllocation.GreedyBlock(model, ids, 0.3, options, cancel: new(canceled: true)));
    }

    /// <summary>The first raise is that of the layer whose raise alone changes the block's output least, found by hand.</summary>
    [Fact]
    public void The_first_raise_is_the_cheapest()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using TinyLM model = Decoder.New();
        Tensor ids = Decoder.Ids(20, 16), input = model.EmbedTokens(ids), dense = model.RunBlock(0, input).narrow(1, 12, 4);
        SparsityTable none = SparsityAllocation.Uniform(model, 0), table = SparsityAllocation.GreedyBlock(model, ids, 0.05, new() { Step = 0.05 });
        LayerSparsity[] block = [.. none.Layers.Take(7)];
        double[] errors = [.. block.Select(layer =>
        {
            using SparseInputs sparse = SparseInputs.Apply(model, none.With(layer.Layer, 0.05 * block.Sum(l => l.Weights) / layer.Weights));
            return (double)(model.RunBlock(0, input).narrow(1, 12, 4) - dense).square().sum().item<float>();
        })];
        Assert.Equal(block[Array.IndexOf(errors, errors.Min())].Layer, table.Path[0].Layer);
    }
}

internal static class Decoder
{
    public static readonly LlamaConfig Config = new() { Vocabulary = 40, Width = 32, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 48, Context = 16 };

    /// <summary>Weights large enough that what is dropped shows.</summary>
    public static TinyLM New(long seed = 3, LlamaConfig? config = null)
    {
        TinyLM model = new(config ?? Config, seed);
        using IDisposable off = no_grad();
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            if (parameter.dim() > 1) parameter.mul_(8);
            else parameter.add_(arange(parameter.shape[0], dtype: parameter.dtype) * 0.03);
        }

        return model;
    }

    public static Tensor Ids(int sequences = 3, int length = 12, ulong seed = 4)
    {
        using var generator = new Generator(seed);
        return randint(0, 40, [sequences, length], dtype: ScalarType.Int64, generator: generator);
    }
}
