using Sparseland.Tensors;

namespace Sparseland.Data.Documentation;

/// <summary>How <see cref="DocCorpus"/> is made.</summary>
public sealed record DocCorpusOptions
{
    /// <summary>Share of the types, with all their members, that is held out. Default 0.05.</summary>
    public double HeldOut { get; init; } = 0.05;

    /// <summary>
    /// Namespaces (with all below them) that give no text: by default the processor instructions, ten thousand members that list
    /// assembler mnemonics.
    /// </summary>
    public IReadOnlyList<string> Without { get; init; } = ["System.Runtime.Intrinsics"];

    /// <summary>Seed of the split and of the order of types. Default 1.</summary>
    public int Seed { get; init; } = 1;

    internal void Validate()
    {
        if (!(HeldOut > 0 && HeldOut < 1)) throw new ArgumentOutOfRangeException(nameof(HeldOut), HeldOut, "HeldOut must lie between 0 and 1.");
        ArgumentNullException.ThrowIfNull(Without);
    }
}

/// <summary>Numbers of a text.</summary>
/// <param name="Members">Articles.</param>
/// <param name="Types">Types that they belong to.</param>
/// <param name="Characters">Characters.</param>
/// <param name="Words">Runs without white space.</param>
public sealed record DocStatistics(int Members, int Types, long Characters, long Words);

/// <summary>
/// The documentation as training text and a disjoint text held out. Whole types are held out, since overloads of one method say nearly the
/// same; and an article whose words after the name stand in the training text too is left out of the held-out text.
/// </summary>
public sealed class DocCorpus
{
    private DocCorpus(IReadOnlyList<DocMember> training, IReadOnlyList<DocMember> heldOut, IReadOnlyList<string> heldOutTypes) =>
        (Training, HeldOut, HeldOutTypes) = (training, heldOut, heldOutTypes);

    /// <summary>Members of the training text, type by type in the seed's order.</summary>
    public IReadOnlyList<DocMember> Training { get; }

    /// <summary>Members of the held-out text.</summary>
    public IReadOnlyList<DocMember> HeldOut { get; }

    /// <summary>
    /// Types held out (<see cref="DocMember.TypeKey"/>), in the seed's order; a few have no member in <see cref="HeldOut"/>, since the training text
    /// says the same.
    /// </summary>
    public IReadOnlyList<string> HeldOutTypes { get; }

    /// <summary>Splits members that have a summary.</summary>
    /// <param name="members">From <see cref="DotNetDocs.Load"/>.</param>
    /// <param name="options">Share held out, namespaces left out, seed; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or no text is left.</exception>
    public static DocCorpus Split(IReadOnlyList<DocMember> members, DocCorpusOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(members);
        options ??= new();
        options.Validate();
        bool IsLeftOut(DocMember m) => options.Without.Any(w => m.Namespace == w || m.Namespace.StartsWith(w + ".", StringComparison.Ordinal));
        IGrouping<string, DocMember>[] types = [.. members.Where(m => m.Summary.Length > 0 && !IsLeftOut(m)).GroupBy(m => m.TypeKey, StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal)];
        var random = new SeededRandom(options.Seed, 300);
        random.Shuffle(types.AsSpan());
        int held = (int)Math.Round(types.Length * options.HeldOut);
        if (held == 0 || held == types.Length) throw new ArgumentException($"{types.Length} documented types cannot be split with a share of {options.HeldOut} held out.", nameof(members));
        DocMember[] training = [.. types.Skip(held).SelectMany(g => g)];
        var known = training.Select(Body).ToHashSet(StringComparer.Ordinal);
        return new(training, [.. types.Take(held).SelectMany(g => g).Where(m => !known.Contains(Body(m)))], [.. types.Take(held).Select(g => g.Key)]);
    }

    /// <summary>Articles one after another, each followed by an empty line.</summary>
    /// <param name="members">Training or held-out members.</param>
    public static IEnumerable<string> Articles(IEnumerable<DocMember> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        return members.Select(m => m.ToText() + "\n");
    }

    /// <summary>Numbers of the text of some members.</summary>
    /// <param name="members">Training or held-out members.</param>
    public static DocStatistics Count(IReadOnlyList<DocMember> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        long characters = 0, words = 0;
        foreach (string article in Articles(members))
        {
            characters += article.Length;
            bool inside = false;
            foreach (char c in article)
            {
                if (char.IsWhiteSpace(c)) inside = false;
                else if (!inside)
                {
                    inside = true;
                    words++;
                }
            }
        }

        return new(members.Count, members.Select(m => m.TypeKey).Distinct(StringComparer.Ordinal).Count(), characters, words);
    }

    private static string Body(DocMember member)
    {
        string text = member.ToText();
        return text[(text.IndexOf('\n', StringComparison.Ordinal) + 1)..];
    }
}
