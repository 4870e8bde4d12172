using Sparseland.Training;

namespace Sparseland.Tests.Training;

public class RetrainScheduleTests
{
    [Fact]
    public void An_adaptive_rate_lies_between_the_length_and_the_whole()
    {
        RetrainSchedule schedule = new(RetrainRate.Adaptive, 0.2);
        Assert.Equal(0.2 * 0.4 / Math.Sqrt(0.5), schedule.StartOf(0.4, 0.5, 0.3), 15);
        Assert.Equal(0.2 * 0.3, schedule.StartOf(0.01, 0.5, 0.3), 15);
        Assert.Equal(0.2, schedule.StartOf(1, 0.5, 0.3), 15);
        Assert.Equal(0.2, schedule.StartOf(0.01, 0.5, 4), 15);
        Assert.Equal(0.2, new RetrainSchedule(RetrainRate.Linear, 0.2).StartOf(0.01, 0.5, 0.3), 15);
    }

    [Fact]
    public void A_linear_rate_climbs_and_falls_to_zero_and_a_constant_one_stays()
    {
        TrainingOptions linear = new RetrainSchedule(RetrainRate.Linear, 0.1).Options(100, 0.1), constant = new RetrainSchedule(RetrainRate.Constant, 0.1).Options(100, 0.03);
        Assert.Equal(0.01, linear.RateOf(0), 12);
        Assert.Equal(0.1, linear.RateOf(10), 12);
        Assert.Equal(0.1 * 44 / 89, linear.RateOf(55), 12);
        Assert.Equal(0, linear.RateOf(99), 12);
        Assert.All([0, 50, 99], step => Assert.Equal(0.03, constant.RateOf(step), 15));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RetrainSchedule(RetrainRate.Adaptive, 0.1).StartOf(double.NaN, 0.5, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RetrainSchedule(RetrainRate.Linear, 0).StartOf(0.1, 0.5, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => (new RetrainSchedule(RetrainRate.Linear, 0.1) { WarmUp = 1 }).Options(10, 0.1));
    }

    [Fact]
    public void A_cubic_schedule_is_fast_at_first_and_a_linear_one_is_even()
    {
        SparsitySchedule cubic = SparsitySchedule.Cubic(0.8, 10, 50, 0.2), linear = SparsitySchedule.Linear(0.8, 10, 50, 0.2);
        Assert.Equal([0.2, 0.2, 0.725, 0.8, 0.8], [.. new long[] { 0, 10, 30, 50, 99 }.Select(t => Math.Round(cubic.At(t), 12))]);
        Assert.Equal([0.2, 0.35, 0.5, 0.8], [.. new long[] { 5, 20, 30, 50 }.Select(t => Math.Round(linear.At(t), 12))]);
        Assert.Equal(0.7, SparsitySchedule.Constant(0.7).At(0));
        Assert.Equal(0.7, SparsitySchedule.Constant(0.7).At(5));
        Assert.Throws<ArgumentOutOfRangeException>(() => SparsitySchedule.Constant(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => SparsitySchedule.Constant(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => SparsitySchedule.Cubic(0.5, 10, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => SparsitySchedule.Linear(0.5, 0, 5, 0.6));
        Assert.Throws<ArgumentOutOfRangeException>(() => cubic.At(-1));
    }
}
