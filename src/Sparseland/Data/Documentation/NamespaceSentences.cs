using Sparseland.Tensors;

namespace Sparseland.Data.Documentation;

/// <summary>Sentences with the number of their class.</summary>
/// <param name="Texts">The sentences.</param>
/// <param name="Labels">Class of each, from 0.</param>
public sealed record LabelledSentences(IReadOnlyList<string> Texts, IReadOnlyList<int> Labels)
{
    /// <summary>Sentences.</summary>
    public int Count => Texts.Count;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// A task for classifiers from the documentation itself: which namespace does the first sentence of a summary belong to? The classes are the namespaces with the most
/// different sentences; a sentence that several namespaces have is left out, and all sentences of one type are on one side of the split.
/// </summary>
public sealed class NamespaceSentences
{
    private NamespaceSentences(IReadOnlyList<string> names, LabelledSentences training, LabelledSentences test) => (Names, Training, Test) = (names, training, test);

    /// <summary>The namespaces, by the number of the class.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>To learn from, in random order.</summary>
    public LabelledSentences Training { get; }

    /// <summary>To be asked about, in random order.</summary>
    public LabelledSentences Test { get; }

    /// <summary>Makes the task.</summary>
    /// <param name="members">From <see cref="DotNetDocs.Load"/>.</param>
    /// <param name="classes">Namespaces, at least 2. Default 10.</param>
    /// <param name="each">Sentences of a namespace, the same number for all, at least 3. Default 900.</param>
    /// <param name="seed">Seed of the choice and the split. Default 1.</param>
    /// <param name="without">Namespaces (with all below them) that are no classes; null, the default, for those that <see cref="DocCorpusOptions.Without"/> leaves out.</param>
    /// <returns>Two thirds of the sentences of each namespace for training, the rest for the test.</returns>
    /// <exception cref="ArgumentException">A number out of its range, or fewer namespaces than asked for that have so many sentences.</exception>
    public static NamespaceSentences Of(IReadOnlyList<DocMember> members, int classes = 10, int each = 900, long seed = 1, IReadOnlyList<string>? without = null)
    {
        ArgumentNullException.ThrowIfNull(members);
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(each, 3);
        without ??= new DocCorpusOptions().Without;
        bool LeftOut(string name) => name.Length == 0 || without.Any(w => name == w || name.StartsWith(w + ".", StringComparison.Ordinal));
        var all = members.Where(m => !LeftOut(m.Namespace)).Select(m => (m.Namespace, m.TypeKey, Text: FirstSentence(m.Summary))).Where(s => s.Text.Length > 0)
            .GroupBy(s => s.Text, StringComparer.Ordinal).Where(g => g.Select(s => s.Namespace).Distinct(StringComparer.Ordinal).Count() == 1).Select(g => g.First());
        (string Name, (string TypeKey, string Text)[] Sentences)[] spaces =
        [
            .. all.GroupBy(s => s.Namespace, StringComparer.Ordinal).Select(g => (g.Key, g.Select(s => (s.TypeKey, s.Text)).ToArray()))
                .OrderByDescending(g => g.Item2.Length).ThenBy(g => g.Key, StringComparer.Ordinal).Take(classes),
        ];
        if (spaces.Length < classes || spaces[^1].Sentences.Length < each)
        {
            int most = spaces.Length < classes ? 0 : spaces[^1].Sentences.Length;
            throw new ArgumentException($"{classes} namespaces with {each} different sentences each are asked for; there are {spaces.Length}, and the smallest has {most}.", nameof(each));
        }

        var random = new SeededRandom(seed, 310);
        List<(string, int)> training = [], test = [];
        for (int c = 0; c < classes; c++) Divide(spaces[c].Sentences, c, each, ref random, training, test);
        return new([.. spaces.Select(s => s.Name)], Shuffled(training, ref random), Shuffled(test, ref random));
    }

    /// <summary>The first sentence of a text: to the first full stop with a space or nothing behind it.</summary>
    /// <param name="text">A summary.</param>
    public static string FirstSentence(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string line = text.ReplaceLineEndings(" ").Trim();
        int stop = line.IndexOf(". ", StringComparison.Ordinal);
        return stop < 0 ? line : line[..(stop + 1)];
    }

    /// <summary>Types in random order: the first fill the test, and the type that would overfill it gives only as much as is missing.</summary>
    private static void Divide((string TypeKey, string Text)[] sentences, int label, int each, ref SeededRandom random, List<(string, int)> training, List<(string, int)> test)
    {
        (string, string)[][] types = [.. sentences.GroupBy(s => s.TypeKey, StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => g.ToArray())];
        random.Shuffle(types.AsSpan());
        int asked = each / 3, learned = each - asked, at = 0;
        for (int left = asked; left > 0; at++)
        {
            if (at == types.Length) throw new ArgumentException($"Class {label} has too few types.", nameof(each));
            random.Shuffle(types[at].AsSpan());
            test.AddRange(types[at].Take(left).Select(s => (s.Item2, label)));
            left -= Math.Min(left, types[at].Length);
        }

        (string, string)[] rest = [.. types.Skip(at).SelectMany(t => t)];
        if (rest.Length < learned)
            throw new ArgumentException($"Of class {label} {rest.Length} sentences are left beside those of the test's types; {learned} are asked for. Take fewer.", nameof(each));
        random.Shuffle(rest.AsSpan());
        training.AddRange(rest.Take(learned).Select(s => (s.Item2, label)));
    }

    private static LabelledSentences Shuffled(List<(string Text, int Label)> sentences, ref SeededRandom random)
    {
        (string Text, int Label)[] all = [.. sentences];
        random.Shuffle(all.AsSpan());
        return new([.. all.Select(s => s.Text)], [.. all.Select(s => s.Label)]);
    }
}
