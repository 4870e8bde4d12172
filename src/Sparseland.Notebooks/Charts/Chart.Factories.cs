using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

public abstract partial record Chart
{
    /// <summary>Lines over a common x axis; a band where a series has one.</summary>
    /// <param name="series">Pairs ("name", y), triples ("name", x, y) or <see cref="Charts.Series"/>.</param>
    /// <param name="x">Title of the x axis with its unit.</param>
    /// <param name="y">Title of the y axis with its unit.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <param name="logX">Logarithmic x axis.</param>
    /// <param name="logY">Logarithmic y axis.</param>
    /// <exception cref="ArgumentException">No series, or a value that cannot stand on a log axis.</exception>
    public static CurvesChart Curves(
        IReadOnlyList<Series> series, string x = "", string y = "", string title = "", string caption = "", bool logX = false, bool logY = false) =>
        Checked(new CurvesChart(Some(series)) { XTitle = x, YTitle = y, Title = title, Caption = caption, LogX = logX, LogY = logY });

    /// <summary>One line over 0, 1, 2, ...</summary>
    /// <param name="values">Values; NaN is a gap.</param>
    /// <param name="x">Title of the x axis with its unit.</param>
    /// <param name="y">Title of the y axis with its unit.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <param name="logX">Logarithmic x axis.</param>
    /// <param name="logY">Logarithmic y axis.</param>
    public static CurvesChart Curve(
        Values values, string x = "", string y = "", string title = "", string caption = "", bool logX = false, bool logY = false) =>
        Curves([new Series("", values)], x, y, title, caption, logX, logY);

    /// <summary>A matrix as colours, row 0 at the top.</summary>
    /// <param name="matrix">2-D tensor, 2-D array, array of rows or support.</param>
    /// <param name="x">What the columns are.</param>
    /// <param name="y">What the rows are.</param>
    /// <param name="value">What the colours mean, with the unit.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <param name="range">Values at the ends of the colour scale; null for those of the data.</param>
    /// <param name="rowNames">A name for each row.</param>
    /// <param name="columnNames">A name for each column.</param>
    /// <exception cref="ArgumentException">Nothing finite to draw, or names that do not fit.</exception>
    public static HeatMapChart HeatMap(
        Grid2D matrix, string x = "", string y = "", string value = "", string title = "", string caption = "",
        (double From, double To)? range = null, IReadOnlyList<string>? rowNames = null, IReadOnlyList<string>? columnNames = null)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        return Checked(new HeatMapChart(matrix)
        {
            XTitle = x,
            YTitle = y,
            ValueTitle = value,
            Title = title,
            Caption = caption,
            Range = range,
            RowNames = rowNames,
            ColumnNames = columnNames,
        });
    }

    private static T Checked<T>(T chart)
        where T : Chart
    {
        chart.Check();
        return chart;
    }

    private static IReadOnlyList<Series> Some(IReadOnlyList<Series> series)
    {
        ArgumentNullException.ThrowIfNull(series);
        if (series.Count == 0)
            throw new ArgumentException("The chart has no series; it needs at least one.", nameof(series));
        if (series.Any(s => s is null))
            throw new ArgumentException("A series is null.", nameof(series));
        return [.. series];
    }
}
