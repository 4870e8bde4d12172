using Sparseland.Penalties;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Tests.Training;

public class GroupSpecTests
{
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void Rows_hold_their_bias(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Linear layer = Linear(37, 5, dtype: type);
        GroupSpec rows = GroupSpec.Rows(layer);
        double[] expected = TrainingData.Numbers(cat([layer.weight, layer.bias!.unsqueeze(1)], 1).norm(1));
        double[] norms = rows.Norms();
        for (int j = 0; j < 5; j++) Assert.Equal(expected[j], norms[j], 1e-6);
        Assert.Equal("layer", rows.Name);
        Assert.Equal([38, 38, 38, 38, 38], rows.Sizes);
        Tensor weight = layer.weight.detach().clone(), bias = layer.bias.detach().clone();
        rows.Scale([1, 0, 0.5, 1, 0]);
        double[] scales = [1, 0, 0.5, 1, 0];
        Assert.Equal(TrainingData.Numbers(weight.mul(tensor(scales, type).unsqueeze(1))), TrainingData.Numbers(layer.weight.detach()));
        Assert.Equal(TrainingData.Numbers(bias.mul(tensor(scales, type))), TrainingData.Numbers(layer.bias.detach()));
        Assert.Equal(3, rows.Surviving());
        GroupReport report = GroupReport.Of(rows);
        Assert.Equal(3, report.Surviving);
        Assert.Equal(3 * 38, report.SurvivingParameters);
        Assert.Equal(report.Norms.Where(n => n > 0).Average(), report.MeanNorm, 1e-12);
    }

    [Fact]
    public void Row_weights_leave_the_bias_outside()
    {
        using var scope = NewDisposeScope();
        using Linear layer = Linear(7, 4);
        GroupSpec rows = GroupSpec.RowWeights(layer);
        Assert.Equal([7, 7, 7, 7], rows.Sizes);
        double[] bias = TrainingData.Numbers(layer.bias!.detach().clone());
        rows.Scale([0, 1, 1, 0]);
        Assert.Equal(2, rows.Surviving());
        Assert.Equal(bias, TrainingData.Numbers(layer.bias!.detach()));
    }

    [Fact]
    public void Filters_hold_gamma_and_beta()
    {
        using var scope = NewDisposeScope();
        using Conv2d convolution = Conv2d(3, 4, 3);
        using BatchNorm2d norm = BatchNorm2d(4);
        GroupSpec filters = GroupSpec.Filters(convolution, norm);
        Assert.All(filters.Sizes, size => Assert.Equal((3 * 9) + 3, size));
        double[] norms = filters.Norms();
        double expected = TrainingData.Numbers(cat([convolution.weight[2].flatten(), convolution.bias![2].reshape(1), norm.weight![2].reshape(1), norm.bias![2].reshape(1)]).norm())[0];
        Assert.Equal(expected, norms[2], 1e-6);
        filters.Scale([1, 1, 0, 1]);
        Assert.Equal(0, norm.weight[2].item<float>());
        Assert.Equal(1, norm.weight[1].item<float>());
        Assert.Contains("4", Assert.Throws<ArgumentException>(() => GroupSpec.Filters(convolution, BatchNorm2d(5))).Message);
    }

    [Fact]
    public void Heads_take_rows_of_three_and_columns_of_one()
    {
        using var scope = NewDisposeScope();
        using Linear q = Linear(6, 6), k = Linear(6, 6), v = Linear(6, 6), o = Linear(6, 6);
        GroupSpec heads = GroupSpec.Heads(q, k, v, 3, o);
        Assert.All(heads.Sizes, size => Assert.Equal((3 * 2 * 7) + 12, size));
        heads.Scale([1, 0, 1]);
        Assert.Equal(0, q.weight.narrow(0, 2, 2).abs().sum().item<float>());
        Assert.Equal(0, o.weight.narrow(1, 2, 2).abs().sum().item<float>());
        Assert.True((o.weight.narrow(1, 4, 2) != 0).all().item<bool>());
        Assert.True((k.bias!.narrow(0, 0, 2) != 0).all().item<bool>());
        Assert.Equal(2, heads.Surviving());
        Assert.Throws<ArgumentException>(() => GroupSpec.Heads(q, k, v, 4));
        Assert.Throws<ArgumentException>(() => GroupSpec.Heads(q, k, v, 3, Linear(5, 6)));
    }

