using System.Runtime.InteropServices;
using Sparseland.Attention;
using Sparseland.FineTuning;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Tensors;

/// <summary>An exception that reaches native code ends the process, and with it the tests.</summary>
public class GradientPassTests
{
    private static Dictionary<string, Func<(Tensor Loss, Tensor Saved)>> Losses { get; } = new()
    {
        ["fixed support"] = () =>
        {
            FixedSupportLinear layer = new(Support.Random(8, 8, 20, 1), randn(20));
            return (layer.forward(randn(4, 8)).sum(), layer.Values);
        },
        ["long convolution"] = () =>
        {
            Tensor u = randn(2, 3, 20).requires_grad_();
            return (LongConvolution.Apply(u, randn(3, 20).requires_grad_()).sum(), u);
        },
        ["sparse attention"] = () =>
        {
            Tensor q = randn(1, 2, 6, 4).requires_grad_();
            AttentionSupport all = AttentionSupport.Shared(Support.FromMask(ones(6, 6, dtype: ScalarType.Bool).tril()), 2);
            return (SparseAttention.Attend(q, randn(1, 2, 6, 4).requires_grad_(), randn(1, 2, 6, 4).requires_grad_(), all).Output.sum(), q);
        },
    };

    public static TheoryData<string> Names => [.. Losses.Keys];

    [Theory, MemberData(nameof(Names))]
    public void What_changed_in_place_before_the_gradients_is_an_exception(string name)
    {
        using var scope = NewDisposeScope();
        (Tensor loss, Tensor saved) = Losses[name]();
        using (no_grad()) saved.add_(1);
        Assert.Contains("inplace", Assert.Throws<ExternalException>(() => GradientPass.Run(loss)).Message, StringComparison.Ordinal);

        // By itself libtorch says that it was given no gradient of the right shape.
        (loss, saved) = Losses[name]();
        using (no_grad()) saved.add_(1);
        Assert.Contains("invalid gradient", Assert.Throws<ExternalException>(() => loss.backward()).Message, StringComparison.Ordinal);
        (loss, saved) = Losses[name]();
        GradientPass.Run(loss);
        Assert.NotNull(saved.grad);
    }

    [Theory, MemberData(nameof(Names))]
    public void A_graph_of_a_gradient_that_would_lack_what_was_computed_by_hand_is_refused(string name)
    {
        using var scope = NewDisposeScope();
        (Tensor loss, Tensor saved) = Losses[name]();
        Assert.Throws<ExternalException>(() => autograd.grad([loss], [saved], retain_graph: true, create_graph: true));
        Assert.Equal(saved.shape, autograd.grad([loss], [saved])[0].shape);
    }

    [Fact]
    public void A_failure_is_thrown_as_it_is_and_leaves_nothing_behind()
    {
        using var scope = NewDisposeScope();
        Tensor x = ones(3).requires_grad_();
        Assert.Equal("too late", Assert.Throws<OperationCanceledException>(() => GradientPass.Run(Failing.apply(null!, x * 2, "a word").sum())).Message);
        Assert.Null(x.grad);
        Assert.Throws<ExternalException>(() => Failing.apply(null!, x * 2, "a word").sum().backward());

        // A loss without a graph is another failure, with its own words.
        Assert.Contains("grad", Assert.Throws<ExternalException>(() => GradientPass.Run(ones(1).sum())).Message, StringComparison.Ordinal);
        GradientPass.Run((x * x).sum());
        Assert.Equal(6, x.grad!.sum().item<float>());
        Assert.Throws<ArgumentException>("vars", () => Failing.apply(null!, x.sum(), "a word"));
    }

    [Fact]
    public void Every_function_with_gradients_of_its_own_is_guarded()
    {
        static IEnumerable<Type> Bases(Type? type)
        {
            for (; type is not null; type = type.BaseType) yield return type.IsGenericType ? type.GetGenericTypeDefinition() : type;
        }

        Type[] own = [.. typeof(GradientPass).Assembly.GetTypes().Where(t => !t.IsAbstract && Bases(t).Contains(typeof(autograd.Function<>)))];
        Assert.True(own.Length >= 9);
        Assert.All(own, t => Assert.Contains(typeof(GuardedFunction<>), Bases(t)));
    }

    private sealed class Failing : GuardedFunction<Failing>
    {
        public override string Name => nameof(Failing);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars) => ((Tensor)vars[1]).detach().clone();

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output) => throw new OperationCanceledException("too late");
    }
}
