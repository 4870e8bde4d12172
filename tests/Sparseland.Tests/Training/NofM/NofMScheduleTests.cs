using Sparseland.Training;
using Sparseland.Training.NofM;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.NofM;

public class NofMScheduleTests
{
    [Fact]
    public void The_exponential_factor_reaches_its_last_value_at_the_end_of_the_decay_to_the_step()
    {
        NofMSchedule schedule = NofMSchedule.MaskDecay(1, 16, finalDecay: 0.01, dense: 0.1, hardening: 0.2);
        Assert.Equal(new NofMStage(1, 16, 1, GradientFlow.StraightThrough, 0), schedule.At(99, 1000));
        Assert.Equal(1, schedule.At(100, 1000).PrunedFactor);
        Assert.Equal(GradientFlow.Restricted, schedule.At(100, 1000).Flow);
        Assert.Equal(0.1, schedule.At(450, 1000).PrunedFactor, 1e-12);
        Assert.Equal(Math.Pow(0.01, 699 / 700.0), schedule.At(799, 1000).PrunedFactor, 1e-12);
        Assert.Equal(schedule.Final, schedule.At(800, 1000));
        Assert.Equal(schedule.Final, schedule.At(5000, 1000));
        Assert.Equal(0, schedule.Final.PrunedFactor);
        double ratio = schedule.At(300, 1000).PrunedFactor / schedule.At(299, 1000).PrunedFactor;
        Assert.Equal(Math.Exp(Math.Log(0.01) / 700), ratio, 1e-12);

        // 1e-4 for each of 500 steps, as published for 350 epochs of ImageNet, prunes nothing.
        NofMSchedule copied = NofMSchedule.MaskDecay(1, 16, finalDecay: Math.Exp(-1e-4 * 500), hardening: 0);
        Assert.Equal(Math.Exp(-1e-4 * 499), copied.At(499, 500).PrunedFactor, 1e-12);
        Assert.Equal(0, copied.At(500, 500).PrunedFactor);
    }

    [Fact]
    public void The_linear_factor_falls_to_zero()
    {
        NofMSchedule schedule = NofMSchedule.MaskDecay(2, 4, DecayCurve.Linear);
        Assert.Equal(1, schedule.At(0, 500).PrunedFactor);
        Assert.Equal(0.5, schedule.At(225, 500).PrunedFactor, 1e-12);
        Assert.Equal(1 / 450.0, schedule.At(449, 500).PrunedFactor, 1e-12);
        Assert.Equal(schedule.Final, schedule.At(450, 500));
    }

    [Theory, InlineData(450), InlineData(1000), InlineData(77)]
    public void Stages_are_equal_and_change_at_their_boundaries(long steps)
    {
        NofMSchedule schedule = NofMSchedule.StructureDecay(1, 8, StructurePath.Stepwise);
        Assert.Equal([(7, 8), (4, 8), (2, 8), (1, 8)], schedule.Patterns);
        for (long t = 0; t < steps; t++)
        {
            // In whole numbers: the decay has 9 of 10 parts.
            int stage = (int)Math.Min(3, 40 * t / (9 * steps));
            NofMStage at = schedule.At(t, steps);
            Assert.Equal(schedule.Patterns[stage], (at.N, at.M));
            Assert.Equal(0, at.PrunedFactor);
        }
    }

    [Fact]
    public void Paths()
    {
        Assert.Equal([(3, 4), (2, 4)], StructurePath.Stepwise.To(2, 4));
        Assert.Equal([(15, 16), (8, 16), (4, 16), (2, 16), (1, 16)], StructurePath.Stepwise.To(1, 16));
        Assert.Equal([(1, 2), (1, 2)], StructurePath.Stepwise.To(1, 2).Prepend((1, 2)).Take(2));
        Assert.Equal([(4, 4)], StructurePath.Stepwise.To(4, 4));
        Assert.Equal([(8, 64), (4, 32), (2, 16), (1, 8)], StructurePath.Geometric.To(1, 8));
        Assert.Equal([(1, 64), (1, 32), (1, 16), (1, 8)], StructurePath.Densify.To(1, 8));
        Assert.Equal([(3, 4), (1, 4)], StructurePath.Of((3, 4), (1, 4)).To(1, 4));
        Assert.Equal(StructurePath.Of((3, 4), (1, 4)), StructurePath.Of((3, 4), (1, 4)));
        Assert.Throws<ArgumentException>(() => StructurePath.Stepwise.To(2, 6));
        Assert.Throws<ArgumentException>(() => StructurePath.Of((3, 4), (1, 4)).To(2, 4));
        Assert.Throws<ArgumentException>(() => StructurePath.Of());
        Assert.Throws<ArgumentOutOfRangeException>(() => StructurePath.Of((5, 4)));
    }

