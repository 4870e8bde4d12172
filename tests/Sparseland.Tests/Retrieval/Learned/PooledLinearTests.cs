using Sparseland.Retrieval.Learned;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

/// <summary>The pass by hand against libtorch's graph of the same steps: scores, hidden places, maximum, logarithm.</summary>
public class PooledLinearTests
{
    private static (Tensor States, Tensor Embeddings, Tensor Bias, Tensor Mask) Draw(int texts, int tokens, int width, int terms, int seed)
    {
        var draw = new Generator((ulong)seed);
        Tensor mask = rand([texts, tokens], generator: draw).gt(0.3);
        mask[0].fill_(seed % 2 == 0);
        return (randn([texts, tokens, width], generator: draw), randn([terms, width], generator: draw) * 0.5, randn([terms], generator: draw), mask);
    }

    [Theory]
    [InlineData(3, 5, 4, 9, 1)]
    [InlineData(7, 12, 33, 200, 2)]
    [InlineData(2, 1, 16, 1100, 3)]
    [InlineData(40, 48, 8, 1024, 4)]
    [InlineData(1, 300, 5, 5000, 5)]
    public void Values_and_gradients_are_those_of_the_steps(int texts, int tokens, int width, int terms, int seed)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor states, Tensor embeddings, Tensor bias, Tensor mask) = Draw(texts, tokens, width, terms, seed);
        foreach (Tensor? stands in new[] { mask, null })
        {
            Tensor[] Leaves() => [.. new[] { states, embeddings, bias }.Select(t => t.clone().requires_grad_())];
            Tensor[] ours = Leaves(), theirs = Leaves();
            Tensor weights = SparsePooling.OfLinear(ours[0], stands, ours[1], ours[2]), expected = SparsePooling.Max(nn.functional.linear(theirs[0], theirs[1], theirs[2]), stands);
            TinyModels.AssertClose(expected, weights);
            Tensor pull = randn(weights.shape, generator: new Generator(9));
            (weights * pull).sum().backward();
            (expected * pull).sum().backward();
            for (int i = 0; i < 3; i++)
            {
                double scale = theirs[i].grad!.abs().max().item<float>();
                Assert.InRange((ours[i].grad! - theirs[i].grad!).abs().max().item<float>(), 0, 1e-5 * (1 + scale));
            }

            using IDisposable off = no_grad();
            TinyModels.AssertClose(weights, SparsePooling.OfLinear(states, stands, embeddings, bias));
        }
    }

    [Fact]
    public void Only_what_is_asked_for_gets_a_gradient()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor states, Tensor embeddings, Tensor bias, Tensor mask) = Draw(4, 6, 8, 70, 1);
        for (int asked = 1; asked < 8; asked++)
        {
            Tensor[] leaves = [.. new[] { states, embeddings, bias }.Select((t, i) => t.clone().requires_grad_((asked & (1 << i)) != 0))];
            SparsePooling.OfLinear(leaves[0], mask, leaves[1], leaves[2]).square().sum().backward();
            for (int i = 0; i < 3; i++) Assert.Equal((asked & (1 << i)) != 0, leaves[i].grad is not null);
        }
    }

    [Fact]
    public void A_nan_stays_and_the_first_of_equal_scores_learns()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (int terms in new[] { 3, 64, 80 })
        {
            Tensor states = ones(2, 4, 2).requires_grad_(), embeddings = ones(terms, 2), bias = zeros(terms);
            SparsePooling.OfLinear(states, null, embeddings, bias).sum().backward();
            Assert.True(states.grad![0, 0].gt(0).all().item<bool>());
            Assert.Equal(0, states.grad!.narrow(1, 1, 3).abs().sum().item<float>());

            Tensor broken = ones(2, 4, 2);
            broken[1, 2, 0] = float.NaN;
            Tensor weights = SparsePooling.OfLinear(broken, null, embeddings, bias);
            Assert.True(weights[0].isfinite().all().item<bool>());
            Assert.True(weights[1].isnan().all().item<bool>());
            broken = ones(2, 4, 2) * float.NegativeInfinity;
            Assert.Equal(0, SparsePooling.OfLinear(broken, null, embeddings, bias).sum().item<float>());
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_number_of_threads()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor states, Tensor embeddings, Tensor bias, Tensor mask) = Draw(30, 20, 16, 700, 6);
        Tensor[] Run()
        {
            Tensor[] leaves = [.. new[] { states, embeddings, bias }.Select(t => t.clone().requires_grad_())];
            Tensor weights = SparsePooling.OfLinear(leaves[0], mask, leaves[1], leaves[2]);
            weights.square().sum().backward();
            return [weights, .. leaves.Select(l => l.grad!)];
        }

        int threads = get_num_threads();
        Tensor[] many = Run();
        try
        {
            set_num_threads(1);
            foreach ((Tensor a, Tensor b) in many.Zip(Run())) TinyModels.AssertClose(a, b);
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Fact]
    public void A_mask_of_another_shape_is_refused_and_a_negating_view_is_read_as_its_numbers()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor states, Tensor embeddings, Tensor bias, Tensor mask) = Draw(4, 6, 8, 70, 1);
        Assert.Throws<ArgumentException>("mask", () => SparsePooling.OfLinear(states, mask.narrow(1, 0, 5), embeddings, bias));
        Tensor negated = complex(zeros_like(states), states.neg()).conj().imag;
        Assert.True(negated.is_neg());
        Tensor[] leaves = [embeddings.clone().requires_grad_(), embeddings.clone().requires_grad_()];
        SparsePooling.OfLinear(states, mask, leaves[0], bias).square().sum().backward();
        SparsePooling.OfLinear(negated, mask, leaves[1], bias).square().sum().backward();
        TinyModels.AssertClose(leaves[0].grad!, leaves[1].grad!);
    }

    [Fact]
    public void States_changed_in_place_are_noticed()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor states, Tensor embeddings, Tensor bias, Tensor mask) = Draw(4, 6, 8, 70, 1);
        Tensor leaf = embeddings.clone().requires_grad_(), moved = states.clone();
        Tensor weights = SparsePooling.OfLinear(moved, mask, leaf, bias);
        moved.add_(1);
        Assert.ThrowsAny<Exception>(() => weights.sum().backward());
    }
}
