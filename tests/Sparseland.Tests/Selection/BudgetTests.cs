using FsCheck;
using FsCheck.Fluent;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Selection;

/// <summary>Every budget through every path (vector widths, tensors, libtorch) against plain sorting.</summary>
public sealed class BudgetTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    private sealed record Case(int Rows, int Columns, double[] Scores, Budget Budget);

    /// <summary>Small multiples of 1/2 sum exactly in any order, so blocks tie as plain arithmetic says.</summary>
    private static Gen<Case> Cases(bool infinities)
    {
        Gen<double> tied = Gen.Choose(-3, 3).Select(i => i * 0.5);
        Gen<double> entry = infinities
            ? Gen.Frequency((8, tied), (1, Gen.Elements(double.PositiveInfinity, double.NegativeInfinity, -0.0, (double)float.Epsilon)))
            : Gen.Frequency((8, tied), (1, Gen.Constant(-0.0)));
        return from height in Gen.Choose(1, 3)
               from width in Gen.Choose(1, 20)
               from down in Gen.Choose(0, 8)
               from across in Gen.Choose(1, 12)
               let rows = height * down
               let columns = width * across
               from scores in Gen.ArrayOf(entry, rows * columns)
               from budget in infinities ? Entries(rows, columns, width) : Gen.OneOf(Entries(rows, columns, width), OfBlocks(height, width, down, across))
               select new Case(rows, columns, scores, budget);
    }

    private static Gen<Budget> Entries(int rows, int columns, int width)
    {
        Gen<Budget> single = Gen.OneOf(
            Gen.Choose(0, columns).Select(Budget.PerRow),
            Gen.Choose(0, rows).Select(Budget.PerColumn),
            Gen.Choose(0, rows * columns).Select(Budget.Global),
            Gen.Choose(0, width).Select(n => Budget.NofM(n, width)));
        Gen<Budget> both = from a in single from b in single select a.And(b);
        return Gen.Frequency((5, single), (1, both));
    }

    private static Gen<Budget> OfBlocks(int height, int width, int down, int across) => Gen.OneOf(
        Gen.Choose(0, down * across).Select(k => Budget.Blocks(height, width, k)),
        Gen.Choose(0, across).Select(k => Budget.BlocksPerRow(height, width, k)),
        Gen.Choose(0, across).Select(k => Budget.Groups(width, k)));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void All_paths_keep_what_sorting_keeps(bool infinities)
    {
        IEnumerable<SimdWidth> widths = Enum.GetValues<SimdWidth>().Where(w => w <= RowKernel<float>.Widest);
        Prop.ForAll(Cases(infinities).ToArbitrary(), c =>
        {
            using DisposeScope scope = NewDisposeScope();
            Support expected = ReferenceTopK.Select(c.Scores, c.Rows, c.Columns, c.Budget);
            float[] single = [.. c.Scores.Select(x => (float)x)];
            foreach (SimdWidth width in widths)
            {
                Assert.Equal(expected, new MatrixTopK<float>(width).Select(single, c.Rows, c.Columns, c.Budget));
                Assert.Equal(expected, new MatrixTopK<double>(width).Select(c.Scores, c.Rows, c.Columns, c.Budget));
            }
            Assert.Equal(expected, Select.TopK(single, c.Rows, c.Columns, c.Budget));
            Assert.Equal(expected, Select.TopK(c.Scores, c.Rows, c.Columns, c.Budget));

            Tensor scores = tensor(c.Scores).reshape(c.Rows, c.Columns);
            Assert.Equal(expected, Select.TopK(scores, c.Budget));
            Assert.Equal(expected, Select.TopK(scores.t().contiguous().t(), c.Budget));
            // What runs on CUDA, run on the CPU.
            Assert.Equal(expected, TorchTopK.Select(scores, c.Budget));
            Assert.Equal(expected, TorchTopK.Select(scores.to(ScalarType.Float32), c.Budget));

            // The budget is met exactly, and the checking constructor agrees with the trusted one.
            if (c.Budget is AndBudget)
                Assert.InRange(expected.Count, 0, c.Budget.CountFor(c.Rows, c.Columns));
            else
                Assert.Equal(c.Budget.CountFor(c.Rows, c.Columns), expected.Count);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(200));
    }

    [Fact]
    public void Permuting_columns_of_distinct_scores_permutes_the_support()
    {
        Gen<(int[], int)> input =
            from n in Gen.Choose(1, 600)
            from permutation in Gen.Shuffle(Enumerable.Range(0, n))
            from k in Gen.Choose(0, n)
            select (permutation, k);
        Prop.ForAll(input.ToArbitrary(), x =>
        {
            (int[] permutation, int k) = x;
            double[] scores = [.. permutation.Select(i => Math.Sqrt(i + 1))];
            // The k highest are where the permutation put the k highest numbers.
            IEnumerable<int> expected = Enumerable.Range(0, permutation.Length).Where(i => permutation[i] >= permutation.Length - k);
            return Select.TopK(scores, Budget.PerRow(k)).ColumnIndices.ToArray().SequenceEqual(expected);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_larger_budget_keeps_everything_that_a_smaller_one_keeps()
    {
        Gen<(int[], int, int)> input =
            from row in Gen.ArrayOf(Gen.Choose(0, 9), 300)
            from a in Gen.Choose(0, 300)
            from b in Gen.Choose(0, 300)
            select (row, Math.Min(a, b), Math.Max(a, b));
        Prop.ForAll(input.ToArbitrary(), x =>
        {
            float[] scores = [.. x.Item1.Select(i => (float)i)];
            Support few = Select.TopK(scores, Budget.PerRow(x.Item2)), many = Select.TopK(scores, Budget.PerRow(x.Item3));
            return few.Intersect(many).Equals(few);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Rows_shared_out_to_threads_give_what_one_thread_gives()
    {
        const int Rows = 700, Columns = 900;
        var random = new Random(3);
        double[] scores = [.. Enumerable.Range(0, Rows * Columns).Select(_ => (double)random.Next(40))];
        foreach (Budget budget in new[] { Budget.PerRow(32), Budget.PerColumn(20), Budget.NofM(16, 60), Budget.Global(5000), Budget.Blocks(7, 9, 300), Budget.PerRow(32).And(Budget.PerColumn(20)) })
            Assert.Equal(ReferenceTopK.Select(scores, Rows, Columns, budget), Select.TopK(scores, Rows, Columns, budget));
    }

    [Fact]
    public void Ties_go_to_the_lower_index_by_hand()
    {
        float[] scores =
        [
            1, 2, 2, 0,
            2, 1, 2, -0f,
        ];
        Assert.Equal([1, 2, 0, 2], Kept(Budget.PerRow(2), 2, 4));
        Assert.Equal([1, 2, 0], Kept(Budget.Global(3), 2, 4));
        Assert.Equal([1, 2, 3, 0], Kept(Budget.PerColumn(1), 2, 4));
        Assert.Equal([1, 2, 0, 2], Kept(Budget.NofM(1, 2), 2, 4));
        Assert.Equal([0, 1, 0, 1], Kept(Budget.Blocks(2, 2, 1), 2, 4));
        Assert.Equal([0, 1, 0, 1], Kept(Budget.Groups(2, 1), 2, 4));
        Assert.Equal([1, 2, 0], Kept(Budget.PerRow(2).And(Budget.PerColumn(1)), 2, 4));

        int[] Kept(Budget budget, int rows, int columns) => Select.TopK(scores, rows, columns, budget).ColumnIndices.ToArray();
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Half_precision_is_widened(ScalarType type)
    {
        Tensor scores = tensor(new[] { 0.1f, 0.30f, 0.2f, -4f, float.NegativeInfinity }).to(type);
        Assert.Equal([1, 2], Select.TopK(scores, Budget.PerRow(2)).ColumnIndices.ToArray());
    }

    [Fact]
    public void Scores_with_a_gradient_and_views_are_read()
    {
        Tensor scores = arange(24, dtype: ScalarType.Float32).reshape(4, 6);
        Assert.Equal([5, 5], Select.TopK(scores.narrow(0, 2, 2).clone().requires_grad_(), Budget.PerRow(1)).ColumnIndices.ToArray());
        Assert.Equal([3, 3, 3], Select.TopK(scores.narrow(1, 1, 3).t(), Budget.PerRow(1)).ColumnIndices.ToArray());
        Assert.Equal([5], Select.TopK(scores[0], Budget.PerRow(1)).ColumnIndices.ToArray());
    }

    [Fact]
    public void A_NaN_is_refused_with_its_position_under_every_budget_and_on_every_path()
    {
        float[] scores = new float[6 * 40];
        scores[2 * 40 + 17] = float.NaN;
        scores[4 * 40 + 3] = float.NaN;
        Tensor matrix = tensor(scores).reshape(6, 40);
        foreach (Budget budget in new[]
        {
            Budget.PerRow(0), Budget.PerRow(3), Budget.PerRow(40), Budget.PerColumn(0), Budget.PerColumn(2), Budget.PerColumn(6), Budget.Global(0), Budget.Global(5), Budget.Global(240),
            Budget.NofM(0, 4), Budget.NofM(2, 4), Budget.NofM(4, 4), Budget.NofM(3, 20), Budget.NofM(0, 40), Budget.Blocks(2, 4, 0), Budget.Blocks(2, 4, 3), Budget.Groups(4, 3),
            Budget.BlocksPerRow(3, 4, 1), Budget.PerRow(3).And(Budget.Global(5)),
        })
        {
            foreach (Action select in new Action[]
            {
                () => Select.TopK(scores, 6, 40, budget),
                () => Select.TopK(matrix, budget),
                () => Select.TopK(matrix.to(ScalarType.Float64), budget),
                () => Select.TopK(matrix.to(ScalarType.Float16), budget),
                () => TorchTopK.Select(matrix, budget),
            })
            {
                string message = Assert.Throws<ArgumentException>("scores", select).Message;
                // Columns are searched by tiles, so both of two NaNs are seen; the first is named.
                Assert.Contains("row 2, column 17 is NaN", message);
            }
        }
    }

    [Fact]
    public void A_block_of_both_infinities_is_refused_and_of_one_is_not()
    {
        float[] scores = [float.PositiveInfinity, 1, 0, 0, float.NegativeInfinity, 5, 0, 0];
        string message = Assert.Throws<ArgumentException>("scores", () => Select.TopK(scores, 2, 4, Budget.Blocks(2, 2, 1))).Message;
        Assert.Contains("Block (0, 0) holds both +Inf and -Inf", message);
        Assert.Contains("Block (0, 0)", Assert.Throws<ArgumentException>("scores", () => TorchTopK.Select(tensor(scores).reshape(2, 4), Budget.Blocks(2, 2, 1))).Message);
        Assert.Equal([0, 1, 2, 3], Select.TopK(scores, 2, 4, Budget.Groups(2, 1)).ColumnIndices.ToArray());
    }

    [Fact]
    public void Budgets_that_do_not_fit_are_refused_with_numbers()
    {
        void Refuses(Budget budget, string reason) =>
            Assert.Contains(reason, Assert.Throws<ArgumentException>("budget", () => Select.TopK(new float[24], 4, 6, budget)).Message);
        Refuses(Budget.PerRow(7), "PerRow(7) keeps 7 entries of each row, but there are only 6");
        Refuses(Budget.PerColumn(5), "there are only 4");
        Refuses(Budget.Global(25), "there are only 24");
        Refuses(Budget.NofM(2, 4), "multiple of 4; the scores have 6");
        Refuses(Budget.Blocks(3, 2, 1), "number of rows that is a multiple of 3");
        Refuses(Budget.Blocks(2, 4, 1), "number of columns that is a multiple of 4");
        Refuses(Budget.Blocks(2, 2, 7), "Blocks(2, 2, 7) keeps 7 blocks of the matrix, but there are only 6");
        Refuses(Budget.BlocksPerRow(2, 2, 4), "there are only 3");
        Refuses(Budget.Groups(3, 3), "Groups(3, 3) keeps 3 blocks");
        Refuses(Budget.PerRow(1).And(Budget.PerColumn(5)), "PerColumn(5)");
    }

    [Theory]
    [InlineData("24")]
    [InlineData("2 3 4")]
    [InlineData("1 2 3 4")]
    [InlineData("2 1 3 2 4")]
    public void Leading_dimensions_are_rows(string lengths)
    {
        long[] shape = [.. lengths.Split(' ').Select(long.Parse)];
        using var generator = new Generator(9);
        Tensor scores = randn(shape, generator: generator), matrix = scores.reshape(-1, shape[^1]);
        foreach (Budget budget in new[] { Budget.PerRow(2), Budget.Global(7), Budget.PerColumn(1), Budget.NofM(1, 2), Budget.Groups(2, 1), Budget.Blocks(1, 4, 1), Budget.PerRow(2).And(Budget.Global(7)) })
        {
            Support support = Select.TopK(scores, budget), expected = Select.TopK(matrix, budget);
            Assert.Equal(expected, support);
            Assert.Equal((matrix.shape[0], matrix.shape[1]), (support.Rows, support.Columns));
            Assert.Equal(shape, support.Shape);
            Assert.Equal(shape, support.ToMask().shape);
            Assert.True(support.ToMask().reshape(-1, shape[^1]).Equals(expected.ToMask()));
            Assert.True(support.Gather(scores).Equals(scores.masked_select(support.ToMask())));
            Assert.Equal(support, Support.FromMask(support.ToMask()));
            Assert.Equal(shape, support.Union(support).Shape);
        }

        // A transposed view is read as it shows.
        Tensor view = scores.transpose(0, -1);
        Assert.Equal(Select.TopK(view.contiguous(), Budget.Global(5)), Select.TopK(view, Budget.Global(5)));
        scores.view(-1)[5] = float.NaN;
        Assert.Contains($"row {5 / shape[^1]}, column {5 % shape[^1]}", Assert.Throws<ArgumentException>("scores", () => Select.TopK(scores, Budget.PerRow(1))).Message);
    }

    [Fact]
    public void Nonsense_is_refused_where_it_is_said()
    {
        Assert.Throws<ArgumentOutOfRangeException>("k", () => Budget.PerRow(-1));
        Assert.Throws<ArgumentOutOfRangeException>("m", () => Budget.PerColumn(-1));
        Assert.Throws<ArgumentOutOfRangeException>("k", () => Budget.Global(-1));
        Assert.Throws<ArgumentOutOfRangeException>("n", () => Budget.NofM(5, 4));
        Assert.Throws<ArgumentOutOfRangeException>("m", () => Budget.NofM(0, 0));
        Assert.Throws<ArgumentOutOfRangeException>("rows", () => Budget.Blocks(0, 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>("size", () => Budget.Groups(0, 1));
        Assert.Throws<ArgumentNullException>("other", () => Budget.PerRow(1).And(null!));
        Assert.Throws<ArgumentException>("scores", () => Select.TopK(new float[5], 2, 3, Budget.PerRow(1)));
        Assert.Throws<ArgumentException>("scores", () => Select.TopK(ones(new long[] { 1L << 31, 1, 0 }), Budget.PerRow(0)));
        Assert.Throws<ArgumentException>("scores", () => Select.TopK(tensor(1f), Budget.PerRow(1)));
        Assert.Throws<ArgumentException>("scores", () => Select.TopK(ones(2, 3, dtype: ScalarType.Int64), Budget.PerRow(1)));
        Assert.Throws<ArgumentNullException>("budget", () => Select.TopK(ones(2), null!));
        Assert.Throws<ArgumentNullException>("scores", () => Select.TopK((Tensor)null!, Budget.PerRow(1)));
    }

    [Fact]
    public void Empty_matrices_have_empty_supports()
    {
        Assert.Equal(Support.Empty(0, 5), Select.TopK(ReadOnlySpan<double>.Empty, 0, 5, Budget.PerRow(3)));
        Assert.Equal(Support.Empty(5, 0), Select.TopK(zeros(5, 0), Budget.PerRow(0)));
        Assert.Equal(Support.Empty(1, 0), Select.TopK(ReadOnlySpan<float>.Empty, Budget.Global(0)));
        Assert.Equal(Support.Empty(5, 0), TorchTopK.Select(zeros(5, 0), Budget.PerColumn(3)));
        Assert.Equal(Support.Empty(0, 4), Select.TopK(zeros(0, 4), Budget.Blocks(3, 2, 0)));
    }

    [CudaFact]
    public void Cuda_keeps_what_the_cpu_keeps()
    {
        manual_seed(5);
        Tensor scores = randint(0, 50, [300, 240], dtype: ScalarType.Float32) - 25;
        foreach (Budget budget in new[] { Budget.PerRow(32), Budget.PerColumn(9), Budget.Global(999), Budget.NofM(2, 4), Budget.Blocks(4, 8, 50), Budget.Groups(8, 3), Budget.PerRow(9).And(Budget.PerColumn(9)) })
            Assert.Equal(Select.TopK(scores, budget), Select.TopK(scores.cuda(), budget));
    }
}
