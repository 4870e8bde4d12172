using Sparseland.Models.Language;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models;

public class HyenaModelTests
{
    private static readonly HyenaOptions s_small = new() { Vocabulary = 11, Width = 8, Blocks = 2, Length = 40 };

    [Fact]
    public void No_token_sees_what_comes_after_it()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new HyenaModel(s_small);
        using IDisposable off = no_grad();
        Tensor tokens = randint(11, [2, 40]), other = tokens.clone();
        other.narrow(1, 25, 15).add_(1).remainder_(11);
        Tensor apart = (model.forward(tokens) - model.forward(other)).abs();
        Assert.True(apart.narrow(1, 0, 25).max().item<float>() < 1e-5);
        Assert.True(apart.narrow(1, 25, 15).max().item<float>() > 1e-3);
        Assert.Equal([2L, 7, 11], model.forward(tokens.narrow(1, 0, 7)).shape);
        Assert.True((model.forward(tokens).narrow(1, 0, 7) - model.forward(tokens.narrow(1, 0, 7))).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void It_learns_and_its_kernels_can_be_cut()
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(3);
        using var model = new HyenaModel(s_small);
        Tensor tokens = arange(41).remainder(7).unsqueeze(0).to(ScalarType.Int64);
        var adam = optim.Adam(model.parameters(), 1e-2);
        double first = model.Loss(tokens).item<float>();
        for (int step = 0; step < 60; step++)
        {
            using DisposeScope one = NewDisposeScope();
            adam.zero_grad();
            model.Loss(tokens).backward();
            adam.step();
        }

        using IDisposable off = no_grad();
        double last = model.Loss(tokens).item<float>();
        Assert.True(last < first / 4, $"{first} {last}");
        Assert.All(model.named_parameters(), p => Assert.True(p.parameter.grad is not null, p.name));
        foreach (HyenaBlock block in model.Blocks) block.Keep = block.Frequencies;
        Assert.Equal(last, model.Loss(tokens).item<float>(), 4);
        foreach (HyenaBlock block in model.Blocks) (block.Keep, block.Change) = (null, k => k * 0);
        Assert.NotEqual(last, model.Loss(tokens).item<float>(), 4);
        Assert.Throws<ArgumentException>(() => model.forward(randint(11, [1, 41])));
        Assert.Throws<ArgumentOutOfRangeException>(() => new HyenaModel(s_small with { Length = 1 }));
    }
}
