using Sparseland.Kernels;
using Xunit;

namespace Sparseland.Tests.Kernels;

public class MachineLimitsTests
{
    [Fact]
    public void Limits_are_measured_once_and_bound_a_kernel_from_below()
    {
        MachineLimits limits = MachineLimits.Measure(1);
        Assert.Same(limits, MachineLimits.Measure(1));
        Assert.True(limits is { Threads: 1, MemoryBandwidth: > 0, CacheBandwidth: > 0, FloatRate: > 0, GatherRate: > 0 } && double.IsFinite(limits.FloatRate));
        Assert.Equal(3, limits.LeastSeconds(limits.MemoryBandwidth, 3 * limits.FloatRate, 2 * limits.GatherRate), 12);
        Assert.Equal(1, limits.LeastSeconds(limits.CacheBandwidth, cached: true), 12);
        Assert.Throws<ArgumentOutOfRangeException>(() => limits.LeastSeconds(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => MachineLimits.Measure(-1));
    }
}
