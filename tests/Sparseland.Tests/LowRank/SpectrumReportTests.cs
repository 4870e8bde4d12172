using FsCheck;
using FsCheck.Fluent;
using Sparseland.LowRank;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class SpectrumReportTests
{
    [Fact]
    public void Three_two_one()
    {
        using var scope = NewDisposeScope();
        SpectrumReport report = SpectrumReport.Of(LowRankData.Diagonal(1, 3, 2));
        Assert.Equal(14.0 / 9, report.StableRank, 1e-12);
        Assert.Equal(2.0, report.Participation, 1e-12);
        Assert.Equal(2.2944, report.EnergyEntropyRank, 1e-4);
        Assert.Equal(2.7495, report.EntropyRank, 1e-4);
        Assert.Equal(3, report.Rank());
        Assert.Equal(2, report.CountAbove(1.5));
        Assert.Equal(1, report.EnergyRank(9.0 / 14));
        Assert.Equal(2, report.EnergyRank(0.7));
        Assert.Equal(3, report.EnergyRank(1));
        Assert.Equal(0, report.EnergyRank(0));
        Assert.Equal(1.0 / 14, report.ErrorAt(2), 1e-12);
        Assert.Equal(1.5, report.BreakEven);
    }

    [Fact]
    public void The_chain_holds_and_scale_and_rotation_change_nothing() =>
        Prop.ForAll<byte, byte, int>((rows, columns, seed) =>
        {
            using var scope = NewDisposeScope();
            (long m, long n) = (1 + (rows % 12), 1 + (columns % 12));
            Tensor W = LowRankData.Gaussian(m, n, (ulong)(uint)seed).pow(1 + (2 * ((uint)seed % 3)));
            SpectrumReport report = SpectrumReport.Of(W), turned = SpectrumReport.Of(linalg.qr(LowRankData.Gaussian(m, m, 77)).Q.mm(W) * 1e-150);
            double[] chain = [1, report.StableRank, report.Participation, report.EnergyEntropyRank, report.EntropyRank, report.Rank() + 1e-9];
            for (int i = 1; i < chain.Length; i++) Assert.True(chain[i] >= chain[i - 1] - 1e-9, string.Join(", ", chain));
            Assert.Equal(report.StableRank, turned.StableRank, 1e-6);
            Assert.Equal(report.EntropyRank, turned.EntropyRank, 1e-6);
            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Equal_singular_values_give_the_rank_by_every_measure()
    {
        using var scope = NewDisposeScope();
        SpectrumReport report = SpectrumReport.Of(cat([eye(5, dtype: ScalarType.Float64) * 7, zeros([5, 3], dtype: ScalarType.Float64)], 1));
        Assert.All(new[] { report.StableRank, report.Participation, report.EnergyEntropyRank, report.EntropyRank, report.Rank() }, r => Assert.Equal(5, r, 1e-9));
        SpectrumReport zero = SpectrumReport.Of(zeros([3, 4], dtype: ScalarType.Float64));
        Assert.All(new[] { zero.StableRank, zero.Participation, zero.EnergyEntropyRank, zero.EntropyRank, zero.Rank(), zero.EnergyRank(0.5), zero.ErrorAt(1) }, r => Assert.Equal(0, r));
    }

    [Fact]
    public void The_control_has_the_shape_and_the_energy_and_a_model_gives_one_report_a_layer()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = PretrainingTrial.Start(3);
        IReadOnlyList<SpectrumReport> all = SpectrumReport.Of(model);
        Assert.Equal(14, all.Count);
        Assert.Contains(all, r => r.Name == "model.layers.1.mlp.down_proj" && r.Rows == 96 && r.Columns == 256);
        SpectrumReport first = all[0], control = first.Control(4);
        Assert.Equal(first.Energy, control.Energy, 1e-9 * first.Energy);
        Assert.Equal(control.EntropyRank, first.Control(4).EntropyRank);
        Assert.Equal(control.EntropyRank, first.EntropyRank, 0.05 * first.EntropyRank);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Contains("gate", Assert.Throws<ArgumentException>(() => SpectrumReport.Of(LowRankData.Diagonal(1, double.PositiveInfinity), "gate")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => SpectrumReport.Of(nn.ReLU()));
        Assert.Throws<ArgumentException>(() => new SpectrumReport("W", 2, 2, [1, 2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SpectrumReport("W", 2, 2, [2, 1]).EnergyRank(1.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SpectrumReport("W", 2, 2, [2, 1]).ErrorAt(3));
    }
}
