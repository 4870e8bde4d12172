using Sparseland.Evaluation;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Evaluation;

public class AccuracyTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(500)]
    public void It_is_the_share_of_labels_with_the_largest_logit(int batch)
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> same = nn.Identity();
        Tensor logits = tensor(new float[] { 3, 1, 0, 0, 2, 1, 0, 1, 2, 5, 4, 4 }, [4, 3]), labels = tensor(new long[] { 0, 1, 0, 1 });
        Assert.Equal(0.5, Accuracy.Of(same, logits, labels, batch));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void It_asks_in_evaluation_mode_and_leaves_the_mode_even_when_it_fails(bool training)
    {
        using var scope = NewDisposeScope();
        using var network = nn.Sequential(("drop", nn.Dropout(0.999)), ("last", nn.Identity()));
        network.train(training);
        Tensor X = eye(6), labels = arange(6, dtype: ScalarType.Int64);
        Assert.Equal(1, Accuracy.Of(network, X, labels));
        Assert.Equal(training, network.training);
        using var wrong = nn.Sequential(("linear", nn.Linear(7, 2)));
        wrong.train(training);
        Assert.ThrowsAny<Exception>(() => Accuracy.Of(wrong, X, labels));
        Assert.Equal(training, wrong.training);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> same = nn.Identity();
        Tensor two = zeros([2], dtype: ScalarType.Int64);
        Assert.Throws<ArgumentException>("labels", () => Accuracy.Of(same, zeros(2, 3), zeros(2)));
        Assert.Throws<ArgumentException>("labels", () => Accuracy.Of(same, zeros(3, 3), two));
        Assert.Throws<ArgumentException>("X", () => Accuracy.Of(same, zeros(0, 3), zeros([0], dtype: ScalarType.Int64)));
        Assert.Throws<ArgumentOutOfRangeException>("batch", () => Accuracy.Of(same, zeros(2, 3), two, 0));
        Assert.Throws<ArgumentNullException>("model", () => Accuracy.Of(null!, zeros(2, 3), two));
    }
}
