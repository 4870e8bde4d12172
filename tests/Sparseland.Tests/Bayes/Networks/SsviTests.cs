using Sparseland.Bayes.Networks;
using Sparseland.Models;
using Sparseland.Tests.Training;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes.Networks;

[Collection(nameof(LoneGenerator))]
public sealed class SsviTests : IDisposable
{
    private static readonly SsviOptions Short = new() { Epochs = 10, BatchSize = 10, Interval = 5, LearningRate = 0.02 };
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Tensor _X, _labels;

    public SsviTests() => (_X, _labels) = TrainingData.Blobs(60, 8, 3, 1);

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void Without_noise_and_divergence_it_is_rigl_bit_for_bit()
    {
        Sequential plain = TrainingData.Mlp(), bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05);
        MaskSet one = MaskSet.Random(plain, 0.3, 2), two = one.For(bayes);
        using SparseTrainingResult rigl = SparseTraining.Run(
            plain, SparseTraining.RigL(60, 5), _X, _labels, one, new() { Epochs = 10, BatchSize = 10, LearningRate = 0.02, WeightDecay = 0, ClipNorm = 1 });
        using SsviResult ssvi = Ssvi.Run(bayes, _X, _labels, two, Short with { Kappa = 0, Noise = false, Criterion = RemovalCriterion.Mean });
        Assert.Equal(rigl.Training.History.Select(s => s.Loss), ssvi.Training.History.Select(s => s.Loss));
        Assert.All(one.Names, name =>
        {
            Assert.True(one[name].Same(two[name]));
            Assert.True(one.ParameterOf(name).Same(two.ParameterOf(name)));
        });
        Assert.NotEmpty(ssvi.Updates);
        Assert.Null(ssvi.Warning);
    }

    [Fact]
    public void With_noise_it_is_not_and_the_deviations_move()
    {
        Sequential bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05);
        using MaskSet masks = MaskSet.Random(bayes, 0.3, 2, Weights);
        using SsviResult result = Ssvi.Run(bayes, _X, _labels, masks, Short with { Kappa = 1 });
        Assert.Equal([0, 5, 10], result.Sigmas.Take(3).Select(s => s.Step));
        Assert.Equal(60, result.Sigmas[^1].Step);
        Assert.NotEqual(result.Sigmas[0].Median, result.Sigmas[^1].Median, 0.01);
        Assert.True(result.Sigmas[^1].Low < result.Sigmas[^1].High);
    }

    [Fact]
    public void The_support_keeps_its_size_and_outside_everything_is_zero_after_every_step()
    {
        Sequential bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05);
        MaskSet masks = MaskSet.Random(bayes, 0.3, 2, Weights);
        long[] before = [.. masks.Names.Select(masks.ActiveOf)];
        IOptimizer optimizer = null!;
        Tensor? first = null;
        using SsviResult result = Ssvi.Run(bayes, _X, _labels, masks, Short, new()
        {
            OnStep = (loop, report) =>
            {
                optimizer = loop.Optimizer;
                first ??= masks["fc1.weight"].clone();
                Assert.Equal(before, masks.Names.Select(masks.ActiveOf));
                foreach ((string name, BayesLayer layer) in BayesNetwork.LayersOf(bayes))
                {
                    Assert.True(layer.Mask.Same(masks[name]));
                    Tensor idle = masks[name].logical_not();
                    string rho = name.Replace("weight", "rho", StringComparison.Ordinal);
                    foreach (Tensor values in new[] { layer.Mu.detach(), layer.Rho.detach(), layer.Sigma().detach() }.Concat(optimizer.MomentsOf(name)).Concat(optimizer.MomentsOf(rho)))
                        Assert.False(values.masked_select(idle).ne(0).any().item<bool>());
                    Assert.True(layer.Sigma().masked_select(masks[name]).gt(0).all().item<bool>());
                }
            },
        });
        Assert.False(first!.Same(masks["fc1.weight"]));
        Assert.Contains(result.Updates, u => u.Changes.Values.Any(c => c.Grown.Count > 0));
    }

    [Fact]
    public void A_new_weight_begins_at_zero_with_the_mean_rho_of_its_layer()
    {
        Sequential bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05);
        MaskSet masks = MaskSet.Random(bayes, 0.3, 2, Weights);
        var layer = (BayesLayer)BayesNetwork.LayersOf(bayes)[0].Layer;
        double before = double.NaN;
        int seen = 0;
        using SsviResult result = Ssvi.Run(bayes, _X, _labels, masks, Short, new()
        {
            OnBeforeStep = _ => before = layer.Rho.masked_select(layer.Mask).mean().item<float>(),
            OnStep = (loop, report) =>
            {
                if (((SparseOptimizer)loop.Optimizer).LastUpdate is not { } update || update.Step != report.Step || !update.Changes.TryGetValue("fc1.weight", out TopologyChange? change)) return;
                Tensor fresh = change.Grown.ToMask().logical_and(change.Dropped.ToMask().logical_not());
                if (!fresh.any().item<bool>()) return;
                Assert.All(TrainingData.Numbers(layer.Rho.masked_select(fresh).detach()), rho => Assert.Equal(before, rho, 1e-5));
                Assert.All(TrainingData.Numbers(layer.Mu.masked_select(fresh).detach()), mu => Assert.Equal(0, mu));
                seen++;
            },
        });
        Assert.True(seen > 1);
    }

    [Theory, InlineData(true), InlineData(false)]
    public void The_same_seed_gives_the_same_posterior_and_another_another(bool atMean)
    {
        double[] Trained(long seed)
        {
            Sequential bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05);
            using MaskSet masks = MaskSet.Random(bayes, 0.3, 2, Weights);
            using SsviResult result = Ssvi.Run(bayes, _X, _labels, masks, Short with { Seed = seed, GrowAtMean = atMean });
            return TrainingData.Parameters(bayes);
        }

        Assert.Equal(Trained(3), Trained(3));
        Assert.NotEqual(Trained(3), Trained(4));
    }

    [Fact]
    public void A_resumed_training_goes_on_as_if_nothing_had_happened()
    {
        string file = Path.Combine(Path.GetTempPath(), $"sparseland-ssvi-{Guid.NewGuid():N}.safetensors");
        double[] Trained(int stop)
        {
            Sequential bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05);
            using MaskSet masks = MaskSet.Random(bayes, 0.3, 2, Weights);
            TrainingLoop Loop(IOptimizer optimizer)
            {
                TrainingLoop? loop = null;
                loop = new(bayes, new SampleBatches(_X, _labels, 10, 1, whole: true), Ssvi.Loss(bayes, 60, 0.3, () => Short.KappaAt(loop!.Done, 30)),
                    new() { Steps = 30, LearningRate = 0.02 }, Ssvi.Hooks(bayes, optimizer, Short), optimizer);
                return loop;
            }

            using IOptimizer first = Ssvi.Optimizer(bayes, masks, 30, Short);
            using TrainingLoop begun = Loop(first);
            for (int i = 0; i < stop; i++) begun.Step();
            begun.Save(file);
            using MaskSet others = MaskSet.Random(bayes, 0.3, 2, Weights);
            if (stop == 30) return TrainingData.Parameters(bayes);
            bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05);
            using MaskSet again = MaskSet.Random(bayes, 0.3, 2, Weights);
            using IOptimizer second = Ssvi.Optimizer(bayes, again, 30, Short);
            using TrainingLoop resumed = Loop(second);
            resumed.Load(file);
            resumed.Run();
            return TrainingData.Parameters(bayes);
        }

        try
        {
            Assert.Equal(Trained(30), Trained(13));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void A_prediction_averages_probabilities()
    {
        Sequential bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.6);
        using PosteriorPredictive one = PosteriorPredictive.Of(bayes, _X, draws: 1), many = PosteriorPredictive.Of(bayes, _X, draws: 40), mean = PosteriorPredictive.OfMean(bayes, _X);
        Assert.True((many.LogProbabilities.exp().sum(1L) - 1).abs().max().item<double>() < 1e-12);
        Tensor sum = zeros_like(one.LogProbabilities);
        for (int draw = 0; draw < 40; draw++)
        {
            BayesNetwork.SeedNoise(bayes, 1, -1 - draw);
            sum += nn.functional.softmax(bayes.call(_X).detach().to(ScalarType.Float64), 1);
        }

        Assert.True(((sum / 40) - many.LogProbabilities.exp()).abs().max().item<double>() < 1e-9);
        Assert.True(mean.LogProbabilities.Same(nn.functional.log_softmax(TrainingData.Mlp().call(_X).detach().to(ScalarType.Float64), 1)));
        Assert.True(many.Entropy().Average() > mean.Entropy().Average());
        Assert.False(BayesNetwork.LayersOf(bayes)[0].Layer.Deterministic);
        Assert.Throws<ArgumentOutOfRangeException>(() => PosteriorPredictive.Of(bayes, _X, draws: 0));
        Assert.InRange(many.Judge(_labels).Accuracy, 0, 1);
    }

    [Fact]
    public void Calls_leave_no_tensor_behind()
    {
        using Sequential bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05);
        using MaskSet masks = MaskSet.Random(bayes, 0.3, 2, Weights);
        Tensor sigma = _X.abs();
        var calls = new Dictionary<string, Action>
        {
            ["criteria"] = () =>
            {
                foreach (RemovalCriterion each in new[] { RemovalCriterion.Mean, RemovalCriterion.Snr, RemovalCriterion.ExpectedAbs, RemovalCriterion.SnrAbs, RemovalCriterion.Certainty, RemovalCriterion.ExpAbs(), RemovalCriterion.SnrExpAbs() })
                    each.Of(_X, sigma).Dispose();
            },
            ["divergence"] = () => BayesNetwork.Kl(bayes, 0.3).Dispose(),
            ["quantiles"] = () => BayesNetwork.Quantiles(bayes),
            ["forward"] = () => bayes.call(_X).Dispose(),
            ["prediction"] = () => PosteriorPredictive.Of(bayes, _X, draws: 3).Dispose(),
            ["mean network"] = () => PosteriorPredictive.OfMean(bayes, _X).Dispose(),
            ["training"] = () => Ssvi.Run(bayes, _X, _labels, masks, Short with { Epochs = 2 }).Dispose(),
        };
        foreach ((string name, Action call) in calls)
        {
            using DisposeScope scope = NewDisposeScope();
            call();
            Assert.True(scope.DisposablesCount == 0, $"{name} leaves {scope.DisposablesCount}");
        }
    }

    [Fact]
    public void Bad_input_is_named_before_anything_moves()
    {
        Sequential bayes = BayesNetwork.Convert(TrainingData.Mlp(), 0.05), plain = TrainingData.Mlp();
        double[] before = TrainingData.Parameters(bayes);
        Assert.Throws<ArgumentOutOfRangeException>(() => new SsviOptions { Kappa = -1 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new SsviOptions { Prior = 0 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new SsviOptions { RhoRate = double.NaN }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new SsviOptions { Alpha = 2 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new SsviOptions { KappaWarmUp = 1.1 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new SsviOptions { Interval = 0 }.Validate());
        Assert.Throws<ArgumentException>(() => Ssvi.Run(plain, _X, _labels, null, Short));
        using MaskSet rhos = MaskSet.Random(bayes, 0.3, 1, ["fc1.rho"]);
        Assert.Contains("fc1.rho", Assert.Throws<ArgumentException>(() => Ssvi.Run(bayes, _X, _labels, rhos, Short)).Message, StringComparison.Ordinal);
        using MaskSet masks = MaskSet.Random(bayes, 0.3, 1, Weights);
        Assert.Throws<ArgumentException>(() => Ssvi.Run(bayes, _X, _labels, masks, Short with { Interval = 1000 }));
        Assert.Equal(before, TrainingData.Parameters(bayes));
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => Ssvi.Run(bayes, _X, _labels, null, Short, cancel: cancelled.Token));
        using SsviResult quiet = Ssvi.Run(bayes, _X, _labels, null, Short with { Epochs = 1, Noise = false });
        Assert.NotNull(quiet.Warning);
        Assert.Null(quiet.Masks);
        Assert.Equal(0, new SsviOptions { Kappa = 1 }.KappaAt(0, 100));
        Assert.Equal(0.5, new SsviOptions { Kappa = 1 }.KappaAt(25, 100), 1e-12);
        Assert.Equal(1, new SsviOptions { Kappa = 1 }.KappaAt(80, 100));
    }

    private static readonly string[] Weights = ["fc1.weight", "head.weight"];
}
