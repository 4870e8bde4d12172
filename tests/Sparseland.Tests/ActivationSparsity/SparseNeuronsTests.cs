using Sparseland.ActivationSparsity;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.ActivationSparsity;

public class SparseNeuronsTests
{
    private static readonly NeuronScore[] s_scores = [new GateScore(), new PromptScore()];

    /// <summary>The hook with zeros in place is the same model computed another way.</summary>
    [Fact]
    public void Skipped_reads_say_what_zeros_in_place_say()
    {
        using var scope = NewDisposeScope();
        foreach (LlamaConfig config in new[] { Decoder.Config, Decoder.Config with { MlpBias = true } })
        {
            using TinyLM model = Decoder.New(config: config);
            Tensor ids = Decoder.Ids(1, 14);
            foreach (NeuronScore score in s_scores)
            {
                Tensor expected = model.Logits(ids, new NeuronSparsity(score, 0.3, sparseFrom: 6)).narrow(1, 6, 8).detach(), dense = model.Logits(ids).detach();
                using SparseNeurons sparse = SparseNeurons.Apply(model, score, 0.3);
                Assert.True(model.Logits(ids).allclose(dense, 1e-6, 1e-6), "called in another way the model is dense");
                using KeyValueCache alone = model.NewCache(), together = model.NewCache();
                Assert.True(sparse.Prefill(ids.narrow(1, 0, 6), alone)[0, 0].allclose(dense[0, 5], 1e-5, 1e-5));
                Tensor[] one = [.. Enumerable.Range(6, 8).Select(t => sparse.Draft(ids.narrow(1, t, 1), alone))];
                Assert.True(cat(one, 1).allclose(expected, 1e-4, 1e-4));
                sparse.Prefill(ids.narrow(1, 0, 6), together);
                Assert.True(sparse.Draft(ids.narrow(1, 6, 8), together).allclose(expected, 1e-4, 1e-4));
            }
        }
    }

    /// <summary>Weights that are not chosen are made NaN: a product that touched them would say so.</summary>
    [Fact]
    public void Weights_of_units_that_are_not_chosen_are_not_read()
    {
        using var scope = NewDisposeScope();
        foreach (NeuronScore score in s_scores)
        {
            using TinyLM model = Decoder.New();
            LlamaBlock[] blocks = [.. model.Blocks];
            (Linear Gate, Linear Up, Linear Down)[] layers = [.. blocks.Select(b => (b.Gate, b.Up, b.Down))];
            Tensor ids = Decoder.Ids(1, 7);
            using SparseNeurons sparse = SparseNeurons.Apply(model, score, 0.25);
            using KeyValueCache cache = model.NewCache();
            sparse.Prefill(ids.narrow(1, 0, 6), cache);

            // The units are those of the first draft; the second, after the poison, must choose and say the same. Transposed copies belong to the first: another object makes its own.
            Tensor before = sparse.Draft(ids.narrow(1, 6, 1), cache);
            int[][] units = [.. Enumerable.Range(0, 2).Select(l => sparse.UnitsOf(l).ToArray())];
            Assert.All(units, u => Assert.Equal(12, u.Length));
            using IDisposable off = no_grad();
            for (int l = 0; l < 2; l++)
            {
                foreach (int unit in Enumerable.Range(0, 48).Except(units[l]))
                {
                    if (score is PromptScore) layers[l].Gate.weight[unit].fill_(float.NaN);
                    layers[l].Up.weight[unit].fill_(float.NaN);
                }
            }

            cache.Truncate(6);
            Assert.True(sparse.Draft(ids.narrow(1, 6, 1), cache).equal(before).all().item<bool>());
        }
    }

