namespace Sparseland.Selection;

/// <summary>
/// How many entries of a score matrix may stay, and within which sets they compete. A budget is only a rule;
/// <see cref="Select.TopK(TorchSharp.torch.Tensor, Budget)"/> applies it. Except for <see cref="And"/> every budget
/// is met exactly: it keeps that many entries, neither fewer nor more, whatever the ties.
/// </summary>
/// <remarks>
/// In each competing set the entries with the highest scores stay. Equal scores go to the lower index (row-major for
/// sets that span rows); -0.0 equals 0.0, and infinities are ordinary scores.
/// </remarks>
public abstract record Budget
{
    private protected Budget()
    {
    }

    /// <summary>The <paramref name="k"/> highest of each row: TopK autoencoders, Wanda, per-token pruning.</summary>
    /// <param name="k">Entries kept in each row, not negative and at most the row's length.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="k"/> is negative.</exception>
    public static Budget PerRow(int k) => new PerRowBudget(NotNegative(k, nameof(k)));

    /// <summary>Of each row its own number of highest entries: causal attention, whose first rows have few keys; budgets that several heads share.</summary>
    /// <param name="counts">[rows]: entries kept in each row, not negative and at most the row's length; copied.</param>
    /// <exception cref="ArgumentOutOfRangeException">A count is negative.</exception>
    public static Budget PerRow(IReadOnlyList<int> counts) => new RowCountsBudget(Counts(counts));

    /// <summary>The <paramref name="m"/> highest of each column: feature-choice autoencoders.</summary>
    /// <param name="m">Entries kept in each column, not negative and at most the number of rows.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="m"/> is negative.</exception>
    public static Budget PerColumn(int m) => new PerColumnBudget(NotNegative(m, nameof(m)));

    /// <summary>Of each column its own number of highest entries: feature choice with frequencies that follow a law.</summary>
    /// <param name="counts">[columns]: entries kept in each column, not negative and at most the number of rows; copied.</param>
    /// <exception cref="ArgumentOutOfRangeException">A count is negative.</exception>
    public static Budget PerColumn(IReadOnlyList<int> counts) => new ColumnCountsBudget(Counts(counts));

    /// <summary>The <paramref name="k"/> highest of the whole matrix: BatchTopK, mutual choice, global pruning.</summary>
    /// <param name="k">Entries kept altogether, not negative and at most rows x columns.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="k"/> is negative.</exception>
    public static Budget Global(int k) => new GlobalBudget(NotNegative(k, nameof(k)));

    /// <summary>
    /// The <paramref name="n"/> highest of every <paramref name="m"/> consecutive entries of a row (2:4, 4:8, ...).
    /// <paramref name="n"/> counts the kept ones.
    /// </summary>
    /// <param name="n">Entries kept in each run, from 0 to <paramref name="m"/>.</param>
    /// <param name="m">Length of a run, at least 1; it must divide the number of columns.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static Budget NofM(int n, int m)
    {
        Positive(m, nameof(m));
        NotNegative(n, nameof(n));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(n, m);
        return new NofMBudget(n, m);
    }

    /// <summary>
    /// The matrix is tiled in blocks of <paramref name="rows"/> x <paramref name="cols"/>; a block's score is the sum
    /// of its entries in float64; the <paramref name="k"/> highest blocks of the whole matrix stay, entire.
    /// </summary>
    /// <param name="rows">Height of a block; it must divide the number of rows.</param>
    /// <param name="cols">Width of a block; it must divide the number of columns.</param>
    /// <param name="k">Blocks kept altogether, not negative.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static Budget Blocks(int rows, int cols, int k) =>
        new BlocksBudget(Positive(rows, nameof(rows)), Positive(cols, nameof(cols)), NotNegative(k, nameof(k)), PerBlockRow: false);

    /// <summary>As <see cref="Blocks"/>, but <paramref name="k"/> blocks stay in each row of blocks.</summary>
    /// <param name="rows">Height of a block; it must divide the number of rows.</param>
    /// <param name="cols">Width of a block; it must divide the number of columns.</param>
    /// <param name="k">Blocks kept in each row of blocks, not negative.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static Budget BlocksPerRow(int rows, int cols, int k) =>
        new BlocksBudget(Positive(rows, nameof(rows)), Positive(cols, nameof(cols)), NotNegative(k, nameof(k)), PerBlockRow: true);

