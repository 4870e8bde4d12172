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
    /// <param name="equalAspect">Steps of one unit are equally long on both axes: a circle is round. DEFAULT: false.</param>
    /// <exception cref="ArgumentException">No series, or a value that cannot stand on a log axis.</exception>
    public static CurvesChart Curves(
        IReadOnlyList<Series> series, string x = "", string y = "", string title = "", string caption = "", bool logX = false, bool logY = false,
        bool equalAspect = false) =>
        Checked(new CurvesChart(Some(series)) { XTitle = x, YTitle = y, Title = title, Caption = caption, LogX = logX, LogY = logY, EqualAspect = equalAspect });

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

    /// <summary>A trade-off: points of several methods and the front that no point improves in both quantities.</summary>
    /// <param name="series">One per method, one point per setting: ("name", x, y).</param>
    /// <param name="x">Title of the x axis with its unit.</param>
    /// <param name="y">Title of the y axis with its unit.</param>
    /// <param name="best">The better corner.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <param name="logX">Logarithmic x axis.</param>
    /// <param name="logY">Logarithmic y axis.</param>
    public static ParetoChart Pareto(
        IReadOnlyList<Series> series, string x = "", string y = "", Better best = Better.LowerLeft, string title = "", string caption = "", bool logX = false, bool logY = false)
    {
        if (!Enum.IsDefined(best))
            throw new ArgumentOutOfRangeException(nameof(best), best, "Not a corner.");
        return Checked(new ParetoChart(Some(series)) { XTitle = x, YTitle = y, Best = best, Title = title, Caption = caption, LogX = logX, LogY = logY });
    }

    /// <summary>Clouds of points.</summary>
    /// <param name="series">("name", x, y) each.</param>
    /// <param name="x">Title of the x axis with its unit.</param>
    /// <param name="y">Title of the y axis with its unit.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <param name="logX">Logarithmic x axis.</param>
    /// <param name="logY">Logarithmic y axis.</param>
    /// <param name="diagonal">Draw the line y = x.</param>
    /// <param name="equalAspect">Steps of one unit are equally long on both axes. DEFAULT: false.</param>
    public static ScatterChart Scatter(
        IReadOnlyList<Series> series, string x = "", string y = "", string title = "", string caption = "", bool logX = false, bool logY = false,
        bool diagonal = false, bool equalAspect = false) =>
        Checked(new ScatterChart(Some(series)) { XTitle = x, YTitle = y, Title = title, Caption = caption, LogX = logX, LogY = logY, Diagonal = diagonal, EqualAspect = equalAspect });

    /// <summary>How often values occur in several sets, over the same bins.</summary>
    /// <param name="sets">("name", values) each.</param>
    /// <param name="x">What the values are, with the unit.</param>
    /// <param name="bins">Number of bins; null chooses by the rule of Freedman and Diaconis.</param>
    /// <param name="range">From where to where; null for all values.</param>
    /// <param name="shares">Shares of each set instead of counts: for sets of different sizes.</param>
    /// <param name="logY">Logarithmic heights.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <exception cref="ArgumentException">A set without finite values, no bins, or an empty range.</exception>
    public static HistogramChart Histogram(
        IReadOnlyList<(string Name, Values Values)> sets, string x = "", int? bins = null, (double From, double To)? range = null,
        bool shares = false, bool logY = false, string title = "", string caption = "")
    {
        ArgumentNullException.ThrowIfNull(sets);
        if (sets.Count == 0)
            throw new ArgumentException("The histogram has no values; it needs at least one set.", nameof(sets));
        foreach (var (name, values) in sets)
        {
            if (values is null || !values.Array.Any(double.IsFinite))
                throw new ArgumentException($"Set \"{name}\" has no finite value, so there is nothing to count.", nameof(sets));
        }
        if (bins is < 1 or > 1000)
            throw new ArgumentOutOfRangeException(nameof(bins), bins, "A histogram has from 1 to 1000 bins.");
        if (range is var (from, to) && !(from < to && double.IsFinite(from) && double.IsFinite(to)))
            throw new ArgumentException($"The range goes from {from} to {to}; it must go from a smaller to a larger finite number.", nameof(range));
        return Checked(new HistogramChart(sets, bins, range, shares) { XTitle = x, YTitle = shares ? "share [1]" : "count", LogY = logY, Title = title, Caption = caption });
    }

    /// <summary>How often values occur.</summary>
    /// <param name="values">The values.</param>
    /// <param name="x">What the values are, with the unit.</param>
    /// <param name="bins">Number of bins; null chooses by the rule of Freedman and Diaconis.</param>
    /// <param name="range">From where to where; null for all values.</param>
    /// <param name="logY">Logarithmic heights.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    public static HistogramChart Histogram(
        Values values, string x = "", int? bins = null, (double From, double To)? range = null, bool logY = false, string title = "", string caption = "") =>
        Histogram([("", values)], x, bins, range, shares: false, logY, title, caption);

    /// <summary>Values of named things as bars, grouped where there are several series.</summary>
    /// <param name="categories">Names along the axis, all different.</param>
    /// <param name="series">One value per category each; <see cref="Series.Band"/> gives error bars.</param>
    /// <param name="x">What the categories are.</param>
    /// <param name="y">What the values are, with the unit.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <param name="logY">Logarithmic values, drawn as points on thin stems since a log axis has no zero for bars to stand on.</param>
    public static BarsChart Bars(
        IReadOnlyList<string> categories, IReadOnlyList<Series> series, string x = "", string y = "", string title = "", string caption = "", bool logY = false)
    {
        ArgumentNullException.ThrowIfNull(categories);
        if (categories.Count == 0 || categories.Any(string.IsNullOrEmpty))
            throw new ArgumentException("Bars need at least one category, and each needs a name.", nameof(categories));
        if (categories.Distinct().Count() != categories.Count)
            throw new ArgumentException("Two categories have one name; they could not be told apart.", nameof(categories));
        return Checked(new BarsChart([.. categories], Some(series)) { XTitle = x, YTitle = y, Title = title, Caption = caption, LogY = logY });
    }

    /// <summary>One bar per named thing.</summary>
    /// <param name="categories">Names along the axis, all different.</param>
    /// <param name="values">One value per category.</param>
    /// <param name="x">What the categories are.</param>
    /// <param name="y">What the values are, with the unit.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <param name="logY">Logarithmic values, drawn as points on thin stems.</param>
    public static BarsChart Bars(
        IReadOnlyList<string> categories, Values values, string x = "", string y = "", string title = "", string caption = "", bool logY = false) =>
        Bars(categories, [new Series("", values)], x, y, title, caption, logY);

    /// <summary>The atoms of a dictionary as square pictures, each scaled to its own largest weight; zero is mid-grey.</summary>
    /// <param name="dictionary">[atoms, patchSize * patchSize].</param>
    /// <param name="patchSize">Side of a patch in pixels.</param>
    /// <param name="columns">Pictures in a row; 0 chooses.</param>
    /// <param name="sortBy">A number per atom, such as its usage: the largest is shown first.</param>
    /// <param name="most">Show at most so many.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <exception cref="ArgumentException">Sizes do not fit, or an atom has a value that is not finite.</exception>
    public static AtomsChart Atoms(
        Grid2D dictionary, int patchSize, int columns = 0, Values? sortBy = null, int most = 400, string title = "", string caption = "")
    {
        ArgumentNullException.ThrowIfNull(dictionary);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(patchSize);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most);
        if (dictionary.Columns != patchSize * patchSize)
            throw new ArgumentException($"The dictionary has {dictionary.Columns} features; patches of {patchSize} x {patchSize} have {patchSize * patchSize}.", nameof(patchSize));
        int bad = Array.FindIndex(dictionary.Array, v => !double.IsFinite(v));
        if (bad >= 0)
            throw new ArgumentException($"Atom {bad / dictionary.Columns} has the weight {dictionary.Array[bad]}; all weights must be finite.", nameof(dictionary));
        if (sortBy is not null && sortBy.Count != dictionary.Rows)
            throw new ArgumentException($"There are {sortBy.Count} numbers to sort {dictionary.Rows} atoms by.", nameof(sortBy));
        IEnumerable<int> order = Enumerable.Range(0, dictionary.Rows);
        if (sortBy is not null)
            order = order.OrderByDescending(atom => sortBy.Array[atom]);
        int[] shown = [.. order.Take(most)];
        int across = columns > 0 ? columns : Math.Min(shown.Length, (int)Math.Ceiling(Math.Sqrt(shown.Length * 1.8)));
        return Checked(new AtomsChart(dictionary, patchSize, across, shown) { Title = title, Caption = caption });
    }

    /// <summary>Pictures side by side.</summary>
    /// <param name="pictures">("name", tensor [height, width] or [3, height, width]) each.</param>
    /// <param name="columns">Pictures in a row; 0 for all in one, at most six.</param>
    /// <param name="range">Values drawn black and white; null scales each grey picture to its own values.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    public static ImagesChart Images(
        IReadOnlyList<Picture> pictures, int columns = 0, (double From, double To)? range = null, string title = "", string caption = "")
    {
        ArgumentNullException.ThrowIfNull(pictures);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        if (pictures.Count == 0)
            throw new ArgumentException("There is no picture; there must be at least one.", nameof(pictures));
        return Checked(new ImagesChart([.. pictures], columns > 0 ? columns : Math.Min(6, pictures.Count)) { Range = range, Title = title, Caption = caption });
    }

    /// <summary>Which entries of a matrix stay, with the number kept per row and per column.</summary>
    /// <param name="support">A <see cref="Selection.Support"/>, or a mask as tensor or 2-D array of 0 and 1.</param>
    /// <param name="x">What the columns are.</param>
    /// <param name="y">What the rows are.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <exception cref="ArgumentException">A mask with other values than 0 and 1.</exception>
    public static SupportChart Support(Grid2D support, string x = "", string y = "", string title = "", string caption = "")
    {
        ArgumentNullException.ThrowIfNull(support);
        return Checked(new SupportChart(support) { XTitle = x, YTitle = y, Title = title, Caption = caption });
    }

    /// <summary>A table.</summary>
    /// <param name="headings">Column headings, with units.</param>
    /// <param name="rows">Rows of text and numbers, each as long as the headings.</param>
    /// <param name="title">Heading.</param>
    /// <param name="caption">What to see.</param>
    /// <exception cref="ArgumentException">A row of another length.</exception>
    public static TableChart Table(IReadOnlyList<string> headings, IReadOnlyList<IReadOnlyList<object?>> rows, string title = "", string caption = "")
    {
        ArgumentNullException.ThrowIfNull(headings);
        ArgumentNullException.ThrowIfNull(rows);
        if (headings.Count == 0)
            throw new ArgumentException("A table needs at least one column.", nameof(headings));
        for (int row = 0; row < rows.Count; row++)
        {
            if (rows[row] is null)
                throw new ArgumentException($"Row {row} is null; a row is a list of cells.", nameof(rows));
            if (rows[row].Count != headings.Count)
                throw new ArgumentException($"Row {row} has {rows[row].Count} cells for {headings.Count} columns.", nameof(rows));
        }
        return Checked(new TableChart([.. headings], [.. rows.Select(r => (IReadOnlyList<object?>)[.. r])]) { Title = title, Caption = caption });
    }

    /// <summary>Charts side by side in one row.</summary>
    public static ChartGrid Row(params Chart[] charts) => Grid(charts?.Length ?? 0, charts!);

    /// <summary>Charts in rows of <paramref name="columns"/>.</summary>
    /// <param name="columns">Charts in a row, at least 1.</param>
    /// <param name="charts">The charts in reading order.</param>
    /// <exception cref="ArgumentException">No charts, or a grid inside a grid.</exception>
    public static ChartGrid Grid(int columns, params Chart[] charts)
    {
        ArgumentNullException.ThrowIfNull(charts);
        if (charts.Length == 0 || charts.Any(c => c is null))
            throw new ArgumentException("A grid needs at least one chart, and none may be null.", nameof(charts));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        if (charts.Any(c => c is ChartGrid))
            throw new ArgumentException("A grid of charts cannot hold another grid: give all charts at once.", nameof(charts));
        int across = Math.Min(columns, charts.Length);
        return Checked(new ChartGrid(across, [.. charts]) { Width = across switch { 1 => 720, 2 => 900, _ => 1040 } });
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
