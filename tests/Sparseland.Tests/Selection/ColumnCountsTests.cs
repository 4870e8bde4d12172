using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Selection;

public class ColumnCountsTests
{
    [Fact]
    public void Each_column_keeps_its_own_number_of_highest_entries()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(5);
        foreach ((int rows, int columns) in new[] { (1, 1), (7, 5), (64, 40), (200, 130) })
        {
            Tensor scores = randint(0, 9, [rows, columns], generator: generator).to(ScalarType.Float32);
            int[] counts = [.. Enumerable.Range(0, columns).Select(c => c * 7 % (rows + 1))];
            Support support = Select.TopK(scores, Budget.PerColumn(counts));
            Assert.Equal(counts, support.CountsPerColumn());
            Assert.Equal(counts.Sum(), Budget.PerColumn(counts).CountFor(rows, columns));
            for (int column = 0; column < columns; column++)
            {
                // Ties go to the lower row: a stable descending sort of the column.
                float[] values = [.. scores[.., column].contiguous().data<float>()];
                int[] wanted = [.. Enumerable.Range(0, rows).OrderByDescending(r => values[r]).Take(counts[column]).Order()];
                Assert.Equal(wanted, Enumerable.Range(0, rows).Where(r => support.Contains(r, column)));
            }
        }
    }

    [Fact]
    public void Equal_counts_are_the_rule_of_one_number_and_of_the_rows_of_the_transpose()
    {
        using var scope = NewDisposeScope();
        Tensor scores = rand(30, 12, generator: new Generator(6));
        Assert.Equal(Select.TopK(scores, Budget.PerColumn(4)), Select.TopK(scores, Budget.PerColumn(Enumerable.Repeat(4, 12).ToArray())));
        Assert.Equal(Select.TopK(scores, Budget.PerColumn(4)), Select.TopK(scores.t(), Budget.PerRow(4)).Transpose(out _));
        Assert.Equal(Budget.PerColumn([1, 2]), Budget.PerColumn([1, 2]));
        Assert.NotEqual(Budget.PerColumn([1, 2]), Budget.PerColumn([2, 1]));
    }

    [Fact]
    public void Counts_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        Tensor scores = rand(3, 2);
        Assert.Contains("3 counts for 2 columns", Assert.Throws<ArgumentException>(() => Select.TopK(scores, Budget.PerColumn([1, 1, 1]))).Message, StringComparison.Ordinal);
        Assert.Contains("keeps 4 entries of a column, but there are only 3", Assert.Throws<ArgumentException>(() => Select.TopK(scores, Budget.PerColumn([1, 4]))).Message, StringComparison.Ordinal);
        Assert.Contains("counts[1] is -1", Assert.Throws<ArgumentOutOfRangeException>(() => Budget.PerColumn([1, -1])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Entries_are_dropped_where_told()
    {
        using var scope = NewDisposeScope();
        Tensor z = randn([20, 30], generator: new Generator(7));
        Support all = Select.TopK(z, Budget.PerRow(20)), positive = all.Where(all.Gather(z).gt(0));
        Assert.Equal(Support.FromMask(all.ToMask().logical_and(z.gt(0))), positive);
        Assert.Throws<ArgumentException>(() => all.Where(ones(3, ScalarType.Bool)));
        Assert.Throws<ArgumentException>(() => all.Where(ones(all.Count)));
    }
}
