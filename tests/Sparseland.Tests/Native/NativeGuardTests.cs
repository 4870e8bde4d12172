using System.Runtime.InteropServices;
using Sparseland.Native;
using TorchSharp;

namespace Sparseland.Tests.Native;

/// <summary>Mistakes that end an unguarded process. That this one is still alive is the test.</summary>
public class NativeGuardTests
{
    private static bool Guardable => OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64;

    [Fact]
    public void It_is_active_where_it_can_be()
    {
        NativeLibraryReport report = NativeLibraries.Describe();
        Assert.Equal(Guardable, report.Guarded);
        Assert.Null(report.GuardFailure);
    }

    [Fact]
    public void Wrong_shapes_and_types_in_matmul_throw() => Throws(
        ("(2x3 and 4x5)", () => torch.ones(2, 3).matmul(torch.ones(4, 5))),
        ("same dtype", () => torch.matmul(torch.ones(2, 3), torch.ones(3, 5, dtype: torch.float64))));

    [Fact]
    public void A_second_or_impossible_gradient_throws() => Throws(
        ("second time", () =>
        {
            torch.Tensor x = torch.ones(2, requires_grad: true), y = (x * x).sum();
            torch.autograd.grad([y], [x]);
            torch.autograd.grad([y], [x]);
        }),
        ("does not require grad", () => torch.autograd.grad([torch.ones(1)], [torch.ones(1)])));

    /// <summary>Unguarded, the finalizer frees the number while the operation reads it: in some ten thousand calls one fails, or takes another number.</summary>
    [Fact]
    public void A_number_lives_until_the_operation_has_read_it()
    {
        bool stop = false;
        var collector = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        collector.Start();
        try
        {
            using torch.Tensor ones = torch.ones(8);
            for (int i = 0; i < 10_000; i++)
            {
                using torch.Tensor scaled = ones * 2.5;
                Assert.Equal(2.5f, scaled.data<float>()[i % 8]);
            }
        }
        finally
        {
            Volatile.Write(ref stop, true);
            collector.Join();
        }
    }

    [Fact]
    public void A_dimension_out_of_range_throws() => Throws(
        ("out of range", () => torch.ones(2).cummax(5)),
        ("out of range", () => torch.ones(2).cummin(5)));

    [Fact]
    public void A_wrong_generator_state_and_a_parameter_that_is_no_leaf_throw() => Throws(
        ("ByteTensor", () => torch.set_rng_state(torch.ones(3))),
        ("non-leaf", () => torch.optim.LBFGS([new TorchSharp.Modules.Parameter(torch.ones(2, requires_grad: true) * 2)])));

    [Fact]
    public void Results_are_those_of_the_real_functions()
    {
        using var scope = torch.NewDisposeScope();
        torch.Tensor x = torch.tensor(new[] { 3.0, 1.0, 5.0 }, requires_grad: true);
        Assert.Equal(35.0, x.matmul(x).item<double>());
        Assert.Equal([6.0, 2.0, 10.0], torch.autograd.grad([(x * x).sum()], [x])[0].data<double>().ToArray());
        Assert.Equal([3.0, 3.0, 5.0], x.detach().cummax(0).values.data<double>().ToArray());
        Assert.Equal([3.0, 1.0, 1.0], x.detach().cummin(0).values.data<double>().ToArray());
    }

    [Fact]
    public void Each_thread_gets_its_own_message()
    {
        if (!Guardable)
        {
            return;
        }
        Parallel.For(1, 200, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i =>
        {
            using var scope = torch.NewDisposeScope();
            string message = Assert.Throws<ExternalException>(() => torch.ones(i, 3).matmul(torch.ones(4, 5))).Message;
            Assert.Contains($"({i}x3 and 4x5)", message);
            Assert.Equal(3f * i, torch.ones(i, 3).matmul(torch.ones(3, 1)).sum().item<float>());
        });
    }

    private static void Throws(params (string Message, Action Mistake)[] mistakes)
    {
        if (!Guardable)
        {
            return;
        }
        using var scope = torch.NewDisposeScope();
        Assert.All(mistakes, m => Assert.Contains(m.Message, Assert.Throws<ExternalException>(m.Mistake).Message));
    }
}
