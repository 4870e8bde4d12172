using System.Text;
using Sparseland.Evaluation;
using Sparseland.Models.Language;
using Sparseland.Solvers;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>Dropout draws from libtorch's one generator: nothing else of the process may draw meanwhile.</summary>
[CollectionDefinition(nameof(LoneGenerator), DisableParallelization = true)]
public sealed class LoneGenerator;

[Collection(nameof(LoneGenerator))]
public sealed class TrainingLoopTests : IDisposable
{
    private static readonly TrainingOptions Short = new() { Steps = 12, LearningRate = 0.02, WarmUp = 3, Accumulate = 2, Seed = 4 };
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-training-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    private string Checkpoint => Path.Combine(_folder, "training.safetensors");

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_training_that_was_killed_goes_on_bit_for_bit()
    {
        using Sequential whole = Noisy(1), killed = Noisy(1), fresh = Noisy(2);
        using TrainingLoop straight = Loop(whole, Short);
        straight.Run();

        // Checkpoints after 5 and 10; the end comes in step 7, as an exception that nobody sees.
        TrainingOptions options = Short with { Checkpoint = Checkpoint, CheckpointEvery = 5 };
        using TrainingLoop first = Loop(killed, options, new() { OnStep = (_, r) => { if (r.Step == 7) throw new InvalidOperationException("killed"); } });
        Assert.Throws<InvalidOperationException>(() => first.Run());
        using TrainingLoop second = Loop(fresh, options);
        second.Load(Checkpoint);
        Assert.Equal(5, second.Done);
        TrainingResult result = second.Run();

        Same(whole, fresh);
        Assert.Equal(straight.History, result.History);
        foreach ((string name, Tensor moment) in straight.Optimizer.State) Assert.True(moment.equal(second.Optimizer.State[name]).all().item<bool>(), name);
        Assert.True(result.Seconds >= first.Seconds / 2);
    }

    [Fact]
    public void Cancelling_leaves_the_last_whole_step_with_its_checkpoint()
    {
        using Sequential whole = Noisy(1), cancelled = Noisy(1);
        using TrainingLoop straight = Loop(whole, Short);
        straight.Run();
        using var stop = new CancellationTokenSource();
        TrainingOptions options = Short with { Checkpoint = Checkpoint };
        using TrainingLoop loop = Loop(cancelled, options, new() { OnStep = (_, r) => { if (r.Step == 4) stop.Cancel(); } });
        Assert.Throws<OperationCanceledException>(() => loop.Run(cancel: stop.Token));
        Assert.Equal(4, loop.Done);
        Assert.Equal(4, loop.History.Count);
        loop.Run();
        Same(whole, cancelled);

        using Sequential fresh = Noisy(3);
        using TrainingLoop resumed = Loop(fresh, options);
        resumed.Load(Checkpoint);
        Assert.Equal(12, resumed.Done);
        Same(whole, fresh);
    }

