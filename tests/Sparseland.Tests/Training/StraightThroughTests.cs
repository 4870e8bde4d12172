using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class StraightThroughTests
{
    [Fact]
    public void Values_are_exact_and_gradients_pass_as_said()
    {
        using var scope = NewDisposeScope();
        Tensor x = tensor(new[] { -3.5f, -0.5f, 0.5f, 1.5f, 2.4999f, 1e-9f, -7.3f, 8_388_607.5f, 1e20f }, requires_grad: true);
        Tensor rounded = StraightThrough.Round(x);
        Assert.Equal(x.round().data<float>().ToArray(), rounded.data<float>().ToArray());
        (rounded * 3).sum().backward();
        Assert.All(x.grad!.data<float>().ToArray(), g => Assert.Equal(3, g));

        Tensor y = tensor(new[] { -2f, 0f, 7f, 15f, 16f }, requires_grad: true);
        Tensor cut = StraightThrough.Clamp(y, 0, 15);
        Assert.Equal([0f, 0f, 7f, 15f, 15f], cut.data<float>().ToArray());
        cut.sum().backward();
        Assert.Equal([0f, 1f, 1f, 1f, 0f], y.grad!.data<float>().ToArray());

        Tensor z = tensor(new[] { 0.1f, 0.5f, 3e7f }, requires_grad: true);
        Tensor step = StraightThrough.Step(z, 0.5);
        Assert.Equal([0f, 1f, 1f], step.data<float>().ToArray());
        (step * 2).sum().backward();
        Assert.Equal([2f, 2f, 2f], z.grad!.data<float>().ToArray());
        Assert.Throws<ArgumentException>(() => StraightThrough.Clamp(y, 2, 1));
    }
}
