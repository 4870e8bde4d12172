using Sparseland.Data.Documentation;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Tensors;

namespace Sparseland.Training.Reinforcement;

/// <summary>One prompt of <see cref="MentionTask"/>.</summary>
/// <param name="Heading">The heading line of a member, "W3CLoggingMiddleware.Invoke(HttpContext)".</param>
/// <param name="Tokens">Tokens of the heading and its line break.</param>
/// <param name="Types">Names of parameter types, one of which a completion should mention.</param>
/// <param name="Documentation">Tokens of what the documentation says behind the heading, not cut.</param>
public sealed record MentionPrompt(string Heading, IReadOnlyList<int> Tokens, IReadOnlyList<string> Types, IReadOnlyList<int> Documentation)
{
    /// <summary>1 where a text mentions one of the types as a whole word, else 0.</summary>
    /// <param name="text">A completion.</param>
    public double Reward(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Types.Any(type => HasWord(text, type)) ? 1 : 0;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Heading}: {string.Join(", ", Types)}";

    private static bool HasWord(string text, string word)
    {
        for (int at = text.IndexOf(word, StringComparison.Ordinal); at >= 0; at = text.IndexOf(word, at + 1, StringComparison.Ordinal))
        {
            int end = at + word.Length;
            if ((at == 0 || !IsPart(text[at - 1])) && (end == text.Length || !IsPart(text[end]))) return true;
        }

        return false;

        static bool IsPart(char c) => char.IsLetterOrDigit(c) || c == '_';
    }
}

/// <summary>How <see cref="MentionTask"/> is made.</summary>
public sealed record MentionTaskOptions
{
    /// <summary>Fewest tokens of a prompt, the line break included. Default 5.</summary>
    public int FewestTokens { get; init; } = 5;

    /// <summary>Most tokens of a prompt. Default 16.</summary>
    public int MostTokens { get; init; } = 16;

    /// <summary>Lengths with fewer prompts are left out. Default 64.</summary>
    public int FewestPrompts { get; init; } = 64;

    /// <summary>Fewest letters of a type that counts. Default 5.</summary>
    public int FewestLetters { get; init; } = 5;

    /// <summary>Types that do not count, being everywhere. Default: numbers, strings, Object, Boolean, Func, Action, Guid and Type.</summary>
    public IReadOnlyList<string> Common { get; init; } =
        ["String", "Int16", "Int32", "Int64", "UInt16", "UInt32", "UInt64", "Object", "Boolean", "Double", "Single", "Decimal", "SByte", "IntPtr", "UIntPtr", "Func", "Action", "Guid", "Type"];

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(FewestTokens);
        if (MostTokens < FewestTokens) throw new ArgumentOutOfRangeException(nameof(MostTokens), MostTokens, $"MostTokens must be at least the fewest, {FewestTokens}.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(FewestPrompts);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(FewestLetters);
        ArgumentNullException.ThrowIfNull(Common);
    }
}

/// <summary>
/// A task whose answer can be checked by a rule, from the documentation itself: after the heading line of a member that takes a parameter of a type that is not
/// generic, write something that mentions such a type. Its name stands in the prompt.
/// </summary>
public sealed class MentionTask
{
    private readonly (int Length, MentionPrompt[] Prompts)[] _lengths;
    private readonly TextTokenizer _tokenizer;

    private MentionTask(MentionPrompt[] prompts, TextTokenizer tokenizer, MentionTaskOptions options)
    {
        _lengths = [.. prompts.GroupBy(p => p.Tokens.Count).Where(g => g.Count() >= options.FewestPrompts).OrderBy(g => g.Key).Select(g => (g.Key, g.ToArray()))];
        HashSet<int> kept = [.. _lengths.Select(l => l.Length)];
        (Prompts, _tokenizer) = ([.. prompts.Where(p => kept.Contains(p.Tokens.Count))], tokenizer);
    }

    /// <summary>All prompts, in the order of the members.</summary>
    public IReadOnlyList<MentionPrompt> Prompts { get; }

    /// <summary>Lengths of prompts in tokens, ascending.</summary>
    public IReadOnlyList<int> Lengths => [.. _lengths.Select(l => l.Length)];

    /// <summary>The token that ends a completion.</summary>
    public int End => _tokenizer.EndOfText!.Value;

