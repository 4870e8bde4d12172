using Sparseland.LowRank;
using TorchSharp;
using static Sparseland.Tests.LowRank.MonarchTests;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class MonarchTransformTests
{
    [Theory, InlineData(3, 5), InlineData(4, 4), InlineData(1, 6), InlineData(6, 1)]
    public void A_stride_permutation_reads_a_matrix_column_by_column(int rows, int columns)
    {
        using DisposeScope scope = NewDisposeScope();
        var P = new StridePermutation(rows, columns);
        Tensor x = Normal([2, P.Length], 1);
        Tensor expected = stack([.. P.Order().Select(at => x.select(1, at))], 1);
        AssertClose(expected, P.Apply(x), 0);
        AssertClose(expected, x.mm(P.ToDense().t()), 0);
        AssertClose(x, P.Inverse.Apply(P.Apply(x)), 0);
        Assert.Equal(0, P.Order()[0]);
        if (rows > 1) Assert.Equal(columns, P.Order()[1]);
        Assert.Throws<ArgumentException>("x", () => P.Apply(zeros(P.Length + 1)));
        Assert.Throws<ArgumentOutOfRangeException>("rows", () => new StridePermutation(0, 3));
    }

    [Theory, InlineData(2, 3, 4, 5), InlineData(4, 4, 4, 4), InlineData(1, 1, 3, 2)]
    public void A_kronecker_product_is_a_monarch_matrix(int l, int k, int j, int i)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor A = Normal([l, k], 1), B = Normal([j, i], 2);
        MonarchMatrix m = Monarch.Kronecker(A, B);
        AssertClose(kron(A, B), m.ToDense(), 0);
        Assert.InRange(Monarch.Project(kron(A, B), m.Shape).RelativeError, 0, 1e-28);
    }

    [Theory, InlineData(1), InlineData(2), InlineData(8), InlineData(64), InlineData(256)]
    public void Hadamard_is_that_of_the_fast_transform(int n)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor expected = eye(n, dtype: ScalarType.Float64);
        Sparseland.Kernels.Hadamard.TransformInPlace(expected);
        AssertClose(expected, Monarch.Hadamard(n).ToDense(), 0);
    }

    [Theory, InlineData(1), InlineData(16), InlineData(64), InlineData(225), InlineData(256)]
    public void The_fourier_transform_in_stride_order_is_that_of_libtorch(int n)
    {
        using DisposeScope scope = NewDisposeScope();
        int m = (int)Math.Sqrt(n);
        MonarchMatrix M = Monarch.Fourier(n);
        Tensor x = Normal([3, n], 1);
        AssertClose(fft.fft_(x), M.Multiply(new StridePermutation(m, m).Apply(x)), 1e-12);
        AssertClose(fft.fft_(eye(n, dtype: ScalarType.Float64)).index_select(1, tensor(new StridePermutation(m, m).Order(), dtype: ScalarType.Int64)), M.ToDense(), 1e-12);
    }

    /// <summary>What is in the class and what is not, with the shares that a projection must leave: 1 - 1/m for the transform in its own order and for the stride permutation.</summary>
    [Theory, InlineData(16), InlineData(64), InlineData(256)]
    public void Projections_of_transforms_leave_what_theory_says(int n)
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchShape shape = MonarchShape.ForSquare(n);
        int m = shape.InputBlocks;
        double Error(Tensor W) => Monarch.Project(W, shape).RelativeError;
        Tensor one = eye(n, dtype: ScalarType.Float64), F = fft.fft_(one), H = one.clone();
        Sparseland.Kernels.Hadamard.TransformInPlace(H);
        Assert.InRange(Error(H), 0, 1e-24);
        Assert.InRange(Error(one), 0, 1e-24);
        Assert.InRange(Error(Monarch.Fourier(n).ToDense()), 0, 1e-24);
        Assert.Equal(1 - (1.0 / m), Error(F), 1e-12);
        Assert.Equal(1 - (1.0 / m), Error(new StridePermutation(m, m).ToDense()), 1e-12);
        Assert.InRange(Error(block_diag([.. Enumerable.Range(0, m).Select(k => Normal([m, m], k))])), 0, 1e-24);
    }

    [Theory, InlineData(16), InlineData(64), InlineData(225)]
    public void A_convolution_is_a_product_of_two_monarch_matrices(int n)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor kernel = Normal([n], 1), signal = Normal([2, n], 2);
        MonarchConvolution c = Monarch.Convolution(kernel);
        Tensor circulant = stack([.. Enumerable.Range(0, n).Select(s => kernel.roll(s, 0))], 1);
        AssertClose(circulant, c.Left.ToDense().mm(c.Right.ToDense().conj().resolve_conj().t()).real, 1e-12);
        AssertClose(signal.mm(circulant.t()), c.Apply(signal), 1e-12);
        Assert.Equal(ScalarType.Float32, c.Apply(signal.to(ScalarType.Float32)).dtype);
        // A circulant by itself is not in the class.
        Assert.InRange(Monarch.Project(circulant, MonarchShape.ForSquare(n)).RelativeError, 0.1, 1);
    }

    [Fact]
    public void The_adjoint_of_complex_factors_is_conjugated()
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchMatrix M = Monarch.Fourier(16);
        Tensor y = fft.fft_(Normal([2, 16], 3));
        AssertClose(y.mm(M.ToDense().conj().resolve_conj()), M.MultiplyAdjoint(y), 1e-12);
    }

    [Fact]
    public void Lengths_and_types_that_there_are_not_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Assert.Throws<ArgumentOutOfRangeException>("n", () => Monarch.Hadamard(12));
        Assert.Contains("9 = 3^2", Assert.Throws<ArgumentException>("n", () => Monarch.Fourier(10)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("n", () => Monarch.Convolution(zeros(10)));
        Assert.Throws<ArgumentException>("kernel", () => Monarch.Convolution(zeros(4, 4)));
        Assert.Throws<ArgumentException>("kernel", () => Monarch.Convolution(full(16, double.NaN)));
        Assert.Throws<ArgumentException>("signal", () => Monarch.Convolution(ones(16)).Apply(zeros(16, dtype: ScalarType.Int64)));
        Assert.Throws<ArgumentException>("a", () => Monarch.Kronecker(zeros(4), zeros(2, 2)));
        Assert.Throws<ArgumentException>("b", () => Monarch.Kronecker(zeros(2, 2), zeros(2, 2, dtype: ScalarType.Float64)));
    }
}
