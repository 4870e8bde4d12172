using Sparseland.Probabilistic;

namespace Sparseland.Tests.Probabilistic;

public class ScheduleTests
{
    [Fact]
    public void A_ramp_is_linear_between_its_points_and_constant_outside()
    {
        Ramp ramp = Ramp.Fractions((0.2, 5), (-0.2, 1));
        Assert.Equal([5.0, 5, 5, 13 / 3.0, 11 / 3.0, 3, 7 / 3.0, 5 / 3.0, 1, 1], Enumerable.Range(0, 10).Select(s => ramp.At(s, 10)), (a, b) => Math.Abs(a - b) < 1e-12);
        Ramp steps = Ramp.Steps((2, 0), (-1, 7));
        Assert.Equal(0, steps.At(0, 10));
        Assert.Equal(3, steps.At(5, 10), 1e-12);
        Assert.Equal(7, steps.At(9, 10));
        Ramp constant = 4;
        Assert.Equal(4, constant.At(3, 10));
    }

    [Fact]
    public void Cooling_reaches_one_and_cuts_all_at_the_end()
    {
        AnnealingSchedule schedule = AnnealingSchedule.Cooling(100, 5);
        Assert.Equal((5.0, 0.0), (schedule.At(0).Temperature, schedule.At(0).CutOut));
        Assert.Equal(3, schedule.At(40).Temperature, 1e-12);
        Assert.Equal(1, schedule.At(80).Temperature);
        Assert.Equal(1, schedule.At(99).CutOut);
        Assert.Equal(0.5, schedule.At(33).CutOut, 0.01);
    }

    [Fact]
    public void Impossible_schedules_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Ramp.Fractions());
        Assert.Throws<ArgumentException>(() => Ramp.Fractions((0.5, 1), (0.5, 2)));
        Assert.Throws<ArgumentException>(() => Ramp.Fractions((0.9, 1), (-0.2, 2)));
        Assert.Throws<ArgumentException>(() => Ramp.Fractions((0, double.NaN)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Ramp.Fractions((1.5, 1)));
        Refused(new() { Steps = 0 }, "Steps");
        Refused(new() { Temperature = 0.5 }, "Temperature");
        Refused(new() { CutOut = 1.5 }, "CutOut");
        Refused(new() { Share = 0 }, "Share");
        Refused(new() { WeightNoise = -1 }, "WeightNoise");
        Assert.Throws<ArgumentException>(() => new AnnealingSchedule { Steps = 10, Temperature = Ramp.Steps((8, 2), (-5, 1)) }.Validate());

        static void Refused(AnnealingSchedule schedule, string name) =>
            Assert.Equal(name, Assert.ThrowsAny<ArgumentException>(schedule.Validate).ParamName);
    }

    [Theory]
    [InlineData(6, 4, 1)]
    [InlineData(5, 5, 2)]
    [InlineData(4, 1, 3)]
    public void The_state_set_is_every_state_once(int candidates, int active, int values)
    {
        StateSet set = StateSet.Build(candidates, active, values);
        sbyte[,] rows = set.ToMatrix();
        Assert.Equal(set.Multiples, rows.GetLength(0));
        Assert.Equal(StateSet.CountStates(candidates, active, values), set.Multiples);
        var seen = new HashSet<string>();
        for (int i = 0; i < rows.GetLength(0); i++)
        {
            sbyte[] row = [.. Enumerable.Range(0, candidates).Select(h => rows[i, h])];
            Assert.InRange(row.Count(v => v != 0), 2, active);
            Assert.All(row, v => Assert.InRange(v, (sbyte)0, (sbyte)values));
            Assert.True(seen.Add(string.Join(' ', row)));
        }
    }
}
