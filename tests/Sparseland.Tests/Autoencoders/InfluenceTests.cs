using Sparseland.Autoencoders;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class InfluenceTests
{
    private static TinyLM Model(bool wide = false)
    {
        var model = new TinyLM(new LlamaConfig { Vocabulary = 50, Width = 16, Layers = 3, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 12 }, seed: 4);

        // Weights of a new model are so small that its gradients hardly depend on anything.
        using (no_grad())
        {
            foreach (var parameter in model.parameters().Where(p => p.dim() == 2)) parameter.mul_(8);
        }

        if (wide) model.to(ScalarType.Float64);
        return model;
    }

    private static (Tensor Ids, Tensor Next) Text(int windows = 3, int length = 12)
    {
        var text = new TokenText([.. Enumerable.Range(0, 100).Select(i => i * i * 7 % 50)]);
        return text.Windows([.. Enumerable.Range(0, windows).Select(w => 20 * w)], length);
    }

    [Theory]
    [InlineData(0, Activation.ResidualAfter)]
    [InlineData(1, Activation.ResidualBefore)]
    [InlineData(1, Activation.MlpHidden)]
    [InlineData(2, Activation.AttentionOutput)]
    public void Gradients_are_central_differences_of_the_summed_cross_entropy(int layer, Activation activation)
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model(wide: true);
        var site = new ActivationSite(layer, activation);
        (Tensor ids, Tensor next) = Text();
        foreach (Tensor? labels in (Tensor?[])[next, null])
        {
            Tensor g = ActivationGradients.OfLabels(model, ids, site, labels);
            using Generator generator = new(3);
            Tensor directions = randn([5, g.shape[2]], ScalarType.Float64, generator: generator);
            foreach ((int window, int token) in new[] { (0, 0), (1, 5), (2, 10), (2, 11) })
            {
                Tensor row = g[window, token], slopes = stack([.. Enumerable.Range(0, 5).Select(i => Slope(directions[i], window, token, labels))]), along = directions.mv(row);
                Assert.InRange((slopes - along).abs().max().item<double>(), 0, 1e-6 * Math.Max(1, along.abs().max().item<double>()));
                if (labels is null && token == 11) Assert.Equal(0, row.abs().max().item<double>());
                else Assert.True(along.abs().min().item<double>() > 1e-4);
            }

            // What an autoencoder weighs by is the size of these slopes.
            Tensor flat = g.view(-1, g.shape[2]), influence = Influence.Of(flat, directions);
            Assert.Equal(1, influence.mean().item<double>(), 1e-12);
            Tensor slope = Slope(directions[1], 1, 5, labels).abs(), mean = flat.mm(directions.t()).abs().mean();
            Assert.Equal((slope / mean).item<double>(), influence[12 + 5, 1].item<double>(), 1e-4 * influence[12 + 5, 1].item<double>());
        }

        Tensor Slope(Tensor direction, int window, int token, Tensor? labels)
        {
            const double step = 1e-5;
            return (Loss(step) - Loss(-step)) / (2 * step);
            Tensor Loss(double by)
            {
                using IDisposable off = no_grad();
                Tensor logits = model.Logits(ids, ActivationHook.Replace(site, value =>
                {
                    Tensor moved = value.clone();
                    moved[window, token].add_(direction * by);
                    return moved;
                }));
                Tensor p = logits.log_softmax(-1);
                return labels is null
                    ? -p.narrow(1, 0, 11).gather(2, ids.narrow(1, 1, 11).unsqueeze(2)).sum()
                    : -p.gather(2, labels.unsqueeze(2)).sum();
            }
        }
    }

    [Fact]
    public void The_model_stays_as_it_is()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        (Tensor ids, Tensor next) = Text();
        Tensor before = model.Logits(ids).detach();
        bool[] requiring = [.. model.parameters().Select(p => p.requires_grad)];
        Tensor g = ActivationGradients.OfLabels(model, ids, new(1, Activation.ResidualAfter), next);
        Assert.False(g.requires_grad);
        Assert.All(model.parameters(), p => Assert.True(p.grad is null));
        Assert.Equal(requiring, model.parameters().Select(p => p.requires_grad));
        Assert.True(is_grad_enabled());
        Assert.True(before.eq(model.Logits(ids)).all().item<bool>());
        long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int i = 0; i < 5; i++) ActivationGradients.OfLabels(model, ids, new(1, Activation.ResidualAfter)).Dispose();
        Assert.Equal(alive, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Sampled_labels_come_from_the_model_and_a_seed()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model(wide: true);
        ActivationSite site = new(2, Activation.ResidualAfter);
        (Tensor ids, _) = Text(1);
        Tensor some = ActivationGradients.OfSamples(model, ids, site, seed: 3, count: 400), again = ActivationGradients.OfSamples(model, ids, site, seed: 3, count: 400);
        Assert.Equal([400, 1, 12, 16], some.shape);
        Assert.True(some.eq(again).all().item<bool>());
        Assert.False(some[0].eq(ActivationGradients.OfSamples(model, ids, site, seed: 4)[0]).all().item<bool>());

        // After the last block a token's gradient depends on its own label alone: its mean over the model's labels is zero, and so is, about, that of draws.
        Tensor mean = some.mean([0L]).square().sum(-1), spread = some.square().mean([0L]).sum(-1);
        Assert.InRange((mean / (spread / 400)).mean().item<double>(), 0.3, 2.5);

        // Each draw is the gradient of some label.
        Tensor labels = arange(50, dtype: ScalarType.Int64);
        Tensor all = stack([.. Enumerable.Range(0, 50).Select(y => ActivationGradients.OfLabels(model, ids, site, full([1, 12], (long)y, dtype: ScalarType.Int64)))]);
        Assert.InRange((all.select(2, 7) - some[0].select(1, 7)).abs().amax([1, 2]).min().item<double>(), 0, 1e-12);
    }

    [Fact]
    public void A_source_gives_activations_with_their_gradients()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        var text = new TokenText([.. Enumerable.Range(0, 100).Select(i => i * i * 7 % 50)]);
        ActivationSite site = new(1, Activation.ResidualAfter);
        var plain = new ModelActivations(model, site, text, skipFirst: 2, batch: 3);
        var source = new ModelActivations(model, site, text, skipFirst: 2, batch: 3, gradients: true);
        Assert.True(source.HasGradients && !plain.HasGradients);
        Assert.NotEqual(plain.Description, source.Description);
        ActivationRows rows = source.Read([5, 0, 7, 2], default);
        Assert.InRange((plain.Read([5, 0, 7, 2], default).Activations - rows.Activations).abs().max().item<float>(), 0, 1e-5);
        (Tensor ids, Tensor next) = text.Windows([60, 0, 84, 24], 12);
        Tensor g = ActivationGradients.OfLabels(model, ids, site, next).narrow(1, 2, 10).reshape(-1, 16);
        Assert.InRange((g - rows.Gradients!).abs().max().item<float>(), 0, 1e-5 * g.abs().max().item<float>());

        // Through the buffer and the trainer into the rule.
        using var buffer = new ActivationBuffer(source, 10, new() { Repeat = true });
        var autoencoder = new SparseAutoencoder(16, 24, new GradientTopKRule(3));
        using var trainer = new AutoencoderTrainer(autoencoder, buffer, new() { Steps = 4, WarmUp = 1 });
        trainer.Run();
        using var bare = new ActivationBuffer(plain, 10, new() { Repeat = true });
        Assert.Contains("needs gradients", Assert.Throws<ArgumentException>(() => new AutoencoderTrainer(new SparseAutoencoder(16, 24, new GradientTopKRule(3)), bare, new() { Steps = 4, WarmUp = 1 })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_weight_it_is_TopK_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        using var world = new QuietButInfluential(seed: 5);
        (SparseAutoencoder topK, double[] first) = Trained(new TopKRule(4));
        (SparseAutoencoder zero, double[] second) = Trained(new GradientTopKRule(4, beta: 0));
        (_, double[] one) = Trained(new GradientTopKRule(4));
        Assert.Equal(first, second);
        Assert.NotEqual(first, one);
        foreach (((string name, var a), (_, var b)) in topK.named_parameters().Zip(zero.named_parameters())) Assert.True(a.eq(b).all().item<bool>(), name);

        (SparseAutoencoder Autoencoder, double[] Losses) Trained(CodeRule rule)
        {
            var autoencoder = new SparseAutoencoder(64, 64, rule, seed: 2);
            using var trainer = new AutoencoderTrainer(autoencoder, world.Batches(128), new() { Steps = 12, WarmUp = 2, CentreOn = 256 });
            trainer.Run();
            return (autoencoder, [.. trainer.History.Select(step => step.Loss)]);
        }
    }

    [Fact]
    public void The_choice_weighs_by_influence_and_not_by_its_scale_or_sign()
    {
        using var scope = NewDisposeScope();
        using var world = new QuietButInfluential(seed: 5);
        using PlantedTokens tokens = world.Draw(200, -1);
        var autoencoder = new SparseAutoencoder(64, 64, new GradientTopKRule(4, beta: 2), seed: 2);
        Tensor z = autoencoder.PreActivations(tokens.X), g = tokens.Gradients!;
        SparseCode code = Choose(g);
        foreach (double factor in (double[])[-1, 8, 1.0 / 1024]) Assert.Equal(code.Support, Choose(g * factor).Support);
        Assert.True(code.Values.eq(code.Support.Gather(z)).all().item<bool>());
        Assert.True(code.Support.CountsPerRow().Max() <= 4);
        Tensor a = g.mm(autoencoder.Decoder.t()).abs(), scores = z.relu() * (1 + (2 * a / a.mean()));
        Assert.Equal(Allocation.TokenChoice(scores, 4), code.Support);
        Assert.NotEqual(Allocation.TokenChoice(z, 4), code.Support);

        // At inference it is TopK on z, unless gradients are given.
        Assert.Equal(Allocation.TokenChoice(z, 4), autoencoder.Encode(tokens.X).Support);
        Assert.Equal(code.Support, autoencoder.Encode(tokens.X, g).Support);

        // sum_i f_i <W_d[i], g> = <g, xhat - b_d>.
        Tensor left = (code.ToDense() * g.mm(autoencoder.Decoder.t())).sum([1L]), right = (g * (autoencoder.Decode(code) - autoencoder.DecoderBias)).sum([1L]);
        Assert.InRange((left - right).abs().max().item<float>(), 0, 1e-4);

        SparseCode Choose(Tensor gradients) => autoencoder.Rule.Select(z, new(Training: true, gradients, autoencoder.Decoder));
    }

    [Fact]
    public void Its_weight_may_grow_during_a_training()
    {
        using var scope = NewDisposeScope();
        using var world = new QuietButInfluential(seed: 5);
        double[] plain = Losses(new TopKRule(4)), ramped = Losses(new GradientTopKRule(4, 1, 0.4, 0.6)), whole = Losses(new GradientTopKRule(4));

        // Ten steps: the weight is zero up to the fifth, which four steps precede; a half in the sixth.
        Assert.Equal(plain.Take(5), ramped.Take(5));
        Assert.All(plain.Zip(ramped).Skip(5), pair => Assert.NotEqual(pair.First, pair.Second));
        Assert.NotEqual(plain[0], whole[0]);
        var rule = new GradientTopKRule(4, 2, 0.4, 0.6);
        using PlantedTokens tokens = world.Draw(100, -1);
        Tensor z = tokens.X.mm(world.Features.t()), a = Influence.Of(tokens.Gradients!, world.Features);
        foreach ((long step, double beta) in new[] { (4L, 0.0), (5L, 1.0), (6L, 2.0), (10L, 2.0) })
        {
            rule.Learn([], new(step, 10, new LatentStatistics(48, 10)));
            Assert.Equal(Allocation.TokenChoice(z.relu() * (1 + (beta * a)), 4), rule.Select(z, new(Training: true, tokens.Gradients, world.Features)).Support);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => new GradientTopKRule(4, 1, 0.5, 0.4));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GradientTopKRule(4, 1, 0, 1.1));

        double[] Losses(CodeRule rule)
        {
            using var trainer = new AutoencoderTrainer(new SparseAutoencoder(64, 64, rule, seed: 2), world.Batches(128), new() { Steps = 10, WarmUp = 2, CentreOn = 256 });
            return [.. trainer.Run().History.Select(step => step.Loss)];
        }
    }

    [Fact]
    public void Bad_gradients_are_refused()
    {
        using var scope = NewDisposeScope();
        var autoencoder = new SparseAutoencoder(6, 12, new GradientTopKRule(2));
        Tensor x = randn(5, 6);
        Assert.Contains("zero", Assert.Throws<ArgumentException>(() => autoencoder.Encode(x, zeros(5, 6))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => autoencoder.Encode(x, full([5, 6], float.NaN)));
        Assert.Throws<ArgumentException>(() => autoencoder.Encode(x, randn(4, 6)));
        Assert.Throws<ArgumentException>(() => autoencoder.Encode(x, randn(5, 7)));
        Assert.Throws<ArgumentException>(() => autoencoder.Encode(x, randn(5, 6, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GradientTopKRule(2, -0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GradientTopKRule(0));
        Assert.Throws<ArgumentException>(() => new SparseAutoencoder(6, 12, new GradientTopKRule(13)));
        using TinyLM model = Model();
        (Tensor ids, Tensor next) = Text();
        Assert.Throws<ArgumentException>(() => ActivationGradients.OfLabels(model, ids, new(3, Activation.ResidualAfter)));
        Assert.Throws<ArgumentException>(() => ActivationGradients.OfLabels(model, ids.narrow(1, 0, 1), new(1, Activation.ResidualAfter)));
        Assert.Throws<ArgumentException>(() => ActivationGradients.OfLabels(model, ids, new(1, Activation.ResidualAfter), next + 50));
        Assert.Throws<ArgumentException>(() => ActivationGradients.OfLabels(model, ids, new(1, Activation.ResidualAfter), next.narrow(1, 0, 5)));
        Assert.True(is_grad_enabled());
    }

    [Fact]
    public void A_choice_by_given_influence_is_that_of_the_rule()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(8);
        Tensor g = randn([30, 6], generator: generator), x = randn([30, 6], generator: generator);
        var autoencoder = new SparseAutoencoder(6, 14, new GradientTopKRule(3, beta: 2));
        SparseCode rule = autoencoder.Encode(x, g), given = Influence.Choose(autoencoder.PreActivations(x), Influence.Of(g, autoencoder.Decoder), 3, beta: 2);
        Assert.Equal(rule.Support, given.Support);
        Assert.True(rule.Values.eq(given.Values).all().item<bool>());

        // By the definition, with one row of influences for all tokens.
        Tensor z = autoencoder.PreActivations(x), a = rand([1, 14], generator: generator);
        Tensor best = (z.relu() * (1 + a)).topk(3, 1).indexes;
        SparseCode code = Influence.Choose(z, a, 3);
        for (int t = 0; t < 30; t++)
        {
            long[] wanted = [.. best[t].data<long>()];
            float[] row = [.. z[t].data<float>()];
            Assert.Equal(wanted.Where(i => row[i] > 0).Order(), code.Support.Row(t).ToArray().Select(i => (long)i));
        }

        Assert.Equal(new SparseAutoencoder(6, 14, new TopKRule(3)).Encode(x).Support, Influence.Choose(z, a, 3, beta: 0).Support);
        Assert.Throws<ArgumentException>("influence", () => Influence.Choose(z, -a, 3));
        Assert.Throws<ArgumentException>("influence", () => Influence.Choose(z, a[0], 3));
        Assert.Throws<ArgumentException>("influence", () => Influence.Choose(z, rand([2, 14]), 3));
        Assert.Throws<ArgumentOutOfRangeException>("beta", () => Influence.Choose(z, a, 3, beta: -1));
    }

    [Fact]
    public void Shuffled_gradients_are_the_same_rows_in_another_order()
    {
        using var scope = NewDisposeScope();
        using var world = new QuietButInfluential(seed: 2);
        var shuffled = new GradientPermutation(world.Batches(40), seed: 5);
        Batch a = world.Batches(40).At(3), b = shuffled.At(3), again = shuffled.At(3), later = shuffled.At(4);
        Assert.True(a.Input.eq(b.Input).all().item<bool>());
        Assert.False(a.Target!.eq(b.Target!).all().item<bool>());
        Assert.True(b.Target!.eq(again.Target!).all().item<bool>());
        string[] Rows(Tensor t) => [.. Enumerable.Range(0, 40).Select(i => string.Join(",", t[i].data<float>()))];
        Assert.Equal(Rows(a.Target!).Order(StringComparer.Ordinal), Rows(b.Target!).Order(StringComparer.Ordinal));
        int[] places = [.. Rows(b.Target!).Select(r => Array.IndexOf(Rows(a.Target!), r))], others = [.. Rows(later.Target!).Select(r => Array.IndexOf(Rows(world.Batches(40).At(4).Target!), r))];
        Assert.NotEqual(places, others);
        Assert.Contains("no gradients", Assert.Throws<InvalidOperationException>(() => new GradientPermutation(new FeatureHierarchy().Batches(4)).At(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void First_order_effects_predict_small_changes()
    {
        using var scope = NewDisposeScope();
        using var world = new QuietButInfluential(seed: 2);
        Tensor x = world.Draw(50, 1).X.to(ScalarType.Float64), labels = arange(50, dtype: ScalarType.Int64).remainder(10), g = world.GradientsOf(x, labels);
        using Generator generator = new(8);
        Tensor error = randn([50, 64], ScalarType.Float64, generator: generator) * 1e-6;
        Tensor change = -(world.LogProbabilities(x + error) - world.LogProbabilities(x)).gather(1, labels.unsqueeze(1)).squeeze(1);
        Tensor predicted = FirstOrderEffect.Predict(g, error);
        Assert.InRange((predicted - change).abs().max().item<double>(), 0, 1e-4 * change.abs().max().item<double>());
        Assert.Throws<ArgumentException>("error", () => FirstOrderEffect.Predict(g, error.narrow(0, 0, 3)));
    }
}
