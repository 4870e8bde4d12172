using Sparseland.Coding;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

public class DictionaryLearnerTests
{
    private static readonly DictionaryLearnerOptions Small = new() { Atoms = 20, Batches = 30, BatchSize = 60, Seed = 4, EtaDictionary = 0.02 };

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void Learns_a_better_dictionary(ScalarType type)
    {
        using var scope = NewDisposeScope();
        Tensor X = CodingData.Planted(CodingData.Dictionary(20, 16, 1, type), 800, 3, 2);
        var learner = new GradientDictionaryLearner(new ThresholdCoder(new Cel0(0.1), ThresholdCoderOptions.V1), Small);
        var seen = new List<ProgressReport>();
        using DictionaryLearningResult fit = learner.Fit(X, progress: new Inline(seen.Add));
        Assert.Equal(30, fit.Trace.Count);
        Assert.Equal(30, seen.Count);
        Assert.Equal(30, seen[^1].Done);
        Assert.True(fit.Trace[^1].MeanSquaredError < 0.7 * fit.Trace[0].MeanSquaredError);
        Assert.InRange(CodingData.MaxDifference(fit.Dictionary.norm(1), ones(20)), 0, 1e-6);
        Assert.Equal(type, fit.Dictionary.dtype);
    }

    [Fact]
    public void Goes_on_bit_for_bit_after_a_cancel_or_from_a_checkpoint()
    {
        using var scope = NewDisposeScope();
        Tensor X = CodingData.Planted(CodingData.Dictionary(20, 16, 1), 800, 3, 2);
        var learner = new GradientDictionaryLearner(new ThresholdCoder(new Cel0(0.1), ThresholdCoderOptions.V1), Small);
        using DictionaryLearningResult whole = learner.Fit(X), again = learner.Fit(X);
        Assert.Equal(0, CodingData.MaxDifference(whole.Dictionary, again.Dictionary));

        using var cancel = new CancellationTokenSource();
        using DictionaryState state = learner.Start(16);
        Assert.Throws<OperationCanceledException>(() => learner.Fit(
            X, state, new Inline(r => { if (r.Done == 11) cancel.Cancel(); }), cancel.Token));
        Assert.Equal(11, state.Batch);
        using DictionaryState stored = DictionaryState.From(state.Dictionary, state.Batch);
        using DictionaryLearningResult rest = learner.Fit(X, state);
        Assert.Equal(19, rest.Trace.Count);
        Assert.Equal(0, CodingData.MaxDifference(whole.Dictionary, rest.Dictionary));
        using DictionaryLearningResult restored = learner.Fit(X, stored);
        Assert.Equal(0, CodingData.MaxDifference(whole.Dictionary, restored.Dictionary));
    }

    [Fact]
    public void A_step_is_the_equation()
    {
        using var scope = NewDisposeScope();
        Tensor X = CodingData.Random(40, 16, 2);
        var learner = new GradientDictionaryLearner(new ThresholdCoder(new L1(0.4), ThresholdCoderOptions.V1), Small);
        using DictionaryState state = learner.Start(16);
        Tensor unit = state.Dictionary.div(state.Dictionary.norm(1, keepdim: true));
        using CodingResult codes = learner.Coder.Encode(X, unit);
        BatchReport report = learner.Step(state, X);
        Tensor residual = X - codes.Codes.mm(unit);
        Assert.InRange(CodingData.MaxDifference(unit + 0.02 * codes.Codes.t().mm(residual), state.Dictionary), 0, 1e-12);
        Assert.Equal(residual.pow(2).mean().item<double>(), report.MeanSquaredError, 12);
        Assert.Equal(learner.Coder.Objective(X, unit, codes.Codes) / 40, report.Objective, 10);
        Assert.Equal(codes.ActiveUnits, report.ActiveUnits);
        Assert.Equal(1, state.Batch);
    }

    [Fact]
    public void Schedules_are_the_papers()
    {
        Assert.Equal(0.05, RateSchedules.Constant(0.05, 1000));
        Assert.Equal(0.05 / (1 + 0.001 * 1000), RateSchedules.Decay(0.05, 1000), 15);
    }

    [Fact]
    public void Refuses_bad_input()
    {
        var coder = new ThresholdCoder(new L1(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GradientDictionaryLearner(coder, Small with { Atoms = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GradientDictionaryLearner(coder, Small with { EtaDictionary = -1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GradientDictionaryLearner(coder, Small with { BatchSize = 0 }));
        using var scope = NewDisposeScope();
        var wild = new GradientDictionaryLearner(new ThresholdCoder(new L1(1e-3), ThresholdCoderOptions.V1), Small with { EtaDictionary = 1e300 });
        Assert.ThrowsAny<Exception>(() => wild.Fit(CodingData.Random(100, 16, 1)));
        Assert.Throws<ArgumentException>(() => wild.Fit(zeros(3)));
    }

    [Fact]
    public void Bisection_finds_the_sparsity_and_disposes_what_it_leaves()
    {
        var made = new List<Fit>();
        SparsityMatch<Fit> match = MatchSparsity.Bisect(
            strength => { made.Add(new Fit(8 / strength)); return made[^1]; }, fit => fit.Active, 8, 0.01, 20, 0.2, 30);
        Assert.True(match.IsMatched);
        Assert.InRange(match.ActiveUnits, 7.8, 8.2);
        Assert.Equal(8 / match.Strength, match.ActiveUnits, 12);
        Assert.Equal(made.Count, match.Trace.Count);
        Assert.All(made, fit => Assert.Equal(fit != match.Best, fit.IsDisposed));
        Assert.Equal(Math.Sqrt(0.01 * 20), match.Trace[0].Strength, 12);

        SparsityMatch<double> outside = MatchSparsity.Bisect(s => 8 / s, a => a, 8, 3, 20, 0.2, 6);
        Assert.False(outside.IsMatched);
        Assert.Equal(6, outside.Trace.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => MatchSparsity.Bisect(s => s, a => a, 8, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => MatchSparsity.Bisect(s => s, a => a, 8, 2, 1));
        var lost = Assert.Throws<InvalidOperationException>(() => MatchSparsity.Bisect(s => s, _ => double.NaN, 8, 1, 100));
        Assert.Contains("strength 10 has NaN active units", lost.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => MatchSparsity.Bisect(s => s, a => a, -1, 1, 2));
    }

    private sealed class Fit(double active) : IDisposable
    {
        public double Active { get; } = active;

        public bool IsDisposed { get; private set; }

        public void Dispose() => IsDisposed = true;
    }

    private sealed class Inline(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }
}
