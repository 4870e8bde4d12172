using Sparseland.Attention;
using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class ExactAttentionTests
{
    public static TheoryData<int, int, int, int, int> Sizes => new()
    {
        { 2, 2, 5, 4, 4 }, { 4, 2, 64, 16, 16 }, { 3, 1, 65, 24, 40 }, { 2, 2, 130, 32, 32 }, { 1, 1, 200, 64, 64 }, { 6, 3, 97, 17, 5 }, { 1, 1, 1, 8, 8 },
    };

    [Theory, MemberData(nameof(Sizes))]
    public void It_is_the_formula(int heads, int keyValueHeads, int tokens, int headDim, int valueDim)
    {
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            foreach (int cached in new[] { 0, 7 })
            {
                (Tensor q, Tensor k, Tensor v) = Draw(tokens, 2, heads, keyValueHeads, tokens, headDim, valueDim, tokens + cached, type);
                foreach (bool causal in new[] { true, false })
                {
                    (Tensor output, Tensor sums) = ExactAttention.Attend(q, k, v, causal: causal, scale: 0.3);
                    (Tensor expected, Tensor expectedSums) = ByFormula(q, k, v, causal ? Causal(tokens, tokens + cached) : null, 0.3);
                    Assert.True(Far(output, expected) < (type == ScalarType.Float32 ? 3e-5 : 1e-12), $"{type} {causal} {Far(output, expected)}");
                    Assert.True(Far(sums, expectedSums) < (type == ScalarType.Float32 ? 3e-5 : 1e-12));
                }
            }
        }
    }

    [Fact]
    public void Every_path_of_instructions_gives_the_same()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(1, 1, 2, 1, 150, 40);
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        BlockSupport[] blocks = [BlockSupport.Full(150)];
        Tensor gradient = randn([1, 2, 150, 40], generator: new Generator(5));
        (Tensor expected, Tensor sums) = BlockKernel.Forward(q, k, v, shape, blocks, 0.2, true, KernelPath.Scalar);
        (Tensor dq, Tensor dk, Tensor dv) = BlockKernel.Backward(q, k, v, expected, sums, gradient, shape, blocks, 0.2, true, KernelPath.Scalar);
        foreach (KernelPath path in KernelPaths.All)
        {
            (Tensor output, Tensor other) = BlockKernel.Forward(q, k, v, shape, blocks, 0.2, true, path);
            Assert.True(Far(output, expected) < 2e-6);
            Assert.True(Far(other, sums) < 2e-6);
            (Tensor a, Tensor b, Tensor c) = BlockKernel.Backward(q, k, v, output, other, gradient, shape, blocks, 0.2, true, path);
            Assert.True(Far(a, dq) + Far(b, dk) + Far(c, dv) < 1e-4);
        }
    }

    [Fact]
    public void Views_of_any_order_are_read_where_they_lie()
    {
        Tensor q = randn([1, 33, 2, 16], generator: new Generator(3)).transpose(1, 2), k = randn([1, 2, 16, 66], generator: new Generator(4)).transpose(2, 3).slice(2, 0, 66, 2), v = randn([1, 2, 33, 32], generator: new Generator(6)).narrow(3, 8, 16);
        Assert.True(Far(ExactAttention.Attend(q, k, v).Output, ExactAttention.Attend(q.contiguous(), k.contiguous(), v.contiguous()).Output) < 1e-6);
    }

    [Theory]
    [InlineData(1e-20), InlineData(30), InlineData(1e3)]
    public void Scores_of_any_size_stay_in_range(double size)
    {
        (Tensor q, Tensor k, Tensor v) = Draw(8, 1, 2, 2, 70, 16);
        (q, k) = (q * size, k * size);
        (Tensor output, Tensor sums) = ExactAttention.Attend(q, k, v);
        (Tensor expected, Tensor expectedSums) = ByFormula(q, k, v, Causal(70, 70));
        Assert.True(output.isfinite().all().item<bool>());

        // Scores of 1e6 are known to 0.1 in float32; what is largest wins by far more, but for near ties.
        if (size < 1e3) Assert.True(Far(output, expected) < 2e-3);
        Assert.True(((sums - expectedSums).abs() / (1 + expectedSums.abs())).max().item<double>() < 1e-5);
    }

    [Fact]
    public void Gradients_are_those_of_the_formula()
    {
        foreach (int cached in new[] { 0, 9 })
        {
            (Tensor q, Tensor k, Tensor v) = Draw(2, 2, 4, 2, 75, 24, 40, 75 + cached);
            Tensor weight = randn([2, 4, 75, 40], generator: new Generator(9));
            foreach (Tensor x in new[] { q, k, v }) x.requires_grad_(true);
            (ExactAttention.Attend(q, k, v).Output * weight).sum().backward();
            Tensor[] found = [q.grad!.clone(), k.grad!.clone(), v.grad!.clone()];
            foreach (Tensor x in new[] { q, k, v }) x.grad!.zero_();
            (ByFormula(q, k, v, Causal(75, 75 + cached)).Output.to(ScalarType.Float32) * weight).sum().backward();
            Assert.True(Far(found[0], q.grad!) < 1e-4);
            Assert.True(Far(found[1], k.grad!) < 1e-4);
            Assert.True(Far(found[2], v.grad!) < 1e-4);
        }
    }

    [Fact]
    public void What_does_not_fit_is_named()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(1, 1, 4, 2, 8, 6);
        void Refused(string says, Tensor a, Tensor b, Tensor c) => Assert.Contains(says, Assert.Throws<ArgumentException>(() => ExactAttention.Attend(a, b, c)).Message, StringComparison.Ordinal);
        Refused("6 wide and keys 5", q, k.narrow(3, 0, 5), v);
        Refused("4 query heads are no multiple of 3", q, randn(1, 3, 8, 6), randn(1, 3, 8, 6));
        Refused("8 queries have only 7 keys", q, k.narrow(2, 0, 7), v.narrow(2, 0, 7));
        Refused("must be [batch, heads, tokens, headDim]", q[0], k, v);
        Refused("their heads and tokens must agree", q, k, v.narrow(2, 0, 7));
        Refused("q has 1 sequences", q, k.expand(2, -1, -1, -1), v);
        Refused("k is Float64", q, k.to(ScalarType.Float64), v);
        Refused("q is empty", q.narrow(2, 0, 0), k, v);
        foreach (float bad in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
        {
            Tensor broken = v.clone();
            broken[0, 1, 7, 5] = bad;
            Refused("v holds NaN or infinity", q, k, broken);
            broken = k.clone();
            broken[0, 0, 3, 0] = bad;
            Refused("k holds NaN or infinity", q, broken, v);
            Assert.Contains("k holds NaN", Assert.Throws<ArgumentException>(() => ExactAttention.Attend(q.to(ScalarType.Float64), broken.to(ScalarType.Float64), v.to(ScalarType.Float64))).Message, StringComparison.Ordinal);
        }

        foreach (double scale in new[] { 0, -1, double.NaN, double.PositiveInfinity }) Assert.Throws<ArgumentOutOfRangeException>("scale", () => ExactAttention.Attend(q, k, v, scale: scale));
    }

    [Fact]
    public void Parts_of_the_keys_join_to_the_whole()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(4, 1, 3, 3, 40, 8, type: ScalarType.Float64);
        Tensor first = rand([40, 40], generator: new Generator(2)).lt(0.4).logical_and(Causal(40, 40)), second = Causal(40, 40).logical_and(first.logical_not());
        (Tensor, Tensor) Part(Tensor mask) => ExactAttention.Attend(q, k, v, AttentionSupport.Shared(Support.FromMask(mask), 3));
        (Tensor output, Tensor sums) = AttentionMerge.Combine(Part(first), Part(second));
        (Tensor expected, Tensor expectedSums) = ByFormula(q, k, v, Causal(40, 40));
        Assert.True(Far(output, expected) < 1e-13);
        Assert.True(Far(sums, expectedSums) < 1e-13);

        // Nothing on both sides is nothing, not NaN.
        (Tensor none, Tensor never) = AttentionMerge.Combine((zeros(1, 1, 2, 3), full([1, 1, 2], double.NegativeInfinity)), (zeros(1, 1, 2, 3), full([1, 1, 2], double.NegativeInfinity)));
        Assert.Equal(0, none.abs().max().item<float>());
        Assert.True(never.isneginf().all().item<bool>());
        Assert.Throws<ArgumentException>("second", () => AttentionMerge.Combine(Part(first), (zeros(1, 3, 39, 8), zeros(1, 3, 39))));
    }

    [Fact]
    public void Keys_may_come_in_pieces()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(5, 2, 3, 3, 30, 8, type: ScalarType.Float64);
        using var online = new OnlineSoftmax();
        Assert.Throws<InvalidOperationException>(() => online.Result());
        Tensor scores = q.flatten(0, 1).bmm(k.flatten(0, 1).transpose(1, 2)).view(2, 3, 30, 30).masked_fill(Causal(30, 30).logical_not(), double.NegativeInfinity) / Math.Sqrt(8);
        foreach ((int from, int count) in new[] { (17, 13), (0, 4), (4, 13) }) online.Add(scores.narrow(3, from, count), v.narrow(2, from, count));
        Assert.Equal(30, online.Keys);
        (Tensor output, Tensor sums) = online.Result();
        (Tensor expected, Tensor expectedSums) = ByFormula(q, k, v, Causal(30, 30));
        Assert.True(Far(output, expected) < 1e-13);
        Assert.True(Far(sums, expectedSums) < 1e-13);
        Assert.Throws<ArgumentException>("values", () => online.Add(scores.narrow(3, 0, 4), v.narrow(2, 0, 5)));
        Assert.Throws<ArgumentException>("scores", () => online.Add(scores.narrow(2, 0, 4), v));
    }
}
