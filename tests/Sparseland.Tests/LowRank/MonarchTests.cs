using FsCheck;
using FsCheck.Fluent;
using Sparseland.LowRank;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class MonarchTests
{
    public static TheoryData<int, int, int, int, int> Shapes => new()
    {
        { 16, 16, 4, 4, 1 }, { 64, 64, 8, 8, 1 }, { 24, 36, 4, 6, 3 }, { 36, 24, 3, 2, 5 }, { 30, 50, 1, 5, 2 }, { 12, 12, 12, 1, 1 }, { 17, 23, 4, 5, 2 }, { 5, 7, 3, 4, 1 }, { 1, 1, 1, 1, 1 },
    };

    [Theory, MemberData(nameof(Shapes))]
    public void Product_dense_matrix_and_the_sum_of_the_definition_agree(int inputs, int outputs, int K, int J, int b)
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchMatrix m = Random(new(inputs, outputs, K, J, b, pad: true), 3);
        Tensor W = m.ToDense(), x = Normal([7, inputs], 4), y = Normal([7, outputs], 5);
        AssertClose(Definition(m), W, 1e-13);
        AssertClose(x.mm(W.t()), m.Multiply(x), 1e-12);
        AssertClose(y.mm(W), m.MultiplyAdjoint(y), 1e-12);
    }

    /// <summary>The paper's square form: M = P L P^T R with R and L block-diagonal.</summary>
    [Theory, InlineData(16), InlineData(64), InlineData(81)]
    public void Square_matrices_are_two_block_diagonal_ones_with_a_permutation_between(int n)
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchShape shape = MonarchShape.ForSquare(n);
        int m = shape.InputBlocks;
        MonarchMatrix M = Random(shape, 1);
        Tensor P = new StridePermutation(m, m).ToDense(), R = block_diag([.. M.Right.unbind(0)]), L = block_diag([.. M.Left.unbind(0)]);
        AssertClose(P.mm(L).mm(P.t()).mm(R), M.ToDense(), 1e-12);
        Assert.Equal(2 * n * m, shape.ParameterCount);
    }

    [Fact]
    public void Batches_of_any_form_and_strided_views_are_multiplied()
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchMatrix m = Random(new(24, 36, 4, 6, 3), 3);
        Tensor W = m.ToDense(), x = Normal([3, 24, 5], 8).transpose(1, 2);
        Tensor expected = x.reshape(-1, 24).mm(W.t()).reshape(3, 5, 36);
        AssertClose(expected, m.Multiply(x), 1e-12);
        AssertClose(expected[1][2], m.Multiply(x[1][2]), 1e-12);
        Assert.Equal([0L, 36], m.Multiply(x.reshape(-1, 24).narrow(0, 0, 0)).shape);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void Gradients_are_those_of_the_dense_formula(int inputs, int outputs, int K, int J, int b)
    {
        using DisposeScope scope = NewDisposeScope();
        var shape = new MonarchShape(inputs, outputs, K, J, b, pad: true);
        Tensor weights = Normal([5, outputs], 1);
        Tensor[] Gradients(bool dense)
        {
            Tensor R = Normal(shape.RightShape, 2).requires_grad_(), L = Normal(shape.LeftShape, 3).requires_grad_(), x = Normal([5, inputs], 4).requires_grad_();
            Tensor y = dense ? x.mm(Monarch.Dense(R, L, shape).t()) : Monarch.Multiply(x, R, L, shape);
            (y.square() * weights).sum().backward();
            return [R.grad!, L.grad!, x.grad!];
        }

        foreach ((Tensor direct, Tensor dense) in Gradients(false).Zip(Gradients(true))) AssertClose(dense, direct, 1e-10);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void The_projection_drops_the_small_singular_values_of_each_slice_and_nothing_else(int inputs, int outputs, int K, int J, int b)
    {
        using DisposeScope scope = NewDisposeScope();
        var shape = new MonarchShape(inputs, outputs, K, J, b, pad: true);
        Tensor W = Normal([outputs, inputs], 9);
        MonarchProjection p = Monarch.Project(W, shape);
        Tensor spectra = Monarch.SliceSpectra(W, shape), M = p.Matrix.ToDense();
        double dropped = spectra.narrow(2, b, spectra.shape[2] - b).square().sum().item<double>(), norm = W.square().sum().item<double>();
        Assert.Equal(norm, p.SquaredNorm, norm * 1e-13);
        Assert.Equal(dropped, p.SquaredError, norm * 1e-12);
        Assert.Equal(dropped, (W - M).square().sum().item<double>(), norm * 1e-12);
        Assert.Equal(dropped / norm, p.RelativeError, 1e-12);
        Assert.Equal(0, ((W - M) * M).sum().item<double>(), norm * 1e-12);
        AssertClose(M, Monarch.Project(M, shape).Matrix.ToDense(), 1e-12);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void A_monarch_matrix_is_its_own_projection(int inputs, int outputs, int K, int J, int b)
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchMatrix m = Random(new(inputs, outputs, K, J, b, pad: true), 6);
        MonarchProjection p = Monarch.Project(m.ToDense(), m.Shape);
        AssertClose(m.ToDense(), p.Matrix.ToDense(), 1e-12);
        Assert.InRange(p.RelativeError, 0, 1e-24);
    }

    /// <summary>The own search for the largest singular pair, for spectra on which a search may stop too soon: ties, clusters, decay, rank 1, zeros.</summary>
    [Theory]
    [InlineData("ties")]
    [InlineData("cluster")]
    [InlineData("decay")]
    [InlineData("one")]
    [InlineData("zero")]
    [InlineData("gap of 1e-9")]
    [InlineData("diagonal")]
    public void Slices_of_hard_spectra_are_projected_exactly(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        const int rows = 40, columns = 28;
        double[] s = [.. Enumerable.Range(0, columns).Select(i => kind switch
        {
            "ties" => i < 5 ? 2.0 : 1.0,
            "cluster" => 1 - (1e-4 * i),
            "decay" => Math.Pow(0.1, i),
            "one" => i == 0 ? 3.0 : 0,
            "zero" => 0,
            "gap of 1e-9" => i < 2 ? 1 - (1e-9 * i) : 0.5,
            _ => 1.0 / (1 + i),
        })];
        (Tensor u, _) = linalg.qr(Normal([rows, columns], 1));
        (Tensor v, _) = linalg.qr(Normal([columns, columns], 2));
        Tensor W = kind == "diagonal" ? cat([diag(tensor(s)), zeros([rows - columns, columns], dtype: ScalarType.Float64)]) : (u * tensor(s)).mm(v.t());
        MonarchProjection p = Monarch.Project(W, new(columns, rows, 1, 1));
        double norm = s.Sum(x => x * x), dropped = s.Skip(1).Sum(x => x * x);
        Assert.Equal(dropped, p.SquaredError, Math.Max(norm, 1) * 1e-12);
        Assert.Equal(dropped, (W - p.Matrix.ToDense()).square().sum().item<double>(), Math.Max(norm, 1) * 1e-12);
    }

    [Theory, InlineData(1e-200), InlineData(1e-30), InlineData(1e20), InlineData(1e200)]
    public void The_relative_error_does_not_depend_on_the_scale(double scale)
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchShape shape = MonarchShape.ForSquare(36);
        Tensor W = Normal([36, 36], 3);
        MonarchProjection plain = Monarch.Project(W, shape), scaled = Monarch.Project(W * scale, shape);
        Assert.Equal(plain.RelativeError, scaled.RelativeError, 1e-12);
        AssertClose(plain.Matrix.ToDense(), scaled.Matrix.ToDense() / scale, 1e-11);
    }

    [Fact]
    public void Float32_and_strided_matrices_are_projected_in_float64()
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchShape shape = new(24, 36, 4, 6);
        Tensor W = Normal([24, 36], 3).to(ScalarType.Float32).t();
        MonarchProjection p = Monarch.Project(W, shape), wide = Monarch.Project(W.to(ScalarType.Float64), shape);
        Assert.Equal(ScalarType.Float32, p.Matrix.Right.dtype);
        Assert.Equal(wide.SquaredError, p.SquaredError, 1e-12 * wide.SquaredNorm);
        AssertClose(wide.Matrix.ToDense(), p.Matrix.ToDense().to(ScalarType.Float64), 1e-6);
    }

    [Fact]
    public void The_projection_does_not_depend_on_the_number_of_threads()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor W = Normal([64, 64], 3);
        foreach (MonarchShape shape in new MonarchShape[] { new(64, 64, 8, 8), new(64, 64, 4, 4, 3) })
        {
            int threads = get_num_threads();
            MonarchProjection many = Monarch.Project(W, shape);
            set_num_threads(1);
            MonarchProjection one = Monarch.Project(W, shape);
            set_num_threads(threads);
            Assert.Equal(one.SquaredError, many.SquaredError);
            Assert.True(one.Matrix.Right.equal(many.Matrix.Right).all().item<bool>() && one.Matrix.Left.equal(many.Matrix.Left).all().item<bool>());
        }
    }

    /// <summary>Values of numpy 1.24: numpy.linalg.svd over the slices of W[o, c] = sin(1 + 3 o + 2 c^2 + o c), o = l*J + j, c = k*I + i, out = 12, in = 8, K = 2, J = 3.</summary>
    [Theory, InlineData(1, 16.739407755337567), InlineData(2, 4.874190610404604)]
    public void Errors_are_those_of_numpy(int b, double expected)
    {
        using DisposeScope scope = NewDisposeScope();
        double[] entries = [.. Enumerable.Range(0, 96).Select(at => Math.Sin(1 + (3 * (at / 8)) + (2 * (at % 8) * (at % 8)) + (at / 8 * (at % 8))))];
        Assert.Equal(expected, Monarch.Project(tensor(entries, 12, 8), new(8, 12, 2, 3, b)).SquaredError, 1e-12);
    }

    [Fact]
    public void No_other_monarch_matrix_is_nearer()
    {
        var cases = from k in Gen.Choose(1, 4) from j in Gen.Choose(1, 4) from i in Gen.Choose(1, 5) from l in Gen.Choose(1, 5) from seed in Gen.Choose(0, 10_000) select (k, j, i, l, seed);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            using DisposeScope scope = NewDisposeScope();
            var shape = new MonarchShape(c.k * c.i, c.j * c.l, c.k, c.j, Math.Min(c.i, c.l));
            shape = new(shape.Inputs, shape.Outputs, c.k, c.j, 1 + (c.seed % shape.BlockRank));
            Tensor W = Normal([shape.Outputs, shape.Inputs], c.seed);
            MonarchProjection p = Monarch.Project(W, shape);
            // A step from the nearest in any direction of the factors must not come nearer.
            Tensor moved = Monarch.Dense(p.Matrix.Right + (0.01 * Normal(shape.RightShape, c.seed + 1)), p.Matrix.Left + (0.01 * Normal(shape.LeftShape, c.seed + 2)), shape);
            return (W - moved).square().sum().item<double>() >= p.SquaredError * (1 - 1e-12);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Shapes_that_there_are_not_are_refused_by_name()
    {
        Assert.Contains("do not divide 10 inputs", Assert.Throws<ArgumentException>("inputBlocks", () => new MonarchShape(10, 12, 3, 3)).Message, StringComparison.Ordinal);
        Assert.Contains("do not divide 10 outputs", Assert.Throws<ArgumentException>("outputBlocks", () => new MonarchShape(12, 10, 3, 3)).Message, StringComparison.Ordinal);
        Assert.Contains("from 1 to 3", Assert.Throws<ArgumentOutOfRangeException>("blockRank", () => new MonarchShape(12, 9, 3, 3, 4)).Message, StringComparison.Ordinal);
        Assert.Contains("49 = 7^2", Assert.Throws<ArgumentException>("n", () => MonarchShape.ForSquare(50)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("inputBlocks", () => new MonarchShape(4, 4, 5, 1, pad: true));
        Assert.Throws<ArgumentOutOfRangeException>("outputBlocks", () => new MonarchShape(4, 4, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>("blocks", () => MonarchShape.ForBlocks(8, 4, 5));
        Assert.Throws<ArgumentOutOfRangeException>("inputs", () => new MonarchShape(0, 4, 1, 1));
    }

    [Fact]
    public void Operands_that_do_not_fit_are_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        MonarchMatrix m = Random(new(24, 36, 4, 6, 3), 3);
        Assert.Throws<ArgumentException>("x", () => m.Multiply(zeros(2, 36, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>("x", () => m.Multiply(zeros(2, 24)));
        Assert.Throws<ArgumentException>("y", () => m.MultiplyAdjoint(zeros(2, 24, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>("left", () => Monarch.Multiply(zeros(2, 24), m.Right, m.Right, m.Shape));
        Assert.Throws<ArgumentException>("right", () => Monarch.Dense(m.Left, m.Left, m.Shape));
        Assert.Throws<ArgumentException>("weight", () => Monarch.Project(zeros(24, 36), m.Shape));
        Assert.Throws<ArgumentException>("weight", () => Monarch.Project(zeros(36, 24, dtype: ScalarType.Int32), m.Shape));
    }

    [Theory, InlineData(double.NaN), InlineData(double.PositiveInfinity)]
    public void A_matrix_that_is_not_finite_is_refused_by_its_name(double bad)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor W = zeros(36, 24, dtype: ScalarType.Float64);
        W[35, 23] = bad;
        foreach (MonarchShape shape in new MonarchShape[] { new(24, 36, 4, 6), new(24, 36, 4, 6, 2) })
            Assert.Contains("layer 7", Assert.Throws<ArgumentException>("weight", () => Monarch.Project(W, shape, "layer 7")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("weight", () => Monarch.SliceSpectra(W, new(24, 36, 4, 6)));
    }

    [Fact]
    public void A_cancelled_projection_ends()
    {
        using DisposeScope scope = NewDisposeScope();
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => Monarch.Project(zeros(36, 36), MonarchShape.ForSquare(36), cancel: cancelled.Token));
    }

    internal static MonarchMatrix Random(MonarchShape shape, long seed) => new(shape, Normal(shape.RightShape, seed), Normal(shape.LeftShape, seed + 100));

    internal static Tensor Normal(long[] shape, long seed)
    {
        using var generator = new Generator((ulong)seed);
        return randn(shape, dtype: ScalarType.Float64, generator: generator);
    }

    /// <summary>Largest difference relative to the largest entry.</summary>
    internal static void AssertClose(Tensor expected, Tensor actual, double tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        double size = Math.Max(expected.abs().max().to(ScalarType.Float64).item<double>(), 1e-300);
        Assert.InRange((expected - actual).abs().max().to(ScalarType.Float64).item<double>() / size, 0, tolerance);
    }

    private static Tensor Definition(MonarchMatrix m)
    {
        (MonarchShape s, int J) = (m.Shape, m.Shape.OutputBlocks);
        Tensor W = zeros([s.Outputs, s.Inputs], dtype: ScalarType.Float64);
        double[,,] R = Cube(m.Right), L = Cube(m.Left);
        for (int o = 0; o < s.Outputs; o++)
        {
            for (int c = 0; c < s.Inputs; c++)
            {
                (int l, int j, int k, int i) = (o / J, o % J, c / s.InputBlockSize, c % s.InputBlockSize);
                double sum = 0;
                for (int r = 0; r < s.BlockRank; r++) sum += L[j, l, (k * s.BlockRank) + r] * R[k, (r * J) + j, i];
                W[o, c] = sum;
            }
        }

        return W;
    }

    private static double[,,] Cube(Tensor t)
    {
        double[] flat = t.contiguous().data<double>().ToArray();
        var cube = new double[t.shape[0], t.shape[1], t.shape[2]];
        Buffer.BlockCopy(flat, 0, cube, 0, flat.Length * sizeof(double));
        return cube;
    }
}
