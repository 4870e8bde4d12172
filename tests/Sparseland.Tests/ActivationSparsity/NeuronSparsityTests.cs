using Sparseland.ActivationSparsity;
using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.ActivationSparsity;

public class NeuronSparsityTests
{
    [Fact]
    public void All_units_are_the_dense_model()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        Tensor ids = Decoder.Ids(), dense = model.Logits(ids);
        foreach (NeuronScore score in new NeuronScore[] { new GateScore(), new PromptScore(), new HiddenScore() })
            Assert.True(model.Logits(ids, new NeuronSparsity(score, 1, sparseFrom: 3)).allclose(dense, 1e-6, 1e-6));
    }

    [Fact]
    public void Units_are_those_of_the_highest_gate_or_hidden_value_of_each_token()
    {
        using var scope = NewDisposeScope();
        Tensor gate = randn(2, 3, 10), hidden = randn(2, 3, 10);
        var byGate = new NeuronSparsity(new GateScore(), 0.3, sparseFrom: 1);
        Assert.Null(byGate.Visit(new(0, Activation.MlpGate), gate));
        Tensor result = byGate.Visit(new(0, Activation.MlpHidden), hidden)!;
        Tensor expected = hidden * Select.TopK(nn.functional.silu(gate).abs(), Budget.PerRow(3)).ToMask();
        Assert.True(result.narrow(1, 1, 2).equal(expected.narrow(1, 1, 2)).all().item<bool>());
        Assert.True(result.narrow(1, 0, 1).equal(hidden.narrow(1, 0, 1)).all().item<bool>());
        Assert.Equal(0.3, byGate.Realised, 1e-12);
        var oracle = new NeuronSparsity(new HiddenScore(), 0.3);
        Assert.True(oracle.Visit(new(0, Activation.MlpHidden), hidden)!.equal(hidden * Select.TopK(hidden.abs(), Budget.PerRow(3)).ToMask()).all().item<bool>());
    }

    [Fact]
    public void A_prompt_chooses_units_by_the_norm_of_their_shares_and_keeps_them()
    {
        using var scope = NewDisposeScope();
        Tensor hidden = randn(2, 6, 10, dtype: ScalarType.Float64), prompt = hidden.narrow(1, 0, 4);
        Tensor statistic = (prompt / prompt.norm(2, true)).square().sum([1L]).sqrt();
        Support units = Select.TopK(statistic, Budget.PerRow(5));
        var hook = new NeuronSparsity(new PromptScore(), 0.5, sparseFrom: 4);
        Tensor result = hook.Visit(new(0, Activation.MlpHidden), hidden)!;
        Assert.True(result.narrow(1, 0, 4).equal(prompt).all().item<bool>());
        Assert.True(result.narrow(1, 4, 2).equal(hidden.narrow(1, 4, 2) * units.ToMask().unsqueeze(1)).all().item<bool>());

        // A later token that comes alone.
        Tensor next = randn(2, 1, 10, dtype: ScalarType.Float64);
        Assert.True(hook.Visit(new(0, Activation.MlpHidden), next)!.equal(next * units.ToMask().unsqueeze(1)).all().item<bool>());
        Assert.Throws<InvalidOperationException>(() => hook.Visit(new(0, Activation.MlpHidden), next.narrow(0, 0, 1)));

        // The prompt may come token by token.
        for (int t = 0; t < 4; t++) hook.Visit(new(1, Activation.MlpHidden), hidden.narrow(1, t, 1));
        Assert.True(hook.Visit(new(1, Activation.MlpHidden), next)!.equal(next * units.ToMask().unsqueeze(1)).all().item<bool>());
    }

    [Fact]
    public void Reads_are_counted_as_they_are_and_bad_numbers_refused()
    {
        using TinyLM model = Decoder.New();
        WeightReads fine = WeightReads.OfNeurons(model, 0.5, wholeGate: true), coarse = WeightReads.OfNeurons(model, 0.5, wholeGate: false);
        long mlp = 2 * 3 * 32 * 48, all = mlp + (2 * ((2 * 32 * 32) + (2 * 32 * 16)));
        Assert.Equal((all, all - (mlp / 3.0), 40L * 32), (fine.Dense, fine.Read, fine.Head));
        Assert.Equal(all - (mlp / 2.0), coarse.Read);
        Assert.Equal((fine.Read + fine.Head) / (all + fine.Head), 1 / fine.ExpectedSpeed, 1e-12);
        Assert.Throws<ArgumentOutOfRangeException>(() => new NeuronSparsity(new GateScore(), 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new NeuronSparsity(new PromptScore(), 0.5));
    }
}
