using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Tasks;

/// <summary>What a question asks for.</summary>
public enum TaskKind
{
    /// <summary>R key: the value that stood behind that key. One place of the text is needed.</summary>
    Retrieval,

    /// <summary>H key: the value behind the key behind that key. Two places, one found through the other.</summary>
    TwoHops,

    /// <summary>A: the class token that stood most often. The whole text is needed.</summary>
    Aggregation,
}

/// <summary>Sizes of <see cref="TaskSequences"/>.</summary>
public sealed record TaskOptions
{
    /// <summary>Tokens of a sequence, questions included. Default 256.</summary>
    public int Tokens { get; init; } = 256;

    /// <summary>Pairs key value. Default 16.</summary>
    public int Pairs { get; init; } = 16;

    /// <summary>Chains: one pair key key, and a pair of the second key and a value. Default 6.</summary>
    public int Chains { get; init; } = 6;

    /// <summary>Questions for a value. Default 8.</summary>
    public int Retrievals { get; init; } = 8;

    /// <summary>Questions over two hops. Default 4.</summary>
    public int Hops { get; init; } = 4;

    /// <summary>Questions for the most frequent class. Default 1.</summary>
    public int Aggregations { get; init; } = 1;

    /// <summary>How much more often the planted class is drawn than each other. Default 1.6.</summary>
    public double Majority { get; init; } = 1.6;

    /// <summary>Tokens of all questions with their answers: they end the sequence.</summary>
    public int Tail => (3 * (Retrievals + Hops)) + (2 * Aggregations);

    /// <summary>Throws when sizes do not fit each other.</summary>
    /// <exception cref="ArgumentException">A size is out of its range, too many keys, or a text without a class token before questions for it.</exception>
    public void Validate()
    {
        foreach ((string name, int value) in new[] { (nameof(Pairs), Pairs), (nameof(Chains), Chains), (nameof(Retrievals), Retrievals), (nameof(Hops), Hops), (nameof(Aggregations), Aggregations) })
            ArgumentOutOfRangeException.ThrowIfNegative(value, name);
        if (Pairs + (2 * Chains) > TaskSequences.Keys) throw new ArgumentException($"{Pairs} pairs and {Chains} chains need {Pairs + (2 * Chains)} different keys; there are {TaskSequences.Keys}.", nameof(Pairs));
        if (Retrievals > 0 && Pairs == 0) throw new ArgumentException("Questions for a value need pairs.", nameof(Pairs));
        if (Hops > 0 && Chains == 0) throw new ArgumentException("Questions over two hops need chains.", nameof(Chains));
        if (!(Majority >= 1) || !double.IsFinite(Majority)) throw new ArgumentOutOfRangeException(nameof(Majority), Majority, "Majority must be at least 1 and finite.");
        int needed = 1 + (2 * Pairs) + (4 * Chains) + Tail + (Aggregations > 0 ? 1 : 0);
        if (Tokens < needed) throw new ArgumentException($"A sequence of {Tokens} tokens is too short: a first token, {Pairs} pairs, {Chains} chains and the questions need {needed}.", nameof(Tokens));
    }
}

/// <summary>
/// Generated texts with questions behind them: a small test of what an attention can find. The body holds, in random order, pairs "key value", chains "a b" and "b value",
/// and class tokens, one of which is more frequent. The tail asks: "R key" for the value, "H a" for the value at the end of a chain, "A" for the most frequent class.
/// Only answers count as targets.
/// </summary>
public sealed class TaskSequences : IDisposable
{
    /// <summary>Different keys.</summary>
    public const int Keys = 48;

    /// <summary>Different values.</summary>
    public const int Values = 24;

    /// <summary>Different classes.</summary>
    public const int Classes = 8;

    /// <summary>Tokens: keys, values, classes, then "R", "H", "A" and the first token.</summary>
    public const int Vocabulary = Keys + Values + Classes + 4;

    private const int FirstValue = Keys, FirstClass = Keys + Values, R = FirstClass + Classes, H = R + 1, A = H + 1, Begin = A + 1;
    private readonly NativeSize _size;

    private TaskSequences(TaskOptions options, Tensor ids, Tensor targets, Tensor kinds) =>
        (Options, Ids, Targets, Kinds, _size) = (options, ids, targets, kinds, NativeSize.Of(ids, targets, kinds));

    /// <summary>Sizes.</summary>
    public TaskOptions Options { get; }

    /// <summary>Token ids [sequences, tokens], Int64.</summary>
    public Tensor Ids { get; }

    /// <summary>The next token where it is an answer, else -100, which a cross-entropy leaves out [sequences, tokens], Int64.</summary>
    public Tensor Targets { get; }

    /// <summary>Number of the <see cref="TaskKind"/> where an answer is due, else -1 [sequences, tokens], Int64.</summary>
    public Tensor Kinds { get; }

    /// <summary>Sequences.</summary>
    public int Count => (int)Ids.shape[0];

    /// <summary>First token of the questions.</summary>
    public int TailStart => Options.Tokens - Options.Tail;

    /// <summary>Makes sequences; each depends on the seed and its number alone.</summary>
    /// <param name="count">Sequences, positive.</param>
    /// <param name="options">Sizes; null for their defaults.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <exception cref="ArgumentException">No sequences, or sizes that do not fit.</exception>
    public static TaskSequences Generate(int count, TaskOptions? options = null, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        options ??= new();
        options.Validate();
        long[] ids = new long[count * options.Tokens], targets = new long[ids.Length], kinds = new long[ids.Length];
        Array.Fill(targets, -100);
        Array.Fill(kinds, -1);
        for (int s = 0; s < count; s++)
        {
            var random = new SeededRandom(seed, s);
            int from = s * options.Tokens, length = options.Tokens;
            Write(options, ref random, ids.AsSpan(from, length), targets.AsSpan(from, length), kinds.AsSpan(from, length));
        }

        using DisposeScope scope = NewDisposeScope();
        Tensor Make(long[] numbers) => tensor(numbers, [count, options.Tokens]).DetachFromDisposeScope();
        return new(options, Make(ids), Make(targets), Make(kinds));
    }

