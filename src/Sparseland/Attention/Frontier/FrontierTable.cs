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
public sealed record FrontierRow(
    string Model, FrontierMethod Method, TaskKind Kind, int Tokens, double Nominal, long Cells, long Allowed, IReadOnlyList<double> Values, IReadOnlyList<double> Dense, PairedBootstrap Interval)
{
    /// <summary>When the method is sparse.</summary>
    public FrontierPhase Phase => FrontierMethods.PhaseOf(Method);

    /// <summary>Sparsity that was computed: 1 - cells / allowed.</summary>
    public double Computed => 1 - ((double)Cells / Allowed);

    /// <summary>Mean share of right answers.</summary>
    public double Accuracy => Values.Average();

    /// <summary>Mean share of right answers with dense attention.</summary>
    public double DenseAccuracy => Dense.Average();

    /// <summary>Whether the loss is below a margin with confidence: the lower end of the interval is above minus the margin.</summary>
    /// <param name="margin">Loss that would not matter. Default 0.02.</param>
    public bool Passes(double margin = 0.02) => Interval.Low > -margin;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>How far a method goes on one kind of question.</summary>
/// <param name="Method">The method.</param>
/// <param name="Kind">Kind of question.</param>
/// <param name="Tokens">Tokens of a text.</param>
/// <param name="Sparsity">Highest nominal sparsity that passes; null where none does.</param>
public sealed record FrontierReach(FrontierMethod Method, TaskKind Kind, int Tokens, double? Sparsity);

/// <summary>The points of a study.</summary>
/// <param name="rows">Points.</param>
public sealed class FrontierTable(IReadOnlyList<FrontierRow> rows)
{
    /// <summary>The points.</summary>
    public IReadOnlyList<FrontierRow> Rows { get; } = rows ?? throw new ArgumentNullException(nameof(rows));

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
        return new([.. tables.SelectMany(t => t.Rows)]);
    }

    /// <summary>The models' points put together: texts of all models, with intervals over all of them.</summary>
    /// <param name="seed">Seed of the bootstrap. Default 1.</param>
    /// <param name="resamples">Its resamples. Default 2,000.</param>
    public FrontierTable Pooled(int seed = 1, int resamples = 2000) => new([.. Rows.GroupBy(r => (r.Method, r.Kind, r.Tokens, r.Nominal)).Select(g =>
    {
        double[] values = [.. g.SelectMany(r => r.Values)], dense = [.. g.SelectMany(r => r.Dense)];
        return new FrontierRow("all", g.Key.Method, g.Key.Kind, g.Key.Tokens, g.Key.Nominal, g.Sum(r => r.Cells), g.Sum(r => r.Allowed), values, dense, PairedBootstrap.Compare(values, dense, seed, resamples));
    })]);

    /// <summary>Of each method, kind and length the highest sparsity that passes, in the models' points put together.</summary>
    /// <param name="margin">Loss that would not matter. Default 0.02.</param>
    public IReadOnlyList<FrontierReach> Reach(double margin = 0.02) => [.. (Rows.Select(r => r.Model).Distinct().Count() > 1 ? Pooled() : this).Rows.GroupBy(r => (r.Method, r.Kind, r.Tokens)).Select(g =>
        new FrontierReach(g.Key.Method, g.Key.Kind, g.Key.Tokens, g.Where(r => r.Passes(margin)).Select(r => (double?)r.Nominal).Max()))];

    /// <summary>Two points on the same texts, at the same budget.</summary>
    /// <param name="first">A point.</param>
    /// <param name="second">Another one.</param>
    /// <param name="seed">Seed of the bootstrap. Default 1.</param>
    /// <param name="resamples">Its resamples. Default 2,000.</param>
    /// <returns>First minus second, over the texts.</returns>
    /// <exception cref="ArgumentException">Another kind of question or length, or computed sparsities that differ: by a single cell within a phase, by more than 0.02 between phases, which count different things.</exception>
    public static PairedBootstrap Compare(FrontierRow first, FrontierRow second, int seed = 1, int resamples = 2000)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Kind != second.Kind || first.Tokens != second.Tokens || first.Model != second.Model)
            throw new ArgumentException($"One point is of {first.Kind} at {first.Tokens} tokens of model '{first.Model}', the other of {second.Kind} at {second.Tokens} of '{second.Model}'.", nameof(second));
        if (first.Phase == second.Phase ? first.Cells != second.Cells || first.Allowed != second.Allowed : Math.Abs(first.Computed - second.Computed) > 0.02)
            throw new ArgumentException(FormattableString.Invariant($"The points have different budgets: {first.Cells} of {first.Allowed} cells, and {second.Cells} of {second.Allowed}."), nameof(second));
        return PairedBootstrap.Compare(first.Values, second.Values, seed, resamples);
    }

    /// <summary>How many points, models and methods.</summary>
    public override string ToString() => $"FrontierTable of {Rows.Count} points: {Rows.Select(r => r.Model).Distinct().Count()} models, {Rows.Select(r => r.Method).Distinct().Count()} methods";
}
