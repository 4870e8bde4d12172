using Sparseland.Evaluation;
using Sparseland.Probabilistic;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Probabilistic;

public class LearningTests
{
    public static TheoryData<string> Linear => ["BSC", "TSC", "DSC", "GSC", "GSC diagonal"];

    public static TheoryData<string> All => [.. BruteForce.Names];

    [Theory]
    [MemberData(nameof(Linear))]
    public void Exact_em_never_lowers_the_likelihood(string name)
    {
        using var scope = NewDisposeScope();
        Tensor data = BruteForce.Make(name, 4, 6, seed: 2).Sample(150, 1).Data;
        IReadOnlyList<TruncatedEmStep> trace = TruncatedEm.Run(
            BruteForce.Make(name, 4, 6, seed: 9, sigma: 1.5), data, new() { Truncation = Truncation.Exact(4), Schedule = new() { Steps = 60 } }).Trace;
        for (int i = 1; i < trace.Count; i++)
            Assert.True(trace[i].LogLikelihood >= trace[i - 1].LogLikelihood - 1e-9, $"step {i}: {trace[i].LogLikelihood} after {trace[i - 1].LogLikelihood}");
        Assert.True(trace[^1].LogLikelihood > trace[0].LogLikelihood + 0.5);
    }

    [Fact]
    public void The_fixed_point_of_the_max_model_dips_by_little()
    {
        using var scope = NewDisposeScope();
        Tensor data = BruteForce.Make("MCA", 4, 6, seed: 2).Sample(150, 1).Data;
        IReadOnlyList<TruncatedEmStep> trace = TruncatedEm.Run(
            BruteForce.Make("MCA", 4, 6, seed: 9, sigma: 1.5), data, new() { Truncation = Truncation.Exact(4), Schedule = new() { Steps = 60 } }).Trace;
        for (int i = 1; i < trace.Count; i++) Assert.True(trace[i].LogLikelihood >= trace[i - 1].LogLikelihood - 1e-2);
        Assert.True(trace[^1].LogLikelihood > trace[0].LogLikelihood + 0.5);
    }

    [Theory]
    [MemberData(nameof(Linear))]
    public void At_a_fixed_point_no_weight_can_be_moved_to_gain(string name)
    {
        // Where EM stands still the likelihood is stationary: central differences over single weights.
        using var scope = NewDisposeScope();
        var exact = Truncation.Exact(3);
        Tensor data = BruteForce.Make(name, 3, 4, seed: 3).Sample(60, 2).Data;
        TruncatedSparseCoder still = TruncatedEm.Run(BruteForce.Make(name, 3, 4, seed: 3), data, new() { Truncation = exact, Schedule = new() { Steps = 4_000 } }).Model;
        double[] weights = still.Dictionary().data<double>().ToArray();
        for (int i = 0; i < weights.Length; i++)
        {
            double Moved(double by)
            {
                double[] moved = [.. weights];
                moved[i] += by;
                return With(still, tensor(moved, [3, 4])).LogLikelihood(data, exact);
            }

            Assert.InRange((Moved(1e-4) - Moved(-1e-4)) / 2e-4, -2e-3, 2e-3);
            Assert.True(Moved(0.05) < Moved(0));
        }

        static TruncatedSparseCoder With(TruncatedSparseCoder model, Tensor w) => model switch
        {
            BinarySparseCoding m => new BinarySparseCoding(w, m.Activity, m.Sigma),
            TernarySparseCoding m => new TernarySparseCoding(w, m.Activity, m.Sigma),
            DiscreteSparseCoding m => new DiscreteSparseCoding(w, m.AllValues, m.Probabilities, m.Sigma),
            SpikeSlabSparseCoding m => new SpikeSlabSparseCoding(w, m.Activities, m.SlabMeans, m.SlabVariances, m.NoiseVariances),
            _ => throw new ArgumentException(model.Name),
        };
    }

    [Fact]
    public void Bsc_m_step_is_that_of_its_formulas()
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make("BSC", 3, 4, seed: 3);
        Tensor data = model.Sample(25, 2).Data;
        var exact = Truncation.Exact(3);
        var next = (BinarySparseCoding)model.Maximise(model.Expect(data, exact), exact);
        Tensor ys = zeros(3, 4, dtype: ScalarType.Float64), ss = zeros(3, 3, dtype: ScalarType.Float64);
        double active = 0;
        var weighted = new List<(double Q, Tensor S, Tensor Y)>();
        foreach (double[] y in BruteForce.Rows(data))
        {
            double log = BruteForce.Posterior(model, y).LogLikelihood;
            foreach (double[] state in BruteForce.States(model))
            {
                double q = Math.Exp(BruteForce.LogPrior(model, state) + BruteForce.LogLikelihood(model, state, y) - log);
                Tensor s = tensor(state), point = tensor(y);
                ys += q * s.outer(point);
                ss += q * s.outer(s);
                active += q * state.Sum();
                weighted.Add((q, s, point));
            }
        }

