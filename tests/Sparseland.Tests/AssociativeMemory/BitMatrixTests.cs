using FsCheck;
using FsCheck.Fluent;
using Sparseland.AssociativeMemory;
using Sparseland.Tensors;

namespace Sparseland.Tests.AssociativeMemory;

public class BitMatrixTests
{
    [Fact]
    public void The_vector_count_is_the_scalar_count() => Prop.ForAll<int>(The_vector_count_is_the_scalar_countFor).QuickCheckThrowOnFailure();

    private static void The_vector_count_is_the_scalar_countFor(int seed)
    {
        var random = new SeededRandom(seed);
        int rows = 1 + random.NextInt(40), columns = 1 + random.NextInt(700);
        BitMatrix matrix = Filled(rows, columns, random.NextDouble(), ref random);
        int[] chosen = new int[random.NextInt(random.NextInt(2) == 0 ? 20 : 700)];
        foreach (ref int row in chosen.AsSpan()) row = random.NextInt(rows);
        Same(matrix, chosen);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(65_536)]
    public void Counts_that_fill_a_byte_or_two_are_right(int times)
    {
        var random = new SeededRandom(times);
        BitMatrix matrix = Filled(3, 130, 0.5, ref random);
        for (int column = 0; column < 130; column++) matrix[1, column] = true;
        int[] chosen = new int[times];
        chosen.AsSpan().Fill(1);
        var counts = new int[130];
        matrix.CountOver(chosen, counts);
        Assert.All(counts, count => Assert.Equal(times, count));
        Same(matrix, [0, 2, .. chosen]);
    }

    [Fact]
    public void Bits_are_where_they_were_set()
    {
        var matrix = new BitMatrix(2, 65);
        matrix[1, 64] = true;
        matrix[0, 63] = true;
        Assert.True(matrix[1, 64] && matrix[0, 63]);
        Assert.False(matrix[0, 64] || matrix[1, 63]);
        Assert.Equal(2, matrix.Count);
        Assert.Equal(2.0 / 130, matrix.Density, 1e-15);
        int[] expected = new int[65];
        (expected[63], expected[64]) = (1, 1);
        Assert.Equal(expected, matrix.ColumnCounts());
        matrix[1, 64] = false;
        Assert.Equal(1, matrix.Count);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Equal("rows", Assert.Throws<ArgumentOutOfRangeException>(() => new BitMatrix(0, 1)).ParamName);
        Assert.Equal("columns", Assert.Throws<ArgumentOutOfRangeException>(() => new BitMatrix(1, 0)).ParamName);
        Assert.Equal("rows", Assert.Throws<ArgumentOutOfRangeException>(() => new BitMatrix(int.MaxValue, 64)).ParamName);
        var matrix = new BitMatrix(2, 3);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix[2, 0]);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix[0, 3] = true);
        Assert.Contains("Row 2", Assert.Throws<ArgumentOutOfRangeException>(() => matrix.CountOver([2], new int[3])).Message, StringComparison.Ordinal);
        Assert.Contains("2 counts for 3", Assert.Throws<ArgumentException>(() => matrix.CountOver([0], new int[2])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.CountOverScalar([-1], new int[3]));
    }

    private static void Same(BitMatrix matrix, int[] chosen)
    {
        int[] vector = new int[matrix.Columns], scalar = new int[matrix.Columns];
        vector.AsSpan().Fill(-1);
        matrix.CountOver(chosen, vector);
        matrix.CountOverScalar(chosen, scalar);
        Assert.Equal(scalar, vector);
    }

    private static BitMatrix Filled(int rows, int columns, double density, ref SeededRandom random)
    {
        var matrix = new BitMatrix(rows, columns);
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++) matrix[row, column] = random.NextDouble() < density;
        }

        return matrix;
    }
}
