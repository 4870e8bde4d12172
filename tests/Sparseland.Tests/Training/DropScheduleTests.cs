using Sparseland.Training;

namespace Sparseland.Tests.Training;

public class DropScheduleTests
{
    [Fact]
    public void The_cosine_begins_at_alpha_and_ends_at_its_floor()
    {
        DropSchedule schedule = DropSchedule.CosineTo(0.5, 0.005);
        Assert.Equal(0.5, schedule.At(0, 800), 1e-15);
        Assert.Equal(0.005, schedule.At(800, 800));
        Assert.Equal(0.005, schedule.At(2000, 800));
        Assert.Equal(0.005 + (0.495 / 2), schedule.At(400, 800), 1e-15);
        Assert.Equal(0, DropSchedule.Cosine(0.3).At(10, 10));
    }

    [Fact]
    public void A_cosine_to_itself_is_constant()
    {
        for (long t = 0; t <= 100; t++) Assert.Equal(0.005, DropSchedule.CosineTo(0.005, 0.005).At(t, 100));
        for (long t = 0; t <= 100; t++) Assert.Equal(0.3, DropSchedule.Constant(0.3).At(t, 100));
        Assert.Equal(0.15, DropSchedule.Linear(0.3).At(50, 100), 1e-15);
    }

    [Fact]
    public void Counts_round_as_they_are_told()
    {
        TopologyOptions down = new(), up = new() { RoundUp = true };
        Assert.Equal((3, 3), (down.CountOf(0.1, 30), up.CountOf(0.1, 30)));
        Assert.Equal((3, 4), (down.CountOf(0.11, 30), up.CountOf(0.11, 30)));
        Assert.Equal((0, 0), (down.CountOf(0, 30), up.CountOf(0, 30)));
        Assert.Equal((30, 30), (down.CountOf(1, 30), up.CountOf(1, 30)));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        Assert.Throws<ArgumentOutOfRangeException>("alpha", () => DropSchedule.Cosine(1.2));
        Assert.Throws<ArgumentOutOfRangeException>("floor", () => DropSchedule.CosineTo(0.5, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>("share", () => DropSchedule.Constant(-1));
        Assert.Throws<ArgumentOutOfRangeException>("Interval", () => new TopologyOptions { Interval = 0 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>("Length", () => new TopologyOptions { Length = 0 }.Validate());
    }
}
