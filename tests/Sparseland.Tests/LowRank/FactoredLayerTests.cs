using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class FactoredLayerTests
{
    [Theory]
    [InlineData(FactorStart.Balanced, 1.0)]
    [InlineData(FactorStart.Balanced, -2.5)]
    [InlineData(FactorStart.Zero, 0.5)]
    public void Forward_and_gradients_are_those_of_the_dense_weight(FactorStart start, double scale)
    {
        using var scope = NewDisposeScope();
        using var layer = new LowRankLinear(7, 5, 3, 1, scale, start, bias: true, ScalarType.Float64);
        Tensor x = LowRankData.Gaussian(4, 7, 2).requires_grad_(), direction = LowRankData.Gaussian(4, 5, 3);
        layer.call(x).mul(direction).sum().backward();
        Tensor W = layer.EffectiveWeight(), G = direction.t().mm(x.detach());
        Assert.True(LowRankData.Distance(layer.call(x).detach(), nn.functional.linear(x.detach(), W, layer.Bias)) < 1e-12);
        Assert.True(LowRankData.Distance(layer.B.grad!, G.mm(layer.A.t()) * scale) < 1e-12);
        if (start == FactorStart.Zero) Assert.Equal(0, layer.A.grad!.abs().max().item<double>());
        else Assert.True(LowRankData.Distance(layer.A.grad!, layer.B.t().mm(G) * scale) < 1e-12);
        Assert.True((x.grad! - direction.mm(W)).abs().max().item<double>() < 1e-12);
        using Linear merged = layer.Merge();
        Assert.True(LowRankData.Distance(merged.call(x).detach(), layer.call(x).detach()) < 1e-12);
        Assert.Equal(41, layer.ParameterCount);
        Assert.Equal(36, layer.MacsPerToken);
    }

    [Fact]
    public void The_balanced_start_has_the_variance_of_a_default_layer_at_any_rank_and_scale()
    {
        using var scope = NewDisposeScope();
        foreach ((int rank, double scale) in new[] { (8, 1.0), (64, 1.0), (32, 0.25), (32, -4.0) })
        {
            using var layer = new LowRankLinear(256, 256, rank, 5, scale);
            double variance = layer.EffectiveWeight().square().mean().item<float>();
            Assert.InRange(variance * 3 * 256, 0.85, 1.15);
        }
    }

    [Fact]
    public void A_dense_start_is_the_truncation_and_full_rank_is_the_layer()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(6, 4);
        using LowRankLinear all = LowRankLinear.FromDense(linear, 4), two = LowRankLinear.FromDense(linear, 2);
        Tensor x = randn(3, 6);
        Assert.True(LowRankData.Distance(all.call(x).detach(), linear.call(x).detach()) < 1e-5);
        using FactorPair pair = TruncatedSvd.Of(linear.weight!, 2);
        Assert.True(LowRankData.Distance(two.EffectiveWeight(), pair.Product()) < 1e-6);
        Assert.Throws<ArgumentException>(() => LowRankLinear.FromFactors(pair, zeros(3)));
    }

    [Fact]
    public void After_one_plain_step_an_adapter_has_moved_the_weight_by_the_projected_gradient()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(6, 5, dtype: ScalarType.Float64);
        using var lora = new LoraLinear(linear, 2, 3, 0.5);
        Tensor before = linear.weight!.detach().clone(), x = LowRankData.Gaussian(8, 6, 4), direction = LowRankData.Gaussian(8, 5, 5);
        Assert.True(lora.call(x).equal(linear.call(x)).all().item<bool>());
        lora.call(x).mul(direction).sum().backward();
        using var sgd = new SgdOptimizer(lora);
        sgd.Step(0.1);
        Tensor G = direction.t().mm(x), A = lora.A.detach();
        Assert.True(LowRankData.Distance(lora.EffectiveWeight() - before, G.mm(A.t()).mm(A) * (-0.1 * 0.25)) < 1e-11);
        Assert.True(lora.Base.equal(before).all().item<bool>());
        Assert.True(linear.weight.requires_grad);
        Assert.False(lora.Base.requires_grad);
        using Linear merged = lora.Merge();
        Assert.True(LowRankData.Distance(merged.call(x).detach(), lora.call(x).detach()) < 1e-12);
        Assert.Equal(22, lora.TrainedCount);
    }

    [Fact]
    public void Adapters_go_into_a_model_train_alone_and_merge_back()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = PretrainingTrial.Start(1);
        LoraLinear.Attach(model, 4, 7, where: name => name.Contains("self_attn", StringComparison.Ordinal));
        Assert.Equal(8 * 4 * 192, model.parameters().Where(p => p.requires_grad).Sum(p => p.numel()));
        foreach (LinearSlot slot in LinearSlots.Of(model).Where(s => s.Module is LoraLinear))
        {
            using IDisposable off = no_grad();
            ((LoraLinear)slot.Module).B.fill_(0.01);
        }

        Tensor ids = tensor(new long[] { 1, 5, 9, 3 }).view(1, 4), logits = model.Logits(ids).detach();
        Assert.Equal(8, LinearSlots.MergeAll(model).Count);
        Assert.All(LinearSlots.Of(model), s => Assert.IsType<Linear>(s.Module));
        Assert.True(LowRankData.Distance(model.Logits(ids).detach(), logits) < 1e-5);
        Assert.Contains("nothing would change", Assert.Throws<ArgumentException>(() => LinearSlots.MergeAll(model)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => LoraLinear.Attach(model, 4, 7, where: _ => false));
        Assert.Throws<ArgumentOutOfRangeException>(() => LoraLinear.Attach(model, 97, 7));
        LoraLinear.Attach(model, 4, 7);
        Assert.Contains("goes around a Linear", Assert.Throws<ArgumentException>(() => LoraLinear.Attach(model, 4, 7)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void After_k_merges_the_rank_of_the_update_is_at_most_k_r_and_the_function_is_kept()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(12, 10, dtype: ScalarType.Float64);
        Tensor before = linear.weight!.detach().clone(), x = LowRankData.Gaussian(30, 12, 1), y = LowRankData.Gaussian(30, 10, 2);
        using var network = nn.Sequential(("layer", linear));
        LoraLinear.Attach(network, 2, 3);
        var layer = (LoraLinear)network[0];
        using var rule = new ReLoraOptimizer(new AdamWOptimizer(network, 0), network, new() { Every = 4, WarmUp = 2 });
        for (int step = 1; step <= 12; step++)
        {
            network.zero_grad();
            (network.call(x) - y).square().mean().backward();
            Assert.Equal(step is 5 or 9 || step == 1, layer.A.grad!.abs().max().item<double>() == 0);
            Tensor old = layer.EffectiveWeight();
            rule.Step(0.05);
            if (step % 4 == 0)
            {
                // Right after a merge B is 0 and the function that of the step before the merge.
                Assert.Equal(0, layer.B.abs().max().item<double>());
                Assert.Equal(0, rule.MomentsOf("layer.lora_A")[0].abs().max().item<double>());
                SpectrumReport update = SpectrumReport.Of(layer.EffectiveWeight() - before);
                Assert.Equal(Math.Min(10, 2 * step / 4), update.Rank(1e-10));
            }
            else Assert.True(LowRankData.Distance(layer.EffectiveWeight(), old) > 0);
        }

        Assert.Equal(3, rule.Merges);
        Assert.Equal([1, 1, 1, 1, 0.5, 1, 1, 1, 0.5], Enumerable.Range(0, 9).Select(s => rule.Schedule.FactorOf(s)));
    }

    [Fact]
    public void Layers_that_change_their_type_compute_in_it()
    {
        using var scope = NewDisposeScope();
        Tensor x = LowRankData.Gaussian(3, 8, 1);
        foreach (Func<nn.Module<Tensor, Tensor>> make in new Func<nn.Module<Tensor, Tensor>>[]
        {
            () => new LowRankLinear(8, 6, 2, 1, bias: true), () => new LoraLinear(nn.Linear(8, 6), 2, 1), () => new LowRankSparseLinear(8, 6, new() { Rank = 2, Density = 0.3 }, bias: true),
        })
        {
            using nn.Module<Tensor, Tensor> layer = make();
            Tensor before = layer.call(x.to(ScalarType.Float32)).detach();
            layer.to(ScalarType.Float64);
            Assert.True(LowRankData.Distance(layer.call(x).detach(), before) < 1e-5);
            Assert.Equal(ScalarType.Float64, ((IMergeableLinear)layer).EffectiveWeight().dtype);
        }
    }

    [Fact]
    public void Bad_settings_are_refused()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(4, 3);
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankLinear(4, 3, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankLinear(4, 3, 4, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankLinear(4, 3, 2, 1, scale: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LoraLinear(linear, 2, 1, double.NaN));
        using var plain = nn.Sequential(("layer", nn.Linear(4, 3)));
        using var adam = new AdamWOptimizer(plain);
        Assert.Throws<ArgumentException>(() => new ReLoraOptimizer(adam, plain));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ReLoraSchedule { Every = 5, WarmUp = 5 }.Validate());
        using (no_grad()) linear.weight!.fill_(float.NaN);
        Assert.Contains("first", Assert.Throws<ArgumentException>(() => LowRankLinear.FromDense(linear, 2, "first")).Message, StringComparison.Ordinal);
    }
}
