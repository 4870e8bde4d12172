using Sparseland.AssociativeMemory;

namespace Sparseland.Tests.AssociativeMemory;

public class MacrocolumnTests
{
    private static readonly MacOptions Options = new() { Inputs = 60, Q = 12, K = 6 };

    [Fact]
    public void One_trial_sets_exactly_the_weights_between_active_and_winners()
    {
        var mac = new Macrocolumn(Options);
        int[] item = [3, 17, 59];
        CodeResult code = mac.Store(item);
        Assert.True(code is { IsActive: true, IsUntrained: true, Familiarity: 0, Expansivity: 1, Signals: MacSignals.U });
        for (int i = 0; i < 60; i++)
        {
            for (int cell = 0; cell < 72; cell++)
            {
                bool both = item.Contains(i) && code.Winners.Contains(cell);
                Assert.Equal(both, mac.BottomUp[i, cell]);
                Assert.Equal(both, mac.Generative[cell, i]);
            }
        }

        Assert.Equal(36.0 / (60 * 72), mac.WeightDensity, 1e-15);
        Assert.Null(mac.Horizontal);
        Assert.Equal(item, mac.Decode(code.Winners, 3));
        Assert.Equal(1.0, mac.DecodeSupport(code.Winners)[17]);
        Assert.Equal(0.0, mac.DecodeSupport(code.Winners)[18]);
        Assert.Equal(1, mac.Recall(item).Familiarity);
    }

    [Fact]
    public void Recall_learns_nothing_and_changes_no_later_code()
    {
        int[][] items = BinaryPatterns.Random(60, 8, 30, 1);
        Macrocolumn quiet = new(Options), asked = new(Options);
        foreach (int[] item in items)
        {
            asked.Recall(items[0]);
            asked.Choose(items[1], draw: 4);
            Assert.Equal(quiet.Store(item).Winners, asked.Store(item).Winners);
        }

        double density = asked.WeightDensity;
        asked.RecallAll(BinaryPatterns.Random(60, 8, 50, 2));
        Assert.Equal(density, asked.WeightDensity);
        Assert.Equal(30, asked.Steps);
    }

    [Fact]
    public void Recall_before_any_store_is_random_and_flagged()
    {
        var mac = new Macrocolumn(Options);
        CodeResult code = mac.Recall(new[] { 1, 2 });
        Assert.True(code is { IsUntrained: true, Familiarity: 0, IsActive: true });
        Assert.Equal(12, code.Winners.Length);
        Assert.NotEqual(code.Winners, mac.Recall(new[] { 1, 2 }, tie: 1).Winners);
        mac.Store(new[] { 1, 2 });
        Assert.False(mac.Recall(new[] { 1, 2 }).IsUntrained);
    }

    [Fact]
    public void Outside_its_band_the_macrocolumn_stays_off_and_learns_nothing()
    {
        var mac = new Macrocolumn(Options with { MinActive = 3, MaxActive = 5 });
        foreach (int[] item in new int[][] { [1, 2], [1, 2, 3, 4, 5, 6] })
        {
            Assert.True(mac.Store(item) is { IsActive: false, Winners.Length: 0, Familiarity: 0 });
            Assert.False(mac.Recall(item).IsActive);
            Assert.False(mac.Choose(item).IsActive);
        }

        Assert.Equal(0, mac.Steps);
        Assert.Equal(0, mac.WeightDensity);
        Assert.True(mac.Store(new[] { 1, 2, 3 }).IsActive);
        Assert.True(mac.Store(new[] { 1, 2, 3, 4, 5 }).IsActive);
    }

    [Fact]
    public void The_support_is_divided_by_the_inputs_active_now()
    {
        int[] item = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], half = [0, 1, 2, 3, 4];
        var current = new Macrocolumn(Options with { MinActive = 5 });
        current.Store(item);
        Assert.Equal(1, current.Recall(half).Familiarity);
        Assert.Equal(0.5, current.Recall(new[] { 0, 1, 2, 20, 21, 22 }).Familiarity);