    /// <summary>Makes the task.</summary>
    /// <param name="members">From a <see cref="DocCorpus"/>: its training members, or those held out.</param>
    /// <param name="tokenizer">With a token that ends a text.</param>
    /// <param name="options">Lengths and types that count; null for the defaults of the record.</param>
    /// <param name="cancel">Checked between members.</param>
    /// <exception cref="ArgumentException">An option out of its range, a tokenizer without an end, or members that give no prompt.</exception>
    public static MentionTask Of(IReadOnlyList<DocMember> members, TextTokenizer tokenizer, MentionTaskOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(members);
        ArgumentNullException.ThrowIfNull(tokenizer);
        options ??= new();
        options.Validate();
        if (tokenizer.EndOfText is not { } end) throw new ArgumentException("The tokenizer has no special token that ends a text.", nameof(tokenizer));
        HashSet<string> common = [.. options.Common];
        var prompts = new List<MentionPrompt>();
        foreach (DocMember member in members)
        {
            cancel.ThrowIfCancellationRequested();
            string[] types = [.. TypesOf(member.Id).Where(t => t.Count(char.IsLetter) >= options.FewestLetters && !common.Contains(t)).Distinct(StringComparer.Ordinal)];
            if (types.Length == 0) continue;
            string text = member.ToText();
            int line = text.IndexOf('\n', StringComparison.Ordinal) + 1;
            int[] tokens = tokenizer.Encode(text[..line], cancel: cancel);
            if (tokens.Length < options.FewestTokens || tokens.Length > options.MostTokens) continue;
            prompts.Add(new(text[..(line - 1)], tokens, types, [.. tokenizer.Encode(text[line..], cancel: cancel), end]));
        }

        var task = new MentionTask([.. prompts], tokenizer, options);
        return task.Prompts.Count > 0 ? task : throw new ArgumentException($"{members.Count} members give no length with {options.FewestPrompts} prompts.", nameof(members));
    }

    /// <summary>Prompts of one length: the length is drawn in proportion to its prompts, then the prompts with replacement. They depend on seed and step alone.</summary>
    /// <param name="count">Number of prompts, positive.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="step">Number of the draw, not negative.</param>
    public IReadOnlyList<MentionPrompt> Draw(int count, long seed, long step)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        var random = new SeededRandom(seed, 41_000_000 + step);
        int at = random.NextInt(Prompts.Count), group = 0;
        while (at >= _lengths[group].Prompts.Length) at -= _lengths[group++].Prompts.Length;
        MentionPrompt[] prompts = _lengths[group].Prompts;
        var drawn = new MentionPrompt[count];
        for (int i = 0; i < count; i++) drawn[i] = prompts[random.NextInt(prompts.Length)];
        return drawn;
    }

    /// <summary>The reward of a completion.</summary>
    /// <param name="prompt">Its prompt.</param>
    /// <param name="completion">Its tokens.</param>
    public double Reward(MentionPrompt prompt, IReadOnlyList<int> completion)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        return prompt.Reward(_tokenizer.Decode(completion, skipSpecialTokens: true));
    }

    /// <summary>Tokens of a text as a completion, with the end token.</summary>
    /// <param name="text">The text.</param>
    /// <param name="most">Tokens at most, at least 1; what is too long is cut, and has no end token then.</param>
    public IReadOnlyList<int> Encode(string text, int most)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most);
        int[] tokens = [.. _tokenizer.Encode(text), End];
        return tokens[..Math.Min(most, tokens.Length)];
    }

    /// <summary>A completion as text.</summary>
    /// <param name="completion">Its tokens.</param>
    public string Decode(IReadOnlyList<int> completion) => _tokenizer.Decode(completion, skipSpecialTokens: true);

    /// <summary>Share of prompts whose one sampled completion earns the reward.</summary>
    /// <param name="model">The policy.</param>
    /// <param name="count">The first so many prompts. Default 160.</param>
    /// <param name="options">How completions are sampled; null, the default, for 20 tokens at temperature 1. The end token is the task's.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="cancel">Checked before each token.</param>
    /// <exception cref="ArgumentException">No prompt, or more than there are.</exception>
    public double Success(LanguageModel model, int count = 160, RolloutOptions? options = null, long seed = 1, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Prompts.Count);
        options = (options ?? new()) with { End = End };
        double sum = 0;
        foreach (IGrouping<int, MentionPrompt> group in Prompts.Take(count).GroupBy(p => p.Tokens.Count))
        {
            MentionPrompt[] prompts = [.. group];
            using Rollout rollout = Rollout.Sample(model, [.. prompts.Select(p => p.Tokens)], options, (seed * 1_000) + group.Key, cancel);
            sum += prompts.Select((p, row) => Reward(p, rollout.Completion(row))).Sum();
        }

        return sum / count;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Prompts.Count} prompts of {Lengths[0]} to {Lengths[^1]} tokens";

    /// <summary>Plain names of the parameter types that are not generic.</summary>
    private static IEnumerable<string> TypesOf(string id)
    {
        int start = id.IndexOf('(', StringComparison.Ordinal), end = id.LastIndexOf(')');
        if (start < 0 || end < start) yield break;
        int depth = 0, from = start + 1;
        for (int i = start + 1; i <= end; i++)
        {
            // Inside braces stand arguments of a generic type, inside brackets the bounds of an array.
            if (id[i] is '{' or '[') depth++;
            else if (id[i] is '}' or ']') depth--;
            else if ((id[i] == ',' && depth == 0) || i == end)
            {
                string type = id[from..i];
                from = i + 1;
                if (type.Contains('{', StringComparison.Ordinal) || type.Contains('`', StringComparison.Ordinal)) continue;
                int bracket = type.IndexOf('[', StringComparison.Ordinal);
                string plain = (bracket < 0 ? type : type[..bracket]).TrimEnd('@', '*');
                yield return plain[(plain.LastIndexOf('.') + 1)..];
            }
        }
    }
}
