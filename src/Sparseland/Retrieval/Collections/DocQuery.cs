namespace Sparseland.Retrieval.Collections;

/// <summary>How a member of the .NET documentation is shown as a document.</summary>
public enum DocView
{
    /// <summary>Title: the name. Text: the summary, then a line for each parameter.</summary>
    Cards,

    /// <summary>Title: the name. Text: namespace and names of parameters. No sentence: queries meet names only.</summary>
    Signatures,
}

/// <summary>Which field of the documentation a query is: one that no document of its view shows.</summary>
public enum DocQueryKind
{
    /// <summary>What is returned or held; asked of cards.</summary>
    Result,

    /// <summary>When an exception is thrown; asked of cards.</summary>
    Failure,

    /// <summary>The first line of the remarks; asked of cards. Too few for claims.</summary>
    Remark,

    /// <summary>What a type is; asked of both views.</summary>
    Topic,

    /// <summary>The first line of the summary; asked of signatures.</summary>
    Summary,
}

/// <summary>What a query is for. Whole types belong to one split.</summary>
public enum DocSplit
{
    /// <summary>For training.</summary>
    Train,

    /// <summary>For choosing settings.</summary>
    Dev,

    /// <summary>For reporting: the types that <see cref="Data.Documentation.DocCorpus"/> holds out.</summary>
    Test,
}

/// <summary>How much of a query's words its best answer holds.</summary>
public enum OverlapStratum
{
    /// <summary>Overlap below 0.3.</summary>
    Mismatch,

    /// <summary>Overlap from 0.3 to below 0.6.</summary>
    Partial,

    /// <summary>Overlap from 0.6.</summary>
    Lexical,
}

/// <summary>A query of the .NET documentation with its facts, all from texts and never from a ranking.</summary>
/// <param name="Id">Its id: kind and number, "result-00017".</param>
/// <param name="Kind">Which field it is.</param>
/// <param name="Split">What it is for.</param>
/// <param name="Text">Its words.</param>
/// <param name="BlindText">Its words without those of the answer's own name; null where fewer than four terms are left.</param>
public sealed record DocQuery(string Id, DocQueryKind Kind, DocSplit Split, string Text, string? BlindText)
{
    private readonly double[] _overlaps = [double.NaN, double.NaN];

    /// <summary>
    /// Share of the query's terms, weighted by inverse document frequency, that its best answer of grade 2 holds; from 0 to 1. NaN in a view that
    /// the kind is not asked of.
    /// </summary>
    /// <param name="view">The view.</param>
    public double Overlap(DocView view) => _overlaps[(int)view];

    /// <summary>Overlap in three strata; null in a view that the kind is not asked of.</summary>
    /// <param name="view">The view.</param>
    public OverlapStratum? Stratum(DocView view) => Overlap(view) switch
    {
        double.NaN => null,
        < 0.3 => OverlapStratum.Mismatch,
        < 0.6 => OverlapStratum.Partial,
        _ => OverlapStratum.Lexical,
    };

    /// <summary>Judgements: grades 2 and 1 by document id.</summary>
    internal IReadOnlyList<Judgement> Judgements { get; init; } = [];

    /// <summary>Sets the overlap in a view.</summary>
    internal void SetOverlap(DocView view, double overlap) => _overlaps[(int)view] = overlap;

    /// <summary>Whether a kind is asked of a view.</summary>
    internal static bool IsAsked(DocQueryKind kind, DocView view) => kind switch
    {
        DocQueryKind.Topic => true,
        DocQueryKind.Summary => view == DocView.Signatures,
        _ => view == DocView.Cards,
    };
}
