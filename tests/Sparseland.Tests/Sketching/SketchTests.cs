using Sparseland.Sketching;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Sketching;

public class SketchTests
{
    private const int M = 16, N = 50;

    private static readonly (string Name, Func<long, ISketch> Make)[] s_sketches =
    [
        ("Gaussian", s => new GaussianSketch(M, N, s)), ("sign", s => new SignSketch(M, N, s)), ("SRHT", s => new SrhtSketch(M, N, s)),
        ("SRHT, no replacement", s => new SrhtSketch(M, N, s, replacement: false)), ("CountSketch", s => new CountSketch(M, N, s)),
        ("OSNAP", s => new OsnapSketch(M, N, 4, s)), ("pooled", s => new GaussianPooledSketch(M, N, s)), ("tensor", s => new TensorSrht(M, 5, 10, s)),
        ("tensor, no replacement", s => new TensorSrht(M, 10, 5, s, replacement: false)),
    ];

    public static TheoryData<string> Names() => [.. s_sketches.Select(s => s.Name)];

    private static Func<long, ISketch> Make(string name) => s_sketches.First(s => s.Name == name).Make;

    private static Tensor Random(long[] shape, ulong seed)
    {
        using var generator = new Generator(seed);
        return randn(shape, dtype: ScalarType.Float64, generator: generator);
    }

    private static double Gap(Tensor a, Tensor b)
    {
        Assert.Equal(a.shape, b.shape);
        return (a - b).abs().max().item<double>();
    }

    [Theory, MemberData(nameof(Names))]
    public void The_fast_product_is_that_of_the_explicit_matrix(string name)
    {
        using var scope = NewDisposeScope();
        ISketch sketch = Make(name)(7);
        Tensor S = sketch.ToDense(), X = Random([N, 37], 1), vector = Random([N], 2), r = Random([M], 3);
        Assert.Equal(new long[] { M, N }, S.shape);
        Assert.InRange(Gap(S.mm(X), sketch.Apply(X)), 0, 1e-12);
        Assert.InRange(Gap(S.mm(X), sketch.Apply(X.t().contiguous().t())), 0, 1e-12);
        Assert.InRange(Gap(S.mv(vector), sketch.Apply(vector)), 0, 1e-12);
        int[] some = [49, 0, 17, 17];
        Assert.Equal(0, Gap(S.index_select(1, tensor(new long[] { 49, 0, 17, 17 })), sketch.Columns(some)));
        double[] z = new double[M], q = new double[N];
        ILinearMap map = sketch;
        map.Apply(vector.data<double>().ToArray(), z);
        map.Adjoint(r.data<double>().ToArray(), q);
        Assert.InRange(Gap(S.mv(vector), tensor(z)), 0, 1e-12);
        Assert.InRange(Gap(S.t().mv(r), tensor(q)), 0, 1e-12);
    }

    [Theory, MemberData(nameof(Names))]
    public void A_seed_is_a_sketch(string name)
    {
        using var scope = NewDisposeScope();
        Tensor first = Make(name)(3).ToDense(), again = Make(name)(3).ToDense(), other = Make(name)(4).ToDense();
        Assert.Equal(0, Gap(first, again));
        Assert.True(Gap(first, other) > 0.1);
    }

    [Theory, MemberData(nameof(Names))]
    public void Norms_and_products_are_kept_in_expectation(string name)
    {
        // Over 2000 draws, within 4 standard errors: ||S x||^2 of 1 and g^T S^T S h of g^T h.
        using var scope = NewDisposeScope();
        Tensor x = Random([N], 5), h = Random([N], 6);
        Tensor pair = stack([x / x.norm(), h / h.norm()], 1);
        double[] squares = new double[2000], products = new double[2000];
        for (int s = 0; s < squares.Length; s++)
        {
            using var inner = NewDisposeScope();
            Tensor gram = Make(name)(s) is var sketch && sketch.Apply(pair) is var y ? y.t().mm(y) : throw new InvalidOperationException();
            (squares[s], products[s]) = (gram[0, 0].item<double>(), gram[0, 1].item<double>());
        }

        AssertMean(squares, 1);
        AssertMean(products, pair.select(1, 0).dot(pair.select(1, 1)).item<double>());
    }

