using System.Text.Json;
using System.Text.Json.Serialization;

namespace Sparseland.Evaluation;

/// <summary>
/// Claims as JSON: {"format", "title", "paper", "held", "stated", "claims": [...]}, and "read", "scale" and "judgesOnlyExact"
/// where they are not the default. Numbers round-trip; NaN and the infinities, which JSON has no number for, stand as the
/// strings "NaN", "Infinity" and "-Infinity". A file from before claims had an origin gets it by <see cref="Claim.OriginOf"/>.
/// </summary>
internal static class ClaimsJson
{
    private const string Format = "sparseland.claims/1";

    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
    };

    internal static string Write(Claims claims) => JsonSerializer.Serialize(
        new Document(Format, claims.Title, claims.Paper, claims.Held, claims.Stated, [.. claims.Select(Entry.From)])
        {
            Read = claims.Read == PaperRead.Whole ? null : claims.Read,
            Scale = claims.Scale.Length > 0 ? claims.Scale : null,
            JudgesOnlyExact = claims.JudgesOnlyExact ? true : null,
        }, Options);

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
            var claims = new Claims(document.Title, document.Paper)
            {
                Read = document.Read ?? PaperRead.Whole, Scale = document.Scale ?? "", JudgesOnlyExact = document.JudgesOnlyExact ?? false,
            };
            foreach (Entry entry in document.Claims)
            {
                // An element may be null whatever its type says: annotations are not checked inside a list.
                if (entry is null)
                    throw new FormatException($"Claims: claim {claims.Count} is null.");
                Claim claim = entry.ToClaim(claims.Count, claims.JudgesOnlyExact);
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

    private sealed record Document(string Format, string Title, string Paper, int Held, int Stated, List<Entry> Claims)
    {
        public PaperRead? Read { get; init; }

        public string? Scale { get; init; }

        public bool? JudgesOnlyExact { get; init; }
    }

    private sealed record Entry(
        string Statement, ClaimKind Kind, string Reported, string Source, double Measured, Relation Relation, double Target,
        double Tolerance, string Unit, string Note, ClaimOutcome Outcome, string Statistic, List<double> Values, List<int> Seeds)
    {
        public ClaimOrigin? Origin { get; init; }

        public List<double>? Spread { get; init; }

        internal static Entry From(Claim c) => new(
            c.Statement, c.Kind, c.Reported, c.Source, c.Measured, c.Relation, c.Target, c.Tolerance, c.Unit, c.Note, c.Outcome,
            c.Statistic, [.. c.Values], [.. c.Seeds])
        {
            Origin = c.Origin,
            Spread = c.Spread is { } range ? [range.Low, range.High] : null,
        };

        internal Claim ToClaim(int index, bool onlyExact)
        {
            if (string.IsNullOrWhiteSpace(Statement))
                throw new FormatException($"Claims: claim {index} has no statement.");
            if (!double.IsFinite(Tolerance) || Tolerance < 0)
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") has the tolerance {Tolerance}; it must be finite and not negative.");
            if (Kind != ClaimKind.ReportedOnly && !double.IsFinite(Target))
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") has the target {Target}; it must be finite.");
            if (Seeds.Count > 0 && Values.Count > 0 && Seeds.Count != Values.Count)
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") has {Values.Count} values and {Seeds.Count} seeds.");
            if (Spread is { Count: not 2 })
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") has a spread of {Spread.Count} numbers; it has two.");
            ClaimOrigin origin = Origin ?? Claim.OriginOf(Kind, Reported, Source);
            Evaluation.Claims.CheckOrigin(origin, Reported, Source);
            (double Low, double High)? spread = Spread is { } range ? (range[0], range[1])
                : Values.Count > 0 && !Values.Any(double.IsNaN) ? (Values.Min(), Values.Max())
                : null;
            Evaluation.Claims.CheckSpread(spread);
            ClaimOutcome expected = Evaluation.Claims.Judge(Kind, onlyExact, Measured, Relation, Target, Tolerance);
            if (Outcome != expected)
                throw new FormatException($"Claims: claim {index} (\"{Statement}\") says {Outcome}, but its numbers say {expected}.");
            return new Claim(Statement, Kind, Reported, Source, Measured, Relation, Target, Tolerance, Unit, Note, Outcome)
            {
                Origin = origin,
                Statistic = Statistic,
                Values = [.. Values],
                Seeds = [.. Seeds],
                Spread = spread,
            };
        }
    }
}
