using Sparseland.Retrieval.Learned;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

public class RankingLossesTests
{
    private static readonly double[,] s_scores = { { 2, 1, 0.5 }, { -1, 3, 2.5 } };

    private static double LogSum(params double[] x) => Math.Log(x.Sum(Math.Exp));

    [Fact]
    public void InfoNce_is_the_cross_entropy_of_the_positive_and_leaves_other_relevant_ones_out()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor scores = tensor(s_scores), positives = tensor(new long[] { 0, 1 });
        double plain = (LogSum(2, 1, 0.5) - 2 + LogSum(-1, 3, 2.5) - 3) / 2;
        Assert.Equal(plain, RankingLosses.InfoNce(scores, positives).item<double>(), 1e-12);

        // The positive is relevant too and stays; of the second query the third document is left out.
        Tensor relevant = tensor(new[] { true, false, false, false, true, true }, [2, 3]);
        double masked = (LogSum(2, 1, 0.5) - 2 + LogSum(-1, 3) - 3) / 2;
        Assert.Equal(masked, RankingLosses.InfoNce(scores, positives, relevant).item<double>(), 1e-12);
    }

    [Fact]
    public void Kl_is_that_of_the_two_distributions_and_gives_the_teacher_no_gradient()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor student = tensor(s_scores).requires_grad_(true), teacher = tensor(new double[,] { { 0, 1, 2 }, { 1, 1, 1 } }).requires_grad_(true);
        double Of(double[] t, double[] s) => t.Select((x, i) => Math.Exp(x - LogSum(t)) * (x - LogSum(t) - s[i] + LogSum(s))).Sum();
        Tensor loss = RankingLosses.Kl(teacher, student);
        Assert.Equal((Of([0, 1, 2], [2, 1, 0.5]) + Of([1, 1, 1], [-1, 3, 2.5])) / 2, loss.item<double>(), 1e-12);
        Assert.Equal(0, RankingLosses.Kl(student, student + 5).item<double>(), 1e-12);
        loss.backward();
        Assert.NotNull(student.grad);
        Assert.Null(teacher.grad);
    }

    [Fact]
    public void Margins_are_compared_and_not_scores()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor Of(params double[] x) => tensor(x);
        Assert.Equal((Math.Pow(3 - 1, 2) + Math.Pow(0 - 2, 2)) / 2, RankingLosses.MarginMse(Of(5, 2), Of(4, 0), Of(3, 1), Of(0, 1)).item<double>(), 1e-12);
        Assert.Equal(0, RankingLosses.MarginMse(Of(105, 2), Of(104, 0), Of(3, 1), Of(2, -1)).item<double>(), 1e-12);
    }

    [Fact]
    public void Teachers_are_scaled_on_each_list_before_they_are_averaged()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor cosines = tensor(new double[,] { { 0.1, 0.2, 0.3 }, { 0.5, 0.9, 0.7 } }), sparse = tensor(new double[,] { { 30, 10, 20 }, { 4, 4, 4 } });
        double[] both = EnsembleTeacher.Combine([cosines, sparse]).data<double>().ToArray();
        double[] expected = [.. new double[] { 0 + 1, 0.5 + 0, 1 + 0.5, 0, 1, 0.5 }.Select(x => 15 * x)];
        for (int i = 0; i < 6; i++) Assert.Equal(expected[i], both[i], 1e-3);
        double[] plain = EnsembleTeacher.Combine([cosines, sparse], scale: 1, normalise: false).data<double>().ToArray();
        Assert.Equal((0.1 + 30) / 2, plain[0], 1e-12);

        // A teacher's own scale and shift do not matter.
        double[] moved = EnsembleTeacher.Combine([(cosines * 70) - 3, sparse]).data<double>().ToArray();
        for (int i = 0; i < 6; i++) Assert.Equal(both[i], moved[i], 1e-3);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor scores = tensor(s_scores);
        Assert.Throws<ArgumentException>("positives", () => RankingLosses.InfoNce(scores, tensor(new long[] { 0 })));
        Assert.Throws<ArgumentException>("relevant", () => RankingLosses.InfoNce(scores, tensor(new long[] { 0, 1 }), ones(2, 2, ScalarType.Bool)));
        Assert.Throws<ArgumentException>("scores", () => RankingLosses.InfoNce(scores[0], tensor(new long[] { 0 })));
        Assert.Throws<ArgumentException>("teacher", () => RankingLosses.Kl(scores[.., ..2], scores));
        Assert.Throws<ArgumentException>("studentNegative", () => RankingLosses.MarginMse(ones(2), ones(2), ones(2), ones(3)));
        Assert.Contains("Teacher 1 has scores [2, 2], the first one [2, 3]", Assert.Throws<ArgumentException>("teachers", () => EnsembleTeacher.Combine([scores, scores[.., ..2]])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("teachers", () => EnsembleTeacher.Combine([]));
        Assert.Throws<ArgumentOutOfRangeException>("scale", () => EnsembleTeacher.Combine([scores], scale: 0));
    }
}
