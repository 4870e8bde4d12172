using Sparseland.Kernel.Jupyter;

namespace Sparseland.Kernel.Tests.Jupyter;

/// <summary>What an interrupt and the end of the kernel do to the work of the shell thread.</summary>
public sealed class RunningCellTests
{
    [Fact]
    public void An_interrupt_between_two_cells_stops_neither()
    {
        var running = new RunningCell();
        Assert.False(running.Interrupt());
        Assert.False(running.Run(cancel => cancel.IsCancellationRequested));
    }

    [Fact]
    public void A_cell_that_begins_while_the_kernel_ends_starts_cancelled()
    {
        var running = new RunningCell();
        running.Close();
        Assert.True(running.Run(cancel => cancel.IsCancellationRequested));
    }

    [Fact]
    public void The_end_of_the_kernel_stops_the_running_cell()
    {
        var running = new RunningCell();
        Assert.True(running.Run(cancel =>
        {
            running.Close();
            return cancel.WaitHandle.WaitOne(TimeSpan.FromSeconds(30));
        }));
    }
}