    [Fact]
    public void Gaussian_and_sign_entries_have_their_moments()
    {
        using var scope = NewDisposeScope();
        double[] gaussian = new GaussianSketch(100, 400, 1).ToDense().view(-1).mul(10).data<double>().ToArray();
        AssertMean(gaussian, 0);
        AssertMean([.. gaussian.Select(v => v * v)], 1);
        AssertMean([.. gaussian.Select(v => v * v * v * v)], 3);
        double[] signs = new SignSketch(100, 400, 1).ToDense().view(-1).mul(10).data<double>().ToArray();
        Assert.All(signs, v => Assert.Equal(1, Math.Abs(v), 1e-12));
        AssertMean(signs, 0);

        // Neighbours along a row and along a column are not related.
        AssertMean([.. gaussian.Zip(gaussian.Skip(1), (a, b) => a * b)], 0);
        AssertMean([.. gaussian.Zip(gaussian.Skip(400), (a, b) => a * b)], 0);
        AssertMean([.. signs.Zip(signs.Skip(1), (a, b) => a * b)], 0);
        AssertMean([.. signs.Zip(signs.Skip(400), (a, b) => a * b)], 0);
    }

    [Fact]
    public void Structured_sketches_have_their_structure()
    {
        using var scope = NewDisposeScope();
        var srht = new SrhtSketch(M, N, 2);
        Assert.Equal((64, true, M), (srht.PaddedInputs, srht.Replacement, srht.SampledRows.Count));
        Assert.InRange(Gap(srht.ToDense().abs(), ones([M, N], dtype: ScalarType.Float64).div(4)), 0, 1e-15);
        for (int seed = 0; seed < 50; seed++)
        {
            var different = new SrhtSketch(M, N, seed, replacement: false);
            Assert.Equal(M, different.SampledRows.Distinct().Count());
            Assert.All(different.SampledRows, r => Assert.InRange(r, 0, 63));
        }

        // All rows sampled: S is a rotation.
        Tensor whole = new SrhtSketch(64, 64, 3, replacement: false, pad: false).ToDense();
        Assert.InRange(Gap(whole.t().mm(whole), eye(64, dtype: ScalarType.Float64)), 0, 1e-12);
        var osnap = new OsnapSketch(M, N, 4, 5);
        Tensor entries = osnap.ToDense();
        for (int j = 0; j < N; j++)
        {
            int[] rows = osnap.RowsOf(j).ToArray();
            Assert.Equal([0, 1, 2, 3], rows.Select(r => r / 4));
            Assert.Equal(rows.Select(r => (long)r), entries.select(1, j).nonzero().view(-1).data<long>().ToArray());
            Assert.All(rows, r => Assert.Equal(0.5, Math.Abs(entries[r, j].item<double>()), 1e-15));
        }

        Assert.Equal(N, new CountSketch(M, N, 1).ToDense().abs().sum().item<double>());
        var pooled = new GaussianPooledSketch(M, N, 1);
        Assert.Equal((64, 4), (pooled.PaddedInputs, pooled.BlockLength));
        Assert.Equal((32, 1), (new GaussianPooledSketch(32, 20, 1).PaddedInputs, new GaussianPooledSketch(32, 20, 1).BlockLength));
    }

    [Fact]
    public void Sampled_rows_are_uniform()
    {
        foreach (bool replacement in new[] { true, false })
        {
            double[] counts = new double[64];
            for (int seed = 0; seed < 4000; seed++)
            {
                foreach (int row in new SrhtSketch(M, 64, seed, replacement).SampledRows) counts[row]++;
            }

            // 1000 expected in each of 64: the largest of 64 deviations is below 4.5 standard deviations.
            Assert.All(counts, c => Assert.InRange(c, 1000 - (4.5 * 31.4), 1000 + (4.5 * 31.4)));
        }
    }

    [Fact]
    public void A_tensor_sketch_never_needs_the_Kronecker_product()
    {
        using var scope = NewDisposeScope();
        Tensor A1 = Random([5, 3], 1), A2 = Random([10, 4], 2);
        foreach (bool replacement in new[] { true, false })
        {
            var sketch = new TensorSrht(M, 5, 10, 9, replacement);
            Assert.InRange(Gap(sketch.Apply(kron(A1, A2)), sketch.ApplyKronecker(A1, A2)), 0, 1e-12);
            Assert.InRange(Gap(sketch.ToDense().mm(kron(A1, A2)), sketch.ApplyKronecker(A1, A2)), 0, 1e-12);
        }

        // Both factors powers of two: it is the SRHT of the product's signs.
        Assert.InRange(Gap(new TensorSrht(M, 4, 8, 1).ToDense().abs(), ones([M, 32], dtype: ScalarType.Float64).div(4)), 0, 1e-15);
    }

