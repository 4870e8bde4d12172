using Sparseland.Attention.Mixture;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.Attention.Vision.WindowCombTests;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention.Mixture;

/// <summary>Attacks on mixtures of transformers: gradients that are switched off or shared, tokens without a modality, ties of experts, double precision, files.</summary>
public sealed class MixtureTrialTests
{
    private static readonly MoTOptions s_small = new() { Width = 12, Heads = 3, MlpWidth = 10 };

    private static Tensor Drawn(int seed, params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: new Generator((ulong)seed));

    [Fact]
    public void Gradients_of_two_losses_need_none_switched_on_and_may_share_a_pass()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear linear = nn.Linear(3, 2, hasBias: false);
        Tensor a = tensor(new float[] { 1, 0, 2 }), b = tensor(new float[] { 1, 1, 0 });
        GradientCosine expected = Assert.Single(GradientConflict.Cosine(linear, () => linear.call(a).sum(), () => linear.call(b).sum()));
        Assert.Equal(1 / Math.Sqrt(10), expected.Cosine, 5);
        Assert.Equal((Math.Sqrt(10), 2), (Math.Round(expected.FirstNorm, 12), expected.SecondNorm), new Near());
        using (no_grad()) Assert.Equal(expected, Assert.Single(GradientConflict.Cosine(linear, () => linear.call(a).sum(), () => linear.call(b).sum())));

