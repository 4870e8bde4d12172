using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public sealed class SparseFinetuningTests : IDisposable
{
    private static readonly TrainingOptions s_few = SparseFinetuningOptions.Recipe(6, 1e-2);
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Theory, InlineData(true), InlineData(false)]
    public void Pruned_weights_are_zero_after_every_step_and_the_loss_falls(bool mask)
    {
        using TinyLM teacher = SmallDecoder.New();
        (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
        using (student)
        using (masks)
        {
            int looked = 0;
            TrainingHooks hooks = new()
            {
                OnStep = (_, _) =>
                {
                    looked++;
                    Assert.All(masks.Names, name => Assert.Equal(0, masks.ParameterOf(name).masked_select(masks[name].logical_not()).abs().max().item<float>()));
                },
            };
            Tensor before = teacher.Logits(SmallDecoder.Ids()).detach();
            SparseFinetuningResult done = SparseFinetuning.Run(
                student, teacher, masks, SmallDecoder.Batches(), new() { KullbackLeibler = 1, StateError = 0.5, MaskGradients = mask }, SparseFinetuningOptions.Recipe(20, 1e-2), hooks);
            Assert.Equal(20, looked);
            Assert.Equal(1 - masks.Density, done.Sparsity, 1e-12);
            Assert.True(done.Recent(s => s.Loss, 3) < done.Steps[0].Loss);
            Assert.All(done.Steps, s => Assert.Equal(s.Loss, s.CrossEntropy + s.KullbackLeibler + s.SquareHead + (0.5 * s.StateError), 1e-4));
            Assert.True(before.equal(teacher.Logits(SmallDecoder.Ids())).all().item<bool>());
            Assert.False(before.requires_grad);
        }
    }

    [Fact]
    public void Without_clipping_both_modes_move_the_kept_weights_alike_and_with_it_they_do_not()
    {
        using TinyLM teacher = SmallDecoder.New();
        (Dictionary<string, Tensor> Weights, double Norm) After(bool mask, double clip)
        {
            (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
            using (student)
            using (masks)
            {
                SparseFinetuningResult done = SparseFinetuning.Run(student, teacher, masks, SmallDecoder.Batches(), new() { MaskGradients = mask }, s_few with { ClipNorm = clip });
                return (student.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone()), done.Steps[0].GradientNorm);
            }
        }

        static bool Same(Dictionary<string, Tensor> a, Dictionary<string, Tensor> b) => a.All(p => p.Value.equal(b[p.Key]).all().item<bool>());
        (Dictionary<string, Tensor> masked, double small) = After(true, double.PositiveInfinity);
        (Dictionary<string, Tensor> published, double large) = After(false, double.PositiveInfinity);
        Assert.True(Same(masked, published));
        Assert.True(large > small * 1.01, $"{large} against {small}");
        Assert.False(Same(After(true, 0.1).Weights, After(false, 0.1).Weights));
        Assert.True(Same(masked, After(true, double.PositiveInfinity).Weights));
    }

    [Fact]
    public void With_its_own_states_as_targets_the_gradient_is_that_of_cross_entropy()
    {
        using TinyLM student = SmallDecoder.New(), teacher = SmallDecoder.New();
        Batch batch = SmallDecoder.Batches().At(0);
        Dictionary<string, Tensor> Gradients(SparseFinetuningOptions options)
        {
            student.zero_grad();
            SparseFinetuning.Loss(student, teacher, batch, options).backward();
            return student.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad?.clone() ?? zeros_like(p.parameter));
        }

        Dictionary<string, Tensor> both = Gradients(new()), labels = Gradients(new() { SquareHead = 0 }), states = Gradients(new() { CrossEntropy = 0 });
        Assert.All(both, p => Assert.True(p.Value.equal(labels[p.Key]).all().item<bool>()));
        Assert.All(states, p => Assert.Equal(0, p.Value.abs().max().item<float>()));
    }

    [Fact]
    public void Labels_count_in_cross_entropy_and_divergence_and_padding_does_not_count_in_the_states()
    {
        using TinyLM student = SmallDecoder.New(), teacher = SmallDecoder.New(5);
        Batch whole = SmallDecoder.Batches().At(0);

        // The first half of each text is a prompt: no labels, but states.
        Tensor target = whole.Target.clone();
        target.narrow(1, 0, 6).fill_(SparseFinetuning.NoLabel);
        Batch prompted = new(whole.Input, target);
        double Loss(Batch batch, SparseFinetuningOptions options) => SparseFinetuning.Loss(student, teacher, batch, options).item<float>();
        SparseFinetuningOptions kl = new() { CrossEntropy = 0, KullbackLeibler = 1, SquareHead = 0 }, states = new() { CrossEntropy = 0 }, labels = new() { SquareHead = 0 };
        Tensor logits = student.Logits(whole.Input).narrow(1, 6, 6), taught = teacher.Logits(whole.Input).narrow(1, 6, 6);
        Assert.Equal(Distillation.KullbackLeibler(logits, taught).item<float>(), Loss(prompted, kl), 1e-5);
        Assert.Equal(nn.functional.cross_entropy(logits.reshape(-1, 40), whole.Target.narrow(1, 6, 6).reshape(-1)).item<float>(), Loss(prompted, labels), 1e-5);
        Assert.Equal(Loss(whole, states), Loss(prompted, states));

        // Id 39 pads the end: other texts behind it change nothing.
        Tensor padded = whole.Input.clone();
        padded.narrow(1, 8, 4).fill_(39);
        double real = SparseFinetuning.Loss(student, teacher, new(whole.Input.narrow(1, 0, 8), whole.Target.narrow(1, 0, 8)), states).item<float>();
        Assert.Equal(real, Loss(new(padded, whole.Target), states with { Padding = 39 }), 1e-5);
        Assert.NotEqual(real, Loss(new(padded, whole.Target), states), 1e-5);
    }

    [Fact]
    public void The_teacher_is_in_evaluation_mode_while_it_teaches_and_is_not_needed_for_labels()
    {
        using TinyLM teacher = SmallDecoder.New();
        (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
        using (student)
        using (masks)
        {
            teacher.train();
            student.eval();
            SparseFinetuning.Run(student, teacher, masks, SmallDecoder.Batches(), null, s_few, new() { OnStep = (_, _) => Assert.False(teacher.training) });
            Assert.True(teacher.training);
            Assert.False(student.training);
            SparseFinetuningResult labels = SparseFinetuning.Run(student, null, masks, SmallDecoder.Batches(), new() { SquareHead = 0 }, s_few);
            Assert.True(double.IsNaN(labels.Steps[0].SquareHead));
            Assert.Equal(labels.Steps[0].Loss, labels.Steps[0].CrossEntropy, 1e-6);
        }
    }

    [Fact]
    public void Cancelling_leaves_the_student_after_its_last_whole_step()
    {
        using TinyLM teacher = SmallDecoder.New();
        (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
        using (student)
        using (masks)
        using (var stop = new CancellationTokenSource())
        {
            Tensor? last = null;
            var seen = new List<long>();
            Assert.ThrowsAny<OperationCanceledException>(() => SparseFinetuning.Run(
                student, teacher, masks, SmallDecoder.Batches(), null, s_few,
                new()
                {
                    OnStep = (loop, report) =>
                    {
                        last = student.Embeddings.detach().clone();
                        if (report.Step == 2) stop.Cancel();
                    },
                },
                new Reports(r => seen.Add(r.Done)), stop.Token));
            Assert.True(student.Embeddings.equal(last!).all().item<bool>());
            Assert.Equal([1, 2], seen);
        }
    }

    [Fact]
    public void Networks_that_do_not_fit_each_other_are_refused()
    {
        (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
        using (student)
        using (masks)
        {
            string Refused(LanguageModel teacher)
            {
                using (teacher)
                    return Assert.Throws<ArgumentException>("teacher", () => SparseFinetuning.Run(student, teacher, masks, SmallDecoder.Batches())).Message;
            }

            Assert.Contains("blocks", Refused(SmallDecoder.New(config: SmallDecoder.Config with { Layers = 3 })), StringComparison.Ordinal);
            Assert.Contains("state", Refused(SmallDecoder.New(config: SmallDecoder.Config with { Width = 16 })), StringComparison.Ordinal);
            Assert.Contains("vocabulary", Refused(SmallDecoder.New(config: SmallDecoder.Config with { Vocabulary = 41 })), StringComparison.Ordinal);
            Assert.Throws<ArgumentException>("teacher", () => SparseFinetuning.Run(student, student, masks, SmallDecoder.Batches()));
            Assert.Throws<ArgumentNullException>("teacher", () => SparseFinetuning.Run(student, null, masks, SmallDecoder.Batches()));
        }
    }

    [Fact]
    public void Masks_that_are_not_the_students_are_refused()
    {
        using TinyLM teacher = SmallDecoder.New(), other = SmallDecoder.New();
        (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
        using (student)
        using (masks)
        {
            string Refused(MaskSet wrong)
            {
                using (wrong)
                    return Assert.Throws<ArgumentException>("masks", () => SparseFinetuning.Run(student, teacher, wrong, SmallDecoder.Batches())).Message;
            }

            Assert.Contains("another network", Refused(MaskSet.Random(other, 0.5, 1)), StringComparison.Ordinal);
            string tied = student.named_parameters().Single(p => p.name.Contains("embed", StringComparison.Ordinal)).name;
            Assert.Contains("embeddings", Refused(MaskSet.Random(student, 0.5, 1, [tied])), StringComparison.Ordinal);
            string dense = Refused(MaskSet.Random(student, 0.1, 1, [masks.Names[0]]));
            Assert.Contains(masks.Names[0], dense, StringComparison.Ordinal);
            Assert.Contains("0.9", dense, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => MaskSet.Of(student, new Dictionary<string, Tensor> { [masks.Names[0]] = ones([3, 3], dtype: ScalarType.Bool) }));
        }
    }

    [Fact]
    public void Options_out_of_their_ranges_are_refused()
    {
        foreach (SparseFinetuningOptions wrong in new SparseFinetuningOptions[]
        {
            new() { CrossEntropy = 0, SquareHead = 0 }, new() { CrossEntropy = -1 }, new() { KullbackLeibler = double.NaN }, new() { SquareHead = double.PositiveInfinity }, new() { StateError = -0.1 },
            new() { Temperature = 0 }, new() { Temperature = double.NaN }, new() { FinalState = (FinalState)9 },
        })
            Assert.ThrowsAny<ArgumentException>(wrong.Validate);
        Assert.Throws<ArgumentOutOfRangeException>(() => SparseFinetuningOptions.Recipe(0).Validate());
    }

    [Fact]
    public void Batches_that_cannot_teach_are_refused_before_the_first_step()
    {
        using TinyLM teacher = SmallDecoder.New();
        (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
        using (student)
        using (masks)
        {
            Tensor before = student.Embeddings.detach().clone(), ids = SmallDecoder.Ids(), none = full_like(ids, SparseFinetuning.NoLabel);
            void Refused(string message, Tensor input, Tensor target, SparseFinetuningOptions? options = null) => Assert.Contains(
                message, Assert.ThrowsAny<ArgumentException>(() => SparseFinetuning.Run(student, teacher, masks, new SampleBatches(input, target, 3), options)).Message, StringComparison.Ordinal);
            Refused("label", ids, none);
            Refused("context", SmallDecoder.Ids(3, 17), SmallDecoder.Ids(3, 17));
            Refused("next tokens", ids, ids.narrow(1, 0, 5));
            Refused("leaves no token", ids.fill_(7), SmallDecoder.Ids(), new() { Padding = 7 });
            using (no_grad()) teacher.Blocks[1].parameters().Last().fill_(double.NaN);
            Refused("State 2", SmallDecoder.Ids(), SmallDecoder.Ids());
            Assert.True(before.equal(student.Embeddings).all().item<bool>());
        }
    }

    private sealed class Reports(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }
}
