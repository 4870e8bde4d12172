namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>What becomes of the stretches that match when a text is split.</summary>
internal static class Splitting
{
    public const string Removed = nameof(Removed);
    public const string Isolated = nameof(Isolated);
    public const string Contiguous = nameof(Contiguous);
    public const string MergedWithPrevious = nameof(MergedWithPrevious);
    public const string MergedWithNext = nameof(MergedWithNext);

    /// <summary>The behavior, if it is known.</summary>
    /// <exception cref="FormatException">It is not.</exception>
    public static string Known(Part part, string behavior) =>
        behavior is Removed or Isolated or Contiguous or MergedWithPrevious or MergedWithNext ? behavior : throw part.Wrong($"its behavior '{behavior}' is not known");

    /// <summary>The stretches that stay, from all stretches of a text in their order.</summary>
    public static List<Stretch> Apply(List<Stretch> spans, string behavior) => behavior switch
    {
        Isolated => spans,
        Removed => spans.FindAll(s => !s.IsMatch),
        Contiguous => Joined(spans, (now, last) => now == last),
        MergedWithPrevious => Joined(spans, (now, last) => now && !last),
        _ => JoinedFromBehind(spans),
    };

    // Before the first stretch stands one that does not match.
    private static List<Stretch> Joined(List<Stretch> spans, Func<bool, bool, bool> joins)
    {
        var result = new List<Stretch>(spans.Count);
        bool last = false;
        foreach (Stretch s in spans)
        {
            if (joins(s.IsMatch, last) && result.Count > 0) result[^1] = result[^1] with { End = s.End };
            else result.Add(s);
            last = s.IsMatch;
        }

        return result;
    }

    private static List<Stretch> JoinedFromBehind(List<Stretch> spans)
    {
        var result = new List<Stretch>(spans.Count);
        bool last = false;
        for (int i = spans.Count - 1; i >= 0; i--)
        {
            if (spans[i].IsMatch && !last && result.Count > 0) result[^1] = result[^1] with { Start = spans[i].Start };
            else result.Add(spans[i]);
            last = spans[i].IsMatch;
        }

        result.Reverse();
        return result;
    }
}
