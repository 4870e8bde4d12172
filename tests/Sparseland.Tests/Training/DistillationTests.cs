using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public sealed class DistillationTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    private static Tensor Places => arange(30, dtype: ScalarType.Float64).view(2, 3, 5);

    private static Tensor Student => (Places * 1.7).sin() * 2;

    private static Tensor Teacher => (Places * 0.9).cos() * 3;

    private static Tensor Mask => tensor(new[] { true, false, true, true, true, false }).view(2, 3);

    // PyTorch 1.13: F.kl_div(log_softmax(s / T), softmax(t / T), reduction="sum") * T * T / n over the labelled places, and the norm of its gradient.
    [Theory]
    [InlineData(1.0, 1.9560608174194722, 0.44486107662981533, 1.922783332150263)]
    [InlineData(2.0, 2.638139436828684, 0.527510059041776, 2.5400319513486322)]
    public void Divergence_and_gradient_are_those_of_PyTorch(double T, double expected, double slope, double all)
    {
        Tensor student = Student.requires_grad_(true);
        Tensor loss = Distillation.KullbackLeibler(student, Teacher, Mask, T);
        loss.backward();
        Assert.Equal(expected, loss.item<double>(), 1e-12);
        Assert.Equal(slope, student.grad!.norm().item<double>(), 1e-12);
        Assert.Equal(all, Distillation.KullbackLeibler(Student, Teacher, temperature: T).item<double>(), 1e-12);

        // By the definition, place by place.
        double sum = 0;
        foreach ((int b, int t) in new[] { (0, 0), (0, 2), (1, 0), (1, 1) })
        {
            Tensor p = Teacher[b][t].div(T).softmax(0), q = Student[b][t].div(T).softmax(0);
            sum += (p * (p.log() - q.log())).sum().item<double>();
        }

        Assert.Equal(T * T * sum / 4, loss.item<double>(), 1e-12);
    }

    [Fact]
    public void Equal_predictions_have_none_and_what_is_not_labelled_is_not_looked_at()
    {
        Assert.Equal(0, Distillation.KullbackLeibler(Student, Student + 7).item<double>(), 1e-12);
        Tensor teacher = Teacher.masked_fill(Mask.logical_not().unsqueeze(2), double.NaN);
        Assert.Equal(1.9560608174194722, Distillation.KullbackLeibler(Student, teacher, Mask).item<double>(), 1e-12);
        Tensor learned = Teacher.requires_grad_(true), student = Student.requires_grad_(true);
        Distillation.KullbackLeibler(student, learned).backward();
        Assert.Null(learned.grad);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Throws<ArgumentException>("teacher", () => Distillation.KullbackLeibler(Student, Teacher[.., .., ..4]));
        Assert.Throws<ArgumentException>("student", () => Distillation.KullbackLeibler(Student[0][0], Teacher[0][0]));
        Assert.Throws<ArgumentException>("labelMask", () => Distillation.KullbackLeibler(Student, Teacher, zeros([2, 3], dtype: ScalarType.Bool)));
        Assert.Throws<ArgumentException>("labelMask", () => Distillation.KullbackLeibler(Student, Teacher, ones([2, 3])));
        Assert.Throws<ArgumentException>("labelMask", () => Distillation.KullbackLeibler(Student, Teacher, ones([3, 2], dtype: ScalarType.Bool)));
        Assert.Throws<ArgumentException>("teacher", () => Distillation.KullbackLeibler(Student, Teacher / 0.0));
        foreach (double T in new[] { 0, -1, double.NaN, double.PositiveInfinity })
            Assert.Throws<ArgumentOutOfRangeException>("temperature", () => Distillation.KullbackLeibler(Student, Teacher, temperature: T));
    }
}
