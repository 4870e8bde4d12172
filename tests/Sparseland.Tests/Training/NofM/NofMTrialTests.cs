using Sparseland.Training;
using Sparseland.Training.NofM;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.NofM;

/// <summary>Attacks on N:M training by another hand: the equations of both papers, forms of input, ends of ranges.</summary>
public sealed class NofMTrialTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Theory]
    [InlineData(1, 4)]
    [InlineData(2, 4)]
    [InlineData(4, 4)]
    [InlineData(1, 1)]
    public void Masks_in_both_directions_are_those_of_a_loop_over_runs(int n, int m)
    {
        for (int seed = 1; seed <= 20; seed++)
        {
            using var generator = new Generator((ulong)seed);

            // Ties, and a view with strides.
            Tensor scores = randint(0, 5, [8, 12, 3, 2], generator: generator).to(ScalarType.Float32);
            if (seed % 2 == 0) scores = scores.transpose(0, 1).contiguous().transpose(0, 1);
            Tensor along = NofMLayout.Mask(scores, n, m), across = NofMLayout.MaskAlongOutputs(scores, n, m);
            for (int o = 0; o < 8; o++)
            {
                for (int i = 0; i < 12; i++)
                {
                    for (int y = 0; y < 3; y++)
                    {
                        Assert.Equal(IsKept(i, k => scores[o, k, y, 1].item<float>()), along[o, i, y, 1].item<bool>());
                        Assert.Equal(IsKept(o, k => scores[k, i, y, 1].item<float>()), across[o, i, y, 1].item<bool>());
                    }
                }
            }
        }

        bool IsKept(int at, Func<int, float> score)
        {
            int from = at / m * m;
            return Enumerable.Range(from, m).OrderByDescending(score).Take(n).Contains(at);
        }
    }

    [Fact]
    public void The_three_products_are_those_of_the_table()
    {
        for (int seed = 1; seed <= 15; seed++)
        {
            using var generator = new Generator((ulong)seed);
            Tensor x = randn([5, 8], dtype: ScalarType.Float64, generator: generator), W = randn([12, 8], dtype: ScalarType.Float64, generator: generator), b = randn([12], dtype: ScalarType.Float64, generator: generator);
            Tensor dy = randn([5, 12], dtype: ScalarType.Float64, generator: generator);
            Tensor first = NofMLayout.Mask(W.abs(), 2, 4), second = NofMLayout.MaskAlongOutputs(W.abs(), 2, 4);
            double pull = seed % 2 == 0 ? 0.3 : 0;
            foreach ((int N, int M)? gradient in new (int, int)?[] { null, (1, 4) })
            {
                Tensor input = x.clone().requires_grad_(), weight = W.clone().requires_grad_(), bias = b.clone().requires_grad_();
                Tensor y = NofMProducts.Linear(input, weight, bias, first, second, gradient, pull: pull);
                (y * dy).sum().backward();
                Tensor seen = gradient is null ? dy : dy * NofMLayout.Mask(dy.abs(), 1, 4).to(ScalarType.Float64);
                Near(x.mm((W * first).t()) + b, y);
                Near(seen.mm(W * second), input.grad!);
                Near(dy.t().mm(x) + (pull * W * first.logical_not()), weight.grad!);
                Near(dy.sum(0L), bias.grad!);
            }
        }
    }

    [Fact]
    public void What_a_product_cannot_take_is_refused_before_it()
    {
        Tensor x = randn([2, 8]), W = randn([4, 8]);
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMProducts.Linear(x, W, null, null, null, (0, 0)));
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMProducts.Linear(x, W, null, null, null, (5, 4)));
        Assert.Throws<ArgumentException>("gradient", () => NofMProducts.Linear(x, W, null, null, null, (1, 3)));
        Assert.Throws<ArgumentException>("bias", () => NofMProducts.Linear(x, W, zeros(4, dtype: ScalarType.Float64), null, null));
        Assert.Throws<ArgumentException>("maskIn", () => NofMProducts.Linear(x, W, null, ones(4, 8), null));
        Assert.Equal([4L], NofMProducts.Linear(x[0], W, null, null, null).shape);
        Assert.Equal([0L, 4L], NofMProducts.Linear(zeros(0, 8), W, null, null, null).shape);
        Assert.Equal([2L, 3L, 4L], NofMProducts.Linear(randn(3, 2, 8).transpose(0, 1), W, null, null, null).shape);
    }

    [Fact]
    public void A_pruned_gradient_keeps_its_sums_where_asked_to()
    {
        Tensor g = randn([40, 8], dtype: ScalarType.Float64, generator: new Generator(2));
        g[.., 3] = 0;
        Tensor plain = NofMProducts.PruneGradient(g, 1, 4), scaled = NofMProducts.PruneGradient(g, 1, 4, rescale: true);
        Assert.True(plain.ne(0).reshape(-1, 4).sum(1L).eq(1).all().item<bool>());
        Tensor left = plain.abs().sum(0L);
        for (int o = 0; o < 8; o++) if (left[o].item<double>() > 0) Assert.Equal(g.abs().sum(0L)[o].item<double>(), scaled.abs().sum(0L)[o].item<double>(), 10);
        Assert.Equal(0, NofMProducts.PruneGradient(zeros(3, 8), 1, 4, true).abs().sum().item<float>());
    }

    [Fact]
    public void Schedules_are_their_formulas_at_every_step()
    {
        foreach (long steps in new long[] { 1, 2, 10, 97, 100, 300 })
        {
            foreach ((double a, double h) in new[] { (0.0, 0.1), (0.29, 0.14), (0.1, 0.2), (0.0, 0.0), (0.3, 0.6) })
            {
                NofMSchedule exponential = NofMSchedule.MaskDecay(1, 8, dense: a, hardening: h), linear = NofMSchedule.MaskDecay(1, 8, DecayCurve.Linear, dense: a, hardening: h);
                NofMSchedule stages = NofMSchedule.StructureDecay(1, 8, StructurePath.Stepwise, a, h);
                long from = (long)Math.Ceiling(((decimal)a * steps) - 0), to = (long)Math.Ceiling((1 - (decimal)h) * steps);
                double mean = 0;
                for (long t = 0; t < steps; t++)
                {
                    NofMStage e = exponential.At(t, steps), l = linear.At(t, steps), s = stages.At(t, steps);
                    double u = (t - (a * steps)) / ((1 - h - a) * steps);
                    mean += e.Density / steps;
                    if (t < from)
                    {
                        Assert.Equal((1, GradientFlow.StraightThrough), (e.PrunedFactor, e.Flow));
                        Assert.Equal(8, s.N);
                    }
                    else if (t >= to)
                    {
                        Assert.Equal((exponential.Final, linear.Final, stages.Final), (e, l, s));
                    }
                    else
                    {
                        Assert.Equal(Math.Exp(-6 * u), e.PrunedFactor, 9);
                        Assert.Equal(1 - u, l.PrunedFactor, 9);
                        Assert.Equal(new[] { 7, 4, 2, 1 }[Math.Min(3, (int)((4 * u) + 1e-9))], s.N);
                    }
                }

                Assert.Equal(mean, exponential.MeanDensity(steps), 9);
                Assert.Equal(exponential.Final, exponential.At(steps + 5, steps));
            }
        }
    }

    [Fact]
    public void Gradients_of_a_weight_are_those_of_each_flow()
    {
        for (int seed = 1; seed <= 10; seed++)
        {
            using var generator = new Generator((ulong)seed);
            Tensor W = randn([4, 8], dtype: ScalarType.Float64, generator: generator), G = randn([4, 8], dtype: ScalarType.Float64, generator: generator), m = NofMLayout.Mask(W.abs(), 1, 4);
            foreach (double beta in new[] { 0, 0.37, 1 })
            {
                foreach (GradientFlow flow in Enum.GetValues<GradientFlow>())
                {
                    Tensor raw = W.clone().requires_grad_();
                    Tensor V = StraightThrough.Weight(raw, m, beta, flow, 0.2);
                    (V * G).sum().backward();
                    Tensor rest = m.logical_not().to(ScalarType.Float64), kept = m.to(ScalarType.Float64);
                    double through = flow switch { GradientFlow.StraightThrough => 1, GradientFlow.Restricted => beta, _ => 0 };
                    Near((kept + (beta * rest)) * W, V);
                    Near((G * (kept + (through * rest))) + (0.2 * rest * W), raw.grad!);
                }
            }
        }
    }

    [Fact]
    public void Two_hundred_passes_leave_no_tensor_behind()
    {
        Tensor W = randn(8, 8).requires_grad_(), x = randn(4, 8);
        void Once()
        {
            using DisposeScope scope = NewDisposeScope();
            using MaskPair pair = new(W, 2, 4);
            (NofMProducts.Linear(x, W, null, pair.In, pair.Out, (1, 4), true, 1e-3).sum() + StraightThrough.Weight(W, pair.In, 0.5, GradientFlow.Restricted, 0.1).sum()).backward();
            _ = (pair.Overlap, pair.CompliantGroups, pair.Cosine(W));
            W.grad!.zero_();
        }

        Once();
        long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int i = 0; i < 200; i++) Once();
        Assert.InRange(DisposeScopeManager.Statistics.ThreadTotalLiveCount - alive, long.MinValue, 20);
    }

    private static void Near(Tensor expected, Tensor actual) => Assert.InRange((expected - actual).abs().max().item<double>(), 0, 1e-12 * (1 + expected.abs().max().item<double>()));
}
