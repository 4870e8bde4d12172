using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>A loss of two parameters that is neither convex nor separable; optimizers' steps on it were recorded from PyTorch.</summary>
internal sealed class Surface : nn.Module
{
    public Surface()
        : base(nameof(Surface))
    {
        P = new Parameter(tensor(new[] { 0.5, -1, 2, 0.25 }, [2, 2]));
        Q = new Parameter(tensor(new[] { 0.1, -0.2, 0.3 }));
        register_parameter("p", P);
        register_parameter("q", Q);
    }

    public Parameter P { get; }

    public Parameter Q { get; }

    public static void Close(double[] expected, Tensor values)
    {
        double[] actual = TrainingData.Numbers(values.detach());
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-12);
    }

    public Tensor Loss(int t) => P.square().sum().mul(0.5).add(P[0].mul(P[1]).sum()).add(Q.pow(3).sum()).add(Q.sum().mul(0.1 * (t + 1))).add(P[0, 0].mul(Q[0]));

    /// <summary>One step on the loss t.</summary>
    public void Step(Sparseland.Training.IOptimizer optimizer, int t, double rate)
    {
        zero_grad();
        Loss(t).backward();
        optimizer.Step(rate);
    }
}
