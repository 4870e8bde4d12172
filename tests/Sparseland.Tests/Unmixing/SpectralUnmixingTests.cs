using Sparseland.Data;
using Sparseland.Evaluation;
using Sparseland.Solvers;
using Sparseland.Unmixing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Unmixing;

public class SpectralUnmixingTests
{
    [Fact]
    public void The_whole_is_its_steps()
    {
        using var scope = NewDisposeScope();
        using HyperspectralScene scene = UnmixingData.Landscape(1);
        Tensor Y = scene.Pixels, M = EndmemberInit.Spa(Y, 3).clamp_min(UnmixingSteps.Floor), A = EndmemberInit.EvenAbundances(3, 256, 5);
        LearnedPower sparsity = AbundanceSparsity.Learned(0.2) with { WarmUp = 4, Every = 3, FrozenSweeps = 4, Cap = 0.7, SmoothOver = (16, 16) };
        using UnmixingResult result = SpectralUnmixing.Fit(Y, 3, new() { Sparsity = sparsity, MaxSweeps = 14, Tolerance = 0, Seed = 5 });
        double[] h = new double[256];
        var trace = new List<double> { UnmixingSteps.Objective(Y, M, A, UnmixingLoss.RobustL21, h, 0.2) };
        for (int sweep = 0; sweep < 14; sweep++)
        {
            if (sweep is 4 or 7) h = GuidanceMap.Smooth(GuidanceMap.Learn(A, cap: 0.7), 16, 16);
            A = UnmixingSteps.UpdateAbundances(Y, M, A, UnmixingSteps.ChannelWeights(Y, M, A), h, 0.2);
            M = UnmixingSteps.UpdateEndmembers(Y, M, A);
            trace.Add(UnmixingSteps.Objective(Y, M, A, UnmixingLoss.RobustL21, h, 0.2));
        }

        Assert.Equal([5, 8], result.GuidanceSweeps);
        Assert.InRange(UnmixingData.Gap(UnmixingSteps.Normalize(A), result.Abundances), 0, 1e-10);
        Assert.InRange(UnmixingData.Gap(M, result.Endmembers), 0, 1e-10);
        Assert.Equal(15, result.ObjectiveTrace.Count);
        Assert.All(trace.Zip(result.ObjectiveTrace), p => Assert.Equal(p.First, p.Second, 1e-8));
        Assert.All(h.Zip(result.GuidanceMap), p => Assert.Equal(p.First, p.Second, 1e-10));
        Assert.All(UnmixingSteps.ChannelWeights(Y, M, A).Zip(result.ChannelWeights), p => Assert.Equal(p.First, p.Second, 1e-6));
        Assert.Equal(h.Average(), result.MeanGuidance, 1e-10);
    }

