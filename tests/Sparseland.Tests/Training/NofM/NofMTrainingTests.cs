using Sparseland.Models;
using Sparseland.Training;
using Sparseland.Training.NofM;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.NofM;

[Collection(nameof(LoneGenerator))]
public sealed class NofMTrainingTests : IDisposable
{
    private static readonly TrainingOptions Short = new() { Steps = 40, LearningRate = 0.01, WeightDecay = 0.05, FinalRate = 0 };
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-nofm-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<string> Recipes => [.. new[] { "ste", "srste", "hard", "mdgf", "linear", "mdgf-st", "stepwise", "geometric" }];

    private string Checkpoint => Path.Combine(_folder, "training.safetensors");

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory, MemberData(nameof(Recipes))]
    public void A_resumed_training_is_the_one_that_was_not_stopped_bit_for_bit(string recipe)
    {
        double[] whole = Train(recipe, stop: null, out double[] ratios), parts = Train(recipe, stop: 17, out double[] later);
        Assert.Equal(whole, parts);
        Assert.Equal(ratios[17..], later);
    }

    [Theory, MemberData(nameof(Recipes))]
    public void After_hardening_every_run_has_exactly_N_weights_and_the_network_is_an_ordinary_one(string recipe)
    {
        using Sequential network = Network();
        NofMTraining training = NofMTraining.Attach(network, name => name != "head", Schedule(recipe));
        using (TrainingLoop loop = Loop(network, training, Short)) loop.Run();
        Tensor X = rand([9, 32], generator: new Generator(9)), soft = network.call(X).detach();
        using MaskSet masks = training.Harden();
        Assert.Equal(["fc1.weight", "fc2.weight"], masks.Names);
        foreach (string name in new[] { "fc1", "fc2" })
        {
            Tensor kept = network.Layer<Linear>(name).weight!.ne(0);
            Assert.True(kept.Same(masks[name + ".weight"]));
            Assert.True(kept.reshape(-1, 4).sum(1L).eq(1).all().item<bool>());
        }

        // The last step is at the final stage: nothing is lost by hardening.
        Assert.True(soft.Same(network.call(X).detach()));
        Assert.Throws<ObjectDisposedException>(() => training.Harden());
        training.Dispose();
    }

    [Fact]
    public void The_report_holds_the_ratio_flips_and_density_of_each_step()
    {
        using Sequential network = Network();
        using NofMTraining training = NofMTraining.Attach(network, name => name != "head", NofMSchedule.MaskDecay(1, 4, flow: GradientFlow.Restricted));
        var seen = new List<double>();
        var masks = new List<Tensor>();
        using TrainingLoop loop = Loop(network, training, Short, new()
        {
            OnGradients = _ =>
            {
                double Norm(bool kept) => training.Layers.Sum(l => where(kept ? l.Layer.Mask! : l.Layer.Mask!.logical_not(), l.Layer.Raw.grad!, 0).to(ScalarType.Float64).square().sum().item<double>());
                seen.Add(Math.Sqrt(Norm(false) / Norm(true)));
                masks.Add(cat([.. training.Layers.Select(l => l.Layer.Mask!.flatten())]).clone());
            },
        });
        loop.Run();
        Assert.Equal(40, training.Report.Count);
        for (int t = 0; t < 40; t++)
        {
            NofMStepReport step = training.Report[t];
            Assert.Equal(t, step.Step);
            Assert.Equal(seen[t], step.GradientRatio, 1e-6 * Math.Max(1, seen[t]));
            Assert.Equal(training.Schedule.At(t, 40), step.Stage);
            Assert.Equal(t < 36 ? 1 : 0.25, step.Density);
            if (t == 0) Assert.True(double.IsNaN(step.Flips));
            else Assert.Equal(masks[t].ne(masks[t - 1]).sum().item<long>() / 2.0 / masks[t].sum().item<long>(), step.Flips, 1e-12);
        }

        Assert.Equal(0, training.Report[39].GradientRatio);
        Assert.True(training.Report[0].GradientRatio > 0.5);
        Assert.Contains(training.Report, step => step.Flips > 0);
    }

    [Fact]
    public void Sr_ste_is_ste_plus_the_pull_once_for_each_step_also_with_several_mini_batches()
    {
        foreach (int accumulate in new[] { 1, 3 })
        {
            Tensor[] Gradients(NofMSchedule schedule)
            {
                using Sequential network = Network();
                using NofMTraining training = NofMTraining.Attach(network, name => name != "head", schedule);
                var taken = new List<Tensor>();
                using TrainingLoop loop = Loop(network, training, Short with { Accumulate = accumulate }, new() { OnGradients = _ => taken.AddRange(training.Layers.SelectMany(l => new[] { l.Layer.Raw.grad!.clone(), l.Layer.Mask!.clone(), l.Layer.Raw.detach().clone() })) });
                loop.Step();
                return [.. taken];
            }

            Tensor[] plain = Gradients(NofMSchedule.Ste(1, 4)), pulled = Gradients(NofMSchedule.SrSte(1, 4, 0.5)), none = Gradients(NofMSchedule.SrSte(1, 4, 0));
            for (int layer = 0; layer < 2; layer++)
            {
                Assert.True(pulled[3 * layer].allclose(plain[3 * layer] + (0.5 * where(plain[(3 * layer) + 1], 0, plain[(3 * layer) + 2])), 1e-5, 1e-6));
                Assert.False(pulled[3 * layer].allclose(plain[3 * layer], 1e-5, 1e-6));
                Assert.True(none[3 * layer].Same(plain[3 * layer]));
            }
        }
    }

    [Fact]
    public void Dense_is_a_training_without_masks_bit_for_bit()
    {
        using Sequential plain = Network(), other = Network();
        using (TrainingLoop loop = Loop(plain, null, Short)) loop.Run();
        using (NofMTraining training = NofMTraining.Attach(other, null, NofMSchedule.Dense(4)))
        {
            using TrainingLoop loop = Loop(other, training, Short);
            loop.Run();
        }

        Assert.Equal(TrainingData.Parameters(plain), TrainingData.Parameters(other));
    }

    [Fact]
    public void A_soft_network_is_not_hardened_without_force_and_a_checkpoint_of_another_schedule_is_refused()
    {
        using Sequential network = Network();
        using NofMTraining training = NofMTraining.Attach(network, name => name != "head", NofMSchedule.MaskDecay(1, 4));
        using (TrainingLoop loop = Loop(network, training, Short with { Checkpoint = Checkpoint }))
        {
            for (int t = 0; t < 10; t++) loop.Step();
            loop.Save(Checkpoint);
        }

        Assert.Throws<InvalidOperationException>(() => training.Harden());
        using Sequential second = Network();
        using NofMTraining other = NofMTraining.Attach(second, name => name != "head", NofMSchedule.Ste(1, 4));
        using TrainingLoop wrong = Loop(second, other, Short with { Checkpoint = Checkpoint });
        Assert.Throws<InvalidDataException>(() => wrong.Load(Checkpoint));
        using MaskSet masks = training.Harden(force: true);
        Assert.Equal(0.25, masks.Density);
    }

    [Fact]
    public void What_does_not_fit_is_named_and_nothing_changes()
    {
        using Sequential network = SmallClassifiers.Mlp([12, 16, 3], 1);
        string text = Assert.Throws<ArgumentException>(() => NofMTraining.Attach(network, null, NofMSchedule.Ste(1, 8))).Message;
        Assert.Contains("fc1", text, StringComparison.Ordinal);
        Assert.Contains("12 inputs", text, StringComparison.Ordinal);
        Assert.Contains("fits is 6", text, StringComparison.Ordinal);
        Assert.IsType<Linear>(LinearSlots.Find(network, "fc1").Module);
        Assert.Throws<ArgumentException>(() => NofMTraining.Attach(network, name => name == "fc1", NofMSchedule.StructureDecay(1, 4, StructurePath.Geometric)));
        Assert.Throws<ArgumentException>(() => NofMTraining.Attach(network, _ => false, NofMSchedule.Ste(1, 4)));
        using NofMTraining first = NofMTraining.Attach(network, name => name == "fc1", NofMSchedule.Ste(1, 4));
        Assert.Contains("already", Assert.Throws<ArgumentException>(() => NofMTraining.Attach(network, name => name == "fc1", NofMSchedule.Ste(1, 4))).Message, StringComparison.Ordinal);
    }

    private static NofMSchedule Schedule(string recipe) => recipe switch
    {
        "ste" => NofMSchedule.Ste(1, 4),
        "srste" => NofMSchedule.SrSte(1, 4, 0.01),
        "hard" => NofMSchedule.Hard(1, 4),
        "mdgf" => NofMSchedule.MaskDecay(1, 4),
        "linear" => NofMSchedule.MaskDecay(1, 4, DecayCurve.Linear, dense: 0.2),
        "mdgf-st" => NofMSchedule.MaskDecay(1, 4, flow: GradientFlow.StraightThrough),
        "stepwise" => NofMSchedule.StructureDecay(1, 4, StructurePath.Stepwise),
        _ => NofMSchedule.StructureDecay(1, 4, StructurePath.Geometric),
    };

    private static Sequential Network() => SmallClassifiers.Mlp([32, 32, 32, 3], 4);

    private TrainingLoop Loop(Sequential network, NofMTraining? training, TrainingOptions options, TrainingHooks? hooks = null)
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(200, 32, 3, 6);
        return new(network, new SampleBatches(X, labels, 20), Losses.CrossEntropy(network), training?.Options(options) ?? options, training?.Hooks(hooks) ?? hooks);
    }

    private double[] Train(string recipe, int? stop, out double[] ratios)
    {
        Sequential network = Network();
        NofMTraining training = NofMTraining.Attach(network, name => name != "head", Schedule(recipe));
        try
        {
            if (stop is { } at)
            {
                using (TrainingLoop first = Loop(network, training, Short))
                {
                    for (int t = 0; t < at; t++) first.Step();
                    first.Save(Checkpoint);
                }

                // Another process: a new network that was never at the stages before.
                training.Dispose();
                network.Dispose();
                network = Network();
                training = NofMTraining.Attach(network, name => name != "head", Schedule(recipe));
            }

            using TrainingLoop loop = Loop(network, training, Short);
            if (stop is not null) loop.Load(Checkpoint);
            loop.Run();
            ratios = [.. training.Report.Select(r => r.GradientRatio)];
            return TrainingData.Parameters(network);
        }
        finally
        {
            training.Dispose();
            network.Dispose();
        }
    }
}
