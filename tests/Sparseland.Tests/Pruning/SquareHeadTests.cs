using Sparseland.Models.Language;
using Sparseland.Pruning;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public sealed class SquareHeadTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    private static Tensor Places => arange(24, dtype: ScalarType.Float64).view(2, 3, 4);

    private static Tensor[] Student => [(Places * 0.7).sin(), (Places * 0.3).cos() * 10];

    private static Tensor[] Teacher => [(Places * 0.8).sin(), (Places * 0.31).cos() * 10];

    private static Tensor Mask => tensor(new[] { true, false, true, true, true, false }).view(2, 3);

    [Fact]
    public void Terms_and_gradients_are_those_of_PyTorch()
    {
        // PyTorch 1.13: F.mse_loss(s[m], t[m]) / (t[m].pow(2).mean() + torch.finfo(torch.bfloat16).eps) for each layer, m the tokens of the mask.
        Tensor[] states = [.. Student.Select(s => s.requires_grad_(true))];
        Tensor loss = SquareHead.Loss(states, Teacher, Mask), terms = SquareHead.PerLayer(states, Teacher, Mask);
        loss.backward();
        Assert.Equal(1.114199438842224, terms[0].item<double>(), 1e-12);
        Assert.Equal(0.013644290540996805, terms[1].item<double>(), 1e-12);
        Assert.Equal(1.1278437293832209, loss.item<double>(), 1e-12);
        Assert.Equal(loss.item<double>(), terms[0].item<double>() + terms[1].item<double>(), 1e-15);
        Assert.Equal(0.7472009570668987, states[0].grad!.norm().item<double>(), 1e-12);
        Assert.Equal(0.0076319044262113675, states[1].grad!.norm().item<double>(), 1e-12);
    }

    [Fact]
    public void A_student_that_is_its_teacher_has_no_loss_and_no_gradient()
    {
        Tensor[] states = [.. Teacher.Select(s => s.requires_grad_(true))];
        Tensor loss = SquareHead.Loss(states, Teacher);
        loss.backward();
        Assert.Equal(0, loss.item<double>());
        Assert.All(states, s => Assert.Equal(0, s.grad!.abs().max().item<double>()));
    }

    [Fact]
    public void Scaling_a_layer_of_both_changes_its_term_through_eps_alone()
    {
        double before = SquareHead.PerLayer(Student, Teacher)[0].item<double>(), size = Teacher[0].square().mean().item<double>();
        double after = SquareHead.PerLayer([Student[0] * 100, Student[1]], [Teacher[0] * 100, Teacher[1]])[0].item<double>();
        Assert.NotEqual(before, after);

        // d / (m + eps) against d / (m + eps / 10^4).
        Assert.Equal((size + SquareHead.PublishedEpsilon) / (size + (SquareHead.PublishedEpsilon / 1e4)), after / before, 1e-12);
        Assert.Equal(1e4, StateError.PerLayer([Student[0] * 100], [Teacher[0] * 100]).item<double>() / StateError.PerLayer([Student[0]], [Teacher[0]]).item<double>(), 1e-8);
    }

    [Fact]
    public void A_padded_token_changes_nothing()
    {
        Tensor hole = Mask.logical_not().unsqueeze(2);
        Tensor[] other = [.. Student.Select(s => s.masked_fill(hole, 1e9))], taught = [.. Teacher.Select(s => s.masked_fill(hole, double.NaN))];
        Assert.Equal(SquareHead.Loss(Student, Teacher, Mask).item<double>(), SquareHead.Loss(other, taught, Mask).item<double>());
        Assert.NotEqual(SquareHead.Loss(Student, Teacher, Mask).item<double>(), SquareHead.Loss(Student, Teacher).item<double>());
    }

    [Fact]
    public void Relative_errors_and_plain_errors_are_theirs_by_definition()
    {
        Assert.Equal((Student[0] - Teacher[0]).square().sum().item<double>() / Teacher[0].square().sum().item<double>(), StateError.Relative(Student, Teacher)[0], 1e-12);
        Assert.Equal(Student.Zip(Teacher, (s, t) => (s - t).square().mean().item<double>()).Sum(), StateError.Loss(Student, Teacher).item<double>(), 1e-12);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Throws<ArgumentException>("targets", () => SquareHead.Loss(Student, Teacher[..1]));
        Assert.Throws<ArgumentException>("states", () => SquareHead.Loss([], []));
        Assert.Throws<ArgumentException>("targets", () => SquareHead.Loss(Student, [Teacher[0], Teacher[1][.., .., ..3]]));
        Assert.Throws<ArgumentException>("tokenMask", () => SquareHead.Loss(Student, Teacher, zeros([2, 3], dtype: ScalarType.Bool)));
        Assert.Throws<ArgumentException>("tokenMask", () => SquareHead.Loss(Student, Teacher, ones([2, 4], dtype: ScalarType.Bool)));
        Assert.Contains("State 2", Assert.Throws<ArgumentException>("targets", () => SquareHead.Loss(Student, [Teacher[0], Teacher[1] / 0.0])).Message, StringComparison.Ordinal);
        foreach (double eps in new[] { 0, -1, double.NaN, double.PositiveInfinity }) Assert.Throws<ArgumentOutOfRangeException>("eps", () => SquareHead.Loss(Student, Teacher, eps: eps));
    }

    [Fact]
    public void States_are_the_outputs_of_the_blocks_and_the_last_is_normed()
    {
        foreach (LanguageModel model in new LanguageModel[] { SmallDecoder.New(), new Gpt2(new Gpt2Config { Vocabulary = 40, Width = 16, Layers = 2, Heads = 2, Context = 16 }) })
        {
            using LanguageModel one = model;
            using IDisposable off = no_grad();
            Tensor ids = SmallDecoder.Ids(), first = model.RunBlock(0, model.EmbedTokens(ids)), second = model.RunBlock(1, first);
            using HiddenStates after = HiddenStates.Of(model, ids), before = HiddenStates.Of(model, ids, FinalState.BeforeNorm, logits: true);
            Assert.Equal(2, after.Layers.Count);
            Assert.Null(after.Logits);
            Assert.True(after.Layers[0].allclose(first));
            Assert.True(before.Layers[1].allclose(second));
            Assert.True(after.Layers[1].allclose(model.FinalNorm(second)));
            Assert.False(after.Layers[1].allclose(second));
            Assert.True(before.Logits!.equal(model.Logits(ids)).all().item<bool>());
            Assert.True(before.Logits.allclose(model.Unembed(second)));
        }
    }

    [Fact]
    public void States_hold_gradients_and_refuse_bad_ids()
    {
        using TinyLM model = SmallDecoder.New();
        using HiddenStates states = HiddenStates.Of(model, SmallDecoder.Ids());
        states.Layers[1].sum().backward();
        Assert.NotNull(model.Embeddings.grad);
        Assert.Throws<ArgumentException>(() => HiddenStates.Of(model, zeros([1, 17], dtype: ScalarType.Int64)));
        Assert.Throws<ArgumentOutOfRangeException>("final", () => HiddenStates.Of(model, SmallDecoder.Ids(), (FinalState)7));
        Assert.Throws<ArgumentException>("residual", () => model.FinalNorm(zeros(1, 2, 3)));
    }
}
