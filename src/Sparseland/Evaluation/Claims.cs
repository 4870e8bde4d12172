using System.Collections;

namespace Sparseland.Evaluation;

/// <summary>
/// The claims of one paper, each computed in the cell that states it. A measurement that failed (NaN) is a claim not
/// reproduced; only a badly stated claim throws, before anything is added.
/// </summary>
/// <remarks>
/// <para>Held / stated counts exact and statistical claims. Exploratory claims show their outcome and are not counted, so
/// they cannot fail a notebook; reported-only claims were not measured.</para>
/// <para>A statement names its claim and stands once: make the object in the first cell that checks a claim, so that
/// running the cells again starts a new list, or <see cref="Remove"/> the one to be restated.</para>
/// </remarks>
public sealed class Claims : IReadOnlyList<Claim>
{
    /// <summary>MIME type under which <see cref="ToJson"/> is stored in a notebook's output.</summary>
    public const string MimeType = "application/vnd.sparseland.claims+json";

    private readonly List<Claim> claims = [];

    /// <summary>An empty list of claims.</summary>
    /// <param name="title">What the notebook is about.</param>
    /// <param name="paper">The paper: authors, title, year.</param>
    /// <exception cref="ArgumentException">One of them is empty.</exception>
    public Claims(string title, string paper)
    {
        Title = Text(title, nameof(title));
        Paper = Text(paper, nameof(paper));
    }

    /// <summary>What the notebook is about.</summary>
    public string Title { get; }

    /// <summary>The paper: authors, title, year.</summary>
    public string Paper { get; }

    /// <summary>All claims, of every kind.</summary>
    public int Count => claims.Count;

    /// <summary>Exact and statistical claims.</summary>
    public int Stated => claims.Count(c => c.IsStated);

    /// <summary>Those of them that held.</summary>
    public int Held => claims.Count(c => c.IsStated && c.Outcome == ClaimOutcome.Held);

    /// <summary>One line: "5 of 6 claims held, 1 exploratory, 2 reported only".</summary>
    public string Summary
    {
        get
        {
            int exploratory = claims.Count(c => c.Kind == ClaimKind.Exploratory);
            int reported = claims.Count(c => c.Kind == ClaimKind.ReportedOnly);
            return $"{Held} of {Stated} claims held"
                + (exploratory > 0 ? $", {exploratory} exploratory" : "")
                + (reported > 0 ? $", {reported} reported only" : "");
        }
    }

    /// <summary>A claim by its place.</summary>
    /// <param name="index">From 0.</param>
    public Claim this[int index] => claims[index];

    /// <summary>Tests a claim on one measured value and adds it.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="kind">Exact, statistical or exploratory; for reported-only see <see cref="Report"/>.</param>
    /// <param name="reported">The paper's value, as text, or "-" where the claim is ours.</param>
    /// <param name="source">Where the paper says it, or "this notebook".</param>
    /// <param name="measured">What was measured. NaN is a claim not reproduced.</param>
    /// <param name="relation">How measured must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative.</param>
    /// <param name="unit">Unit of measured and target, or empty.</param>
    /// <param name="note">A short remark, or empty.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated; nothing is added.</exception>
    public Claim Check(
        string statement, ClaimKind kind, string reported, string source, double measured, Relation relation, double target,
        double tolerance = 0, string unit = "", string note = "") =>
        Add(statement, kind, reported, source, measured, relation, target, tolerance, unit, note, "", [], []);

    /// <summary>Tests a statistical claim on the median over runs and adds it; the values are kept.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="reported">The paper's value, as text, or "-" where the claim is ours.</param>
    /// <param name="source">Where the paper says it, or "this notebook".</param>
    /// <param name="values">What each run measured, at least one. Any NaN makes a claim not reproduced.</param>
    /// <param name="relation">How the median must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative.</param>
    /// <param name="unit">Unit of the values and target, or empty.</param>
    /// <param name="note">A short remark, or empty.</param>
    /// <param name="seeds">The seed of each run, all different; null where runs differ in something else.</param>
    /// <returns>The claim with its outcome; an even number of values has the mean of the middle two as median.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated, or values and seeds do not fit; nothing is added.</exception>
    public Claim CheckMedian(
        string statement, string reported, string source, IReadOnlyList<double> values, Relation relation, double target,
        double tolerance = 0, string unit = "", string note = "", IReadOnlyList<int>? seeds = null) =>
        Add(statement, ClaimKind.Statistical, reported, source, Over(values, seeds, Median), relation, target, tolerance, unit, note, "median", values, seeds ?? []);

    /// <summary>Tests a statistical claim on the mean over runs and adds it; the values are kept.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="reported">The paper's value, as text, or "-" where the claim is ours.</param>
    /// <param name="source">Where the paper says it, or "this notebook".</param>
    /// <param name="values">What each run measured, at least one. Any NaN makes a claim not reproduced.</param>
    /// <param name="relation">How the mean must stand to target.</param>
    /// <param name="target">The value compared with, finite.</param>
    /// <param name="tolerance">Slack of the relation, finite and not negative.</param>
    /// <param name="unit">Unit of the values and target, or empty.</param>
    /// <param name="note">A short remark, or empty.</param>
    /// <param name="seeds">The seed of each run, all different; null where runs differ in something else.</param>
    /// <returns>The claim with its outcome.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated, or values and seeds do not fit; nothing is added.</exception>
    public Claim CheckMean(
        string statement, string reported, string source, IReadOnlyList<double> values, Relation relation, double target,
        double tolerance = 0, string unit = "", string note = "", IReadOnlyList<int>? seeds = null) =>
        Add(statement, ClaimKind.Statistical, reported, source, Over(values, seeds, v => v.Average()), relation, target, tolerance, unit, note, "mean", values, seeds ?? []);

