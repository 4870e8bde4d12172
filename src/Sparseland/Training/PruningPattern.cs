using System.Globalization;
using Sparseland.Selection;

namespace Sparseland.Training;

/// <summary>
/// How sparse, and within which sets weights compete: the same scores under another pattern are another method. A pattern speaks of shares, and
/// <see cref="For"/> makes a <see cref="Budget"/> of it for a matrix; a convolution's weight is the matrix [out, in kh kw].
/// </summary>
/// <remarks>Of n competing weights floor(s n + 1e-6) go, exactly, and of equal scores the one with the lower index stays.</remarks>
public abstract record PruningPattern
{
    private protected PruningPattern()
    {
    }

    /// <summary>Share of weights that go.</summary>
    public abstract double Sparsity { get; }

    /// <summary>All layers compete with each other.</summary>
    /// <param name="sparsity">Share that goes, from 0 to below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is out of its range.</exception>
    public static PruningPattern Global(double sparsity) => new GlobalPattern(Share(sparsity));

    /// <summary>The weights of a layer compete with each other.</summary>
    /// <param name="sparsity">Share that goes, from 0 to below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is out of its range.</exception>
    public static PruningPattern PerLayer(double sparsity) => new PerLayerPattern(Share(sparsity));

    /// <summary>The weights of an output unit compete with each other: Wanda's choice.</summary>
    /// <param name="sparsity">Share that goes, from 0 to below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is out of its range.</exception>
    public static PruningPattern PerRow(double sparsity) => new PerRowPattern(Share(sparsity));

    /// <summary>N of every M consecutive inputs of an output unit stay: 2:4, 4:8.</summary>
    /// <param name="n">Kept, from 1 to <paramref name="m"/>.</param>
    /// <param name="m">Length of a run; it must divide the inputs of a layer.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static PruningPattern NofM(int n, int m)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(n);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(m);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(n, m);
        return new NofMPattern(n, m);
    }

    /// <summary>Runs of consecutive inputs of an output unit stay or go together; a run's score is the sum of its weights' scores.</summary>
    /// <param name="size">Length of a run; it must divide the inputs of a layer.</param>
    /// <param name="sparsity">Share that goes, from 0 to below 1.</param>
    /// <param name="perRow">Whether the runs of an output unit compete among themselves only; false, the default, for all runs of a layer.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static PruningPattern Groups(int size, double sparsity, bool perRow = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        return new BlocksPattern(1, size, Share(sparsity), perRow);
    }

    /// <summary>Blocks of some outputs and inputs stay or go together, and all blocks of a layer compete; a block's score is the sum of its weights' scores.</summary>
    /// <param name="rows">Outputs of a block; it must divide those of a layer.</param>
    /// <param name="columns">Inputs of a block; it must divide those of a layer.</param>
    /// <param name="sparsity">Share that goes, from 0 to below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static PruningPattern Blocks(int rows, int columns, double sparsity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        return new BlocksPattern(rows, columns, Share(sparsity), WithinRows: false);
    }

    /// <summary>Whole output units stay or go, by the sum of their weights' scores.</summary>
    /// <param name="sparsity">Share that goes, from 0 to below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is out of its range.</exception>
    public static PruningPattern Rows(double sparsity) => new RowsPattern(Share(sparsity));

    /// <summary>The budget for one matrix.</summary>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs.</param>
    /// <exception cref="ArgumentException">The pattern does not tile the matrix.</exception>
    public abstract Budget For(int rows, int columns);

    /// <summary>How many of n competing things a share lets stay: n - floor(s n + 1e-6).</summary>
    /// <param name="n">n.</param>
    /// <param name="sparsity">s, from 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative n, or a share out of its range.</exception>
    public static long Kept(long n, double sparsity)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(n);

        // NaN too, which a cast makes 0: nothing would go, and nobody would know.
        if (!(sparsity is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "sparsity is a share from 0 to 1.");
        return n - (long)Math.Floor((sparsity * n) + 1e-6);
    }

    /// <summary>Reads "0.5" as <see cref="PerRow"/> and "2:4" as <see cref="NofM"/>.</summary>
    /// <param name="text">The text.</param>
    /// <exception cref="FormatException">It is neither.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static PruningPattern Parse(string text)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        string[] parts = text.Split(':');
        if (parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int n) && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int m))
            return NofM(n, m);
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double sparsity)
            ? PerRow(sparsity)
            : throw new FormatException($"\"{text}\" is no pattern; say a share like 0.5, or N:M like 2:4.");
    }

    private protected static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.###} %");

    private static double Share(double sparsity) => sparsity is >= 0 and < 1
        ? sparsity
        : throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "sparsity is a share from 0 to below 1: nothing would be left at 1.");
}

