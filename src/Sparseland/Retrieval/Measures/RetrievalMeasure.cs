using System.Globalization;

namespace Sparseland.Retrieval.Measures;

/// <summary>What a measure looks at.</summary>
public enum MeasureKind
{
    /// <summary>Normalised discounted cumulative gain.</summary>
    Ndcg,

    /// <summary>Average precision; its mean over queries is MAP.</summary>
    AveragePrecision,

    /// <summary>Reciprocal of the first relevant rank; its mean over queries is MRR.</summary>
    ReciprocalRank,

    /// <summary>Share of the relevant documents found.</summary>
    Recall,

    /// <summary>Share of the ranks that are relevant.</summary>
    Precision,

    /// <summary>Whether a relevant document was found.</summary>
    Success,
}

/// <summary>A measure of ranked lists and how many ranks it looks at: nDCG@10. Read from text, in the field's names or trec_eval's.</summary>
public readonly record struct RetrievalMeasure
{
    private static readonly (string Name, MeasureKind Kind)[] s_names =
    [
        ("nDCG", MeasureKind.Ndcg), ("MAP", MeasureKind.AveragePrecision), ("MRR", MeasureKind.ReciprocalRank), ("Recall", MeasureKind.Recall),
        ("P", MeasureKind.Precision), ("Success", MeasureKind.Success), ("AP", MeasureKind.AveragePrecision), ("RR", MeasureKind.ReciprocalRank),
        ("R", MeasureKind.Recall), ("Precision", MeasureKind.Precision), ("ndcg_cut", MeasureKind.Ndcg), ("map_cut", MeasureKind.AveragePrecision),
        ("recip_rank", MeasureKind.ReciprocalRank),
    ];

    private readonly int _cutoff;

    /// <summary>A measure.</summary>
    /// <param name="kind">What it looks at.</param>
    /// <param name="cutoff">Ranks that count, at least 1; null, the default, for the whole list, which precision, recall and success do not allow.</param>
    /// <exception cref="ArgumentException">A cutoff below 1, or none where the kind needs one.</exception>
    public RetrievalMeasure(MeasureKind kind, int? cutoff = null)
    {
        if (!Enum.IsDefined(kind)) throw new ArgumentOutOfRangeException(nameof(kind), kind, "No such measure.");
        if (cutoff < 1) throw new ArgumentOutOfRangeException(nameof(cutoff), cutoff, "A cutoff is at least 1.");
        if (cutoff is null && (kind is MeasureKind.Recall or MeasureKind.Precision or MeasureKind.Success))
            throw new ArgumentException($"{kind} needs a cutoff, as in '{NameOf(kind)}@10'.", nameof(cutoff));
        (Kind, _cutoff) = (kind, cutoff ?? 0);
    }

    /// <summary>What it looks at.</summary>
    public MeasureKind Kind { get; }

    /// <summary>Ranks that count; null for the whole list.</summary>
    public int? Cutoff => _cutoff == 0 ? null : _cutoff;

    /// <summary>nDCG of the first ranks.</summary>
    /// <param name="k">Ranks that count, at least 1. Default 10.</param>
    public static RetrievalMeasure Ndcg(int k = 10) => new(MeasureKind.Ndcg, k);

    /// <summary>Average precision of the whole list.</summary>
    public static RetrievalMeasure Map { get; } = new(MeasureKind.AveragePrecision);

    /// <summary>Reciprocal rank within the first ranks.</summary>
    /// <param name="k">Ranks that count, at least 1. Default 10.</param>
    public static RetrievalMeasure Mrr(int k = 10) => new(MeasureKind.ReciprocalRank, k);

    /// <summary>Recall of the first ranks.</summary>
    /// <param name="k">Ranks that count, at least 1. Default 100.</param>
    public static RetrievalMeasure Recall(int k = 100) => new(MeasureKind.Recall, k);

    /// <summary>Precision of the first ranks.</summary>
    /// <param name="k">Ranks that count, at least 1. Default 10.</param>
    public static RetrievalMeasure Precision(int k = 10) => new(MeasureKind.Precision, k);

    /// <summary>Success within the first ranks.</summary>
    /// <param name="k">Ranks that count, at least 1. Default 10.</param>
    public static RetrievalMeasure Success(int k = 10) => new(MeasureKind.Success, k);

    /// <summary>nDCG@10, MRR@10, Recall@100 and MAP.</summary>
    public static IReadOnlyList<RetrievalMeasure> Usual { get; } = [Ndcg(), Mrr(), Recall(), Map];

    /// <summary>Reads "nDCG@10", "MAP", "MRR@10", "Recall@100", "P@5", "Success@1", or trec_eval's "ndcg_cut_10", "map", "recip_rank", "recall_100", "P_5".</summary>
    /// <param name="text">Name, without regard to case, and cutoff.</param>
    /// <exception cref="FormatException">No such measure, or no whole number of ranks.</exception>
    public static RetrievalMeasure Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string name = text.Trim();
        int? cutoff = null;
        int at = name.LastIndexOfAny(['@', '_']);
        if (at > 0 && int.TryParse(name.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int ranks)) (name, cutoff) = (name[..at], ranks);
        int place = Array.FindIndex(s_names, n => string.Equals(n.Name, name, StringComparison.OrdinalIgnoreCase));
        if (place < 0) throw new FormatException($"'{text}' is no measure; known are {string.Join(", ", s_names.Take(6).Select(n => n.Name))}, with '@' and a number of ranks.");
        try
        {
            return new(s_names[place].Kind, cutoff);
        }
        catch (ArgumentException error)
        {
            throw new FormatException($"'{text}': {error.Message}", error);
        }
    }

    /// <summary>Reads a measure, as <see cref="Parse"/> does.</summary>
    /// <param name="text">"nDCG@10".</param>
    public static implicit operator RetrievalMeasure(string text) => Parse(text);

    /// <summary>"nDCG@10".</summary>
    public override string ToString() => NameOf(Kind) + (Cutoff is { } k ? $"@{k}" : "");

    private static string NameOf(MeasureKind kind) => Array.Find(s_names, n => n.Kind == kind).Name;
}
