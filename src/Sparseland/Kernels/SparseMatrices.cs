using Sparseland.Tensors;

namespace Sparseland.Kernels;

/// <summary>Sparse matrices to try things on. Values are standard normal; the same seed gives the same matrix.</summary>
public static class SparseMatrices
{
    /// <summary>Equally many entries in each row, up to one, at places drawn without preference.</summary>
    /// <param name="rows">Rows, positive.</param>
    /// <param name="columns">Columns, positive.</param>
    /// <param name="count">Entries, from 0 to rows x columns.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static CsrMatrix Uniform(int rows, int columns, int count, long seed = 1)
    {
        Check(rows, columns, count);
        var random = new SeededRandom(seed);
        int[] offsets = new int[rows + 1], places = new int[count];
        var taken = new HashSet<int>();
        for (int row = 0; row < rows; row++)
        {
            offsets[row + 1] = (int)((long)count * (row + 1) / rows);
            Span<int> own = places.AsSpan(offsets[row], offsets[row + 1] - offsets[row]);
            taken.Clear();

            // Floyd's draw: as many numbers as are asked for, each set equally likely.
            for (int j = columns - own.Length, i = 0; j < columns; j++, i++)
            {
                int drawn = random.NextInt(j + 1);
                own[i] = taken.Add(drawn) ? drawn : j;
                if (own[i] == j) taken.Add(j);
            }

            own.Sort();
        }

        return With(rows, columns, offsets, places, random);
    }

    /// <summary>
    /// R-MAT (Chakrabarti et al. 2004): each entry falls down the quadrants of the matrix with the given chances, so few rows and columns hold most of them. Entries that fall on each other count
    /// once, and drawing goes on until there are as many as asked for.
    /// </summary>
    /// <param name="scale">s: the matrix is [2^s, 2^s]; from 1 to 30.</param>
    /// <param name="count">Entries; at most a quarter of all places.</param>
    /// <param name="a">Chance of the quadrant of low rows and columns. Default 0.57, as in Graph500.</param>
    /// <param name="b">Chance of low rows, high columns. Default 0.19.</param>
    /// <param name="c">Chance of high rows, low columns. Default 0.19; the rest is for high rows and columns.</param>
    /// <param name="relabel">Whether rows and columns are renamed at random, both alike. Default false.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the chances are so uneven that the entries do not come together.</exception>
    public static CsrMatrix RMat(int scale, int count, double a = 0.57, double b = 0.19, double c = 0.19, bool relabel = false, long seed = 1)
    {
        if (scale is < 1 or > 30) throw new ArgumentOutOfRangeException(nameof(scale), scale, "scale is from 1 to 30.");
        int size = 1 << scale;
        Check(size, size, count);
        if (count > (long)size * size / 4) throw new ArgumentOutOfRangeException(nameof(count), count, $"At most a quarter of the {(long)size * size} places can be filled by falling.");
        if (!(a > 0 && b > 0 && c > 0 && a + b + c < 1)) throw new ArgumentException($"The chances {a}, {b} and {c} must be positive and leave some for the fourth quadrant.", nameof(a));
        var random = new SeededRandom(seed);
        var keys = new HashSet<long>(count);
        for (long drawn = 0, most = 1000L + (200L * count); keys.Count < count; drawn++)
        {
            if (drawn == most) throw new ArgumentException($"After {most} draws there are {keys.Count} of {count} entries: the chances are too uneven for so many.", nameof(count));
            long row = 0, column = 0;
            for (int bit = 0; bit < scale; bit++)
            {
                double u = random.NextDouble();
                row = (row << 1) | (u < a + b ? 0L : 1);
                column = (column << 1) | (u < a || (u >= a + b && u < a + b + c) ? 0L : 1);
            }

            keys.Add((row << 32) | column);
        }

        int[] names = [.. Enumerable.Range(0, size)];
        if (relabel) random.Shuffle(names.AsSpan());
        long[] ordered = [.. keys.Select(key => ((long)names[(int)(key >> 32)] << 32) | (uint)names[(int)key])];
        Array.Sort(ordered);
        int[] offsets = new int[size + 1];
        foreach (long key in ordered) offsets[(int)(key >> 32) + 1]++;
        for (int row = 0; row < size; row++) offsets[row + 1] += offsets[row];
        return With(size, size, offsets, Array.ConvertAll(ordered, key => (int)key), random);
    }

    /// <summary>All entries at most so far from the diagonal.</summary>
    /// <param name="size">Rows and columns, positive.</param>
    /// <param name="reach">Largest |row - column|, from 0 to below the size.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static CsrMatrix Banded(int size, int reach, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        if (reach < 0 || reach >= size) throw new ArgumentOutOfRangeException(nameof(reach), reach, $"reach is from 0 to below the size of {size}.");
        return Ranges(size, row => (Math.Max(0, row - reach), Math.Min(size, row + reach + 1)), new(seed));
    }

    /// <summary>Full square blocks along the diagonal.</summary>
    /// <param name="size">Rows and columns, a multiple of the block.</param>
    /// <param name="block">Side of a block, positive.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <exception cref="ArgumentException">The block does not divide the size, or is not positive.</exception>
    public static CsrMatrix BlockDiagonal(int size, int block, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        if (size % block != 0) throw new ArgumentException($"Blocks of {block} do not tile a size of {size}.", nameof(block));
        return Ranges(size, row => (row / block * block, (row / block * block) + block), new(seed));
    }

    private static CsrMatrix Ranges(int size, Func<int, (int From, int To)> range, SeededRandom random)
    {
        int[] offsets = new int[size + 1];
        for (int row = 0; row < size; row++) offsets[row + 1] = checked(offsets[row] + range(row).To - range(row).From);
        int[] columns = new int[offsets[^1]];
        for (int row = 0; row < size; row++)
        {
            for (int i = offsets[row]; i < offsets[row + 1]; i++) columns[i] = range(row).From + i - offsets[row];
        }

        return With(size, size, offsets, columns, random);
    }

    private static CsrMatrix With(int rows, int columns, int[] offsets, int[] places, SeededRandom random)
    {
        float[] values = new float[places.Length];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextGaussian();
        return CsrMatrix.Trusted(rows, columns, offsets, places, values);
    }

    private static void Check(int rows, int columns, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        if (count < 0 || count > (long)rows * columns) throw new ArgumentOutOfRangeException(nameof(count), count, $"count is from 0 to the {(long)rows * columns} places.");
    }
}