        Tensor w = linalg.solve(ss, ys);
        double sigma = Math.Sqrt(weighted.Sum(p => p.Q * (p.Y - w.t().mv(p.S)).square().sum().item<double>()) / (25 * 4));
        Assert.InRange((w - next.Dictionary()).abs().max().item<double>(), 0, 1e-10);
        Assert.Equal(sigma, next.Sigma, 1e-10);
        Assert.Equal(active / (25 * 3), next.Activity, 1e-12);
    }

    [Fact]
    public void Spike_and_slab_m_step_uses_the_second_moments_for_the_noise()
    {
        // With one component active for sure (pi near 1) the model is linear Gaussian, y = W z + noise, and EM is that of factor analysis:
        // from the true parameters and much data it must stay at the true noise. Using <sz><sz>^T instead would raise it.
        using var scope = NewDisposeScope();
        Tensor w = BruteForce.Gaussian(2, 6, 5);
        var truth = new SpikeSlabSparseCoding(w, [0.9999, 0.9999], [0.5, 1], [1, 0.5], [0.01]);
        Tensor data = truth.Sample(4_000, 3).Data;
        var next = (SpikeSlabSparseCoding)truth.Maximise(truth.Expect(data, Truncation.Exact(2)), Truncation.Exact(2));
        Assert.Equal(0.01, next.NoiseVariances[0], 3e-4);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Threads_do_not_change_anything(string name)
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make(name, 8, 10);
        Tensor data = model.Sample(300, 4).Data;
        TruncatedEmOptions options = new() { Truncation = new(5, 3), Schedule = AnnealingSchedule.Cooling(20, 3) };
        TruncatedSparseCoder one = TruncatedEm.Run(model, data, options with { Threads = 1 }).Model, many = TruncatedEm.Run(model, data, options with { Threads = 4 }).Model;
        Assert.True(one.Dictionary().equal(many.Dictionary()).all().item<bool>());
        Assert.Equal(one.Sigma, many.Sigma);
        Assert.Equal(one.Activity, many.Activity);
    }

    [Fact]
    public void A_run_goes_on_from_where_it_was_cancelled_as_if_it_never_stopped()
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make("GSC", 6, 8);
        Tensor data = model.Sample(200, 5).Data;
        TruncatedEmOptions options = new()
        {
            Truncation = new(4, 2), Seed = 7,
            Schedule = AnnealingSchedule.Cooling(12, 3) with { WeightNoise = 0.05, PriorNoise = 0.01, SigmaNoise = 0.01, DataNoise = 0.1, Share = 0.7 },
        };
        TruncatedEmResult<TruncatedSparseCoder> whole = TruncatedEm.Run(model, data, options);
        TruncatedSparseCoder? last = null;
        int done = 0;
        using var cancel = new CancellationTokenSource();
        TruncatedEmOptions watched = options with
        {
            OnStep = (step, state) =>
            {
                (done, last) = (step.Step, state);
                if (step.Step == 5) cancel.Cancel();
            },
        };
        Assert.ThrowsAny<OperationCanceledException>(() => TruncatedEm.Run(model, data, watched, cancel: cancel.Token));
        Assert.Equal(5, done);
        TruncatedEmResult<TruncatedSparseCoder> rest = TruncatedEm.Run(last!, data, options with { StartStep = done });
        Assert.Equal(7, rest.Trace.Count);
        Assert.True(whole.Model.Dictionary().equal(rest.Model.Dictionary()).all().item<bool>());
        Assert.Equal(whole.Trace[^1], rest.Trace[^1]);
        Assert.NotEqual(whole.Model.Sigma, TruncatedEm.Run(model, data, options with { Seed = 8 }).Model.Sigma);
    }

    [Fact]
    public void A_hot_posterior_has_less_free_energy_and_an_annealed_prior_is_another_one()
    {
        using var scope = NewDisposeScope();
        TruncatedSparseCoder model = BruteForce.Make("BSC");
        Tensor data = model.Sample(50, 6).Data;
        double[] free = [.. new[] { 1.0, 1.5, 3, 10 }.Select(t => model.Expect(data, Truncation.Exact(5), new(t)).FreeEnergy)];
        Assert.Equal(free.OrderDescending(), free);
        Assert.Equal(model.LogLikelihood(data, Truncation.Exact(5)), free[0], 1e-12);
        Assert.NotEqual(free[2], model.Expect(data, Truncation.Exact(5), new(3, AnnealPrior: true)).FreeEnergy, 1e-6);

        // T without end with the prior: all 2^H states alike, entropy H log 2.
        ExpectationStep flat = model.Expect(data, Truncation.Exact(5), new(1e12, AnnealPrior: true));
        double mean = BruteForce.Rows(data).Average(y => BruteForce.States(model).Average(s => BruteForce.LogPrior(model, s) + BruteForce.LogLikelihood(model, s, y)));
        Assert.Equal(mean + (5 * Math.Log(2)), flat.FreeEnergy, 1e-6);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_prior_of_data_with_few_active_components_is_corrected(int active)
    {
        // Data whose states all have at most gamma active components: the share of active ones is B/A below pi, and EM must find pi again.
        using var scope = NewDisposeScope();
        var truth = new BinarySparseCoding(eye(8, dtype: ScalarType.Float64) * 10, 0.25, 0.2);
        (Tensor data, Tensor states) = truth.Sample(6_000, 7);
        Tensor kept = data.index_select(0, (states.sum([1L]) <= active).nonzero().squeeze(1));
        TruncatedEmResult<BinarySparseCoding> result = TruncatedEm.Run(truth, kept, new() { Truncation = new(8, active), Schedule = new() { Steps = 60 } });
        double share = states.index_select(0, (states.sum([1L]) <= active).nonzero().squeeze(1)).mean().item<double>();
        Assert.Equal(0.25, result.Model.Activity, active == 1 ? 0.04 : 0.02);
        Assert.True(active == 3 || share < 0.2);
    }

    [Fact]
    public void Prior_mass_is_that_of_counting_states()
    {
        using var scope = NewDisposeScope();
        foreach (string name in BruteForce.Names)
        {
            TruncatedSparseCoder model = BruteForce.Make(name);
            for (int active = 0; active <= 5; active++)
            {
                double mass = BruteForce.States(model).Where(s => s.Count(v => v != 0) <= active).Sum(s => Math.Exp(BruteForce.LogPrior(model, s)));
                Assert.Equal(mass, model.PriorMass(active), 1e-12);
            }
        }
    }

    [Fact]
    public void Truncation_without_the_cut_out_overestimates_the_noise()
    {
        // Claim 4: DSC on bars, gamma = 3.
        using var scope = NewDisposeScope();
        var truth = new DiscreteSparseCoding(BarsTest.Dictionary(), [0, 1, 2], [0.8, 0.15, 0.05], 2);
        Tensor data = truth.Sample(1_000, 1).Data;
        double Sigma(double cutOut) => TruncatedEm.Run(truth, data, new() { Truncation = new(8, 3), Schedule = new() { Steps = 15, CutOut = cutOut } }).Model.Sigma;
        Assert.True(Sigma(0) >= 2.4, $"without: {Sigma(0)}");
        Assert.InRange(Sigma(1), 1.8, 2.2);
    }

    [Theory]
    [InlineData("BSC", 5)]
    [InlineData("TSC", 2)]
    [InlineData("DSC", 2)]
    public void Bars_are_learned_with_their_prior_and_noise(string name, double temperature)
    {
        using var scope = NewDisposeScope();
        Tensor bars = BarsTest.Dictionary();
        TruncatedSparseCoder truth = name switch
        {
            "BSC" => new BinarySparseCoding(bars, 0.2, 2),
            "TSC" => new TernarySparseCoding(bars, 0.2, 2),
            _ => new DiscreteSparseCoding(bars, [0, 1, 2], [0.8, 0.15, 0.05], 2),
        };
        Tensor data = truth.Sample(1_000, 1).Data;
        TruncatedSparseCoder start = name switch
        {
            "BSC" => BinarySparseCoding.Initial(data, 10, 1),
            "TSC" => TernarySparseCoding.Initial(data, 10, 1),
            _ => DiscreteSparseCoding.Initial(data, 10, [0, 1, 2], 1),
        };
        TruncatedSparseCoder model = TruncatedEm.Run(start, data, new() { Truncation = new(6, 3), Schedule = AnnealingSchedule.Cooling(100, temperature) }).Model;
        Assert.InRange(DictionaryError.Of(bars, model.Dictionary(), eitherSign: name == "TSC").Largest, 0, 0.5);
        Assert.InRange(model.Activity, 0.18, 0.22);
        Assert.InRange(model.Sigma, 1.9, 2.1);
    }

    [Fact]
    public void The_best_of_several_starts_has_the_highest_likelihood()
    {
        using var scope = NewDisposeScope();
        Tensor data = new MaximalCauses(BarsTest.Dictionary(8, background: 0.1), 0.25, 1).Sample(400, 2).Data;
        TruncatedEmOptions options = new() { Truncation = new(5, 3), Schedule = AnnealingSchedule.Cooling(30, 4) };
        TruncatedEmResult<MaximalCauses> best = TruncatedEm.Best(run => MaximalCauses.Initial(data, 8, run), 3, data, options);
        double[] single = [.. Enumerable.Range(0, 3).Select(run => TruncatedEm.Run(MaximalCauses.Initial(data, 8, run), data, options with { Seed = run }).LogLikelihood)];
        Assert.Equal(single.Max(), best.LogLikelihood);
    }

    [Fact]
    public void Samples_have_the_moments_of_the_model_and_do_not_depend_on_their_number()
    {
        using var scope = NewDisposeScope();
        foreach (string name in BruteForce.Names)
        {
            TruncatedSparseCoder model = BruteForce.Make(name);
            (Tensor data, Tensor states) = model.Sample(4_000, 13);
            Assert.Equal(model.Activity, (states != 0).to(ScalarType.Float64).mean().item<double>(), 0.015);
            Tensor noise = data - model.Superpose(states);
            Assert.Equal(model.Sigma, Math.Sqrt(noise.square().mean().item<double>()), 0.015);
            Assert.True(model.Sample(10, 13).Data.equal(data[..10]).all().item<bool>());
        }
    }
}
