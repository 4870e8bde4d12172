namespace Sparseland.Kernel.Gallery;

/// <summary>A few notebooks in an order that leads somewhere.</summary>
/// <param name="Key">Name in the notebooks' metadata.</param>
/// <param name="Title">Name on pages.</param>
/// <param name="Needs">What a reader should know at the start.</param>
/// <param name="Leads">What a reader can do at the end.</param>
/// <param name="Cards">Its notebooks, in order.</param>
public sealed record LearningPath(string Key, string Title, string Needs, string Leads, IReadOnlyList<Card> Cards)
{
    /// <summary>All paths of the series, without their notebooks.</summary>
    internal static IReadOnlyList<LearningPath> Known { get; } =
    [
        new("signals", "Signals", "linear algebra and a little probability, for one step also what a small network is", "recover a sparse signal, learn a dictionary, say how sure the answer is", []),
        new("models", "Looking inside models", "what a transformer is", "find features in a model, see what its attention reads, search by what a vector says", []),
        new("efficiency", "Efficient models", "how a network is trained and what attention is", "prune, train sparse, compress and cache, and know when it is faster on your machine", []),
    ];

    /// <summary>Seconds that its notebooks ran, together.</summary>
    public double Seconds => Card.SecondsOf(Cards);

    /// <summary>How long it is, what it needs and where it leads, in three sentences.</summary>
    public string About => $"{Cards.Count} notebooks, {HtmlPage.Time(Seconds)} of running. You need {Needs}. In the end you can {Leads}.";
}
