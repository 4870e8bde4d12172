using Sparseland.Retrieval;
using Sparseland.Retrieval.Feedback;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Feedback;

public class DenseIndexTests
{
    private static string[] Ids(int count) => [.. Enumerable.Range(0, count).Select(i => $"d{i}")];

    private static Tensor Random(int rows, int width, ulong seed)
    {
        using var generator = new Generator(seed);
        return randn([rows, width], dtype: ScalarType.Float32, generator: generator);
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void The_nearest_are_exact_and_do_not_depend_on_the_batch(bool half, bool normalise)
    {
        using var scope = NewDisposeScope();
        Tensor vectors = Random(9000, 17, 1), queries = Random(70, 17, 2);

        // Copies of one document, and documents that differ in the last bits, stand in the order of their numbers and exact scores.
        vectors.narrow(0, 100, 40).copy_(vectors[7].expand(40, 17));
        queries[0].copy_(vectors[7]);
        vectors.narrow(0, 8500, 20).copy_(vectors[7].mul(1 + 1e-7f).expand(20, 17));
        using DenseIndex index = DenseIndex.Of(vectors, Ids(9000), new() { HalfPrecision = half, Normalise = normalise });
        IReadOnlyList<IReadOnlyList<Hit>> found = index.Search(queries, 30);

        Tensor kept = index.Vectors([.. Enumerable.Range(0, 9000)]).to(ScalarType.Float64);
        double[] rows = kept.data<double>().ToArray();
        for (int q = 0; q < 70; q++)
        {
            double[] query = [.. queries[q].data<float>().Select(v => (double)v)];
            Hit[] all = [.. Enumerable.Range(0, 9000).Select(d => new Hit(d, Enumerable.Range(0, 17).Sum(i => query[i] * rows[(d * 17) + i])))];
            Array.Sort(all);
            Assert.Equal(all[..30], found[q]);
            Assert.Equal(found[q], index.Search(queries[q], 30)[0]);
        }

        Assert.Equal(9000, index.Search(queries[3], 10_000)[0].Count);
    }

    [Fact]
    public void Vectors_are_kept_by_id_and_have_length_1()
    {
        using var scope = NewDisposeScope();
        using DenseIndex index = DenseIndex.Of(tensor(new float[,] { { 3, 4 }, { 0, 0 } }), ["a", "b"]);
        using Tensor a = index.Vector("a");
        Assert.Equal([0.6f, 0.8f], a.data<float>().ToArray());
        Assert.Equal((1, 2, 2), (index.ZeroVectors, index.Documents, index.Width));
        Assert.Contains("1 of them zero", index.ToString(), StringComparison.Ordinal);
        Assert.Equal(["a", "b"], index.SearchRun(["q"], tensor(new float[,] { { 1, 0 } }))["q"].Select(d => d.Id));
        Assert.Throws<KeyNotFoundException>(() => index.Vector("c"));
        Assert.Equal([0, 2], index.Vectors([]).shape);
        using DenseIndex raw = DenseIndex.Of(tensor(new float[,] { { 3, 4 } }), ["a"], new() { Normalise = false });
        Assert.Equal(25.0, raw.Search(tensor(new float[] { 3, 4 }), 1)[0][0].Score);
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        using var scope = NewDisposeScope();
        Tensor good = Random(3, 4, 1);
        Assert.Throws<ArgumentException>(() => DenseIndex.Of(good, Ids(2)));
        Assert.Throws<ArgumentException>(() => DenseIndex.Of(good, ["a", "b", "a"]));
        Assert.Throws<ArgumentException>(() => DenseIndex.Of(good[0], ["a"]));
        Assert.Throws<ArgumentException>(() => DenseIndex.Of(zeros([3, 4], dtype: ScalarType.Int64), Ids(3)));
        Assert.Contains("'d2' (row 2)", Assert.Throws<ArgumentException>(() => DenseIndex.Of(cat([good[..2], full([1, 4], double.NaN, dtype: ScalarType.Float32)], 0), Ids(3))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => DenseIndex.Of(good.mul(1e6f), Ids(3), new() { Normalise = false, HalfPrecision = true }));
        DenseIndex index = DenseIndex.Of(good, Ids(3));
        Assert.Contains("width 4", Assert.Throws<ArgumentException>(() => index.Search(zeros([2, 5]), 1)).Message, StringComparison.Ordinal);
        Assert.Contains("Query 1 is the zero vector", Assert.Throws<ArgumentException>(() => index.Search(cat([good[..1], zeros([1, 4])], 0), 1)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => index.Search(full([4], double.PositiveInfinity, dtype: ScalarType.Float32), 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => index.Search(good, 0));
        Assert.Throws<ArgumentException>(() => index.SearchRun(["a"], good));
        Assert.Throws<OperationCanceledException>(() => index.Search(good, 1, cancel: new CancellationToken(true)));
        Assert.Throws<ArgumentOutOfRangeException>(() => index.Vectors([3]));
        index.Dispose();
        index.Dispose();
        Assert.Throws<ObjectDisposedException>(() => index.Search(good, 1));
    }

    [Fact]
    public void The_callers_tensor_is_copied_and_a_search_leaves_nothing()
    {
        using var scope = NewDisposeScope();
        Tensor vectors = Random(5, 4, 1);
        using DenseIndex index = DenseIndex.Of(vectors, Ids(5), new() { Normalise = false });
        Hit before = index.Search(vectors[0], 1)[0][0];
        Tensor query = vectors[0].clone();
        vectors.zero_();
        Assert.Equal(before, index.Search(query, 1)[0][0]);
        using var caller = NewDisposeScope();
        index.Search(query, 2);
        Assert.Equal(0, caller.DisposablesCount);
    }

    [Theory]
    [InlineData(1e20)]
    [InlineData(1e-20)]
    [InlineData(1e-30)]
    public void Sizes_at_the_ends_of_float32_are_ranked_like_others(double size)
    {
        using var scope = NewDisposeScope();
        Tensor vectors = Random(500, 64, 3), queries = Random(4, 64, 4);
        using DenseIndex plain = DenseIndex.Of(vectors, Ids(500), new() { Normalise = false });
        using DenseIndex extreme = DenseIndex.Of(vectors * size, Ids(500), new() { Normalise = false });
        IReadOnlyList<IReadOnlyList<Hit>> wanted = plain.Search(queries, 5), found = extreme.Search(queries * size, 5);
        for (int q = 0; q < 4; q++)
        {
            Assert.Equal(wanted[q].Select(h => h.Document), found[q].Select(h => h.Document));
            Assert.All(wanted[q].Zip(found[q]), pair => Assert.Equal(1, pair.Second.Score / (pair.First.Score * size * size), 1e-5));
        }
    }

    [Theory]
    [InlineData(1e200)]
    [InlineData(1e-200)]
    public void Lengths_whose_squares_leave_float64_are_brought_to_1(double size)
    {
        using var scope = NewDisposeScope();
        using DenseIndex index = DenseIndex.Of(tensor(new double[,] { { 3 * size, 4 * size }, { 0, 0 } }), Ids(2));
        Assert.Equal(1, index.ZeroVectors);
        Assert.Equal([0.6f, 0.8f], index.Vector("d0").data<float>().ToArray());
    }
}
