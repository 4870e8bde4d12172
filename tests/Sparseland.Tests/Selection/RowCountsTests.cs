using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Selection;

public class RowCountsTests
{
    [Theory]
    [InlineData(1, 7), InlineData(33, 64), InlineData(130, 130)]
    public void Each_row_keeps_its_own_highest(int rows, int columns)
    {
        var random = new Random(rows);
        int[] counts = [.. Enumerable.Range(0, rows).Select(_ => random.Next(columns + 1))];
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            // Few different scores, so that there are ties.
            Tensor scores = randint(-5, 5, [rows, columns], generator: new Generator(3)).to(type);
            Support support = Select.TopK(scores, Budget.PerRow(counts));
            Assert.Equal(counts, support.CountsPerRow());
            Assert.Equal(counts.Sum(), Budget.PerRow(counts).CountFor(rows, columns));
            for (int row = 0; row < rows; row++)
                Assert.Equal(Select.TopK(scores[row].unsqueeze(0), Budget.PerRow(counts[row])).ColumnIndices.ToArray(), support.Row(row).ToArray());
            Assert.Equal(support, TorchTopK.Select(scores, Budget.PerRow(counts)));
            Assert.Equal(support, Select.TopK(scores.t(), Budget.PerColumn(counts)).Transpose(out _));
        }
    }

    [Fact]
    public void Equal_counts_are_the_budget_of_one_number() =>
        Assert.Equal(Select.TopK(rand(9, 12), Budget.PerRow(0)), Select.TopK(rand(9, 12), Budget.PerRow(new int[9])));

    [Fact]
    public void Bad_counts_are_refused()
    {
        Tensor scores = rand(3, 4);
        Assert.Contains("2 counts for 3 rows", Assert.Throws<ArgumentException>(() => Select.TopK(scores, Budget.PerRow([1, 1]))).Message, StringComparison.Ordinal);
        Assert.Contains("keeps 5 entries of a row, but there are only 4", Assert.Throws<ArgumentException>(() => Select.TopK(scores, Budget.PerRow([1, 5, 0]))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("counts", () => Budget.PerRow([1, -1, 0]));
        scores[2, 1] = float.NaN;
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => Select.TopK(scores, Budget.PerRow([1, 1, 1]))).Message, StringComparison.Ordinal);
    }
}
