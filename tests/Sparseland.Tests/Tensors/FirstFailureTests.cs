using Sparseland.Tensors;

namespace Sparseland.Tests.Tensors;

public class FirstFailureTests
{
    [Fact]
    public void A_loop_fails_with_the_exception_itself()
    {
        FormatException error = Assert.Throws<FormatException>(() => FirstFailure.Of(() => Parallel.For(0, 64, i => throw new FormatException("bad"))));
        Assert.Equal("bad", error.Message);
    }

    [Fact]
    public void A_failure_stands_before_a_cancellation()
    {
        void Loop() => throw new AggregateException(new OperationCanceledException(), new AggregateException(new FormatException("bad")));
        Assert.Throws<FormatException>(() => FirstFailure.Of(Loop));
        Assert.Throws<OperationCanceledException>(() => FirstFailure.Of(() => throw new AggregateException(new OperationCanceledException())));
    }

    [Fact]
    public void A_loop_that_ends_is_left_alone()
    {
        int sum = 0;
        FirstFailure.Of(() => Parallel.For(0, 100, i => Interlocked.Add(ref sum, i)));
        Assert.Equal(4950, sum);
    }
}