    /// <summary>Adds a figure of the paper that cannot be measured here. It is printed and never counted.</summary>
    /// <param name="statement">The claim in one sentence; the same claim stated again replaces its measurement.</param>
    /// <param name="reported">The paper's value, as text.</param>
    /// <param name="source">Where the paper says it.</param>
    /// <param name="note">Why it cannot run here, or empty.</param>
    /// <returns>The claim, not tested.</returns>
    /// <exception cref="ArgumentException">The claim is badly stated; nothing is added.</exception>
    public Claim Report(string statement, string reported, string source, string note = "")
    {
        var claim = new Claim(
            Text(statement, nameof(statement)), ClaimKind.ReportedOnly, Text(reported, nameof(reported)), Text(source, nameof(source)),
            double.NaN, Relation.Equal, double.NaN, 0, "", note ?? "", ClaimOutcome.NotTested);
        return Append(claim);
    }

    /// <summary>Takes a claim out, so that it can be stated again.</summary>
    /// <param name="statement">Its statement.</param>
    /// <returns>False when there is none with that statement.</returns>
    public bool Remove(string statement) => claims.RemoveAll(c => c.Statement == statement) > 0;

    /// <summary>The claims as JSON text, the same for the same claims; see <see cref="FromJson"/>.</summary>
    public string ToJson() => ClaimsJson.Write(this);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <param name="json">JSON text.</param>
    /// <exception cref="FormatException">It is not JSON, lacks a field, or an outcome contradicts its own numbers.</exception>
    public static Claims FromJson(string json) => ClaimsJson.Read(json);

    /// <summary>The claims as a Markdown table with a summary line above it.</summary>
    public string ToMarkdown() => ClaimText.Markdown(this);

    /// <summary>The claims as plain text, two lines each under a summary line.</summary>
    public override string ToString() => ClaimText.Plain(this);

    /// <inheritdoc/>
    public IEnumerator<Claim> GetEnumerator() => claims.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    internal Claim Append(Claim claim)
    {
        int place = claims.FindIndex(c => c.Statement == claim.Statement);
        if (place < 0)
        {
            claims.Add(claim);
            return claim;
        }

        // Running a notebook's cell again measures the same claim again.
        Claim stated = claims[place];
        if ((stated.Kind, stated.Reported, stated.Source, stated.Relation, stated.Unit) != (claim.Kind, claim.Reported, claim.Source, claim.Relation, claim.Unit)
            || !stated.Target.Equals(claim.Target) || !stated.Tolerance.Equals(claim.Tolerance))
            throw new ArgumentException($"The claim \"{claim.Statement}\" is already stated with another kind, source, relation or target; a statement names its claim, so each stands once.", "statement");
        claims[place] = claim;
        return claim;
    }

    private Claim Add(
        string statement, ClaimKind kind, string reported, string source, double measured, Relation relation, double target,
        double tolerance, string unit, string note, string statistic, IReadOnlyList<double> values, IReadOnlyList<int> seeds)
    {
        Text(statement, nameof(statement));
        if (!Enum.IsDefined(kind))
            throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not a kind of claim.");
        if (kind == ClaimKind.ReportedOnly)
            throw new ArgumentException("A reported-only claim has nothing to check; use Report.", nameof(kind));
        Text(reported, nameof(reported));
        Text(source, nameof(source));
        if (!Enum.IsDefined(relation))
            throw new ArgumentOutOfRangeException(nameof(relation), relation, "Not a relation.");
        if (!double.IsFinite(target))
            throw new ArgumentOutOfRangeException(nameof(target), target, "A target must be finite.");
        if (!double.IsFinite(tolerance) || tolerance < 0)
            throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "A tolerance must be finite and not negative.");

        bool held = Claim.Satisfies(measured, relation, target, tolerance);
        string remark = double.IsNaN(measured) ? Failure(values) : "";
        string fullNote = string.Join("; ", new[] { note ?? "", remark }.Where(part => part.Length > 0));
        var claim = new Claim(
            statement, kind, reported, source, measured, relation, target, tolerance, unit ?? "", fullNote,
            held ? ClaimOutcome.Held : ClaimOutcome.NotReproduced)
        {
            Statistic = statistic,
            Values = [.. values],
            Seeds = [.. seeds],
        };
        return Append(claim);
    }

    private static string Failure(IReadOnlyList<double> values) =>
        values.Count == 0 ? "the measured value is not a number" : $"{values.Count(double.IsNaN)} of {values.Count} values are not numbers";

    private static double Over(IReadOnlyList<double> values, IReadOnlyList<int>? seeds, Func<IReadOnlyList<double>, double> statistic)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count == 0)
            throw new ArgumentException("A statistical claim needs at least one value.", nameof(values));
        if (seeds is not null && seeds.Count != values.Count)
            throw new ArgumentException($"There are {values.Count} values but {seeds.Count} seeds; each value has its seed.", nameof(seeds));
        if (seeds is not null && seeds.Distinct().Count() != seeds.Count)
            throw new ArgumentException("A seed stands twice; runs with one seed are one run.", nameof(seeds));
        return values.Any(double.IsNaN) ? double.NaN : statistic(values);
    }

    private static double Median(IReadOnlyList<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static string Text(string value, string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(value, name);
        return value;
    }
}