    public static TheoryData<int, int, int> Sizes()
    {
        TheoryData<int, int, int> sizes = [];
        foreach (int pixels in (int[])[12, 23, 127, 128, 129, 300, 2300])
        {
            foreach (int endmembers in (int[])[2, 3, 5, 6, 7, 8, 11]) sizes.Add(11 + ((pixels + endmembers) % 5), pixels, endmembers);
        }

        return sizes;
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Every_size_takes_the_same_steps(int channels, int pixels, int endmembers)
    {
        using var scope = NewDisposeScope();
        (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(channels, pixels, endmembers, 3);
        UnmixingOptions options = Variant("robust half") with { InitialEndmembers = M, InitialAbundances = A, MaxSweeps = 3, Tolerance = 0 };
        using UnmixingResult result = SpectralUnmixing.Fit(Y, endmembers, options);
        double[] h = [.. Enumerable.Repeat(0.5, pixels)];
        for (int sweep = 0; sweep < 3; sweep++)
        {
            A = UnmixingSteps.UpdateAbundances(Y, M, A, UnmixingSteps.ChannelWeights(Y, M, A), h, 0.2);
            M = UnmixingSteps.UpdateEndmembers(Y, M, A);
        }

        Assert.InRange(UnmixingData.Gap(UnmixingSteps.Normalize(A), result.Abundances), 0, 1e-9);
        Assert.InRange(UnmixingData.Gap(M, result.Endmembers), 0, 1e-9);
    }

    public static TheoryData<string> Variants() => ["nmf", "half", "robust", "robust half", "learned", "hoyer"];

    private static UnmixingOptions Variant(string name, double lambda = 0.2) => name switch
    {
        "nmf" => new() { Loss = UnmixingLoss.Squared, Sparsity = AbundanceSparsity.None },
        "half" => new() { Loss = UnmixingLoss.Squared, Sparsity = AbundanceSparsity.Fixed(0.5, lambda) },
        "robust" => new() { Sparsity = AbundanceSparsity.None },
        "robust half" => new() { Sparsity = AbundanceSparsity.Fixed(0.5, lambda) },
        "learned" => new() { Sparsity = AbundanceSparsity.Learned(lambda) },
        _ => new() { Sparsity = AbundanceSparsity.Learned(lambda) with { Measure = PurityMeasure.Hoyer } },
    };

    [Theory, MemberData(nameof(Variants))]
    public void The_trace_falls_except_where_the_guidance_is_learned_anew(string name)
    {
        using HyperspectralScene scene = UnmixingData.Landscape(3);
        using UnmixingResult result = SpectralUnmixing.Fit(scene.Pixels, 3, Variant(name) with { MaxSweeps = 120, Tolerance = 0 });
        for (int i = 1; i < result.ObjectiveTrace.Count; i++)
        {
            if (!result.GuidanceSweeps.Contains(i)) Assert.True(result.ObjectiveTrace[i] <= result.ObjectiveTrace[i - 1] * (1 + 1e-10), $"sweep {i}");
        }

        Assert.Equal(name is "learned" or "hoyer" ? [21, 31, 41, 51, 61] : [], result.GuidanceSweeps);
        Assert.Equal((120, StopReason.IterationLimit), (result.Sweeps, result.StopReason));
        using var scope = NewDisposeScope();
        Assert.InRange((result.Abundances.sum([0L]) - 1).abs().max().item<double>(), 0, 1e-14);
        Assert.True(result.Abundances.min().item<double>() >= 0 && result.Endmembers.min().item<double>() >= 0);
        Assert.Equal(name is "nmf" or "half", result.ChannelWeights.All(u => u == 1));
        Assert.True(result.GuidanceMap.Max() <= 0.9);
    }

    [Fact]
    public void Stops_when_nothing_changes_but_not_before_the_guidance_is_frozen()
    {
        using HyperspectralScene scene = UnmixingData.Landscape(4);
        using UnmixingResult plain = SpectralUnmixing.Fit(scene.Pixels, 3, Variant("robust") with { Tolerance = 1e-3 });
        Assert.True(plain.StopReason == StopReason.RelativeChange && plain.Sweeps < 400);
        double last = plain.ObjectiveTrace[^1], before = plain.ObjectiveTrace[^2];
        Assert.True(before - last < 1e-3 * before && plain.ObjectiveTrace[^3] - before >= 1e-3 * plain.ObjectiveTrace[^3]);
        using UnmixingResult learned = SpectralUnmixing.Fit(scene.Pixels, 3, Variant("learned") with { Tolerance = 1e-2, MaxSweeps = 100 });
        Assert.Equal(StopReason.RelativeChange, learned.StopReason);
        Assert.Equal(51, learned.Sweeps);
    }

    [Fact]
    public void The_truth_of_clean_data_is_a_point_of_rest()
    {
        using HyperspectralScene scene = HyperspectralScene.TwoRegions(
            new() { Height = 12, Width = 12, Channels = 30, Endmembers = 3, BadChannels = 0, Snr = 90 }, 3);
        UnmixingOptions options = Variant("robust") with { InitialEndmembers = scene.Endmembers, InitialAbundances = scene.Abundances, MaxSweeps = 300, Tolerance = 0 };
        using UnmixingResult result = SpectralUnmixing.Fit(scene.Pixels, 3, options);
        Assert.InRange(UnmixingMetrics.Match(result.Endmembers, scene.Endmembers).MeanAngle, 1e-9, 1e-3);
        Assert.InRange(UnmixingMetrics.AbundanceRmse(result.Abundances, scene.Abundances), 1e-9, 1e-3);

        // From an even start with the endmembers known, it is neared: the sum-to-one term makes the multiplicative step short.
        using UnmixingResult found = SpectralUnmixing.FitAbundances(scene.Pixels, scene.Endmembers, Variant("robust") with { MaxSweeps = 3000, Tolerance = 0 });
        using UnmixingResult early = SpectralUnmixing.FitAbundances(scene.Pixels, scene.Endmembers, Variant("robust") with { MaxSweeps = 300, Tolerance = 0 });
        double far = UnmixingMetrics.AbundanceRmse(early.Abundances, scene.Abundances), near = UnmixingMetrics.AbundanceRmse(found.Abundances, scene.Abundances);
        Assert.True(near < 0.02 && near < far / 2, $"{far} and {near}");
    }

    [Fact]
    public void Bad_channels_have_the_smallest_weights_and_do_less_harm_to_the_robust_loss()
    {
        // Best strength of each loss for itself; the margin of the claim, 0.8, on the mean of three scenes.
        double robustSum = 0, squaredSum = 0;
        for (int seed = 1; seed <= 3; seed++)
        {
            using HyperspectralScene scene = HyperspectralScene.TwoRegions(new() { Height = 20, Width = 20 }, seed);
            double robust = double.PositiveInfinity, squared = double.PositiveInfinity;
            foreach (double lambda in new[] { 0, 0.05, 0.1, 0.2, 0.4 })
            {
                using UnmixingResult a = SpectralUnmixing.FitAbundances(scene.Pixels, scene.Endmembers, Variant("learned", lambda) with { MaxSweeps = 400 });
                using UnmixingResult b = SpectralUnmixing.FitAbundances(
                    scene.Pixels, scene.Endmembers, Variant("learned", lambda) with { MaxSweeps = 400, Loss = UnmixingLoss.Squared });
                robust = Math.Min(robust, UnmixingMetrics.AbundanceRmse(a.Abundances, scene.Abundances));
                squared = Math.Min(squared, UnmixingMetrics.AbundanceRmse(b.Abundances, scene.Abundances));
                Assert.Equal(scene.BadChannels, Enumerable.Range(0, 60).OrderBy(l => a.ChannelWeights[l]).Take(6).Order());
            }

            (robustSum, squaredSum) = (robustSum + robust, squaredSum + squared);
        }

        Assert.True(robustSum <= 0.8 * squaredSum, $"{robustSum / 3} and {squaredSum / 3}");
    }

    [Fact]
    public void The_guidance_map_knows_the_pure_half()
    {
        using HyperspectralScene scene = HyperspectralScene.TwoRegions(new() { Height = 20, Width = 20 }, 3);
        using UnmixingResult result = SpectralUnmixing.FitAbundances(scene.Pixels, scene.Endmembers, Variant("learned", 0.1) with { MaxSweeps = 200 });
        double left = scene.LeftPixels.Average(n => result.GuidanceMap[n]), right = scene.RightPixels.Average(n => result.GuidanceMap[n]);
        Assert.True(left - right >= 0.3, $"{left} and {right}");
        double[] truth = GuidanceMap.Learn(scene.Abundances, cap: 0.99);
        Assert.True(RankCorrelation.Spearman([.. result.GuidanceMap], truth) >= 0.6);
    }

    [Fact]
    public void A_large_strength_runs_away_to_the_cap()
    {
        using HyperspectralScene scene = HyperspectralScene.TwoRegions(new() { Height = 14, Width = 14 }, 3);
        using UnmixingResult mild = SpectralUnmixing.FitAbundances(scene.Pixels, scene.Endmembers, Variant("learned", 0.05) with { MaxSweeps = 300 });
        using UnmixingResult wild = SpectralUnmixing.FitAbundances(scene.Pixels, scene.Endmembers, Variant("learned", 2) with { MaxSweeps = 300 });
        Assert.True(wild.MeanGuidance > 0.85 && mild.MeanGuidance < 0.65, $"{mild.MeanGuidance} and {wild.MeanGuidance}");
    }

    [Fact]
    public void Runs_repeat_with_any_number_of_threads()
    {
        using HyperspectralScene scene = UnmixingData.Landscape(6, side: 40, channels: 60);
        UnmixingOptions options = Variant("learned") with { MaxSweeps = 90, Tolerance = 0 };
        using UnmixingResult first = SpectralUnmixing.Fit(scene.Pixels, 3, options), again = SpectralUnmixing.Fit(scene.Pixels, 3, options);
        Assert.Equal(first.ObjectiveTrace, again.ObjectiveTrace);
        Assert.Equal(0, UnmixingData.Gap(first.Abundances, again.Abundances));
        int threads = get_num_threads();
        try
        {
            set_num_threads(1);
            using UnmixingResult one = SpectralUnmixing.Fit(scene.Pixels, 3, options);
            Assert.InRange(UnmixingData.Gap(first.Abundances, one.Abundances), 0, 1e-8);
            Assert.InRange(UnmixingData.Gap(first.Endmembers, one.Endmembers), 0, 1e-8);
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Fact]
    public void A_run_can_be_watched_and_cancelled_and_leaves_its_input_alone()
    {
        using HyperspectralScene scene = UnmixingData.Landscape(7);
        using Tensor before = scene.Pixels.clone(), M = EndmemberInit.Spa(scene.Pixels, 3), A = EndmemberInit.EvenAbundances(3, 256, 1), copyM = M.clone(), copyA = A.clone();
        using var source = new CancellationTokenSource();
        var objectives = new List<double>();
        var reports = new Reports();
        UnmixingOptions options = Variant("learned") with
        {
            InitialEndmembers = M,
            InitialAbundances = A,
            OnSweep = state =>
            {
                objectives.Add(state.Objective);
                Assert.Equal([3L, 256L], state.Abundances.shape);
                if (state.Sweep == 30) source.Cancel();
            },
        };
        Assert.Throws<OperationCanceledException>(() => SpectralUnmixing.Fit(scene.Pixels, 3, options, reports, source.Token));
        Assert.Equal(30, objectives.Count);
        Assert.Equal(new ProgressReport(30, 400, $"objective {objectives[^1]:G6}"), reports.Last);
        Assert.Equal(0, UnmixingData.Gap(before, scene.Pixels) + UnmixingData.Gap(M, copyM) + UnmixingData.Gap(A, copyA));
        using UnmixingResult given = SpectralUnmixing.Fit(scene.Pixels, 3, options with { OnSweep = null, MaxSweeps = 30 });
        Assert.Equal(objectives[19], given.ObjectiveTrace[20]);
    }

    private sealed class Reports : IProgress<ProgressReport>
    {
        internal ProgressReport Last { get; private set; }

        public void Report(ProgressReport value) => Last = value;
    }

    [Fact]
    public void Negative_data_are_clipped_on_request_and_counted()
    {
        using var scope = NewDisposeScope();
        using HyperspectralScene scene = UnmixingData.Landscape(8);
        Tensor Y = scene.Pixels.clone();
        Y[3, 7] = -0.2;
        Y[4, 200] = -1e-9;
        ArgumentException refused = Assert.Throws<ArgumentException>(() => SpectralUnmixing.Fit(Y, 3));
        Assert.Contains("Y holds 2 negative values, the first at [3, 7]", refused.Message, StringComparison.Ordinal);
        Assert.Contains("ClipNegative", refused.Message, StringComparison.Ordinal);
        UnmixingOptions options = new() { MaxSweeps = 5, ClipNegative = true };
        using UnmixingResult clipped = SpectralUnmixing.Fit(Y, 3, options), zeroed = SpectralUnmixing.Fit(Y.clamp_min(0), 3, options);
        Assert.Equal((2, 0), (clipped.ClippedValues, zeroed.ClippedValues));
        Assert.Equal(zeroed.ObjectiveTrace, clipped.ObjectiveTrace);
        Y[5] = -Y[5];
        Assert.Contains("Channel 5", Assert.Throws<ArgumentException>(() => SpectralUnmixing.Fit(Y, 3, options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Transposed_data_and_starts_give_what_their_copies_give()
    {
        using var scope = NewDisposeScope();
        (Tensor Y, Tensor M, Tensor A) = UnmixingData.Problem(12, 60, 3, 4);
        Tensor negative = Y.clone();
        negative[3, 7] = -0.2;
        static Tensor View(Tensor x) => x.t().contiguous().t();
        Assert.False(View(Y).is_contiguous() || View(M).is_contiguous() || View(A).is_contiguous());
        foreach (Tensor data in new[] { Y, negative })
        {
            UnmixingOptions options = new() { MaxSweeps = 5, ClipNegative = true, InitialAbundances = A };
            UnmixingOptions views = options with { InitialAbundances = View(A) };
            using UnmixingResult fit = SpectralUnmixing.Fit(data, 3, options), fitOfViews = SpectralUnmixing.Fit(View(data), 3, views);
            using UnmixingResult known = SpectralUnmixing.FitAbundances(data, M, options), knownOfViews = SpectralUnmixing.FitAbundances(View(data), View(M), views);
            Assert.Equal(fit.ClippedValues, fitOfViews.ClippedValues);
            Assert.InRange(UnmixingData.Gap(fit.Abundances, fitOfViews.Abundances), 0, 1e-10);
            Assert.InRange(UnmixingData.Gap(known.Abundances, knownOfViews.Abundances), 0, 1e-10);
        }

        Assert.Equal(EndmemberInit.SpaPixels(Y, 3), EndmemberInit.SpaPixels(View(Y), 3));
        Assert.Equal(
            UnmixingSteps.Objective(Y, M, A, UnmixingLoss.RobustL21, null, 0.1), UnmixingSteps.Objective(View(Y), View(M), View(A), UnmixingLoss.RobustL21, null, 0.1), 1e-10);
        double[] weights = UnmixingSteps.ChannelWeights(Y, M, A), weightsOfViews = UnmixingSteps.ChannelWeights(View(Y), View(M), View(A));
        for (int l = 0; l < 12; l++) Assert.Equal(1, weightsOfViews[l] / weights[l], 1e-9);
        Assert.InRange(UnmixingData.Gap(UnmixingSteps.UpdateAbundances(Y, M, A, weights, null, 0.1), UnmixingSteps.UpdateAbundances(View(Y), View(M), View(A), weights, null, 0.1)), 0, 1e-10);
        Assert.InRange(UnmixingData.Gap(UnmixingSteps.UpdateEndmembers(Y, M, A, weights), UnmixingSteps.UpdateEndmembers(View(Y), View(M), View(A), weights)), 0, 1e-10);
        Assert.InRange(UnmixingData.Gap(UnmixingSteps.Normalize(A), UnmixingSteps.Normalize(View(A))), 0, 1e-12);
        Assert.Equal(GuidanceMap.Learn(A), GuidanceMap.Learn(View(A)));
        Assert.InRange(UnmixingData.Gap(FullyConstrainedLeastSquares.Abundances(Y, M), FullyConstrainedLeastSquares.Abundances(View(Y), View(M))), 0, 1e-10);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        Tensor Y = UnmixingData.Uniform(6, 9, 1), M = UnmixingData.Uniform(6, 3, 2);
        void Throws(string text, Action act) => Assert.Contains(text, Assert.ThrowsAny<ArgumentException>(act).Message, StringComparison.Ordinal);
        void Refused(string text, UnmixingOptions options)
        {
            Throws(text, () => SpectralUnmixing.Fit(Y, 3, options));
            Throws(text, () => SpectralUnmixing.FitAbundances(Y, M, options));
        }

        Tensor With(int channel, int pixel, double value)
        {
            Tensor copy = Y.clone();
            if (channel >= 0 && pixel >= 0) copy[channel, pixel] = value;
            else if (channel >= 0) copy[channel] = copy[channel] * value;
            else copy.select(1, pixel).mul_(value);
            return copy;
        }

        Throws("Y[2, 4] is not finite", () => SpectralUnmixing.Fit(With(2, 4, double.NaN), 3));
        Throws("Y[2, 4] is not finite", () => SpectralUnmixing.Fit(With(2, 4, double.PositiveInfinity), 3, new() { ClipNegative = true }));
        Throws("Channel 2 of Y", () => SpectralUnmixing.Fit(With(2, -1, 0), 3));
        Throws("Pixel 4 of Y", () => SpectralUnmixing.Fit(With(-1, 4, 0), 3));
        Throws("from 2 to min(channels, pixels) = 6", () => SpectralUnmixing.Fit(Y, 1));
        Throws("from 2 to min(channels, pixels) = 6", () => SpectralUnmixing.Fit(Y, 7));
        Throws("Y has 1 pixel", () => SpectralUnmixing.Fit(Y.narrow(1, 0, 1), 2));
        Throws("not empty", () => SpectralUnmixing.Fit(zeros(0, 9, dtype: ScalarType.Float64), 2));
        Throws("[channels, pixels]", () => SpectralUnmixing.Fit(Y[0], 2));
        Throws("Float32", () => SpectralUnmixing.Fit(Y.to(ScalarType.Float32), 2));
        Throws("span 1 dimensions", () => SpectralUnmixing.Fit(ones(6, 9, dtype: ScalarType.Float64), 2));
        Throws("M is [5, 3]", () => SpectralUnmixing.FitAbundances(Y, M.narrow(0, 0, 5)));
        Throws("M holds", () => SpectralUnmixing.FitAbundances(Y, M - 0.5));
        Throws("InitialEndmembers must be null", () => SpectralUnmixing.FitAbundances(Y, M, new() { InitialEndmembers = M }));
        Throws("InitialEndmembers is [6, 2]", () => SpectralUnmixing.Fit(Y, 3, new() { InitialEndmembers = M.narrow(1, 0, 2) }));
        Refused("InitialAbundances is [9, 3]", new() { InitialAbundances = UnmixingData.Uniform(9, 3, 1) });
        Refused("SmoothOver is 2 x 4", new() { Sparsity = AbundanceSparsity.Learned(0.1) with { SmoothOver = (2, 4) } });
        Refused("Lambda", new() { Sparsity = AbundanceSparsity.Learned(-0.1) });
        Refused("Lambda", new() { Sparsity = AbundanceSparsity.Fixed(0.5, double.NaN) });
        Refused("Power", new() { Sparsity = AbundanceSparsity.Fixed(0, 1) });
        Refused("Power", new() { Sparsity = AbundanceSparsity.Fixed(1.01, 1) });
        foreach (double cap in new[] { -0.1, 1, double.NaN }) Refused("Cap", new() { Sparsity = AbundanceSparsity.Learned(0.1) with { Cap = cap } });
        Refused("Every", new() { Sparsity = AbundanceSparsity.Learned(0.1) with { Every = 0 } });
        Refused("WarmUp", new() { Sparsity = AbundanceSparsity.Learned(0.1) with { WarmUp = -1 } });
        Refused("FrozenSweeps", new() { Sparsity = AbundanceSparsity.Learned(0.1) with { FrozenSweeps = -1 } });
        Refused("Measure", new() { Sparsity = AbundanceSparsity.Learned(0.1) with { Measure = (PurityMeasure)9 } });
        Refused("Sparsity", new() { Sparsity = null! });
        Refused("Loss", new() { Loss = (UnmixingLoss)9 });
        Refused("SumToOneWeight", new() { SumToOneWeight = -1 });
        Refused("Epsilon", new() { Epsilon = 0 });
        Refused("MaxSweeps", new() { MaxSweeps = 0 });
        Refused("Tolerance", new() { Tolerance = -1 });
    }
}