    /// <summary>
    /// Contiguous groups of <paramref name="size"/> entries of a row, scored by the sum of their entries in float64;
    /// <paramref name="k"/> groups stay in each row, entire. The same as <c>BlocksPerRow(1, size, k)</c>.
    /// </summary>
    /// <param name="size">Entries in a group; it must divide the number of columns.</param>
    /// <param name="k">Groups kept in each row, not negative.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static Budget Groups(int size, int k) =>
        new BlocksBudget(1, Positive(size, nameof(size)), NotNegative(k, nameof(k)), PerBlockRow: true);

    /// <summary>
    /// An entry stays when this budget keeps it and <paramref name="other"/> keeps it, each applied alone to the same
    /// scores. The result may have fewer entries than either budget, never more; <c>PerRow(k).And(PerColumn(m))</c>
    /// therefore bounds both the rows and the columns.
    /// </summary>
    /// <param name="other">The second budget.</param>
    public Budget And(Budget other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return new AndBudget(this, other);
    }

    /// <summary>
    /// How many entries of a matrix of this shape stay: exact for all budgets but <see cref="And"/>, where it is an
    /// upper bound. Checks that the budget fits the shape.
    /// </summary>
    /// <param name="rows">Rows of the score matrix, not negative.</param>
    /// <param name="columns">Columns of the score matrix, not negative.</param>
    /// <exception cref="ArgumentException">The budget asks for more than there is, or its blocks do not tile the shape.</exception>
    public abstract long CountFor(int rows, int columns);

    private protected static ArgumentException TooMany(Budget budget, string what, long asked, string where, long available) =>
        new($"{budget} keeps {asked} {what} of {where}, but there are only {available}.", nameof(budget));

    private protected static ArgumentException NotTiled(Budget budget, int size, string dimension, int length) =>
        new($"{budget} needs a number of {dimension} that is a multiple of {size}; the scores have {length}.", nameof(budget));

    private protected static int HashOf(IReadOnlyList<int> counts)
    {
        var hash = new HashCode();
        foreach (int count in counts) hash.Add(count);
        return hash.ToHashCode();
    }

    private protected static string Listed(IReadOnlyList<int> counts, string what) =>
        counts.Count <= 4 ? $"[{string.Join(", ", counts)}]" : $"[{string.Join(", ", counts.Take(3))}, ... {counts.Count} {what}]";

    private static int[] Counts(IReadOnlyList<int> counts)
    {
        ArgumentNullException.ThrowIfNull(counts);
        for (int i = 0; i < counts.Count; i++)
        {
            if (counts[i] < 0) throw new ArgumentOutOfRangeException(nameof(counts), counts[i], $"counts[{i}] is {counts[i]}; a count is not negative.");
        }

        return [.. counts];
    }

    private static int NotNegative(int value, string name)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(value, name);
        return value;
    }

    private static int Positive(int value, string name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        return value;
    }
}

/// <summary>See <see cref="Budget.PerRow(int)"/>.</summary>
/// <param name="K">Entries kept in each row.</param>
public sealed record PerRowBudget(int K) : Budget
{
    /// <inheritdoc/>
    public override long CountFor(int rows, int columns) =>
        K <= columns ? (long)rows * K : throw TooMany(this, "entries", K, "each row", columns);

    /// <inheritdoc/>
    public override string ToString() => $"PerRow({K})";
}

/// <summary>See <see cref="Budget.PerRow(IReadOnlyList{int})"/>.</summary>
/// <param name="Counts">Entries kept in each row.</param>
public sealed record RowCountsBudget(IReadOnlyList<int> Counts) : Budget
{
    /// <inheritdoc/>
    public override long CountFor(int rows, int columns)
    {
        if (Counts.Count != rows) throw new ArgumentException($"{this} has {Counts.Count} counts for {rows} rows.", "budget");
        return rows == 0 || (Counts.Max() is var most && most <= columns) ? Counts.Sum(count => (long)count) : throw TooMany(this, "entries", Counts.Max(), "a row", columns);
    }

    /// <inheritdoc/>
    public bool Equals(RowCountsBudget? other) => other is not null && Counts.SequenceEqual(other.Counts);

    /// <inheritdoc/>
    public override int GetHashCode() => HashOf(Counts);

    /// <inheritdoc/>
    public override string ToString() => $"PerRow({Listed(Counts, "rows")})";
}