/// <summary>See <see cref="PruningPattern.Global"/>.</summary>
/// <param name="Sparsity">Share that goes.</param>
public sealed record GlobalPattern(double Sparsity) : PruningPattern
{
    /// <inheritdoc/>
    public override double Sparsity { get; } = Sparsity;

    /// <inheritdoc/>
    public override Budget For(int rows, int columns) => Budget.Global(checked((int)Kept((long)rows * columns, Sparsity)));

    /// <inheritdoc/>
    public override string ToString() => $"{Percent(Sparsity)} global";
}

/// <summary>See <see cref="PruningPattern.PerLayer"/>.</summary>
/// <param name="Sparsity">Share that goes.</param>
public sealed record PerLayerPattern(double Sparsity) : PruningPattern
{
    /// <inheritdoc/>
    public override double Sparsity { get; } = Sparsity;

    /// <inheritdoc/>
    public override Budget For(int rows, int columns) => Budget.Global(checked((int)Kept((long)rows * columns, Sparsity)));

    /// <inheritdoc/>
    public override string ToString() => $"{Percent(Sparsity)} per layer";
}

/// <summary>See <see cref="PruningPattern.PerRow"/>.</summary>
/// <param name="Sparsity">Share that goes.</param>
public sealed record PerRowPattern(double Sparsity) : PruningPattern
{
    /// <inheritdoc/>
    public override double Sparsity { get; } = Sparsity;

    /// <inheritdoc/>
    public override Budget For(int rows, int columns) => Budget.PerRow((int)Kept(columns, Sparsity));

    /// <inheritdoc/>
    public override string ToString() => $"{Percent(Sparsity)} per row";
}

/// <summary>See <see cref="PruningPattern.NofM"/>.</summary>
/// <param name="N">Kept.</param>
/// <param name="M">Length of a run.</param>
public sealed record NofMPattern(int N, int M) : PruningPattern
{
    /// <inheritdoc/>
    public override double Sparsity => 1 - ((double)N / M);

    /// <inheritdoc/>
    public override Budget For(int rows, int columns) => Budget.NofM(N, M);

    /// <inheritdoc/>
    public override string ToString() => $"{N}:{M}";
}

/// <summary>See <see cref="PruningPattern.Blocks"/> and <see cref="PruningPattern.Groups"/>.</summary>
/// <param name="BlockRows">Outputs of a block.</param>
/// <param name="BlockColumns">Inputs of a block.</param>
/// <param name="Sparsity">Share that goes.</param>
/// <param name="WithinRows">Whether the blocks of one row of blocks compete among themselves only.</param>
public sealed record BlocksPattern(int BlockRows, int BlockColumns, double Sparsity, bool WithinRows) : PruningPattern
{
    /// <inheritdoc/>
    public override double Sparsity { get; } = Sparsity;

    /// <inheritdoc/>
    public override Budget For(int rows, int columns)
    {
        int down = rows / BlockRows, across = columns / BlockColumns;
        return WithinRows
            ? Budget.BlocksPerRow(BlockRows, BlockColumns, (int)Kept(across, Sparsity))
            : Budget.Blocks(BlockRows, BlockColumns, checked((int)Kept((long)down * across, Sparsity)));
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Percent(Sparsity)} in blocks of {BlockRows} x {BlockColumns}{(WithinRows ? " per row" : "")}";
}

/// <summary>See <see cref="PruningPattern.Rows"/>.</summary>
/// <param name="Sparsity">Share that goes.</param>
public sealed record RowsPattern(double Sparsity) : PruningPattern
{
    /// <inheritdoc/>
    public override double Sparsity { get; } = Sparsity;

    /// <inheritdoc/>
    public override Budget For(int rows, int columns) => Budget.Blocks(1, columns, (int)Kept(rows, Sparsity));

    /// <inheritdoc/>
    public override string ToString() => $"{Percent(Sparsity)} of the outputs";
}