        // One pass over both modalities, two losses of it.
        Tensor both = linear.call(stack([a, b])).tanh();
        GradientCosine shared = Assert.Single(GradientConflict.Cosine(linear, () => both[0].sum(), () => both[1].sum()));
        Assert.InRange(shared.Cosine, -1, 1);
    }

    [Fact]
    public void Losses_of_nothing_and_models_without_a_matrix_have_no_cosine()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear linear = nn.Linear(3, 2, hasBias: false);
        Tensor a = ones(3);
        Assert.Empty(GradientConflict.Cosine(linear, () => tensor(1f), () => linear.call(a).sum()));
        Assert.True(double.IsNaN(Assert.Single(GradientConflict.Cosine(linear, () => linear.call(a).sum() * 0, () => linear.call(a).sum())).Cosine));
        Assert.ThrowsAny<ArgumentException>(() => GradientConflict.Cosine(linear, () => linear.call(a), () => linear.call(a).sum()));
        using Linear other = nn.Linear(3, 3, hasBias: false);
        using Sequential both = nn.Sequential(("other", other), ("linear", linear));
        GradientCosine one = Assert.Single(GradientConflict.Cosine(both, () => linear.call(a).sum(), () => both.call(a).sum()));
        Assert.Equal("linear.weight", one.Name);
        linear.weight.requires_grad = false;
        Assert.Empty(GradientConflict.Cosine(linear, () => linear.call(a).sum(), () => linear.call(a).sum()));
    }

    [Fact]
    public void Labels_of_views_are_those_of_copies_and_a_token_without_a_modality_is_named()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor labels = randint(0, 3, [7, 5], dtype: ScalarType.Int64, generator: new Generator(1)).t(), x = Drawn(2, 35, 4);
        using ModalityMap map = new(labels, 3), copy = new(labels.contiguous(), 3);
        Assert.Equal(copy.Counts, map.Counts);
        Assert.Equal(0, Apart(copy.Gather(x), map.Gather(x)));
        Assert.Equal(0, Apart(x, map.Scatter(map.Gather(x))));
        Assert.Equal(35, map.Counts.Sum());
        Tensor bad = labels.clone();
        bad[3, 6] = 3;
        ArgumentException named = Assert.ThrowsAny<ArgumentException>(() => new ModalityMap(bad, 3));
        Assert.Contains("sequence 3, position 6", named.Message, StringComparison.Ordinal);
        bad[3, 6] = -1;
        Assert.ThrowsAny<ArgumentException>(() => new ModalityMap(bad, 3));
        Assert.ThrowsAny<ArgumentException>(() => new ModalityMap(labels.to(ScalarType.Int32), 3));
        Assert.ThrowsAny<ArgumentException>(() => new ModalityMap(labels, 0));
        Assert.ThrowsAny<ArgumentException>(() => ModalityMap.FromTokens(labels, [new(0, 1, 0)], 1));
        Assert.ThrowsAny<ArgumentException>(() => ModalityMap.FromTokens(labels, [new(0, 2, 0), new(2, 5, 1)], 2));
        Assert.ThrowsAny<ArgumentException>(() => ModalityMap.FromTokens(labels, [new(0, int.MaxValue, 2)], 2));
        Assert.Throws<ArgumentNullException>(() => ModalityMap.FromTokens(labels, null!, 2));
        using ModalityMap wide = ModalityMap.FromTokens(labels, [new(0, int.MaxValue, 1)], 2);
        Assert.Equal([0, 35], wide.Counts);
        Assert.ThrowsAny<ArgumentException>(() => map.Gather(x.narrow(0, 0, 34)));
        map.Dispose();
        map.Dispose();
    }

    [Theory]
    [InlineData(1, 4), InlineData(3, 4), InlineData(8, 4), InlineData(9, 2), InlineData(5, 1)]
    public void Experts_take_their_share_of_equal_and_of_few_tokens(int tokens, int experts)
    {
        using DisposeScope scope = NewDisposeScope();
        using ExpertChoice layer = new ExpertChoice(6, 5, experts, seed: 2).to(ScalarType.Float64);
        Tensor x = ones([tokens, 6], dtype: ScalarType.Float64);
        (Tensor rows, Tensor _) = layer.Choose(x);
        int capacity = (tokens + experts - 1) / experts;
        Assert.Equal([experts, (long)capacity], rows.shape);
        for (int e = 0; e < experts; e++) Assert.Equal(capacity, rows[e].data<long>().ToArray().Distinct().Count());
        Tensor drawn = Drawn(3, 6, tokens).t(), found = layer.call(drawn);
        Assert.Equal([tokens, 6L], found.shape);
        Assert.InRange(Apart(found, layer.call(drawn.contiguous())), 0, 1e-12);
        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros([0, 6], dtype: ScalarType.Float64)));
        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros([1, 4, 6], dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentNullException>(() => layer.call(null!));
        Assert.ThrowsAny<ArgumentException>(() => new ExpertChoice(6, 5, 0));
    }

    public static TheoryData<MoTOptions> Forms => new()
    {
        s_small, s_small with { Norms = NormPlacement.Input, QueryKeyNorm = true }, s_small with { LearnedPositions = true, Untie = UntiedParts.Attention }, s_small with { Untie = UntiedParts.Norms | UntiedParts.FeedForward },
    };

    [Theory, MemberData(nameof(Forms))]
    public void A_model_knows_no_other_sequence_is_itself_in_double_precision_and_survives_a_file(MoTOptions options)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using MoTModel model = new(options, seed: 3), other = new(options, seed: 4);
        Tensor ids = cat([TwoModes.Generate(2, 5), TwoModes.Generate(1, 6, imageFirst: true)]), all = model.call(ids);
        Assert.InRange(Apart(all.narrow(0, 2, 1), model.call(ids.narrow(0, 2, 1))), 0, 1e-5);
        Assert.InRange(Apart(all.narrow(1, 0, 30), model.call(ids.narrow(1, 0, 30))), 0, 1e-5);
        string file = Path.GetTempFileName();
        try
        {
            model.save(file);
            other.load(file);
            Assert.Equal(0, Apart(all, other.call(ids)));
            using MoTModel three = new(options with { Modalities = 3, Ranges = [new(0, 10, 0), new(11, 40, 2), new(41, 47, 1)] });
            Assert.ThrowsAny<Exception>(() => three.load(file));
        }
        finally
        {
            File.Delete(file);
        }

        using (MoTModel text = model.ToDense(0), back = MoTModel.FromDense(text, 2, untie: options.Untie))
        {
            Tensor words = ids.narrow(0, 0, 2).narrow(1, 0, TwoModes.TextLength);
            Assert.InRange(Apart(model.call(words), text.call(words)), 0, 1e-5);
            Assert.InRange(Apart(text.call(ids), back.call(ids)), 0, 1e-5);
        }

        model.to(ScalarType.Float64);
        Assert.InRange(Apart(all, model.call(ids).to(ScalarType.Float32)), 0, 1e-3);
        using MoTModel image = model.ToDense(1);
        Assert.Equal(ScalarType.Float64, image.Embeddings.dtype);
    }

    [Fact]
    public void A_refused_call_leaves_a_model_that_works()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using MoTModel model = new(s_small);
        Tensor ids = TwoModes.Generate(2, 7), expected = model.call(ids);
        Func<Tensor, ModalityMap> route = model.Route;
        model.Route = _ => null!;
        Assert.Throws<InvalidOperationException>(() => model.call(ids));
        model.Route = x => new(zeros([1, 60], dtype: ScalarType.Int64), 2);
        Assert.ThrowsAny<ArgumentException>(() => model.call(ids));
        model.Route = x => new(zeros_like(x), 3);
        Assert.ThrowsAny<ArgumentException>(() => model.call(ids));
        model.Route = route;
        Assert.Equal(0, Apart(expected, model.call(ids)));
        Assert.ThrowsAny<ArgumentException>(() => model.ToDense(2));
        Assert.ThrowsAny<ArgumentException>(() => MoTModel.FromDense(model, 2));
        Assert.ThrowsAny<ArgumentException>(() => new MoTModel(s_small with { Ranges = null! }));
        Assert.ThrowsAny<ArgumentException>(() => new MoTModel(s_small with { Untie = UntiedParts.None }));
        Assert.ThrowsAny<ArgumentException>(() => new MoTModel(s_small with { Modalities = 0 }));
        Assert.ThrowsAny<ArgumentException>(() => new MoTModel(s_small with { NormEpsilon = double.NaN }));
        Assert.ThrowsAny<ArgumentException>(() => new MoTModel(s_small with { Experts = 2 }));
    }

    [Fact]
    public void Losses_and_samples_do_not_know_the_batch()
    {
        using DisposeScope scope = NewDisposeScope();
        using MoTModel model = new(s_small);
        Tensor ids = TwoModes.Generate(5, 8);
        TwoModesLoss one = TwoModes.Loss(model, ids), two = TwoModes.Loss(model, ids, batch: 2);
        Assert.Equal(one.Text, two.Text, 5);
        Assert.Equal(one.Image, two.Image, 5);
        Tensor losses = nn.functional.cross_entropy(model.Logits(ids).narrow(1, 0, 59).reshape(-1, 48), ids.narrow(1, 1, 59).reshape(-1), reduction: nn.Reduction.None).view(5, 59);
        Assert.Equal(losses.narrow(1, 0, 23).mean().item<float>(), one.Text, 4);
        Assert.Equal(losses.narrow(1, 24, 35).mean().item<float>(), one.Image, 4);
        Assert.Equal(0, Apart(ids.narrow(0, 0, 3).to(ScalarType.Float32), TwoModes.Generate(3, 8).to(ScalarType.Float32)));
        Assert.ThrowsAny<ArgumentException>(() => TwoModes.Generate(0, 1));
        Assert.ThrowsAny<ArgumentException>(() => TwoModes.Generate(int.MaxValue, 1));
        Assert.ThrowsAny<ArgumentException>(() => TwoModes.Loss(model, ids, batch: 0));
        Assert.ThrowsAny<ArgumentException>(() => TwoModes.Loss(model, ids.narrow(1, 0, 59)));
    }

    [Fact]
    public void Step_ratios_of_short_flat_and_negative_curves()
    {
        Assert.Equal((1.0, 7L), (StepRatio.Of([7], [2], [2]).Ratio, StepRatio.Of([7], [2], [2]).Step));
        Assert.Equal(1, StepRatio.Of([1, 2, 3], [-1, -1, -1], [-1, -1, -1]).Step);
        Assert.Equal(3, StepRatio.Of([1, 2, 3], [3, 2, 1], [6, 0, 0], smooth: 100).Step);
        Assert.ThrowsAny<ArgumentException>(() => StepRatio.Of([], [], []));
        Assert.ThrowsAny<ArgumentException>(() => StepRatio.Of([1, 1], [1, 1], [1, 1]));
        Assert.ThrowsAny<ArgumentException>(() => StepRatio.Of([0, 1], [1, 1], [1, 1]));
        Assert.Throws<ArgumentException>("other", () => StepRatio.Of([1, 2], [1, 1], [1, double.NaN]));
        Assert.Throws<ArgumentException>("dense", () => StepRatio.Of([1, 2], [1, double.PositiveInfinity], [1, 1]));
        Assert.Throws<ArgumentException>("dense", () => StepRatio.Of([1, 2], [1], [1, 1]));
        Assert.ThrowsAny<ArgumentException>(() => StepRatio.Of([1, 2], [1, 1], [1, 1], smooth: 0));
    }

    private sealed class Near : IEqualityComparer<(double, double)>
    {
        public bool Equals((double, double) x, (double, double) y) => Math.Abs(x.Item1 - y.Item1) < 1e-5 && Math.Abs(x.Item2 - y.Item2) < 1e-5;

        public int GetHashCode((double, double) x) => 0;
    }
}