    [Fact]
    public void Products_of_fixed_pairs_are_what_separates_dense_from_sparse()
    {
        // (S^T S)_ij, i and j fixed: for CountSketch 0 or +-1 with P(not 0) = 1/m, for OSNAP multiples of 1/s, for dense sketches of size 1/sqrt(m).
        using var scope = NewDisposeScope();
        const int draws = 4000;
        double[] count = new double[draws], osnap = new double[draws], dense = new double[draws];
        double Product(ISketch sketch)
        {
            using Tensor columns = sketch.Columns([3, 40]);
            return columns.select(1, 0).dot(columns.select(1, 1)).item<double>();
        }

        for (int s = 0; s < draws; s++)
        {
            count[s] = Product(new CountSketch(M, N, s));
            osnap[s] = Product(new OsnapSketch(M, N, 4, s));
            dense[s] = Product(new SrhtSketch(M, N, s));
        }

        Assert.All(count, v => Assert.Contains(v, new double[] { -1, 0, 1 }));
        AssertMean([.. count.Select(Math.Abs)], 1.0 / M);
        Assert.All(osnap, v => Assert.Equal(Math.Round(4 * v), 4 * v, 1e-12));
        foreach (double[] values in new[] { count, osnap, dense })
        {
            AssertMean(values, 0);
            AssertMean([.. values.Select(v => v * v)], 1.0 / M);
        }
    }

    [Fact]
    public void The_result_does_not_depend_on_the_number_of_threads()
    {
        using var scope = NewDisposeScope();
        Tensor X = Random([3000, 70], 1);
        ISketch[] sketches = [new SrhtSketch(64, 3000, 1), new OsnapSketch(64, 3000, 4, 1), new GaussianPooledSketch(64, 3000, 1), new GaussianSketch(64, 3000, 1)];
        Tensor[] alone = [.. sketches.Select(s => s.Apply(X))];
        var together = new Tensor[16];
        int threads = get_num_threads();
        try
        {
            // Sixteen at once leave each about one thread.
            set_num_threads(1);
            Parallel.For(0, together.Length, i => together[i] = sketches[i % sketches.Length].Apply(X));
        }
        finally
        {
            set_num_threads(threads);
        }

        for (int i = 0; i < together.Length; i++)
        {
            Assert.InRange(Gap(alone[i % sketches.Length], together[i]), 0, i % sketches.Length < 3 ? 0 : 1e-12);
            together[i].Dispose();
        }
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        static string? Refused(Action action) => Assert.ThrowsAny<ArgumentException>(action).ParamName;
        Assert.Equal("rows", Refused(() => new GaussianSketch(0, 5, 1)));
        Assert.Equal("inputs", Refused(() => new SignSketch(5, 0, 1)));
        Assert.Equal("rows", Refused(() => new SrhtSketch(65, 50, 1, replacement: false)));
        Assert.Equal("inputs", Refused(() => new SrhtSketch(8, 50, 1, pad: false)));
        Assert.Equal("perColumn", Refused(() => new OsnapSketch(16, 50, 3, 1)));
        Assert.Equal("perColumn", Refused(() => new OsnapSketch(16, 50, 0, 1)));
        Assert.Equal("rows", Refused(() => new GaussianPooledSketch(12, 50, 1)));
        Assert.Equal("firstInputs", Refused(() => new TensorSrht(4, 0, 5, 1)));
        Assert.Equal("secondInputs", Refused(() => new TensorSrht(4, 1 << 16, 1 << 15, 1)));
        Assert.Equal("rows", Refused(() => new TensorSrht(200, 5, 10, 1, replacement: false)));
        Assert.Equal("d", Refused(() => new CounterExampleSketch(1, 1)));
        using var scope = NewDisposeScope();
        var sketch = new CountSketch(M, N, 1);
        Assert.Equal("X", Refused(() => sketch.Apply(zeros([N + 1, 2], dtype: ScalarType.Float64))));
        Assert.Equal("X", Refused(() => sketch.Apply(zeros([N], dtype: ScalarType.Float32))));
        Assert.Equal("X", Refused(() => sketch.Apply(zeros([N, 0], dtype: ScalarType.Float64))));
        Assert.Equal("X", Refused(() => sketch.Apply(full([N], double.NaN, dtype: ScalarType.Float64))));
        Assert.Equal("coordinates", Refused(() => sketch.Columns([])));
        Assert.Equal("coordinates", Refused(() => sketch.Columns([0, N])));
        Assert.Equal("a", Refused(() => sketch.Apply(new double[N - 1], new double[M])));
        Assert.Equal("z", Refused(() => sketch.Apply(new double[N], new double[N])));
        Assert.Equal("r", Refused(() => sketch.Adjoint(new double[N], new double[N])));
        Assert.Equal("q", Refused(() => sketch.Adjoint(new double[M], new double[M])));
        Assert.Equal("A1", Refused(() => new TensorSrht(4, 5, 10, 1).ApplyKronecker(zeros([4, 1], dtype: ScalarType.Float64), zeros([10, 1], dtype: ScalarType.Float64))));
    }

    private static void AssertMean(double[] values, double expected)
    {
        double mean = values.Average(), error = Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / values.Length / (values.Length - 1.0));
        Assert.True(Math.Abs(mean - expected) <= (4 * error) + 1e-12, $"mean {mean} +- {error} is not {expected}");
    }
}
