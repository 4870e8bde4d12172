namespace Sparseland.Notebooks.Charts;

/// <summary>
/// One named line or cloud of points. A pair ("name", y) or a triple ("name", x, y) of arrays, lists or tensors converts by
/// itself; without x the values are numbered from 0.
/// </summary>
/// <remarks>NaN and infinite y values are gaps; the chart's caption says how many there are.</remarks>
public sealed record Series
{
    /// <summary>A series.</summary>
    /// <param name="name">Shown in the legend or at the line's end; may be empty for the only series of a chart.</param>
    /// <param name="x">Places, finite.</param>
    /// <param name="y">Values; NaN is a gap.</param>
    /// <param name="lower">Lower edge of a band around the line, or null.</param>
    /// <param name="upper">Upper edge of the band; both or neither.</param>
    /// <exception cref="ArgumentException">Empty, all gaps, lengths differ, or x is not finite.</exception>
    public Series(string name, Values x, Values y, Values? lower = null, Values? upper = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        if (y.Count == 0)
            throw new ArgumentException($"Series \"{name}\" has no values; a series needs at least one.", nameof(y));
        if (x.Count != y.Count)
            throw new ArgumentException($"Series \"{name}\" has {x.Count} x and {y.Count} y values; each y needs its x.", nameof(x));
        int bad = System.Array.FindIndex(x.Array, v => !double.IsFinite(v));
        if (bad >= 0)
            throw new ArgumentException($"Series \"{name}\": x[{bad}] is {x.Array[bad]}; x values must be finite.", nameof(x));
        if (!y.Array.Any(double.IsFinite))
            throw new ArgumentException($"Series \"{name}\": none of its {y.Count} values is a finite number, so there is nothing to draw.", nameof(y));
        if (lower is null != upper is null)
            throw new ArgumentException($"Series \"{name}\": a band needs both a lower and an upper edge.", lower is null ? nameof(lower) : nameof(upper));
        if (lower is not null && (lower.Count != y.Count || upper!.Count != y.Count))
            throw new ArgumentException($"Series \"{name}\" has {y.Count} values but a band of {lower.Count} and {upper!.Count}; all three must have one length.", nameof(lower));
        (Name, X, Y, Lower, Upper) = (name, x.Items, y.Items, lower?.Items, upper?.Items);
    }

    /// <summary>A series over 0, 1, 2, ...</summary>
    public Series(string name, Values y)
        : this(name, Numbers(y), y)
    {
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Places.</summary>
    public IReadOnlyList<double> X { get; }

    /// <summary>Values; NaN is a gap.</summary>
    public IReadOnlyList<double> Y { get; }

    /// <summary>Lower edge of the band, or null.</summary>
    public IReadOnlyList<double>? Lower { get; }

    /// <summary>Upper edge of the band, or null.</summary>
    public IReadOnlyList<double>? Upper { get; }

    internal int Gaps => Y.Count(v => !double.IsFinite(v));

    /// <summary>The same series with a band around it.</summary>
    /// <exception cref="ArgumentException">Lengths differ.</exception>
    public Series Band(Values lower, Values upper) => new(Name, Values.Of(X), Values.Of(Y), lower, upper);

    /// <summary>The median of several runs with a band from the lowest to the highest.</summary>
    /// <param name="name">Name of the series.</param>
    /// <param name="runs">One row per run (seed), one column per place.</param>
    /// <param name="x">Places; null for 0, 1, 2, ...</param>
    public static Series Over(string name, Grid2D runs, Values? x = null)
    {
        ArgumentNullException.ThrowIfNull(runs);
        var (middle, low, high) = (new double[runs.Columns], new double[runs.Columns], new double[runs.Columns]);
        for (int column = 0; column < runs.Columns; column++)
        {
            double[] sorted = [.. Enumerable.Range(0, runs.Rows).Select(row => runs[row, column]).Where(double.IsFinite).Order()];
            if (sorted.Length == 0)
            {
                (middle[column], low[column], high[column]) = (double.NaN, double.NaN, double.NaN);
                continue;
            }
            int half = sorted.Length / 2;
            middle[column] = sorted.Length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
            (low[column], high[column]) = (sorted[0], sorted[^1]);
        }
        return new Series(name, x ?? Numbers(middle), middle, low, high);
    }

    /// <summary>("name", y)</summary>
    public static implicit operator Series((string Name, IEnumerable<double> Y) pair) => new(pair.Name, Values.Of(pair.Y));

    /// <summary>("name", y)</summary>
    public static implicit operator Series((string Name, IEnumerable<float> Y) pair) => new(pair.Name, Values.Of(pair.Y));

    /// <summary>("name", y)</summary>
    public static implicit operator Series((string Name, IEnumerable<int> Y) pair) => new(pair.Name, Values.Of(pair.Y));

    /// <summary>("name", y)</summary>
    public static implicit operator Series((string Name, TensorValues Y) pair) => new(pair.Name, pair.Y.Values!);

    /// <summary>("name", x, y)</summary>
    public static implicit operator Series((string Name, IEnumerable<double> X, IEnumerable<double> Y) triple) => new(triple.Name, Values.Of(triple.X), Values.Of(triple.Y));

    /// <summary>("name", x, y)</summary>
    public static implicit operator Series((string Name, IEnumerable<int> X, IEnumerable<double> Y) triple) => new(triple.Name, Values.Of(triple.X), Values.Of(triple.Y));

    /// <summary>("name", x, y)</summary>
    public static implicit operator Series((string Name, IEnumerable<float> X, IEnumerable<float> Y) triple) => new(triple.Name, Values.Of(triple.X), Values.Of(triple.Y));

    /// <summary>("name", x, y)</summary>
    public static implicit operator Series((string Name, TensorValues X, TensorValues Y) triple) => new(triple.Name, triple.X.Values!, triple.Y.Values!);

    /// <summary>("name", x, y)</summary>
    public static implicit operator Series((string Name, IEnumerable<double> X, TensorValues Y) triple) => new(triple.Name, Values.Of(triple.X), triple.Y.Values!);

    private static Values Numbers(Values y) => Values.Of(Enumerable.Range(0, y?.Count ?? 0).Select(i => (double)i));
}