/// <summary>See <see cref="Budget.PerColumn(int)"/>.</summary>
/// <param name="M">Entries kept in each column.</param>
public sealed record PerColumnBudget(int M) : Budget
{
    /// <inheritdoc/>
    public override long CountFor(int rows, int columns) =>
        M <= rows ? (long)columns * M : throw TooMany(this, "entries", M, "each column", rows);

    /// <inheritdoc/>
    public override string ToString() => $"PerColumn({M})";
}

/// <summary>See <see cref="Budget.PerColumn(IReadOnlyList{int})"/>.</summary>
/// <param name="Counts">Entries kept in each column.</param>
public sealed record ColumnCountsBudget(IReadOnlyList<int> Counts) : Budget
{
    /// <inheritdoc/>
    public override long CountFor(int rows, int columns)
    {
        if (Counts.Count != columns) throw new ArgumentException($"{this} has {Counts.Count} counts for {columns} columns.", "budget");
        return Counts.Max() is var most && most <= rows ? Counts.Sum(count => (long)count) : throw TooMany(this, "entries", most, "a column", rows);
    }

    /// <inheritdoc/>
    public bool Equals(ColumnCountsBudget? other) => other is not null && Counts.SequenceEqual(other.Counts);

    /// <inheritdoc/>
    public override int GetHashCode() => HashOf(Counts);

    /// <inheritdoc/>
    public override string ToString() => $"PerColumn({Listed(Counts, "columns")})";
}

/// <summary>See <see cref="Budget.Global"/>.</summary>
/// <param name="K">Entries kept altogether.</param>
public sealed record GlobalBudget(int K) : Budget
{
    /// <inheritdoc/>
    public override long CountFor(int rows, int columns) =>
        K <= (long)rows * columns ? K : throw TooMany(this, "entries", K, "the matrix", (long)rows * columns);

    /// <inheritdoc/>
    public override string ToString() => $"Global({K})";
}

/// <summary>See <see cref="Budget.NofM"/>.</summary>
/// <param name="N">Entries kept in each run.</param>
/// <param name="M">Length of a run.</param>
public sealed record NofMBudget(int N, int M) : Budget
{
    /// <inheritdoc/>
    public override long CountFor(int rows, int columns) =>
        columns % M == 0 ? (long)rows * (columns / M) * N : throw NotTiled(this, M, "columns", columns);

    /// <inheritdoc/>
    public override string ToString() => $"NofM({N}, {M})";
}

/// <summary>See <see cref="Budget.Blocks"/>, <see cref="Budget.BlocksPerRow"/> and <see cref="Budget.Groups"/>.</summary>
/// <param name="Rows">Height of a block.</param>
/// <param name="Cols">Width of a block.</param>
/// <param name="K">Blocks kept, altogether or in each row of blocks.</param>
/// <param name="PerBlockRow">Whether the blocks of each row of blocks compete among themselves only.</param>
public sealed record BlocksBudget(int Rows, int Cols, int K, bool PerBlockRow) : Budget
{
    /// <inheritdoc/>
    public override long CountFor(int rows, int columns)
    {
        if (rows % Rows != 0)
            throw NotTiled(this, Rows, "rows", rows);
        if (columns % Cols != 0)
            throw NotTiled(this, Cols, "columns", columns);
        long across = columns / Cols, down = rows / Rows;
        if (PerBlockRow)
            return K <= across ? down * K * Rows * Cols : throw TooMany(this, "blocks", K, "each row of blocks", across);
        return K <= across * down ? (long)K * Rows * Cols : throw TooMany(this, "blocks", K, "the matrix", across * down);
    }

    /// <inheritdoc/>
    public override string ToString() => (PerBlockRow, Rows) switch
    {
        (true, 1) => $"Groups({Cols}, {K})",
        (true, _) => $"BlocksPerRow({Rows}, {Cols}, {K})",
        _ => $"Blocks({Rows}, {Cols}, {K})",
    };
}

/// <summary>See <see cref="Budget.And"/>.</summary>
/// <param name="First">One budget.</param>
/// <param name="Second">The other.</param>
public sealed record AndBudget(Budget First, Budget Second) : Budget
{
    /// <inheritdoc/>
    public override long CountFor(int rows, int columns) =>
        Math.Min(First.CountFor(rows, columns), Second.CountFor(rows, columns));

    /// <inheritdoc/>
    public override string ToString() => $"{First} and {Second}";
}
