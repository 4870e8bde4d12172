using Sparseland.AssociativeMemory;

namespace Sparseland.Tests.AssociativeMemory;

public class MacGridTests
{
    private static readonly MacGridOptions Options = new()
    {
        Height = 12, Width = 16, Rows = 2, Columns = 2,
        Lower = new() { Inputs = 1, Q = 16, K = 8, Backoff = new() },
        Top = new() { Inputs = 1, Q = 16, K = 8 },
    };

    [Fact]
    public void Patches_go_to_their_macrocolumns()
    {
        var grid = new MacGrid(Options);
        Assert.Equal(4, grid.Lower.Count);
        Assert.All(grid.Lower, mac => Assert.Equal((48, 128), (mac.Options.Inputs, mac.Options.TopDownCells)));
        Assert.Equal(4 * 128, grid.Top.Options.Inputs);

        // Row 7, column 9 is row 1, column 1 of the lower right patch: pixel 9 of 48. The other patches are empty and stay off.
        MacGridResult result = grid.Store([(7 * 16) + 9]);
        Assert.Equal([false, false, false, true], result.Lower.Select(c => c.IsActive));
        Assert.All(result.Lower[3].Winners, cell => Assert.True(grid.Lower[3].BottomUp[9, cell]));
        Assert.True(result.Top.IsActive);
        Assert.All(result.Top.Winners, cell => Assert.True(grid.Top.BottomUp[(3 * 128) + result.Lower[3].Winners[0], cell]));
    }

    [Fact]
    public void A_code_of_the_top_lasts_and_stands_for_the_frames_below()
    {
        var grid = new MacGrid(Options with { TopPersistence = 2 });
        int[][] frames = BinaryPatterns.Random(192, 40, 4, 1);
        MacGridResult[] stored = [.. frames.Select(grid.Store)];
        Assert.Same(stored[0].Top, stored[1].Top);
        Assert.NotEqual(stored[1].Top.Winners, stored[2].Top.Winners);
        Assert.Same(stored[2].Top, stored[3].Top);
        grid.Reset();
        CodeResult cold = grid.Top.Recall(new MacInput([.. stored[1].Lower.SelectMany((c, m) => c.Winners.Select(w => (128 * m) + w))]));
        Assert.Equal((1.0, true), (cold.Familiarity, cold.Winners.SequenceEqual(stored[0].Top.Winners)));
    }

    [Fact]
    public void A_stored_stretch_is_familiar_and_a_change_is_seen_where_it_is()
    {
        var grid = new MacGrid(Options);
        int[][] frames = BinaryPatterns.Random(192, 40, 5, 1);
        MacGridResult[] stored = [.. frames.Select(grid.Store)];
        grid.Reset();
        for (int t = 0; t < frames.Length; t++)
        {
            MacGridResult recalled = grid.Recall(frames[t]);
            Assert.All(recalled.Lower, code => Assert.InRange(code.Familiarity, 0.9, 1));
            Assert.Equal(stored[t].Top.Winners, recalled.Top.Winners);
            if (t > 0) Assert.All(recalled.Lower, code => Assert.Equal(MacSignals.All, code.Signals));
        }

        // New pixels in the lower right patch only.
        int[] Patch(int[] frame, bool lowerRight) => [.. frame.Where(p => (p / 16 >= 6 && p % 16 >= 8) == lowerRight)];
        int[] changed = [.. Patch(frames[0], false), .. Patch(BinaryPatterns.Random(192, 40, 1, 99)[0], true)];
        grid.Reset();
        double[] familiarity = [.. grid.Recall(changed).Lower.Select(c => c.Familiarity)];
        Assert.All(familiarity[..3], g => Assert.Equal(1, g));
        Assert.InRange(familiarity[3], 0, 0.8);
    }

    [Fact]
    public void Recall_learns_nothing_and_the_seed_decides()
    {
        int[][] frames = BinaryPatterns.Random(192, 40, 6, 2);
        MacGrid one = new(Options), two = new(Options), other = new(Options with { Seed = 2 });
        foreach (int[] frame in frames)
        {
            MacGridResult a = one.Store(frame), b = two.Store(frame), c = other.Store(frame);
            Assert.Equal(a.Lower.Select(x => x.Winners), b.Lower.Select(x => x.Winners));
            Assert.NotEqual(a.Lower.Select(x => x.Winners), c.Lower.Select(x => x.Winners));
        }

        int steps = one.Lower.Sum(mac => mac.Steps) + one.Top.Steps;
        one.Recall(frames[0]);
        Assert.Equal(steps, one.Lower.Sum(mac => mac.Steps) + one.Top.Steps);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Equal("Rows", Assert.Throws<ArgumentOutOfRangeException>(() => new MacGrid(Options with { Rows = 5 })).ParamName);
        Assert.Equal("Columns", Assert.Throws<ArgumentOutOfRangeException>(() => new MacGrid(Options with { Columns = 0 })).ParamName);
        Assert.Equal("Height", Assert.Throws<ArgumentOutOfRangeException>(() => new MacGrid(Options with { Height = 0 })).ParamName);
        Assert.Equal("TopPersistence", Assert.Throws<ArgumentOutOfRangeException>(() => new MacGrid(Options with { TopPersistence = 0 })).ParamName);
        Assert.Equal("G0", Assert.Throws<ArgumentOutOfRangeException>(() => new MacGrid(Options with { Top = Options.Top with { G0 = 1 } })).ParamName);
        var grid = new MacGrid(Options);
        Assert.Equal("active", Assert.Throws<ArgumentException>(() => grid.Store([])).ParamName);
        Assert.Equal("active", Assert.Throws<ArgumentOutOfRangeException>(() => grid.Recall([192])).ParamName);
    }
}
