using System.Text.Json;
using System.Text.Json.Serialization;

namespace Sparseland.Evaluation;

/// <summary>
/// Claims as JSON: {"format", "title", "paper", "held", "stated", "claims": [...]}. Numbers round-trip; NaN and the
/// infinities, which JSON has no number for, stand as the strings "NaN", "Infinity" and "-Infinity".
/// </summary>
internal static class ClaimsJson
{
    private const string Format = "sparseland.claims/1";

    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
    };

    internal static string Write(Claims claims) => JsonSerializer.Serialize(
        new Document(Format, claims.Title, claims.Paper, claims.Held, claims.Stated, [.. claims.Select(Entry.From)]), Options);

    internal static Claims Read(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        Document document;
        try
        {
            document = JsonSerializer.Deserialize<Document>(json, Options) ?? throw new FormatException("Claims: the JSON text is null.");
        }
        catch (JsonException error)
        {
            throw new FormatException($"Claims: {error.Message}", error);
        }
        if (document.Format != Format)
            throw new FormatException($"Claims: the format is \"{document.Format}\", not \"{Format}\".");

        try
        {
            var claims = new Claims(document.Title, document.Paper);
            foreach (Entry entry in document.Claims)
            {
                // An element may be null whatever its type says: annotations are not checked inside a list.
                if (entry is null)
                    throw new FormatException($"Claims: claim {claims.Count} is null.");
                Claim claim = entry.ToClaim(claims.Count);
                if (claims.Any(c => c.Statement == claim.Statement))
                    throw new FormatException($"Claims: \"{claim.Statement}\" stands twice.");
                claims.Append(claim);
            }
            if ((claims.Held, claims.Stated) != (document.Held, document.Stated))
                throw new FormatException($"Claims: the file counts {document.Held} of {document.Stated}, its claims {claims.Held} of {claims.Stated}.");
            return claims;
        }
        catch (ArgumentException error)
        {
            throw new FormatException($"Claims: {error.Message}", error);
        }
    }

    private sealed record Document(string Format, string Title, string Paper, int Held, int Stated, List<Entry> Claims);

    private sealed record Entry(
        string Statement, ClaimKind Kind, string Reported, string Source, double Measured, Relation Relation, double Target,
        double Tolerance, string Unit, string Note, ClaimOutcome Outcome, string Statistic, List<double> Values, List<int> Seeds)
    {
        internal static Entry From(Claim c) => new(
            c.Statement, c.Kind, c.Reported, c.Source, c.Measured, c.Relation, c.Target, c.Tolerance, c.Unit, c.Note, c.Outcome,
            c.Statistic, [.. c.Values], [.. c.Seeds]);

        internal Claim ToClaim(int index)
        {
            if (string.IsNullOrWhiteSpace(Statement))
                throw new FormatException($"Claims: claim {index} has no statement.");
            if (!double.IsFinite(Tolerance) || Tolerance < 0)
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") has the tolerance {Tolerance}; it must be finite and not negative.");
            if (Kind != ClaimKind.ReportedOnly && !double.IsFinite(Target))
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") has the target {Target}; it must be finite.");
            if (Seeds.Count > 0 && Seeds.Count != Values.Count)
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") has {Values.Count} values and {Seeds.Count} seeds.");
            ClaimOutcome expected = Kind == ClaimKind.ReportedOnly ? ClaimOutcome.NotTested
                : Claim.Satisfies(Measured, Relation, Target, Tolerance) ? ClaimOutcome.Held : ClaimOutcome.NotReproduced;
            if (Outcome != expected)
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") says {Outcome}, but its numbers say {expected}.");
            return new Claim(Statement, Kind, Reported, Source, Measured, Relation, Target, Tolerance, Unit, Note, Outcome)
            {
                Statistic = Statistic,
                Values = [.. Values],
                Seeds = [.. Seeds],
            };
        }
    }
}