    /// <summary>Share of right answers: where the highest logit is the target.</summary>
    /// <param name="logits">[sequences, tokens, vocabulary].</param>
    /// <param name="kind">Questions that count.</param>
    /// <returns>From 0 to 1; NaN without such a question.</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public double Accuracy(Tensor logits, TaskKind kind) => Right(logits, kind) is { Length: > 0 } right ? right.Average() : double.NaN;

    /// <summary>Share of right answers of each sequence: what paired comparisons need.</summary>
    /// <param name="logits">[sequences, tokens, vocabulary].</param>
    /// <param name="kind">Questions that count.</param>
    /// <returns>[sequences] numbers from 0 to 1; empty without such a question.</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public double[] Right(Tensor logits, TaskKind kind)
    {
        ArgumentNullException.ThrowIfNull(logits);
        if (logits.dim() != 3 || !logits.shape[..2].SequenceEqual(Ids.shape)) throw new ArgumentException($"logits must be [{Count}, {Options.Tokens}, vocabulary], but are [{string.Join(", ", logits.shape)}].", nameof(logits));
        using DisposeScope scope = NewDisposeScope();
        Tensor asked = Kinds.eq((long)kind), right = logits.argmax(-1).eq(Targets).logical_and(asked);
        Tensor counts = asked.sum(1L);
        if (counts.max().item<long>() == 0) return [];
        return [.. (right.sum(1L).to(ScalarType.Float64) / counts.to(ScalarType.Float64)).data<double>()];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Ids.Dispose();
        Targets.Dispose();
        Kinds.Dispose();
        _size.Dispose();
    }

    private static void Write(TaskOptions o, ref SeededRandom random, Span<long> ids, Span<long> targets, Span<long> kinds)
    {
        int[] keys = Shuffled(Keys, ref random);
        (long Key, long Value)[] pairs = new (long, long)[o.Pairs];
        (long Key, long Value)[] chains = new (long, long)[o.Chains];
        List<(long First, long Second)> units = [];
        for (int p = 0; p < pairs.Length; p++)
        {
            pairs[p] = (keys[p], FirstValue + (int)(random.NextDouble() * Values));
            units.Add(pairs[p]);
        }

        for (int c = 0; c < chains.Length; c++)
        {
            long a = keys[o.Pairs + (2 * c)], b = keys[o.Pairs + (2 * c) + 1], value = FirstValue + (int)(random.NextDouble() * Values);
            chains[c] = (a, value);
            units.Add((a, b));
            units.Add((b, value));
        }

        int planted = (int)(random.NextDouble() * Classes), plain = o.Tokens - o.Tail - 1 - (2 * units.Count);
        int[] counts = new int[Classes];
        for (int i = 0; i < plain; i++)
        {
            double draw = random.NextDouble() * (Classes - 1 + o.Majority);
            int one = draw < o.Majority ? planted : (planted + 1 + (int)(draw - o.Majority)) % Classes;
            counts[one]++;
            units.Add((FirstClass + one, -1));
        }

        int at = 0;
        ids[at++] = Begin;
        foreach (int u in Shuffled(units.Count, ref random))
        {
            ids[at++] = units[u].First;
            if (units[u].Second >= 0) ids[at++] = units[u].Second;
        }

        Ask(o, ref random, pairs, chains, FirstClass + Array.IndexOf(counts, counts.Max()), at, ids, targets, kinds);
    }

    private static void Ask(
        TaskOptions o, ref SeededRandom random, (long Key, long Value)[] pairs, (long Key, long Value)[] chains, long majority, int at, Span<long> ids, Span<long> targets, Span<long> kinds)
    {
        int[] asked = Chosen(o.Retrievals, pairs.Length, ref random), hops = Chosen(o.Hops, chains.Length, ref random);
        foreach (int question in Shuffled(o.Retrievals + o.Hops + o.Aggregations, ref random))
        {
            (TaskKind kind, long key, long answer) = question < o.Retrievals ? (TaskKind.Retrieval, pairs[asked[question]].Key, pairs[asked[question]].Value)
                : question < o.Retrievals + o.Hops ? (TaskKind.TwoHops, chains[hops[question - o.Retrievals]].Key, chains[hops[question - o.Retrievals]].Value)
                : (TaskKind.Aggregation, -1L, majority);
            ids[at++] = kind switch { TaskKind.Retrieval => R, TaskKind.TwoHops => H, _ => A };
            if (key >= 0) ids[at++] = key;
            (targets[at - 1], kinds[at - 1]) = (answer, (long)kind);
            ids[at++] = answer;
        }
    }

    /// <summary>Some of many, each once as long as there are enough.</summary>
    private static int[] Chosen(int some, int many, ref SeededRandom random)
    {
        List<int> chosen = [];
        while (chosen.Count < some) chosen.AddRange(Shuffled(many, ref random).Take(some - chosen.Count));
        return [.. chosen];
    }

    private static int[] Shuffled(int count, ref SeededRandom random)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        for (int i = count - 1; i > 0; i--)
        {
            int other = (int)(random.NextDouble() * (i + 1));
            (order[i], order[other]) = (order[other], order[i]);
        }

        return order;
    }
}