    [Fact]
    public void Masks_of_one_weight_are_nested_stepwise_and_their_energy_never_rises_geometrically()
    {
        using var scope = NewDisposeScope();
        Tensor W = randn([64, 512], dtype: ScalarType.Float64, generator: new Generator(3));
        Tensor? wider = null;
        foreach ((int n, int m) in StructurePath.Stepwise.To(1, 8))
        {
            Tensor mask = NofMLayout.Mask(W.abs(), n, m);
            Assert.Equal(64 * 512 / m * n, mask.sum().item<long>());
            Assert.True(mask.reshape(-1, m).sum(1L).eq(n).all().item<bool>());
            if (wider is not null) Assert.Equal(0, mask.logical_and(wider.logical_not()).sum().item<long>());
            wider = mask;
        }

        // Seen on Gaussian weights: 0.494, 0.485, 0.465, 0.433.
        double[] wanted = [0.494, 0.485, 0.465, 0.433];
        double[] energies = [.. StructurePath.Geometric.To(1, 8).Select(p => where(NofMLayout.Mask(W.abs(), p.N, p.M), W, 0).square().sum().item<double>() / W.square().sum().item<double>())];
        for (int i = 0; i < 4; i++) Assert.Equal(wanted[i], energies[i], 0.01);
        Assert.Equal(energies.OrderDescending(), energies);
    }

    [Fact]
    public void Costs()
    {
        Assert.Equal(1, TrainingCost.OfNofM(NofMSchedule.Dense(), 500), 1e-12);
        Assert.Equal((2 / 16.0 + 1) / 3, TrainingCost.OfNofM(NofMSchedule.Ste(1, 16), 500), 1e-12);
        Assert.Equal(((2 * (0.9 + (0.1 / 16))) + 1) / 3, TrainingCost.OfNofM(NofMSchedule.MaskDecay(1, 16), 500), 1e-12);
        Assert.Equal(((2 * ((0.225 * (7 + 4 + 2 + 1) / 8) + 0.0125)) + 1) / 3, TrainingCost.OfNofM(NofMSchedule.StructureDecay(1, 8, StructurePath.Stepwise), 2000), 1e-12);
        Assert.Equal(TrainingCost.OfNofM(NofMSchedule.Ste(1, 8), 500), TrainingCost.OfNofM(NofMSchedule.StructureDecay(1, 8, StructurePath.Geometric), 500), 1e-12);
    }

    [Fact]
    public void Convolutions_group_input_channels_at_each_kernel_position()
    {
        using var scope = NewDisposeScope();
        Tensor W = randn([6, 8, 3, 3], generator: new Generator(5)), mask = NofMLayout.Mask(W.abs(), 1, 4), across = NofMLayout.MaskAlongOutputs(W.abs(), 1, 2);
        Assert.True(NofMLayout.FromMatrix(NofMLayout.ForConvolution(W), W.shape).Same(W));
        for (int o = 0; o < 6; o++)
        {
            for (int y = 0; y < 3; y++)
            {
                for (int x = 0; x < 3; x++)
                {
                    for (int group = 0; group < 2; group++)
                    {
                        float[] run = [.. Enumerable.Range(4 * group, 4).Select(c => Math.Abs(W[o, c, y, x].item<float>()))];
                        Assert.Equal(run.Select(v => v == run.Max()), Enumerable.Range(4 * group, 4).Select(c => mask[o, c, y, x].item<bool>()));
                    }
                }
            }
        }

        Assert.True(across.reshape(3, 2, 8, 3, 3).sum(1L).eq(1).all().item<bool>());
        Assert.Throws<ArgumentException>(() => NofMLayout.Mask(W.abs(), 1, 3));
        Assert.Throws<ArgumentException>(() => NofMLayout.Mask(W[0], 1, 2));
        Assert.Throws<ArgumentException>(() => NofMLayout.ForConvolution(W[0]));
        Assert.Throws<ArgumentException>(() => NofMLayout.FromMatrix(W[0, 0], [6, 8, 3, 3]));
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMSchedule.Ste(0, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMSchedule.Ste(5, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMSchedule.SrSte(1, 4, -1));
        foreach (double bad in new[] { 0, 1, -0.5, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => NofMSchedule.MaskDecay(1, 4, finalDecay: bad));
        Assert.Throws<ArgumentException>(() => NofMSchedule.MaskDecay(1, 4, dense: 0.6, hardening: 0.4));
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMSchedule.MaskDecay(1, 4, dense: -0.1));
        Assert.Throws<ArgumentException>(() => NofMSchedule.StructureDecay(1, 6, StructurePath.Stepwise));
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMSchedule.Ste(1, 4).At(-1, 10));
        Assert.Throws<ArgumentOutOfRangeException>(() => NofMSchedule.Ste(1, 4).At(0, 0));
    }
}
