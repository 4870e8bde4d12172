using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention.Mixture;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.Attention.Vision.WindowCombTests;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention.Mixture;

public class MoTTests
{
    private static readonly MoTOptions s_small = new() { Width = 12, Heads = 3, MlpWidth = 10, Norms = NormPlacement.Input };

    public static TheoryData<MoTOptions> Forms => new()
    {
        s_small, s_small with { Norms = NormPlacement.BranchOutput }, s_small with { QueryKeyNorm = true }, s_small with { LearnedPositions = true },
    };

    [Theory, MemberData(nameof(Forms))]
    public void Copies_of_one_dense_model_are_that_model_for_any_labels(MoTOptions options)
    {
        using DisposeScope scope = NewDisposeScope();
        using MoTModel dense = Dense(options), copies = MoTModel.FromDense(dense, 3, [new(0, 10, 0), new(11, 40, 2), new(41, 47, 1)]);
        Tensor ids = TwoModes.Generate(3, 1), expected = dense.call(ids);
        Assert.InRange(Apart(expected, copies.call(ids)), 0, 1e-12);
        copies.Route = batch => new(Labels(batch.shape, 3, 5), 3);
        Assert.InRange(Apart(expected, copies.call(ids)), 0, 1e-12);
    }

    [Theory, MemberData(nameof(Forms))]
    public void One_modality_alone_uses_its_tower_and_gives_the_other_zero(MoTOptions options)
    {
        using DisposeScope scope = NewDisposeScope();
        using MoTModel model = Random(options);
        Tensor text = randint(0, 32, new long[] { 2, 20 }, generator: new Generator(3)), image = text + 16;
        image = image.clamp_min(32);
        using MoTModel first = model.ToDense(0), second = model.ToDense(1);
        Assert.InRange(Apart(first.call(text), model.call(text)), 0, 1e-12);
        Assert.InRange(Apart(second.call(image), model.call(image)), 0, 1e-12);
        model.call(text).square().sum().backward();
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            Assert.NotNull(parameter.grad);
            double size = parameter.grad.abs().max().item<double>();
            if (MoTModel.TowerOf(name) == 1) Assert.Equal(0, size);
            else Assert.True(size > 0, name);
        }
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Gradients_of_the_image_tower_are_those_of_its_keys_and_values_alone(bool imageFirst)
    {
        using DisposeScope scope = NewDisposeScope();
        using MoTModel model = Random(s_small);
        Tensor ids = TwoModes.Generate(2, 4, imageFirst), logits = model.call(ids.narrow(1, 0, 59));
        int from = imageFirst ? 36 : 0;
        nn.functional.cross_entropy(logits.narrow(1, from, 23).reshape(-1, 48), ids.narrow(1, from + 1, 23).reshape(-1)).backward();
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            if (MoTModel.TowerOf(name) != 1) continue;
            double size = parameter.grad!.abs().max().item<double>();
            bool moves = imageFirst && (name.StartsWith("blocks.0.", StringComparison.Ordinal) || (name.StartsWith("blocks.1.", StringComparison.Ordinal)
                && (name.Contains(".key.", StringComparison.Ordinal) || name.Contains(".value.", StringComparison.Ordinal) || name.Contains("attention_norm", StringComparison.Ordinal))));
            if (moves) Assert.True(size > 0, name);
            else Assert.True(size == 0, name);
        }
    }

    [Fact]
    public void Gathering_is_computing_all_towers_and_masking()
    {
        Prop.ForAll<int, int>((a, b) =>
        {
            using DisposeScope scope = NewDisposeScope();
            int modalities = 1 + (Math.Abs(a) % 4), tokens = 1 + (Math.Abs(b) % 9);
            Tensor labels = Labels([2, tokens], modalities, a), x = randn(new long[] { 2 * tokens, 5 }, dtype: ScalarType.Float64, generator: new Generator(unchecked((ulong)b)));
            using ModalityMap map = new(labels, modalities);
            using UntiedFeedForward layer = new UntiedFeedForward(modalities, 5, 7).to(ScalarType.Float64);
            Tensor masked = zeros_like(x);
            for (int m = 0; m < modalities; m++)
            {
                Tensor Of(string name, Tensor t) => nn.functional.linear(t, layer.get_parameter($"{name}.{m}.weight")!);
                Tensor all = Of("down", nn.functional.silu(Of("gate", x)) * Of("up", x));
                masked += all * labels.reshape(-1, 1).eq(m).to(ScalarType.Float64);
            }

            return Apart(masked, layer.call(x, map)) < 1e-12 && Apart(map.Scatter(map.Gather(x)), x) == 0 && map.Counts.Sum() == 2 * tokens;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Renaming_modalities_with_their_towers_changes_nothing()
    {
        using DisposeScope scope = NewDisposeScope();
        using MoTModel model = Random(s_small), swapped = new MoTModel(s_small with { Ranges = [new(0, 31, 1), new(32, 47, 0)] }).to(ScalarType.Float64);
        Dictionary<string, Parameter> own = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        using (no_grad())
        {
            foreach ((string name, Parameter parameter) in swapped.named_parameters())
            {
                string[] parts = name.Split('.');
                if (MoTModel.TowerOf(name) is { } tower) parts[^2] = $"{1 - tower}";
                parameter.copy_(own[string.Join('.', parts)]);
            }
        }

        Tensor ids = TwoModes.Generate(2, 6);
        Assert.InRange(Apart(model.call(ids), swapped.call(ids)), 0, 1e-12);
    }

    [Fact]
    public void Counts_are_those_of_the_measured_models()
    {
        MoTOptions options = new() { LearnedPositions = true, Norms = NormPlacement.Input };
        long Count(MoTOptions o)
        {
            using var model = new MoTModel(o);
            return model.ParameterCount;
        }

        Assert.Equal(53_808, Count(options with { Modalities = 1 }));
        Assert.Equal(100_128, Count(options));
        Assert.Equal(72_240, Count(options with { Untie = UntiedParts.Attention }));
        Assert.Equal(81_456, Count(options with { Untie = UntiedParts.FeedForward }));
        Assert.Equal(54_048, Count(options with { Untie = UntiedParts.Norms }));
        using MoTModel dense = new(options with { Modalities = 1 }), three = new(options with { Modalities = 3, Ranges = [new(0, 20, 0), new(21, 47, 1)] });
        Assert.Equal(dense.SharedCount + (3 * (dense.ParameterCount - dense.SharedCount)), three.ParameterCount);
        using ModalityMap one = new(zeros(new long[] { 2, 30 }, dtype: ScalarType.Int64), 1), mixed = new(Labels([2, 30], 3, 1), 3), empty = new(ones(new long[] { 2, 30 }, dtype: ScalarType.Int64), 3);
        Assert.Equal(dense.MacsPerToken(one), three.MacsPerToken(mixed), 6);
        Assert.Equal(dense.MacsPerToken(one), three.MacsPerToken(empty), 6);
    }

    [Fact]
    public void Later_tokens_change_nothing_before_them_but_for_expert_choice()
    {
        using DisposeScope scope = NewDisposeScope();
        using MoTModel model = Random(s_small), experts = Random(s_small with { Modalities = 1, Experts = 4 });
        Tensor ids = TwoModes.Generate(2, 8), other = ids.clone();
        other.narrow(1, 30, 30).copy_(TwoModes.Generate(2, 9).narrow(1, 0, 30));
        double Change(MoTModel m) => Apart(m.call(ids).narrow(1, 0, 30), m.call(other).narrow(1, 0, 30));
        Assert.InRange(Change(model), 0, 1e-12);
        Assert.True(Change(experts) > 1e-4);
    }

    [Fact]
    public void A_cache_and_hooks_work_as_in_every_decoder()
    {
        using DisposeScope scope = NewDisposeScope();
        using MoTModel model = Random(s_small);
        Tensor ids = TwoModes.Generate(2, 8), whole = model.call(ids);
        using KeyValueCache cache = model.NewCache(2);
        Tensor first = model.Logits(ids.narrow(1, 0, 30), cache: cache), second = model.Logits(ids.narrow(1, 30, 30), cache: cache);
        Assert.InRange(Apart(cat([first, second], 1), whole), 0, 1e-12);
        Tensor Hooked(Activation activation) => model.Logits(ids, ActivationHook.Replace(new(1, activation), t => t.clone()));
        foreach (Activation activation in new[] { Activation.AttentionOutput, Activation.MlpOutput, Activation.Keys, Activation.AttentionPattern, Activation.ResidualAfter }) Assert.InRange(Apart(Hooked(activation), whole), 0, 1e-12);
        Assert.True(Apart(model.Logits(ids, ActivationHook.Replace(new(0, Activation.AttentionOutput), t => zeros_like(t))), whole) > 1e-3);
        Assert.ThrowsAny<ArgumentException>(() => Hooked(Activation.MlpHidden));
        Assert.Throws<NotSupportedException>(() => model.RunBlock(0, model.EmbedTokens(ids)));
    }

    [Fact]
    public void It_learns_by_the_training_loop_and_is_its_seed()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor ids = TwoModes.Generate(64, 1);
        (double First, double Last, Tensor Logits) Run(long seed)
        {
            MoTModel model = new(new() { LearnedPositions = true, Norms = NormPlacement.Input }, seed);
            using TrainingLoop loop = new(model, new SampleBatches(ids.narrow(1, 0, 59), ids.narrow(1, 1, 59).contiguous(), 32, 1), Losses.CrossEntropy(model), new() { Steps = 25, LearningRate = 0.003 });
            TrainingResult result = loop.Run();
            return (result.History[0].Loss, result.History[^1].Loss, model.call(ids));
        }

        (double first, double last, Tensor logits) = Run(1);
        Assert.True(last < first - 0.5, $"{first} to {last}");
        Assert.Equal(0, Apart(logits, Run(1).Logits));
        Assert.NotEqual(0, Apart(logits, Run(2).Logits));
        using MoTModel any = new();
        TwoModesLoss loss = TwoModes.Loss(any, ids);
        Assert.InRange(loss.Text, 3, 6);
        Assert.InRange(loss.Image, 3, 6);
        Assert.Equal(loss.Text, TwoModes.Loss(any, ids, 10).Text, 4);
    }

    [Fact]
    public void Samples_are_what_they_say()
    {
        using Tensor ids = TwoModes.Generate(500, 3), few = TwoModes.Generate(5, 3), turned = TwoModes.Generate(5, 3, imageFirst: true);
        long[] v = ids.data<long>().ToArray();
        Assert.True(ids.narrow(0, 0, 5).equal(few).all().item<bool>());
        Assert.True(turned.narrow(1, 36, 24).equal(few.narrow(1, 0, 24)).all().item<bool>());
        int kept = 0;
        Dictionary<long, Dictionary<long, int>> next = [];
        for (int i = 0; i < 500; i++)
        {
            long[] row = v[(60 * i)..(60 * (i + 1))];
            Assert.InRange(row[0], 0, 7);
            Assert.All(row[1..24], t => Assert.InRange(t, 8, 31));
            Assert.All(row[24..], t => Assert.InRange(t, 32, 47));
            for (int t = 1; t < 23; t++)
            {
                Dictionary<long, int> counts = next.TryGetValue(row[t], out Dictionary<long, int>? found) ? found : next[row[t]] = [];
                counts[row[t + 1]] = counts.GetValueOrDefault(row[t + 1]) + 1;
            }
        }

        foreach (Dictionary<long, int> counts in next.Values) kept += counts.Values.Max();
        Assert.InRange(kept / (500.0 * 22), 0.73, 0.79);
        Assert.Equal(24, next.Values.Select(c => c.MaxBy(p => p.Value).Key).Distinct().Count());
    }

    [Fact]
    public void Step_ratios_and_gradient_cosines_are_those_by_hand()
    {
        StepRatio ratio = StepRatio.Of([10, 20, 30, 40], [5, 4, 3, 2], [5, 3, 2, 1]);
        Assert.Equal((0.75, 30, 2.0), (ratio.Ratio, ratio.Step, ratio.Target));
        Assert.Equal(0.75, StepRatio.Of([10, 20, 30, 40], [5, 4, 3, 2], [5, 3, 2, 1], smooth: 2).Ratio);
        Assert.Equal(-1, StepRatio.Of([10, 20], [2, 1], [3, 2]).Step);
        Assert.True(double.IsNaN(StepRatio.Of([10, 20], [2, 1], [3, 2]).Ratio));
        using DisposeScope scope = NewDisposeScope();
        using Linear linear = nn.Linear(2, 1, hasBias: false);
        Tensor a = tensor(new float[] { 1, 0 }), b = tensor(new float[] { 1, 1 });
        IReadOnlyList<GradientCosine> found = GradientConflict.Cosine(linear, () => linear.call(a).sum(), () => linear.call(b).sum());
        Assert.Equal(Math.Sqrt(0.5), Assert.Single(found).Cosine, 5);
        Assert.Null(linear.weight.grad);
    }

    [Fact]
    public void Experts_take_equal_shares_and_add_up()
    {
        using DisposeScope scope = NewDisposeScope();
        using ExpertChoice layer = new ExpertChoice(6, 5, 3).to(ScalarType.Float64);
        Tensor x = randn(new long[] { 10, 6 }, dtype: ScalarType.Float64, generator: new Generator(1));
        (Tensor rows, Tensor probabilities) = layer.Choose(x);
        Assert.Equal([3L, 4], rows.shape);
        Tensor all = nn.functional.linear(x, layer.get_parameter("router.weight")!).softmax(-1), expected = zeros_like(x);
        for (int e = 0; e < 3; e++)
        {
            int[] best = [.. Enumerable.Range(0, 10).OrderByDescending(i => all[i][e].item<double>()).Take(4)];
            Assert.Equal(best.Order(), rows[e].data<long>().ToArray().Select(r => (int)r).Order());
            foreach (int i in best)
            {
                Tensor Of(string name, Tensor t) => nn.functional.linear(t, layer.get_parameter($"expert{e}.{name}.0.weight")!);
                expected[i] += Of("down", nn.functional.silu(Of("gate", x[i])) * Of("up", x[i])) * all[i][e];
            }
        }

        Assert.InRange(Apart(expected, layer.call(x)), 0, 1e-12);
        Assert.InRange(probabilities.max().item<double>(), 0, 1);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor ids = TwoModes.Generate(2, 1);
        Assert.Contains("position 1", Assert.Throws<ArgumentException>("labels", () => new ModalityMap(tensor(new long[] { 0, 2 }, [1, 2]), 2)).Message, StringComparison.Ordinal);
        Assert.Contains("position 24", Assert.Throws<ArgumentException>("ids", () => ModalityMap.FromTokens(ids, [new(0, 31, 0)], 2)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("ranges", () => ModalityMap.FromTokens(ids, [new(0, 32, 0), new(32, 47, 1)], 2));
        Assert.Throws<ArgumentException>("ranges", () => ModalityMap.FromTokens(ids, [new(0, 31, 0), new(32, -17, 1)], 2));
        Assert.Throws<ArgumentException>("ranges", () => ModalityMap.FromTokens(ids, [new(0, 47, 2)], 2));
        Assert.Throws<ArgumentOutOfRangeException>("modalities", () => new ModalityMap(ids, 0));
        Assert.Throws<ArgumentOutOfRangeException>("Modalities", () => new MoTModel(new() { Modalities = 0 }));
        Assert.Contains("Modalities = 1", Assert.Throws<ArgumentException>("Untie", () => new MoTModel(new() { Untie = UntiedParts.None })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("Heads", () => new MoTModel(new() { Heads = 5 }));
        Assert.Throws<ArgumentException>("Experts", () => new MoTModel(new() { Experts = 2 }));
        using MoTModel model = new(), dense = new(new() { Modalities = 1 });
        Assert.Throws<ArgumentException>("dense", () => MoTModel.FromDense(model, 2));
        Assert.Throws<ArgumentOutOfRangeException>("modality", () => model.ToDense(2));
        model.Route = _ => new(zeros(new long[] { 1, 5 }, dtype: ScalarType.Int64), 2);
        Assert.Throws<ArgumentException>("ids", () => model.call(ids));
        ModalityMap? routed = null;
        model.Route = batch => routed = new(zeros_like(batch), 3);
        Assert.Throws<ArgumentException>("ids", () => model.call(ids));
        Assert.Throws<InvalidOperationException>(() => routed!.Gather(zeros(ids.numel(), 1)));
        Assert.Throws<ArgumentOutOfRangeException>("NormEpsilon", () => new MoTModel(new() { NormEpsilon = double.PositiveInfinity }));
        Assert.Throws<ArgumentOutOfRangeException>("RopeTheta", () => new MoTModel(new() { RopeTheta = double.PositiveInfinity }));
        Assert.ThrowsAny<Exception>(() => model.load_state_dict(dense.state_dict()));
        using ModalityMap map = new(zeros(new long[] { 1, 4 }, dtype: ScalarType.Int64), 2);
        Assert.Throws<ArgumentException>("x", () => new UntiedLinear(2, 3, 3).call(zeros(5, 3), map));
        Assert.Throws<ArgumentException>("towers", () => new UntiedLinear(3, 3, 3).call(zeros(4, 3), map));
        Assert.Throws<ArgumentException>("steps", () => StepRatio.Of([2, 1], [1, 1], [1, 1]));
        Assert.Throws<ArgumentException>("other", () => StepRatio.Of([1, 2], [1, 1], [1, double.NaN]));
        Assert.Throws<ArgumentException>("dense", () => StepRatio.Of([1, 2], [1], [1, 2]));
        Assert.Throws<ArgumentException>("ids", () => TwoModes.Loss(dense, ids.narrow(1, 0, 30)));
        Assert.Throws<ArgumentOutOfRangeException>("samples", () => TwoModes.Generate(0, 1));
    }

    private static MoTModel Dense(MoTOptions options) => Random(options with { Modalities = 1 });

    private static MoTModel Random(MoTOptions options)
    {
        MoTModel model = new MoTModel(options, 3).to(ScalarType.Float64);
        using IDisposable off = no_grad();
        using Generator generator = new(9);

        // Gains off 1, so that a norm of the wrong tower shows.
        foreach (Parameter p in model.parameters().Where(p => p.dim() == 1)) p.copy_(1 + (randn(p.shape, dtype: ScalarType.Float64, generator: generator) * 0.3));
        return model;
    }

    private static Tensor Labels(long[] shape, int modalities, int seed) => randint(0, modalities, shape, generator: new Generator(unchecked((ulong)seed)));
}
