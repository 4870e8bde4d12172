namespace Sparseland.Evaluation;

// What every way of stating a claim shares: its checks, the statistic over seeds, and the outcome.
public sealed partial class Claims
{
    private const string Ours = "this notebook";

    internal static void CheckOrigin(ClaimOrigin origin, string reported, string source)
    {
        if (!Enum.IsDefined(origin))
            throw new ArgumentOutOfRangeException(nameof(origin), origin, "Not an origin of claims.");
        if (origin != ClaimOrigin.Paper)
            return;
        if (!Claim.HasValue(reported))
            throw new ArgumentException($"The reported value is \"{reported}\"; a claim of the paper needs the paper's value, be it in words. What no paper states is a finding.", nameof(reported));
        if (Claim.IsOurs(source))
            throw new ArgumentException($"The source is \"{source}\"; a claim of the paper needs the place in the paper.", nameof(source));
    }

    internal static void CheckSpread((double Low, double High)? spread)
    {
        if (spread is { } range && range.Low > range.High)
            throw new ArgumentException($"The spread is {range.Low} to {range.High}; the lowest value comes first.", nameof(spread));
    }

    internal static ClaimOutcome Judge(ClaimKind kind, bool onlyExact, double measured, Relation relation, double target, double tolerance) =>
        kind == ClaimKind.ReportedOnly ? ClaimOutcome.NotTested
        : onlyExact && kind != ClaimKind.Exact ? ClaimOutcome.NotJudged
        : Claim.Satisfies(measured, relation, target, tolerance) ? ClaimOutcome.Held
        : ClaimOutcome.NotReproduced;

    private Claim Over(
        string statement, string reported, string source, IReadOnlyList<double> values, IReadOnlyList<int>? seeds, Relation relation,
        double target, double tolerance, string unit, string note, Statistic by, ClaimOrigin? origin)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count == 0)
            throw new ArgumentException("A statistical claim needs at least one value.", nameof(values));
        if (seeds is not null && seeds.Count != values.Count)
            throw new ArgumentException($"There are {values.Count} values but {seeds.Count} seeds; each value has its seed.", nameof(seeds));
        if (!Enum.IsDefined(by))
            throw new ArgumentOutOfRangeException(nameof(by), by, "Not a statistic.");

        double measured = values.Any(double.IsNaN) ? double.NaN : Of(values, by, relation, target);
        return Add(
            statement, ClaimKind.Statistical, reported, source, measured, relation, target, tolerance, unit, note, origin,
            by.ToString().ToLowerInvariant(), values, seeds ?? [], double.IsNaN(measured) ? null : (values.Min(), values.Max()));
    }

    private Claim Add(
        string statement, ClaimKind kind, string reported, string source, double measured, Relation relation, double target,
        double tolerance, string unit, string note, ClaimOrigin? origin, string statistic, IReadOnlyList<double> values,
        IReadOnlyList<int> seeds, (double Low, double High)? spread)
    {
        Text(statement, nameof(statement));
        if (!Enum.IsDefined(kind))
            throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not a kind of claim.");
        if (kind == ClaimKind.ReportedOnly)
            throw new ArgumentException("A reported-only claim has nothing to check; use Report.", nameof(kind));
        Text(reported, nameof(reported));
        Text(source, nameof(source));
        ClaimOrigin from = origin ?? Claim.OriginOf(kind, reported, source);
        CheckOrigin(from, reported, source);
        if (!Enum.IsDefined(relation))
            throw new ArgumentOutOfRangeException(nameof(relation), relation, "Not a relation.");
        if (!double.IsFinite(target))
            throw new ArgumentOutOfRangeException(nameof(target), target, "A target must be finite.");
        if (!double.IsFinite(tolerance) || tolerance < 0)
            throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "A tolerance must be finite and not negative.");
        if (seeds.Distinct().Count() != seeds.Count)
            throw new ArgumentException("A seed stands twice; runs with one seed are one run.", nameof(seeds));

        string remark = double.IsNaN(measured) ? Failure(values) : "";
        string fullNote = string.Join("; ", new[] { note ?? "", remark }.Where(part => part.Length > 0));
        return Append(new Claim(
            statement, kind, reported, source, measured, relation, target, tolerance, unit ?? "", fullNote,
            Judge(kind, JudgesOnlyExact, measured, relation, target, tolerance))
        {
            Origin = from,
            Statistic = statistic,
            Values = [.. values],
            Seeds = [.. seeds],
            Spread = spread,
        });
    }

    private static IReadOnlyList<int> Given(IReadOnlyList<int> seeds)
    {
        ArgumentNullException.ThrowIfNull(seeds);
        if (seeds.Count == 0)
            throw new ArgumentException($"No seed is stated; a statistical claim needs at least {Claim.FewestSeeds} to be believed.", nameof(seeds));
        return seeds;
    }

    private static string Failure(IReadOnlyList<double> values) =>
        values.Count == 0 ? "the measured value is not a number" : $"{values.Count(double.IsNaN)} of {values.Count} values are not numbers";

    private static double Of(IReadOnlyList<double> values, Statistic by, Relation relation, double target) => (by, relation) switch
    {
        (Statistic.Median, _) => Median(values),
        (Statistic.Mean, _) => values.Average(),
        (_, Relation.AtMost or Relation.Below) => values.Max(),
        (_, Relation.AtLeast or Relation.Above) => values.Min(),
        _ => values.MaxBy(v => Math.Abs(v - target)),
    };

    private static double Median(IReadOnlyList<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
