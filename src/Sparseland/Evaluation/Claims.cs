using System.Collections;

namespace Sparseland.Evaluation;

/// <summary>How much of a paper could be read by whoever states its claims.</summary>
public enum PaperRead
{
    /// <summary>The paper.</summary>
    Whole,

    /// <summary>Its abstract alone: the claims are those of the abstract, and the method may differ in what it leaves open.</summary>
    AbstractOnly,
}

/// <summary>
/// The claims of one notebook, each computed in the cell that states it. A measurement that failed (NaN) is a claim not
/// reproduced; only a badly stated claim throws, before anything is added.
/// </summary>
/// <remarks>
/// <para>A claim is stated by where it comes from: <c>FromPaper</c>,
/// <see cref="Identity"/>, <c>Finding</c>; <see cref="Explore"/> and
/// <see cref="Report"/> for what is not counted. The three origins are counted apart.</para>
/// <para>Held / stated counts exact and statistical claims. Exploratory claims show their outcome and are not counted, so
/// they cannot fail a notebook; reported-only claims were not measured.</para>
/// <para>A statement names its claim and stands once: make the object in the first cell that checks a claim, so that
/// running the cells again starts a new list, or <see cref="Remove"/> the one to be restated.</para>
/// </remarks>
public sealed partial class Claims : IReadOnlyList<Claim>
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

    /// <summary>How much of the paper could be read. DEFAULT: the whole.</summary>
    public PaperRead Read { get; init; }

    /// <summary>The scale of these measurements, as text ("quick", "lesson"); empty where there is none.</summary>
    public string Scale { get; init; } = "";

    /// <summary>
    /// Whether only exact claims are judged. Set it at a scale so small that a measured figure says nothing about a claim: all
    /// others are then measured as ever and are <see cref="ClaimOutcome.NotJudged"/>. DEFAULT: false.
    /// </summary>
    public bool JudgesOnlyExact { get; init; }

    /// <summary>How many held, by origin.</summary>
    public ClaimCounts Counts => ClaimCounts.Of(claims);

    /// <summary>Exact and statistical claims that were judged.</summary>
    public int Stated => Counts.Stated;

    /// <summary>Those of them that held.</summary>
    public int Held => Counts.Held;

    /// <summary>One line: "paper's claims 5 of 6 held, identities 4 of 4, findings 2 of 2, 1 exploratory, 2 reported only".</summary>
    public string Summary => Counts.ToString();

    /// <summary>
    /// What a reader must know before the figures: their scale, what is not judged at it, and how much of the paper was read.
    /// Empty where nothing is to be said.
    /// </summary>
    public string Remark => ClaimText.Remark(this);

    /// <summary>A claim by its place.</summary>
    /// <param name="index">From 0.</param>
    public Claim this[int index] => claims[index];

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
        if ((stated.Kind, stated.Origin, stated.Reported, stated.Source) != (claim.Kind, claim.Origin, claim.Reported, claim.Source)
            || (stated.Relation, stated.Unit) != (claim.Relation, claim.Unit)
            || !stated.Target.Equals(claim.Target) || !stated.Tolerance.Equals(claim.Tolerance))
            throw new ArgumentException($"The claim \"{claim.Statement}\" is already stated with another kind, source, relation or target; a statement names its claim, so each stands once.", "statement");
        claims[place] = claim;
        return claim;
    }

    private static string Text(string value, string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(value, name);
        return value;
    }
}
