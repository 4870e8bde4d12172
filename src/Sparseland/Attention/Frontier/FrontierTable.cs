using Sparseland.Attention.Tasks;
using Sparseland.Evaluation;
using Sparseland.Tensors;

namespace Sparseland.Attention.Frontier;

/// <summary>One point of a study: a method at a sparsity, on one kind of question and one length.</summary>
/// <param name="Model">Name of the model.</param>
/// <param name="Method">The method.</param>
/// <param name="Kind">Kind of question.</param>
/// <param name="Tokens">Tokens of a text.</param>
/// <param name="Nominal">Sparsity that was asked for.</param>
/// <param name="Cells">Cells computed, or tokens read, over all heads and texts.</param>
/// <param name="Allowed">Those of dense attention.</param>
/// <param name="Values">Share of right answers of each text.</param>
/// <param name="Dense">The same with dense attention, text by text.</param>
/// <param name="Interval">Sparse minus dense, over the texts.</param>
/// <exception cref="ArgumentException">No text, other texts with dense attention, a share that is not from 0 to 1, or cells that are not from 0 to those of dense attention.</exception>
public sealed record FrontierRow(
    string Model, FrontierMethod Method, TaskKind Kind, int Tokens, double Nominal, long Cells, long Allowed, IReadOnlyList<double> Values, IReadOnlyList<double> Dense, PairedBootstrap Interval)
{
    /// <summary>Cells computed, or tokens read, over all heads and texts.</summary>
    public long Cells { get; init; } = Cells >= 0 && Cells <= Allowed ? Cells : throw new ArgumentOutOfRangeException(nameof(Cells), Cells, $"Cells must be from 0 to the {Allowed} of dense attention.");

    /// <summary>Those of dense attention.</summary>
    public long Allowed { get; init; } = Allowed > 0 ? Allowed : throw new ArgumentOutOfRangeException(nameof(Allowed), Allowed, "Allowed must be positive.");

    /// <summary>Share of right answers of each text.</summary>
    public IReadOnlyList<double> Values { get; init; } = Shares(Values, nameof(Values));

    /// <summary>The same with dense attention, text by text.</summary>
    public IReadOnlyList<double> Dense { get; init; } = Shares(Dense, nameof(Dense)).Count == Values.Count ? Dense
        : throw new ArgumentException($"Dense has {Dense.Count} texts, Values {Values.Count}; they must be the same ones.", nameof(Dense));

    /// <summary>When the method is sparse.</summary>
    public FrontierPhase Phase => FrontierMethods.PhaseOf(Method);

    /// <summary>Sparsity that was computed: 1 - cells / allowed.</summary>
    public double Computed => 1 - ((double)Cells / Allowed);

    /// <summary>Mean share of right answers.</summary>
    public double Accuracy => Values.Average();

    /// <summary>Mean share of right answers with dense attention.</summary>
    public double DenseAccuracy => Dense.Average();

    /// <summary>Whether the loss is below a margin with confidence: the lower end of the interval is above minus the margin.</summary>
    /// <param name="margin">Loss that would not matter, not negative. Default 0.02.</param>
    /// <exception cref="ArgumentOutOfRangeException">The margin is negative or not finite.</exception>
    public bool Passes(double margin = 0.02)
    {
        Finite.NotNegative(margin);
        return Interval.Low > -margin;
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static IReadOnlyList<double> Shares(IReadOnlyList<double> shares, string name)
    {
        ArgumentNullException.ThrowIfNull(shares, name);
        if (shares.Count == 0) throw new ArgumentException($"{name} has no text.", name);
        for (int i = 0; i < shares.Count; i++)
        {
            if (!(shares[i] is >= 0 and <= 1)) throw new ArgumentException(FormattableString.Invariant($"{name} is {shares[i]} for text {i}; shares of right answers are from 0 to 1."), name);
        }

        return shares;
    }
}

/// <summary>How far a method goes on one kind of question.</summary>
/// <param name="Method">The method.</param>
/// <param name="Kind">Kind of question.</param>
/// <param name="Tokens">Tokens of a text.</param>
/// <param name="Sparsity">Highest nominal sparsity that passes, by itself: a lower one may fail. Null where none passes.</param>
public sealed record FrontierReach(FrontierMethod Method, TaskKind Kind, int Tokens, double? Sparsity);

/// <summary>The points of a study.</summary>
/// <param name="rows">Points; none is an empty table.</param>
public sealed class FrontierTable(IReadOnlyList<FrontierRow> rows)
{
    /// <summary>The points.</summary>
    public IReadOnlyList<FrontierRow> Rows { get; } = Checked(rows);

    /// <summary>One point.</summary>
    /// <param name="model">Name of the model.</param>
    /// <param name="method">The method.</param>
    /// <param name="kind">Kind of question.</param>
    /// <param name="tokens">Tokens of a text.</param>
    /// <param name="nominal">Sparsity that was asked for.</param>
    /// <exception cref="ArgumentException">There is no such point, or more than one.</exception>
    public FrontierRow At(string model, FrontierMethod method, TaskKind kind, int tokens, double nominal)
    {
        FrontierRow[] found = [.. Rows.Where(r => r.Model == model && r.Method == method && r.Kind == kind && r.Tokens == tokens && Math.Abs(r.Nominal - nominal) < 1e-9)];
        return found.Length == 1 ? found[0] : throw new ArgumentException($"{found.Length} points are {method} of model '{model}' on {kind} at {tokens} tokens and sparsity {nominal}.", nameof(method));
    }

    /// <summary>Points of several studies in one table.</summary>
    /// <param name="tables">The tables.</param>
    public static FrontierTable Join(IEnumerable<FrontierTable> tables)
    {
        ArgumentNullException.ThrowIfNull(tables);
        return new([.. tables.SelectMany(t => (t ?? throw new ArgumentException("A table is null.", nameof(tables))).Rows)]);
    }

    /// <summary>The models' points put together: texts of all models, with intervals over all of them.</summary>
    /// <param name="seed">Seed of the bootstrap. Default 1.</param>
    /// <param name="resamples">Its resamples, at least 100. Default 2,000.</param>
    /// <exception cref="ArgumentOutOfRangeException">Too few resamples.</exception>
    /// <exception cref="InvalidOperationException">A point of a model stands twice, so that its texts would count double.</exception>
    public FrontierTable Pooled(int seed = 1, int resamples = 2000) => new([.. Rows.GroupBy(r => (r.Method, r.Kind, r.Tokens, r.Nominal)).Select(g =>
    {
        if (g.CountBy(r => r.Model).FirstOrDefault(m => m.Value > 1) is { Key: { } twice })
            throw new InvalidOperationException(FormattableString.Invariant($"The point {g.Key.Method} of model '{twice}' on {g.Key.Kind} at {g.Key.Tokens} tokens and sparsity {g.Key.Nominal} stands twice."));
        double[] values = [.. g.SelectMany(r => r.Values)], dense = [.. g.SelectMany(r => r.Dense)];
        return new FrontierRow("all", g.Key.Method, g.Key.Kind, g.Key.Tokens, g.Key.Nominal, g.Sum(r => r.Cells), g.Sum(r => r.Allowed), values, dense, PairedBootstrap.Compare(values, dense, seed, resamples));
    })]);

    /// <summary>
    /// Of each method, kind and length the highest sparsity that passes, in the models' points put together. Each level is judged by itself, as in the study: where a lower one fails, the reach is still the highest that
    /// passes. Accuracies that do not fall evenly are a finding or chance; look at the rows.
    /// </summary>
    /// <param name="margin">Loss that would not matter, not negative. Default 0.02.</param>
    /// <exception cref="ArgumentOutOfRangeException">The margin is negative or not finite.</exception>
    /// <exception cref="InvalidOperationException">There are several models, and a point of one stands twice.</exception>
    public IReadOnlyList<FrontierReach> Reach(double margin = 0.02)
    {
        Finite.NotNegative(margin);
        FrontierTable points = Rows.Select(r => r.Model).Distinct().Count() > 1 ? Pooled() : this;
        return [.. points.Rows.GroupBy(r => (r.Method, r.Kind, r.Tokens)).Select(g =>
            new FrontierReach(g.Key.Method, g.Key.Kind, g.Key.Tokens, g.Where(r => r.Passes(margin)).Select(r => (double?)r.Nominal).Max()))];
    }

    /// <summary>Two points on the same texts, at the same budget.</summary>
    /// <param name="first">A point.</param>
    /// <param name="second">Another one.</param>
    /// <param name="seed">Seed of the bootstrap. Default 1.</param>
    /// <param name="resamples">Its resamples, at least 100. Default 2,000.</param>
    /// <returns>First minus second, over the texts.</returns>
    /// <exception cref="ArgumentException">Another model, kind of question or length, other texts (dense attention answers them differently), or computed sparsities that differ: by a single cell within a phase, by more than 0.02 between phases, which count different things.</exception>
    public static PairedBootstrap Compare(FrontierRow first, FrontierRow second, int seed = 1, int resamples = 2000)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Kind != second.Kind || first.Tokens != second.Tokens || first.Model != second.Model)
            throw new ArgumentException($"One point is of {first.Kind} at {first.Tokens} tokens of model '{first.Model}', the other of {second.Kind} at {second.Tokens} of '{second.Model}'.", nameof(second));
        if (first.Phase == second.Phase ? first.Cells != second.Cells || first.Allowed != second.Allowed : Math.Abs(first.Computed - second.Computed) > 0.02)
            throw new ArgumentException(FormattableString.Invariant($"The points have different budgets: {first.Cells} of {first.Allowed} cells, and {second.Cells} of {second.Allowed}."), nameof(second));
        if (!first.Dense.SequenceEqual(second.Dense)) throw new ArgumentException("The points are of other texts, or in another order: dense attention answers them differently.", nameof(second));
        return PairedBootstrap.Compare(first.Values, second.Values, seed, resamples);
    }

    /// <summary>How many points, models and methods.</summary>
    public override string ToString() => $"FrontierTable of {Rows.Count} points: {Rows.Select(r => r.Model).Distinct().Count()} models, {Rows.Select(r => r.Method).Distinct().Count()} methods";

    private static IReadOnlyList<FrontierRow> Checked(IReadOnlyList<FrontierRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return rows.Any(r => r is null) ? throw new ArgumentException("A point is null.", nameof(rows)) : rows;
    }
}
