using System.Numerics;
using Sparseland.Coding;
using Sparseland.Tensors;

namespace Sparseland.Tests.Coding;

public class SparseRowsTests
{
    [Theory]
    [InlineData(16, 1, 0.5)]
    [InlineData(48, 5, 0.3)]
    [InlineData(128, 3, 0)]
    [InlineData(208, 32, 0.2)]
    [InlineData(1008, 7, 1)]
    public void Many_rows_are_each_row_alone(int width, int count, double share)
    {
        Compare<float>(width, count, share);
        Compare<double>(width, count, share);
    }

    private static unsafe void Compare<T>(int width, int count, double share)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        var random = new SeededRandom(width + count);
        T[] Draw(int n, double kept) => [.. Enumerable.Range(0, n).Select(_ => random.NextDouble(0, 1) < kept ? T.CreateTruncating(random.NextDouble(-1, 1)) : T.Zero)];
        T[] rows = Draw(count * width, share), start = Draw(count * width, 1), matrix = Draw(width * width, 1);
        T[] together = new T[count * width], alone = new T[count * width];
        bool[] skip = [.. Enumerable.Range(0, count).Select(r => r % 3 == 1)];
        fixed (T* x = rows, s = start, m = matrix, a = together, b = alone)
        {
            SparseRows.Accumulate(x, s, m, a, skip, width, width);
            for (int r = 0; r < count; r++)
            {
                long at = (long)r * width;
                if (!skip[r]) SparseRows.Accumulate(x + at, s + at, m, b + at, width);
            }
        }

        Assert.Equal(alone, together);

        // Against the plain sum of one row, in the wider type.
        for (int j = 0; j < width; j++)
        {
            double sum = double.CreateTruncating(start[j]);
            for (int i = 0; i < width; i++) sum += double.CreateTruncating(rows[i]) * double.CreateTruncating(matrix[(i * width) + j]);
            Assert.Equal(sum, double.CreateTruncating(together[j]), 1e-4);
        }
    }
}
