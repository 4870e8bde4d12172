using FsCheck;
using FsCheck.Fluent;
using Sparseland.Attention.Features;
using TorchSharp;
using static Sparseland.Tests.Attention.AttentionData;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class FeatureTests
{
    public static TheoryData<FeatureKind> Kinds => [.. Enum.GetValues<FeatureKind>()];

    [Theory, MemberData(nameof(Kinds))]
    public void Scales_are_taken_out_and_put_back(FeatureKind kind)
    {
        using var scope = NewDisposeScope();
        RandomFeatures map = FeatureEstimate.Map(kind, 6, 10, seed: 3);
        Tensor x = Draw(4, 2, 3, 7, 6);
        (Tensor plain, Tensor none) = map.Map(x);
        Assert.Equal(0, none.abs().max().item<double>());
        foreach (FeatureScale scale in new[] { FeatureScale.PerVector, FeatureScale.PerSet })
        {
            (Tensor values, Tensor log) = map.Map(x, scale);
            AssertClose(plain, values * log.exp(), 1e-12);
            Assert.Equal(scale == FeatureScale.PerVector ? [2, 3, 7, 1] : new long[] { 2, 3, 1, 1 }, log.shape);
            Assert.True(values.abs().max().item<double>() <= 1);
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Estimates_have_the_mean_and_the_error_of_the_formula(FeatureKind kind)
    {
        using var scope = NewDisposeScope();
        Tensor q = Draw(5, 16), k = q * 0.6 + Draw(6, 16) * 0.5;
        (q, k) = (q / q.norm() * 0.6, k / k.norm() * 0.6);
        const int draws = 20_000;
        double[] estimates = FeatureEstimate.Sample(q, k, rows: 8, draws, seed: 7, kind);
        double exact = Math.Exp(q.dot(k).item<double>()), error = estimates.Average(e => (e - exact) * (e - exact));
        double formula = FeatureEstimate.MeanSquareError(q, k, 8, kind).item<double>();
        Assert.InRange(error / formula, 0.9, 1.1);
        Assert.InRange((estimates.Average() - exact) / Math.Sqrt(formula / draws), -4, 4);
    }

    [Fact]
    public void Orthogonal_rows_are_orthogonal_within_blocks_and_have_gaussian_lengths()
    {
        using var scope = NewDisposeScope();
        Tensor W = new PositiveFeatures(16, 40, seed: 2).Directions();
        foreach ((int from, int count) in new[] { (0, 16), (16, 16), (32, 8) })
        {
            Tensor block = W.narrow(0, from, count), products = block.mm(block.t());
            AssertClose(products.diag().diag(), products, 1e-12);
        }

        Tensor lengths = new PositiveFeatures(16, 4000, seed: 3).Directions().square().sum(1);
        Assert.InRange(lengths.mean().item<double>(), 15.6, 16.4);
        Assert.InRange(lengths.var().item<double>(), 28, 36);
    }

    [Fact]
    public void Orthogonal_directions_err_less_than_independent_ones()
    {
        using var scope = NewDisposeScope();
        Tensor q = Draw(8, 1, 1, 1, 8) * 0.3, k = Draw(9, 1, 1, 1, 8) * 0.3;
        double exact = q.mul(k).sum().exp().item<double>();
        double Error(bool orthogonal) => Enumerable.Range(0, 2000).Average(seed =>
        {
            using var inner = NewDisposeScope();
            return Math.Pow(FeatureEstimate.Matrix(q, k, new HyperbolicFeatures(8, 16, seed, orthogonal), 1).item<double>() - exact, 2);
        });
        Assert.True(Error(true) < 0.8 * Error(false));
    }

    [Fact]
    public void A_seed_is_a_draw_and_a_redraw_is_another()
    {
        using var scope = NewDisposeScope();
        RandomFeatures a = new HyperbolicFeatures(8, 12, seed: 5);
        AssertClose(a.Directions(), new HyperbolicFeatures(8, 12, seed: 5).Directions(), 0);
        AssertClose(a.Redraw(9).Directions(), new HyperbolicFeatures(8, 12, seed: 9).Directions(), 0);
        Assert.False(a.Directions().equal(a.Redraw(9).Directions()).all().item<bool>());
        Assert.Equal(6, a.Rows);
        Assert.Equal(1e-4, Assert.IsType<PositiveFeatures>(new PositiveFeatures(8, 4, offset: 1e-4).Redraw(2)).Offset);
    }

    [Fact]
    public void Linear_attention_is_the_quotient_of_its_matrix()
    {
        Prop.ForAll<PositiveInt, PositiveInt>((tokens, seed) =>
        {
            using var scope = NewDisposeScope();
            (Tensor q, Tensor k, Tensor v) = Heads((tokens.Get % 40) + 1, seed: seed.Get);
            foreach (IFeatureMap map in new IFeatureMap[] { new HyperbolicFeatures(8, 10, seed.Get), new PositiveFeatures(8, 7, seed.Get), new ReluFeatures(8, 9, seed.Get) })
            {
                Tensor matrix = FeatureEstimate.Matrix(q, k, map);
                AssertClose(Quotient(matrix, v), LinearAttention.Attend(q, k, v, map), 1e-9);
                AssertClose(Quotient(matrix.tril(), v), LinearAttention.AttendCausal(q, k, v, map), 1e-9);
            }
        }).QuickCheckThrowOnFailure();
    }

    [Theory, InlineData(127), InlineData(128), InlineData(129), InlineData(400)]
    public void Chunks_of_prefix_sums_meet_without_a_seam(int tokens)
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(tokens);
        HyperbolicFeatures map = new(8, 16);
        Tensor expected = Quotient(FeatureEstimate.Matrix(q, k, map).tril(), v);
        AssertClose(expected, LinearAttention.AttendCausal(q, k, v, map), 1e-10);
        AssertClose(expected, LinearAttention.AttendCausal(q.to(ScalarType.Float32), k.to(ScalarType.Float32), v.to(ScalarType.Float32), map), 1e-4);
    }

    [Fact]
    public void Later_tokens_do_not_move_earlier_outputs_and_gradients_are_those_of_the_matrix()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(150);
        HyperbolicFeatures map = new(8, 16);
        Tensor before = LinearAttention.AttendCausal(q, k, v, map), k2 = k.clone(), v2 = v.clone();
        k2.narrow(2, 100, 50).normal_(generator: new Generator(3));
        v2.narrow(2, 100, 50).zero_();
        AssertClose(before.narrow(2, 0, 100), LinearAttention.AttendCausal(q, k2, v2, map).narrow(2, 0, 100), 1e-12);

        Tensor weights = Draw(11, 2, 4, 150, 5);
        Tensor[] Gradients(Func<Tensor, Tensor, Tensor, Tensor> attend)
        {
            Tensor[] inputs = [.. new[] { q, k, v }.Select(x => x.clone().requires_grad_())];
            attend(inputs[0], inputs[1], inputs[2]).mul(weights).sum().backward();
            return [.. inputs.Select(x => x.grad!)];
        }

        Tensor[] linear = Gradients((a, b, c) => LinearAttention.AttendCausal(a, b, c, map)), dense = Gradients((a, b, c) => Quotient(FeatureEstimate.Matrix(a, b, map).tril(), c));
        for (int i = 0; i < 3; i++) AssertClose(dense[i], linear[i], 1e-8);
    }

    [Fact]
    public void Large_norms_stay_finite_in_single_precision()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(40);
        Tensor Single(Tensor x, double by) => (x * by).to(ScalarType.Float32);
        Tensor output = LinearAttention.AttendCausal(Single(q, 30), Single(k, 30), Single(v, 1), new HyperbolicFeatures(8, 16));
        Assert.True(output.isfinite().all().item<bool>());
    }

    [Theory]
    [InlineData(1e-30, 1e-30)]
    [InlineData(1e-10, 1)]
    [InlineData(1, 1e-30)]
    [InlineData(0.1, 0.1)]
    [InlineData(1, 1)]
    [InlineData(100, 0.1)]
    [InlineData(1e3, 1)]
    [InlineData(3e3, 1)]
    [InlineData(1e4, 0.01)]
    [InlineData(1e4, 1e-10)]
    [InlineData(1e8, 1e-10)]
    public void Single_precision_is_the_quotient_of_logarithms_at_every_size(double sizeQ, double sizeK)
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(40, batch: 6);
        (q, k, v) = ((q * sizeQ).to(ScalarType.Float32), (k * sizeK).to(ScalarType.Float32), v.to(ScalarType.Float32));
        foreach (RandomFeatures map in new RandomFeatures[] { new HyperbolicFeatures(8, 16), new PositiveFeatures(8, 12) })
        {
            // log of phi(q) . phi(k) in double precision: no exponential of anything but differences from the largest.
            Tensor Exponents(Tensor x)
            {
                Tensor wide = x.to(ScalarType.Float64) * Math.Pow(8, -0.25), products = nn.functional.linear(wide, map.Directions());
                return (map is HyperbolicFeatures ? cat([products, -products], -1) : products) - wide.square().sum(-1, keepdim: true) / 2;
            }

            Tensor logs = (Exponents(q).unsqueeze(3) + Exponents(k).repeat_interleave(2, 1).unsqueeze(2)).logsumexp(-1);
            Tensor values = v.to(ScalarType.Float64).repeat_interleave(2, 1), later = ones(40, 40, dtype: ScalarType.Bool).triu(1);
            AssertClose(logs.softmax(-1).matmul(values), LinearAttention.Attend(q, k, v, map).to(ScalarType.Float64), 1e-3);
            AssertClose(logs.masked_fill(later, double.NegativeInfinity).softmax(-1).matmul(values), LinearAttention.AttendCausal(q, k, v, map).to(ScalarType.Float64), 1e-3);
        }
    }

    [Fact]
    public void Sizes_that_underflow_stay_within_the_values_and_those_that_overflow_are_refused()
    {
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, Tensor v) = Heads(40);
        Tensor Single(Tensor x, double by) => (x * by).to(ScalarType.Float32);
        foreach (double size in new[] { 10.0, 100, 1e4, 1e8, 1e16 })
        {
            foreach ((double sizeQ, double sizeK) in new[] { (size, size), (0.1, size) })
            {
                Tensor output = LinearAttention.AttendCausal(Single(q, sizeQ), Single(k, sizeK), Single(v, 1), new HyperbolicFeatures(8, 16));
                Assert.True(output.abs().max().item<float>() <= (1 + 1e-4) * v.abs().max().item<double>(), $"{sizeQ}, {sizeK}");
            }
        }

        foreach ((double sizeQ, double sizeK) in new (double, double)[] { (1e20, 1), (1, 1e20), (1e30, 1e30) })
            Assert.Throws<ArgumentException>("q", () => LinearAttention.AttendCausal(Single(q, sizeQ), Single(k, sizeK), Single(v, 1), new HyperbolicFeatures(8, 16)));

        // Forty values each of which a float holds, and whose sum it does not.
        Assert.Throws<ArgumentException>("q", () => LinearAttention.Attend(Single(q, 0), Single(k, 0), full_like(Single(v, 1), 2e38f), new HyperbolicFeatures(8, 16)));

        Assert.Throws<ArgumentException>("q", () => LinearAttention.Attend(Single(q, 1e30), Single(k, 1e30), Single(v, 1), new ReluFeatures(8, 16)));
    }

    [Fact]
    public void The_boundary_is_where_the_formula_says()
    {
        Assert.Equal(4.2, FeatureEstimate.UselessBeyond(32), 0.02);
        Assert.Equal(5, Math.Cosh(FeatureEstimate.UselessBeyond(5)) - 1, 1e-9);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        (Tensor q, Tensor k, Tensor v) = Heads(6);
        HyperbolicFeatures map = new(8, 4);
        Assert.Throws<ArgumentException>(() => new HyperbolicFeatures(8, 5));
        Assert.Throws<ArgumentException>(() => new TrigonometricFeatures(8, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PositiveFeatures(8, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PositiveFeatures(0, 8));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PositiveFeatures(8, 8, offset: -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ReluFeatures(8, 8, offset: double.NaN));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q, k, v, new HyperbolicFeatures(7, 4)));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q, k.narrow(3, 0, 7), v, map));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q, k.narrow(2, 0, 5), v, map));
        Assert.Throws<ArgumentException>(() => LinearAttention.AttendCausal(q, k.narrow(2, 0, 5), v.narrow(2, 0, 5), map));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q.narrow(1, 0, 3), k, v, map));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q[0], k, v, map));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q.to(ScalarType.Float32), k, v, map));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q * double.NaN, k, v, map));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q, k, v / 0.0, map));
        Assert.Throws<ArgumentOutOfRangeException>(() => LinearAttention.Attend(q, k, v, map, scale: 0));
        Assert.Throws<ArgumentException>(() => LinearAttention.Attend(q, k, v, new ReluFeatures(8, 4), scale: 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => FeatureEstimate.UselessBeyond(0));
        Assert.Throws<ArgumentException>(() => FeatureEstimate.Sample(q[0][0][0], v[0][0][0], 2, 2));
    }
}