    [Fact]
    public void Counted_reads_are_those_of_the_formula()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        Tensor ids = Decoder.Ids(1, 12);
        foreach (NeuronScore score in s_scores)
        {
            using SparseNeurons sparse = SparseNeurons.Apply(model, score, 0.5);
            using KeyValueCache cache = model.NewCache();
            sparse.Prefill(ids.narrow(1, 0, 6), cache);
            for (int t = 6; t < 9; t++) sparse.Draft(ids.narrow(1, t, 1), cache);
            sparse.Check(ids.narrow(1, 9, 3), cache);
            Assert.Equal(new PassReads(1, 6, sparse.Step.Dense), sparse.Prefills);
            Assert.Equal(new PassReads(3, 3, (long)(3 * sparse.Step.Read)), sparse.Drafts);
            Assert.Equal(new PassReads(1, 3, sparse.Step.Dense), sparse.Checks);
            sparse.ResetReads();
            Assert.Equal(default, sparse.Checks);
        }
    }

    [Fact]
    public void Bad_input_is_refused_and_the_models_own_layers_come_back()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        foreach (double density in new[] { 0, -1, 1.01, double.NaN })
            Assert.Throws<ArgumentOutOfRangeException>(() => SparseNeurons.Apply(model, new GateScore(), density));
        Assert.Throws<ArgumentException>(() => SparseNeurons.Apply(model, new HiddenScore(), 0.5));
        Assert.Throws<ArgumentException>(() => SparseNeurons.Apply(model, new GateScore(GateActivation.GeluTanh), 0.5));
        Linear[] own = [.. LinearSlots.Of(model).Select(s => (Linear)s.Module)];
        using (SparseNeurons sparse = SparseNeurons.Apply(model, new PromptScore(), 0.5))
        {
            using KeyValueCache cache = model.NewCache(), two = model.NewCache(2);
            Assert.Throws<InvalidOperationException>(() => sparse.Draft(Decoder.Ids(1, 1), cache));
            Assert.Throws<InvalidOperationException>(() => sparse.UnitsOf(0));
            Assert.Throws<ArgumentOutOfRangeException>(() => sparse.UnitsOf(2));
            Assert.Throws<ArgumentException>(() => sparse.Prefill(Decoder.Ids(2, 3), two));
            sparse.Prefill(Decoder.Ids(1, 3), cache);
            Assert.Throws<ArgumentException>(() => sparse.Prefill(Decoder.Ids(1, 3), cache));
            Assert.Throws<ArgumentException>(() => sparse.Draft(Decoder.Ids(1, 17), cache));
            Assert.Equal(1, sparse.Prefills.Passes);
            Assert.Throws<ArgumentException>(() => SparseNeurons.Apply(model, new GateScore(), 0.5));
        }

        Assert.Equal(own, LinearSlots.Of(model).Select(s => s.Module));
        using (no_grad()) model.Blocks[1].MlpNorm.Weight.fill_(float.NaN);
        using (SparseNeurons sparse = SparseNeurons.Apply(model, new GateScore(), 0.5))
        {
            using KeyValueCache cache = model.NewCache();
            Assert.Contains("block 1", Assert.Throws<ArgumentException>(() => sparse.Draft(Decoder.Ids(1, 1), cache)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Positions_follow_a_cache_that_is_cut_back()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        Tensor ids = Decoder.Ids(1, 12), first = ids.narrow(1, 0, 8), again = ids.narrow(1, 4, 4);
        foreach (NeuronScore score in new NeuronScore[] { new GateScore(), new PromptScore(), new HiddenScore() })
        {
            Tensor expected = model.Logits(ids, new NeuronSparsity(score, 0.3, sparseFrom: 4));
            var hook = new NeuronSparsity(score, 0.3, sparseFrom: 4);
            using KeyValueCache cache = model.NewCache();
            model.Logits(first, hook, cache);
            cache.Truncate(4);
            Assert.True(model.Logits(again, hook, cache).allclose(expected.narrow(1, 4, 4), 1e-4, 1e-4));
            Assert.True(model.Logits(ids.narrow(1, 8, 1), hook, cache).allclose(expected.narrow(1, 8, 1), 1e-4, 1e-4));
            cache.Truncate(2);
            if (score is PromptScore) Assert.Throws<InvalidOperationException>(() => model.Logits(ids.narrow(1, 2, 2), hook, cache));
        }

        SparseInputsOptions options = new() { SparseFrom = 6 };
        Tensor whole;
        using (SparseInputs.Apply(model, SparsityAllocation.Uniform(model, 0.5), options)) whole = model.Logits(ids);
        using (SparseInputs sparse = SparseInputs.Apply(model, SparsityAllocation.Uniform(model, 0.5), options))
        {
            using KeyValueCache cache = model.NewCache();
            model.Logits(first, cache: cache);
            cache.Truncate(4);
            for (int t = 4; t < 12; t++) Assert.True(model.Logits(ids.narrow(1, t, 1), cache: cache).allclose(whole.narrow(1, t, 1), 1e-4, 1e-4), $"token {t}");
            Assert.All(sparse.Reads, r => Assert.Equal((16, 8), (r.Tokens, r.SparseTokens)));
            cache.Truncate(4);
            Assert.True(model.Logits(again, cache: cache).allclose(whole.narrow(1, 4, 4), 1e-4, 1e-4));
        }
    }

    [Fact]
    public void Rows_are_the_dense_product_at_the_chosen_outputs()
    {
        using var scope = NewDisposeScope();
        foreach ((int outputs, int inputs) in new[] { (1, 1), (7, 5), (64, 33), (500, 1027) })
        {
            Tensor weight = randn(outputs, inputs), x = randn(inputs), expected = weight.mv(x);
            Support kept = Select.TopK(randn(1, outputs), Budget.PerRow((outputs + 1) / 2));
            float[] y = [.. Enumerable.Repeat(-5f, outputs)];
            SparseRows.Multiply(weight.data<float>().ToArray(), x.data<float>().ToArray(), kept.Row(0), y);
            HashSet<int> chosen = [.. kept.Row(0).ToArray()];
            for (int j = 0; j < outputs; j++)
            {
                if (!chosen.Contains(j)) Assert.Equal(-5f, y[j]);
                else Assert.Equal(expected[j].item<float>(), y[j], 1e-3f);
            }
        }

        float[] w = new float[6], two = [1, 2], three = new float[3];
        Assert.Throws<ArgumentException>(() => SparseRows.Multiply(w, two, [0, 0], three));
        Assert.Throws<ArgumentException>(() => SparseRows.Multiply(w, two, [3], three));
        Assert.Throws<ArgumentException>(() => SparseRows.Multiply(w, two, [-1], three));
        Assert.Throws<ArgumentException>(() => SparseRows.Multiply(w, three, [0], three));
        Assert.Throws<ArgumentException>(() => SparseRows.Multiply(w, two, [0], w));
    }
}