    [Fact]
    public void Specs_join_side_by_side_or_group_by_group()
    {
        using var scope = NewDisposeScope();
        using Linear a = Linear(4, 3), b = Linear(5, 3);
        double[] left = GroupSpec.Rows(a).Norms(), right = GroupSpec.Rows(b).Norms();
        GroupSpec together = GroupSpec.Together(GroupSpec.Rows(a), GroupSpec.Rows(b)), tied = GroupSpec.Tied(GroupSpec.Rows(a), GroupSpec.Rows(b));
        Assert.Equal([.. left, .. right], together.Norms());
        Assert.Equal([5, 5, 5, 6, 6, 6], together.Sizes);
        double[] norms = tied.Norms();
        for (int j = 0; j < 3; j++) Assert.Equal(Math.Sqrt((left[j] * left[j]) + (right[j] * right[j])), norms[j], 1e-12);
        Assert.Equal(12, GroupSpec.Elements(a.weight).Count);
        Assert.Throws<ArgumentException>(() => GroupSpec.Tied(GroupSpec.Rows(a), GroupSpec.Elements(b.weight)));
    }

    [Fact]
    public void Refuses_overlap_gaps_and_wrong_tensors()
    {
        using var scope = NewDisposeScope();
        using Linear a = Linear(4, 3);
        Assert.Contains("overlap", Assert.Throws<ArgumentException>(() => GroupSpec.Together(GroupSpec.Rows(a), GroupSpec.Elements(a.bias!))).Message);
        Assert.Contains("number 8 of w", Assert.Throws<ArgumentException>(() => new GroupSpec("part", 2, [new("w", a.weight, 2, 0, 4, 4)])).Message);
        Assert.Contains("ends at 13", Assert.Throws<ArgumentException>(() => new GroupSpec("far", 3, [new("w", a.weight, 3, 1, 4, 4)])).Message);
        Assert.Contains("Group 3", Assert.Throws<ArgumentException>(() => new GroupSpec("more", 4, [new("w", a.weight, 3, 0, 4, 4)])).Message);
        Assert.Contains("Int64", Assert.Throws<ArgumentException>(() => GroupSpec.Elements(arange(3))).Message);
        Assert.Contains("contiguous", Assert.Throws<ArgumentException>(() => GroupSpec.Elements(zeros(3, 4).t())).Message);
        Assert.Throws<ArgumentException>(() => GroupSpec.Rows(a).Scale([1, 2]));
        Assert.Throws<ArgumentException>(() => new GroupSpec("none", 1, []));
        Assert.Throws<ArgumentException>(() => GroupSpec.Tied());
    }

    [Fact]
    public void Regularizers_are_the_penalties_of_the_library()
    {
        using var scope = NewDisposeScope();
        using Linear layer = Linear(6, 8, hasBias: false, dtype: ScalarType.Float64);
        GroupSpec rows = GroupSpec.Rows(layer);
        GroupPartition partition = GroupPartition.Consecutive(48, 6);
        double[] ones = [.. Enumerable.Repeat(1.0, 8)], d = [.. Enumerable.Range(1, 8).Select(j => j / 4.0)];
        (IGroupRegularizer, IPenalty)[] pairs =
        [
            (new EnvelopeRegularizer(KeepGroups.Share(0.25), 0.4), new GroupEnvelope(partition, 2, 0.4)),
            (new EnvelopeRegularizer(KeepGroups.Count(3), 0.4, d), new GroupEnvelope(partition, 3, 0.4, d)),
            (new GroupLassoRegularizer(0.9), new GroupLasso(partition, 0.9, ones)),
            (new GroupLassoRegularizer(0.9, d), new GroupLasso(partition, 0.9, d)),
        ];
        foreach ((IGroupRegularizer regularizer, IPenalty penalty) in pairs)
        {
            double[] x = TrainingData.Numbers(layer.weight.detach()), scales = rows.Norms();
            Assert.Equal(penalty.Value<double>(x), regularizer.Value(scales), 1e-12);
            regularizer.Scales(scales, 0.6, scales);
            penalty.Prox<double>(x, 0.6, x);
            double[] start = TrainingData.Numbers(layer.weight.detach());
            for (int i = 0; i < 48; i++) Assert.Equal(x[i], start[i] * scales[i / 6], 1e-13);
        }
    }

    [Fact]
    public void Shares_and_counts_of_groups()
    {
        Assert.Equal(16, KeepGroups.Share(0.125).Of(128));
        Assert.Equal(1, KeepGroups.Share(0.001).Of(20));
        Assert.Equal(20, KeepGroups.Share(1).Of(20));
        Assert.Equal("12.5 %", KeepGroups.Share(0.125).ToString());
        Assert.Throws<ArgumentException>(() => KeepGroups.Count(21).Of(20));
        Assert.Throws<ArgumentOutOfRangeException>(() => KeepGroups.Count(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => KeepGroups.Share(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => KeepGroups.Share(1.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new EnvelopeRegularizer(KeepGroups.Count(1), -1).Validate(3));
        Assert.Throws<ArgumentOutOfRangeException>(() => new EnvelopeRegularizer(KeepGroups.Count(1), 1, [1, -1, 1]).Validate(3));
        Assert.Throws<ArgumentException>(() => new GroupLassoRegularizer(1, [1]).Validate(3));
        Assert.Throws<ArgumentException>(() => new FixedSupport([true]).Validate(3));
    }
}