        // The static variant: five matches are full support, whatever else is active.
        var fixedSize = new Macrocolumn(Options with { MinActive = 5, Normalizer = InputNormalizer.Static });
        fixedSize.Store(item);
        Assert.Equal(1, fixedSize.Recall(item).Familiarity);
        Assert.Equal(1, fixedSize.Recall(new[] { 0, 1, 2, 3, 4, 20, 21, 22 }).Familiarity);
        Assert.Equal(0.6, fixedSize.Recall(new[] { 0, 1, 2, 20, 21, 22 }).Familiarity, 1e-15);
    }

    [Fact]
    public void A_cell_stops_learning_above_the_threshold()
    {
        // One cell, ten inputs, threshold 0.4: it learns while at most four weights are ones.
        var mac = new Macrocolumn(new() { Inputs = 10, Q = 1, K = 1, FreezeFraction = 0.4 });
        mac.Store(new[] { 0, 1, 2, 3 });
        Assert.False(mac.BottomUp.IsFrozen(0));
        mac.Store(new[] { 3, 4, 5 });
        Assert.True(mac.BottomUp.IsFrozen(0));
        Assert.Equal(6, mac.BottomUp.Increased(0));
        Assert.Equal(1, mac.BottomUp.FrozenShare);
        mac.Store(new[] { 7, 8 });
        Assert.Equal(0.6, mac.WeightDensity, 1e-15);
        Assert.False(mac.BottomUp[7, 0]);

        // The other projections have their own critical period.
        Assert.True(mac.Generative[0, 7]);
    }

    [Fact]
    public void The_reported_density_is_that_of_the_bits()
    {
        var mac = new Macrocolumn(Options with { FreezeFraction = 0.4, Permanence = new() { Window = 5, Growth = 2, Levels = 3 } });
        int[]? previous = null;
        foreach (int[] item in BinaryPatterns.GradedFamilies(60, 8, 4, 10, 3)) previous = mac.Store(new MacInput(item, previous)).Winners;
        foreach (Projection projection in new[] { mac.BottomUp, mac.Horizontal!, mac.Generative })
        {
            Assert.Equal(projection.Weights.Density, projection.Density, 1e-12);
            Assert.Equal(projection.Weights.ColumnCounts(), Enumerable.Range(0, projection.Cells).Select(projection.Increased));
            Assert.InRange(projection.Density, 0.001, 0.9);
        }
    }

    [Fact]
    public void A_lone_coincidence_is_forgotten_and_a_repeated_one_stays()
    {
        var mac = new Macrocolumn(new() { Inputs = 10, Q = 1, K = 1, Permanence = new() { Window = 3, Growth = 2, Levels = 2 } });
        mac.Store(new[] { 0, 1 });
        mac.Store(new[] { 1 });
        int[] filler = [9];
        mac.Store(filler);
        mac.Store(filler);
        Assert.True(mac.BottomUp[0, 0]);
        mac.Store(filler);
        Assert.False(mac.BottomUp[0, 0]);
        Assert.True(mac.BottomUp[1, 0]);

        // Level 1 lasts 6 steps from step 2; the filler has become permanent.
        for (int step = 6; step <= 8; step++) mac.Store(new[] { 8 });
        Assert.True(mac.BottomUp[1, 0]);
        mac.Store(new[] { 8 });
        Assert.False(mac.BottomUp[1, 0]);
        for (int step = 0; step < 30; step++) mac.Store(new[] { 7 });
        Assert.True(mac.BottomUp[9, 0]);

        // A frozen cell forgets nothing.
        var frozen = new Macrocolumn(new() { Inputs = 10, Q = 1, K = 1, FreezeFraction = 0.2, Permanence = new() { Window = 1, Levels = 1 } });
        frozen.Store(new[] { 0, 1, 2 });
        for (int step = 0; step < 5; step++) frozen.Store(new[] { 5 });
        Assert.Equal(3, frozen.BottomUp.Increased(0));
    }

    [Fact]
    public void Context_is_the_product_of_both_signals()
    {
        var mac = new Macrocolumn(Options with { Exponents = new(1, 2, 1) });
        int[] a = [0, 1, 2, 3], b = [4, 5, 6, 7];
        int[] first = mac.Store(a).Winners, second = mac.Store(new MacInput(b, first)).Winners;
        double[] u = mac.BottomUpSupport(b), h = mac.HorizontalSupport(first);
        Assert.All(second, cell => Assert.Equal((1.0, 1.0), (u[cell], h[cell])));
        int[] cue = [4, 5, 50, 51], half = [.. first.Take(6), .. second.Skip(6)];
        double[] v = mac.Evidence(new MacInput(cue, half));
        Assert.All(second, cell => Assert.Equal(0.5 * 0.25, v[cell], 1e-15));
        Assert.Equal(1, mac.Recall(new MacInput(null, first)).Familiarity);
        Assert.Equal(second, mac.Recall(new MacInput(null, first)).Winners);
        Assert.Equal(MacSignals.U, mac.Recall(new MacInput(b, first), MacSignals.U).Signals);
    }

    [Fact]
    public void Top_down_signals_take_part_where_there_is_a_source()
    {
        var mac = new Macrocolumn(Options with { TopDownCells = 20 });
        int[] item = [0, 1, 2, 3], higher = [5, 6, 7, 8];
        int[] code = mac.Store(new MacInput(item, TopDown: higher)).Winners;
        Assert.All(code, cell => Assert.Equal(0.5, mac.TopDownSupport([5, 6, 10, 11])[cell]));
        Assert.Equal(0.25, mac.Recall(new MacInput([0, 1, 30, 31], TopDown: [5, 6, 10, 11])).Familiarity, 1e-15);
        Assert.Equal(code, mac.Recall(new MacInput(null, TopDown: higher)).Winners);
    }

    [Fact]
    public void Backoff_drops_the_signal_that_does_not_fit()
    {
        int[] item = [0, 1, 2, 3], other = [20, 21, 22, 23], higher = [5, 6], wrong = [15, 16];
        var mac = new Macrocolumn(Options with { TopDownCells = 20, Backoff = new() { Full = 0.6, Pair = 0.6 } });
        int[] past = mac.Store(other).Winners, code = mac.Store(new MacInput(item, past, higher)).Winners;
        int[] strange = [.. past.Select((cell, q) => (q * 6) + ((cell + 1) % 6))];
        Assert.True(mac.Recall(new MacInput(item, past, higher)) is { Signals: MacSignals.All, Familiarity: 1 });
        Assert.Equal(MacSignals.U | MacSignals.H, mac.Recall(new MacInput(item, past, wrong)).Signals);
        Assert.Equal(MacSignals.U | MacSignals.D, mac.Recall(new MacInput(item, Disjoint(past, code), higher)).Signals);
        CodeResult alone = mac.Recall(new MacInput(item, Disjoint(past, code), wrong));
        Assert.Equal(MacSignals.U, alone.Signals);
        Assert.Equal(code, alone.Winners);

        // The last level is taken whatever its familiarity.
        Assert.Equal((MacSignals.U, 0.25), (mac.Recall(new MacInput([0, 40, 41, 42], past)).Signals, mac.Recall(new MacInput([0, 40, 41, 42], past)).Familiarity));

        // Without backoff one strange signal wipes everything out.
        var strict = new Macrocolumn(Options with { TopDownCells = 20 });
        strict.Learn(new MacInput(item, past, higher), code);
        Assert.Equal(0, strict.Recall(new MacInput(item, past, wrong)).Familiarity);
        Assert.Equal(12, strange.Length);

        int[] Disjoint(int[] a, int[] b) => [.. a.Select((cell, q) => Enumerable.Range(q * 6, 6).First(c => c != cell && c != b[q]))];
    }

    [Fact]
    public void Two_hypotheses_keep_their_strength_until_one_is_left()
    {
        // A-X-B and C-X-D: X alone leaves both contexts possible, so half of the winners belong to each.
        int[] a = [0, 1, 2, 3], c = [4, 5, 6, 7], x = [8, 9, 10, 11], b = [12, 13, 14, 15], d = [16, 17, 18, 19];
        CodeResult Last(HypothesesOptions? several, out CodeResult middle, out int[] wanted)
        {
            var mac = new Macrocolumn(new() { Inputs = 40, Q = 40, K = 16, Hypotheses = several });
            var memory = new SequenceMemory(mac);
            wanted = memory.StoreSequence([a, x, b])[2].Winners;
            memory.StoreSequence([c, x, d]);
            memory.Begin();
            middle = memory.Recall(x);
            CodeResult last = memory.Recall(b);
            memory.End();
            return last;
        }

        CodeResult boosted = Last(new(), out CodeResult middle, out int[] wanted);
        Assert.Equal((2, 2.0), (middle.Hypotheses, middle.Boost));
        CodeResult plain = Last(null, out CodeResult unboosted, out _);
        Assert.Equal((2, 1.0), (unboosted.Hypotheses, unboosted.Boost));
        Assert.InRange(plain.Familiarity, 0.3, 0.7);
        Assert.InRange(boosted.Familiarity, plain.Familiarity + 0.2, 1);
        Assert.Equal(wanted, boosted.Winners);
        Last(new() { Cap = 1 }, out CodeResult capped, out _);
        Assert.Equal(1, capped.Boost);
    }

    [Fact]
    public void Threads_and_repetition_change_nothing()
    {
        int[][] items = BinaryPatterns.Random(60, 8, 80, 1), cues = BinaryPatterns.Random(60, 8, 200, 2);
        Macrocolumn one = new(Options), two = new(Options), other = new(Options with { Seed = 9 });
        int[][] codes = Winners(one.StoreAll(items));
        Assert.Equal(codes, Winners(two.StoreAll(items)));
        Assert.NotEqual(codes, Winners(other.StoreAll(items)));
        CodeResult[] single = one.RecallAll(cues, threads: 1);
        Assert.Equal(Winners(single), Winners(two.RecallAll(cues, threads: 8)));
        Assert.Equal(single.Select(r => r.Familiarity), two.RecallAll(cues).Select(r => r.Familiarity));

        static int[][] Winners(CodeResult[] results) => [.. results.Select(r => r.Winners)];
    }

    [Fact]
    public void Long_calls_report_and_can_be_cancelled()
    {
        int[][] items = BinaryPatterns.Random(60, 8, 10, 1);
        var mac = new Macrocolumn(Options);
        using var stop = new CancellationTokenSource();
        var reports = new List<ProgressReport>();
        var progress = new Immediately(report =>
        {
            reports.Add(report);
            if (report.Done == 4) stop.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => mac.StoreAll(items, progress, stop.Token));
        Assert.Equal(4, mac.Steps);
        Assert.Equal([1L, 2, 3, 4], reports.Select(r => r.Done));
        Assert.All(reports, r => Assert.Equal(10, r.Total));
        Assert.Throws<OperationCanceledException>(() => mac.RecallAll(items, cancel: stop.Token));
        int done = 0;
        mac.RecallAll(items, new Immediately(_ => Interlocked.Increment(ref done)));
        Assert.Equal(10, done);
    }

    private sealed class Immediately(Action<ProgressReport> action) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => action(value);
    }
}
