using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class WeLoreTests
{
    private static readonly SpectrumReport[] s_spectra = [.. Enumerable.Range(0, 3).Select(i => Spectrum($"m{i}", i))];

    [Theory]
    [InlineData(0.2)]
    [InlineData(0.5)]
    [InlineData(0.7)]
    public void One_threshold_for_all_and_the_wanted_share_below_it(double reduction)
    {
        RankPlan plan = RankPlan.GlobalThreshold(s_spectra, reduction);
        int fallen = 0;
        foreach ((RankPlan.Matrix matrix, SpectrumReport s) in plan.Matrices.Zip(s_spectra))
        {
            // By the definition, not by the code: counted among values normalised here.
            double[] z = [.. s.SingularValues.Select(v => (v - s.SingularValues[^1]) / (s.SingularValues[0] - s.SingularValues[^1]))];
            Assert.Equal(z.Count(v => v >= plan.Threshold), matrix.Kept);
            fallen += matrix.Full - matrix.Kept;
        }

        int wanted = (int)Math.Ceiling(reduction * 60);
        Assert.InRange(fallen, wanted, wanted + 2);
        Assert.Equal(fallen / 60.0, plan.Reduction, 1e-12);
    }

    [Fact]
    public void Plans_are_nested_and_monotone_and_meet_the_same_total()
    {
        foreach (Func<double, RankPlan> rule in new Func<double, RankPlan>[]
        {
            r => RankPlan.GlobalThreshold(s_spectra, r), r => RankPlan.EqualEnergy(s_spectra, r), r => RankPlan.Pooled(s_spectra, r), r => RankPlan.Uniform(s_spectra, r),
        })
        {
            RankPlan last = rule(0);
            foreach (double reduction in new[] { 0.1, 0.3, 0.5, 0.7, 0.9 })
            {
                RankPlan plan = rule(reduction);
                Assert.All(plan.Matrices.Zip(last.Matrices), p => Assert.InRange(p.First.Kept, 1, p.Second.Kept));
                Assert.InRange(plan.Reduction, reduction - 1e-9, reduction + 0.051);
                last = plan;
            }
        }
    }

    [Fact]
    public void A_sharp_spectrum_loses_more_than_a_flat_one_and_the_numbers_are_counted()
    {
        RankPlan plan = RankPlan.GlobalThreshold(s_spectra, 0.5);
        Assert.True(plan["m2"] < plan["m1"]);
        Assert.True(plan["m1"] < plan["m0"]);
        Assert.Throws<ArgumentException>(() => plan["m9"]);
        RankPlan half = RankPlan.Uniform([Spectrum("a", 1)], 0.5);
        Assert.Equal(10, half["a"]);
        Assert.Equal(1.0, half.ParameterShare, 1e-12);
        Assert.Equal(0.5, RankPlan.Uniform([Spectrum("a", 1)], 0.75).ParameterShare, 1e-12);
    }

    [Fact]
    public void A_model_is_cut_merged_or_factored_alike_and_only_the_factors_are_trained()
    {
        using var scope = NewDisposeScope();
        Tensor ids = tensor(new long[] { 4, 8, 15, 16, 23, 42 }).view(1, 6);
        using TinyLM factored = PretrainingTrial.Start(2), merged = PretrainingTrial.Start(2), reference = PretrainingTrial.Start(2);
        RankPlan plan = RankPlan.Uniform(SpectrumReport.Of(factored), 0.75);
        WeLoreResult low = WeLore.Apply(factored, plan), whole = WeLore.Apply(merged, plan, new() { Form = CutForm.Merged });
        Assert.Equal(14, low.LowRank.Count);
        Assert.Empty(low.Dense);
        Assert.True((factored.Logits(ids) - merged.Logits(ids)).abs().max().item<float>() < 1e-4);
        Assert.True((factored.Logits(ids) - reference.Logits(ids)).abs().max().item<float>() > 1e-3);
        Assert.Equal(plan.Matrices.Sum(m => m.Factored), low.Trainable);
        Assert.Equal(low.Trainable, factored.parameters().Where(p => p.requires_grad).Sum(p => p.numel()));
        LinearSlots.MergeAll(factored);
        Assert.True((factored.Logits(ids) - merged.Logits(ids)).abs().max().item<float>() < 1e-4);

        // Only matrices above the ratio are factored; the others keep their full rank.
        using TinyLM some = PretrainingTrial.Start(2);
        string first = plan.Matrices[0].Name;
        RankPlan one = plan with { Matrices = [.. plan.Matrices.Select(m => m with { Kept = m.Name == first ? 8 : m.Full / 2 })] };
        WeLoreResult result = WeLore.Apply(some, one);
        Assert.Equal([first], result.LowRank);
        Assert.Equal(13, result.Dense.Count);
        Assert.True(some.Blocks[1].Down.weight!.equal(reference.Blocks[1].Down.weight!).all().item<bool>());
        Assert.Equal(14, whole.Replaced.Count);
    }

    [Fact]
    public void Gradients_of_one_batch_twice_lie_in_one_subspace_and_of_noise_do_not()
    {
        using var scope = NewDisposeScope();
        using var network = nn.Sequential(("layer", nn.Linear(30, 20, hasBias: false)));
        Batch Of(ulong seed) => new(randn([50, 30], generator: new Generator(seed)), randn([50, 20], generator: new Generator(seed + 50)));
        Func<Batch, Tensor> loss = batch => (network.call(batch.Input) - batch.Target).square().sum();
        GradientSpectra same = GradientSpectra.Collect(network, loss, [Of(1), Of(1)], 4)[0], other = GradientSpectra.Collect(network, loss, [Of(1), Of(2), Of(3)], 4)[0];
        Assert.Equal(1, same.Cosines[0], 1e-6);
        Assert.Equal(1, same.Overlaps[0], 1e-6);
        Assert.Equal(2, other.Overlaps.Count);
        Assert.All(other.Overlaps, o => Assert.InRange(o, 0, 0.9));
        using DisposeScope inner = NewDisposeScope();
        Batch batch = Of(1);
        Tensor rest = network.call(batch.Input).detach() - batch.Target, G = rest.t().mm(batch.Input) * 2;
        Assert.Equal(SpectrumReport.Of(G).StableRank, same.Spectra[0].StableRank, 1e-4);
        Assert.Throws<ArgumentException>(() => GradientSpectra.Collect(network, loss, []));
        Assert.Throws<ArgumentOutOfRangeException>(() => GradientSpectra.Collect(network, loss, [batch], 21));
    }

    [Fact]
    public void Bad_input_is_refused_before_anything_changes()
    {
        using var scope = NewDisposeScope();
        SpectrumReport flat = new("flat", 3, 3, [2, 2, 2]);
        Assert.Contains("flat", Assert.Throws<ArgumentException>(() => RankPlan.GlobalThreshold([s_spectra[0], flat], 0.3)).Message, StringComparison.Ordinal);
        Assert.Equal(3, RankPlan.GlobalThreshold([s_spectra[0], flat], 0.3, keepConstant: true)["flat"]);
        Assert.Throws<ArgumentOutOfRangeException>(() => RankPlan.Uniform(s_spectra, 1));
        Assert.Throws<ArgumentException>(() => RankPlan.Uniform([s_spectra[0], s_spectra[0]], 0.1));
        Assert.Throws<ArgumentException>(() => RankPlan.Uniform([], 0.1));
        using TinyLM model = PretrainingTrial.Start(2);
        RankPlan plan = RankPlan.Uniform(SpectrumReport.Of(model), 0.75);
        Assert.Contains("m0", Assert.Throws<ArgumentException>(() => WeLore.Apply(model, RankPlan.Uniform(s_spectra, 0.9))).Message, StringComparison.Ordinal);
        Assert.Contains("nothing would be factored", Assert.Throws<ArgumentException>(() => WeLore.Apply(model, RankPlan.Uniform(SpectrumReport.Of(model), 0.3))).Message, StringComparison.Ordinal);
        Assert.Contains("Gram", Assert.Throws<ArgumentException>(() => WeLore.Apply(model, plan, grams: new Dictionary<string, Tensor>())).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => WeLore.Apply(model, plan, new() { MinimumRatio = 1 }));
        Assert.All(LinearSlots.Of(model), s => Assert.IsType<Linear>(s.Module));
    }

    /// <summary>A spectrum of 20 values that falls the faster, the higher the number.</summary>
    private static SpectrumReport Spectrum(string name, int number) => new(name, 20, 20, [.. Enumerable.Range(0, 20).Select(i => 0.05 + ((number + 1) * Math.Pow(1 - (i / 21.0), 1 + (3 * number))))]);
}