    [Fact]
    public void A_cancelled_evaluation_is_made_up_for()
    {
        using Sequential network = Noisy(1);
        using var stop = new CancellationTokenSource();
        bool cancels = true;
        var hooks = new TrainingHooks
        {
            Evaluate = cancel =>
            {
                if (cancels) stop.Cancel();
                cancel.ThrowIfCancellationRequested();
                return 7;
            },
        };
        using TrainingLoop loop = Loop(network, Short with { EvaluateEvery = 3 }, hooks);
        Assert.Throws<OperationCanceledException>(() => loop.Run(cancel: stop.Token));
        Assert.Equal(3, loop.Done);
        Assert.True(network.training);
        cancels = false;
        TrainingResult result = loop.Run();
        Assert.Equal([3, 6, 9, 12], result.History.Where(s => s.Evaluation == 7).Select(s => s.Step));
        Assert.Equal(7, result.LastEvaluation);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_loss_that_is_not_finite_stops_with_its_step_and_keeps_the_last_checkpoint(double bad)
    {
        using Sequential network = Noisy(1), fresh = Noisy(2);
        TrainingOptions options = Short with { Checkpoint = Checkpoint, CheckpointEvery = 5, Accumulate = 1 };
        int calls = 0;
        Func<Batch, Tensor> loss = Losses.CrossEntropy(network);
        using var loop = new TrainingLoop(network, Data(), batch => loss(batch).mul(++calls == 7 ? bad : 1), options);
        DivergenceException error = Assert.Throws<DivergenceException>(() => loop.Run());
        Assert.Contains("step 7", error.Message, StringComparison.Ordinal);
        Assert.Contains(Checkpoint, error.Message, StringComparison.Ordinal);
        Assert.Equal(6, loop.Done);
        Assert.All(TrainingData.Parameters(network), p => Assert.True(double.IsFinite(p)));

        using TrainingLoop again = Loop(fresh, options);
        again.Load(Checkpoint);
        Assert.Equal(5, again.Done);
        again.Run();
        Assert.Equal(12, again.Done);
    }

    [Fact]
    public void What_a_step_begins_with_is_called_before_its_gradients_also_after_a_checkpoint_was_taken_up()
    {
        using Sequential network = Noisy(1), resumed = Noisy(1);
        var order = new List<string>();
        TrainingHooks Hooks() => new() { OnBeforeStep = l => order.Add($"before {l.Done}"), OnGradients = l => order.Add($"gradients {l.Done}"), OnStep = (l, _) => order.Add($"after {l.Done}") };
        using (TrainingLoop loop = Loop(network, Short, Hooks()))
        {
            loop.Step();
            loop.Save(Checkpoint);
        }

        using TrainingLoop again = Loop(resumed, Short, Hooks());
        again.Load(Checkpoint);
        again.Step();
        Assert.Equal(["before 0", "gradients 0", "after 1", "before 1", "gradients 1", "after 2"], order);
    }

    [Fact]
    public void A_gradient_that_is_not_finite_stops_before_it_spoils_the_parameters()
    {
        using Sequential network = Noisy(1);
        double[] before = [];
        var hooks = new TrainingHooks
        {
            OnGradients = loop =>
            {
                if (loop.Done < 2) return;
                before = TrainingData.Parameters(loop.Model);
                loop.Model.parameters().First().grad!.fill_(float.NaN);
            },
        };
        using TrainingLoop loop = Loop(network, Short, hooks);
        Assert.Contains("step 3", Assert.Throws<DivergenceException>(() => loop.Run()).Message, StringComparison.Ordinal);
        Assert.Equal(before, TrainingData.Parameters(network));
        Assert.Equal(2, loop.Done);
    }

    [Fact]
    public void A_checkpoint_that_is_half_written_is_never_taken_for_a_whole_one()
    {
        using Sequential network = Noisy(1), other = Noisy(2);
        using TrainingLoop loop = Loop(network, Short with { Checkpoint = Checkpoint });
        loop.Run();
        byte[] whole = File.ReadAllBytes(Checkpoint);
        double[] before = TrainingData.Parameters(other);
        using TrainingLoop reader = Loop(other, Short);
        foreach (int length in new[] { 0, 7, 8, 100, whole.Length / 2, whole.Length - 1 })
        {
            File.WriteAllBytes(Checkpoint, whole[..length]);
            Assert.Throws<InvalidDataException>(() => reader.Load(Checkpoint));
            Assert.Equal(before, TrainingData.Parameters(other));
            Assert.Equal(0, reader.Done);
        }

        // A bit that turned, in the name of the checksums' own note or anywhere.
        var random = new Random(3);
        int key = Encoding.UTF8.GetString(whole).IndexOf("sparseland.checksum", StringComparison.Ordinal);
        for (int trial = 0; trial < 60; trial++)
        {
            byte[] damaged = [.. whole];
            damaged[trial == 0 ? key : random.Next(whole.Length)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(Checkpoint, damaged);
            Assert.Contains(Checkpoint, Assert.Throws<InvalidDataException>(() => reader.Load(Checkpoint)).Message, StringComparison.Ordinal);
            Assert.Equal(before, TrainingData.Parameters(other));
        }

        // What a kill in the middle of writing leaves: the old file whole, the new one under another name.
        File.WriteAllBytes(Checkpoint, whole);
        File.WriteAllBytes(Checkpoint + ".x.tmp", whole[..50]);
        reader.Load(Checkpoint);
        Same(network, other);

        // A checkpoint that cannot be written leaves the old one.
        Directory.CreateDirectory(Path.Combine(_folder, "taken"));
        Assert.ThrowsAny<Exception>(() => loop.Save(Path.Combine(_folder, "taken")));
        Assert.Equal(whole, File.ReadAllBytes(Checkpoint));
        Assert.Single(Directory.GetFiles(_folder, "*.tmp"));
        Assert.Throws<FileNotFoundException>(() => reader.Load(Path.Combine(_folder, "none")));
    }

    [Fact]
    public void A_checkpoint_of_another_training_is_refused_by_what_differs()
    {
        using Sequential network = Noisy(1);
        using TrainingLoop loop = Loop(network, Short with { Checkpoint = Checkpoint });
        loop.Run();
        void Refused(string what, TrainingLoop other)
        {
            using (other) Assert.Contains(what, Assert.Throws<InvalidDataException>(() => other.Load(Checkpoint)).Message, StringComparison.Ordinal);
            Assert.Equal(0, other.Done);
        }

        Refused("Seed was 4, not 5", Loop(network, Short with { Seed = 5 }));
        Refused("Beta2", Loop(network, Short with { Beta2 = 0.9 }));
        Refused("Variant", Loop(network, Short with { Variant = "bfloat16" }));
        Refused("learning rate", Loop(network, Short with { LearningRate = 0.01 }));
        Refused("learning rate", Loop(network, Short with { Steps = 24 }));
        Refused("its data were", new(network, Data(seed: 9), Losses.CrossEntropy(network), Short));
        using Sequential wide = TrainingData.Mlp(hidden: 5);
        Refused("of another training", Loop(wide, Short));
        string plain = Path.Combine(_folder, "plain.safetensors");
        Sparseland.IO.SafeTensors.Save(plain, new Dictionary<string, Tensor> { ["x"] = zeros(2) });
        using TrainingLoop reader = Loop(network, Short);
        Assert.Contains("no checkpoint", Assert.Throws<InvalidDataException>(() => reader.Load(plain)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_optimizer_takes_the_same_roads()
    {
        using Sequential whole = Noisy(1), killed = Noisy(1), fresh = Noisy(2);
        TrainingOptions options = Short with { FinalRate = 1, DropAt = [0.5], DropTo = 0.1 };
        TrainingLoop Sgd(Sequential network, SgdOptimizer sgd) => new(network, Data(), Losses.CrossEntropy(network), options, optimizer: sgd);
        using SgdOptimizer one = new(whole, 0.9), two = new(killed, 0.9), three = new(fresh, 0.9), other = new(fresh, 0.5);
        using TrainingLoop straight = Sgd(whole, one), first = Sgd(killed, two), second = Sgd(fresh, three), strange = Sgd(fresh, other);
        straight.Run();
        for (int i = 0; i < 5; i++) first.Step();
        first.Save(Checkpoint);
        Assert.Contains("Momentum was 0.9, not 0.5", Assert.Throws<InvalidDataException>(() => strange.Load(Checkpoint)).Message, StringComparison.Ordinal);
        second.Load(Checkpoint);
        second.Run();
        Same(whole, fresh);
        Assert.Equal(straight.History, second.History);
        Assert.Equal(0.1, second.History[^1].LearningRate / second.History[5].LearningRate, 1e-12);

        // What the loop was given stays usable when the loop is gone.
        second.Dispose();
        Assert.All(three.State.Values, moment => Assert.False(moment.IsInvalid));
        Assert.Contains("has made 12 steps", Assert.Throws<ArgumentException>("optimizer", () => Sgd(fresh, three)).Message, StringComparison.Ordinal);
        Assert.Contains("no parameter of the network", Assert.Throws<ArgumentException>("optimizer", () => Sgd(whole, other)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void On_its_plateau_a_training_may_be_given_more_steps()
    {
        TrainingOptions some = Short with { Plateau = 0.8, Checkpoint = Checkpoint }, more = some with { Steps = 20 };
        using Sequential straight = Noisy(1), first = Noisy(1), second = Noisy(2);
        using TrainingLoop whole = Loop(straight, more), begun = Loop(first, some), longer = Loop(second, more);
        whole.Run();
        for (int i = 0; i < 8; i++) begun.Step();
        begun.Save(Checkpoint);
        longer.Load(Checkpoint);
        longer.Run();
        Same(straight, second);
    }

    [Fact]
    public void Two_accumulated_batches_are_one_of_twice_the_size()
    {
        using Sequential one = TrainingData.Mlp(ScalarType.Float64), two = TrainingData.Mlp(ScalarType.Float64);
        (Tensor X, Tensor labels) = TrainingData.Blobs(64, 8, 3, 11, ScalarType.Float64);
        using var large = new TrainingLoop(one, new SampleBatches(X, labels, 16), Losses.CrossEntropy(one), Short with { Accumulate = 1 });
        using var small = new TrainingLoop(two, new SampleBatches(X, labels, 8), Losses.CrossEntropy(two), Short);
        large.Run();
        small.Run();
        foreach ((double a, double b) in TrainingData.Parameters(one).Zip(TrainingData.Parameters(two))) Assert.Equal(a, b, 1e-10);
        foreach ((StepReport a, StepReport b) in large.History.Zip(small.History)) Assert.Equal(a.Loss, b.Loss, 1e-10);
    }

    [Fact]
    public void A_classifier_learns_and_is_evaluated_in_evaluation_mode()
    {
        using Sequential network = Noisy(1);
        (Tensor X, Tensor labels) = TrainingData.Blobs(400, 8, 3, 11);
        bool quiet = true;
        var hooks = new TrainingHooks
        {
            Evaluate = _ =>
            {
                quiet &= !network.training && !is_grad_enabled();
                return Accuracy.Of(network, X, labels);
            },
        };
        var reports = new List<ProgressReport>();
        using var loop = new TrainingLoop(network, new SampleBatches(X, labels, 32), Losses.CrossEntropy(network), new() { Steps = 200, LearningRate = 0.02, EvaluateEvery = 80 }, hooks);
        TrainingResult result = loop.Run(new Direct(reports.Add));
        Assert.True(quiet);
        Assert.Equal([80, 160, 200], result.History.Where(s => s.Evaluation is not null).Select(s => s.Step));
        Assert.True(result.LastEvaluation > 0.9, $"{result.LastEvaluation}");
        Assert.True(result.RecentLoss(20) < 0.6 * result.History.Take(5).Average(s => s.Loss));
        Assert.Equal(200, reports.Count);
        Assert.Equal((200, 200), (reports[^1].Done, reports[^1].Total));
        Assert.Matches(@"^loss \d\.\d{3}, evaluation \d\.\d{3}, \d+:\d\d left$", reports[^1].Message);
    }

    [Fact]
    public void A_decoder_learns_a_text_that_repeats_itself()
    {
        var config = new LlamaConfig { Vocabulary = 12, Width = 16, MlpWidth = 32, Layers = 1, Heads = 2, KeyValueHeads = 1, Context = 12 };
        using var model = new TinyLM(config);
        var text = new TokenText([.. Enumerable.Range(0, 600).Select(i => i % 12)]);
        using var loop = new TrainingLoop(model, new TextBatches(text, 4, 12), Losses.CrossEntropy(model), new() { Steps = 60, LearningRate = 0.02 });
        TrainingResult result = loop.Run();
        Assert.Equal(Math.Log(12), result.History[0].Loss, 0.1);
        Assert.True(result.History[^1].Loss < 0.1, $"{result.History[^1].Loss}");
    }

    [Fact]
    public void A_copy_whose_layers_would_go_on_with_the_old_weights_is_refused()
    {
        using var model = new Inherits();
        Assert.Contains("_weight", Assert.Throws<ArgumentException>("another", () => new Bfloat16Copy<Inherits>(model, () => new())).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("another", () => new Bfloat16Copy<Inherits>(model, () => null!));
    }

    private abstract class Holds : nn.Module<Tensor, Tensor>
    {
        private readonly Parameter _weight = nn.Parameter(ones(3));

        protected Holds() : base("holds") => register_parameter("weight", _weight);

        public override Tensor forward(Tensor input) => input * _weight;
    }

    // TorchSharp fills the fields of the derived class alone when a module changes its type.
    private sealed class Inherits : Holds;

    [Fact]
    public void Gradients_of_a_bfloat16_copy_are_nearly_those_of_the_network_and_train_it()
    {
        var config = new LlamaConfig { Vocabulary = 12, Width = 16, MlpWidth = 32, Layers = 2, Heads = 2, KeyValueHeads = 1, Context = 12 };
        using var model = new TinyLM(config);
        using var copy = new Bfloat16Copy<TinyLM>(model, () =>
        {
            // The default type is one for the whole process: what trains beside must not see another.
            Assert.Equal(ScalarType.Float32, get_default_dtype());
            return new(config);
        });
        Assert.All(copy.Model.parameters(), p => Assert.Equal(ScalarType.BFloat16, p.dtype));
        var batches = new TextBatches(new([.. Enumerable.Range(0, 600).Select(i => i % 12)]), 4, 12);
        using var exact = new TrainingLoop(model, batches, Losses.CrossEntropy(model), new() { Steps = 60, LearningRate = 0.02 });
        exact.Gradients();
        Tensor[] expected = [.. model.parameters().Select(p => p.grad!.clone())];
        using var loop = new TrainingLoop(model, batches, copy.CrossEntropy, exact.Options, new() { OnGradients = _ => copy.HandOver() });
        loop.Gradients();
        copy.HandOver();
        foreach ((Tensor mine, Parameter own) in expected.Zip(model.parameters()))
            Assert.True((mine - own.grad!).norm().item<float>() <= 0.05f * mine.norm().item<float>() + 1e-6f);
        loop.Run();
        Assert.True(loop.History[^1].Loss < 0.1, $"{loop.History[^1].Loss}");
        Assert.All(model.parameters(), p => Assert.Equal(ScalarType.Float32, p.dtype));
        Assert.Throws<ArgumentException>("another", () => new Bfloat16Copy<TinyLM>(model, () => new TinyLM(config with { Width = 8 })));
        using Sequential noisy = Noisy(1);
        Assert.Throws<ArgumentException>("another", () => new Bfloat16Copy<Sequential>(noisy, () => Noisy(1)));
    }

    [Fact]
    public void What_cannot_be_trained_is_refused()
    {
        using Sequential network = Noisy(1);
        Assert.Throws<ArgumentException>("hooks", () => Loop(network, Short with { EvaluateEvery = 2 }));
        Assert.Throws<ArgumentOutOfRangeException>("Steps", () => Loop(network, Short with { Steps = 0 }));
        using var loop = new TrainingLoop(network, Data(), batch => network.call(batch.Input), Short);
        Assert.Contains("one number", Assert.Throws<ArgumentException>("loss", () => loop.Step()).Message, StringComparison.Ordinal);
    }

    private static TrainingLoop Loop(Sequential network, TrainingOptions options, TrainingHooks? hooks = null) => new(network, Data(), Losses.CrossEntropy(network), options, hooks);

    private static SampleBatches Data(long seed = 1)
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(70, 8, 3, 11);
        return new(X, labels, 8, seed);
    }

    /// <summary>With what makes resuming hard: dropout's draws and batch norm's running means.</summary>
    private static Sequential Noisy(long seed)
    {
        manual_seed(seed);
        return nn.Sequential(("fc1", nn.Linear(8, 16)), ("norm", nn.BatchNorm1d(16)), ("relu", nn.ReLU()), ("drop", nn.Dropout(0.3)), ("head", nn.Linear(16, 3)));
    }

    private static void Same(nn.Module a, nn.Module b)
    {
        Assert.Equal(TrainingData.Parameters(a), TrainingData.Parameters(b));
        foreach (((string name, Tensor x), (_, Tensor y)) in a.named_buffers().Zip(b.named_buffers())) Assert.True(x.equal(y).all().item<bool>(), name);
    }

    private sealed class Direct(Action<ProgressReport> action) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => action(value);
    }
}
