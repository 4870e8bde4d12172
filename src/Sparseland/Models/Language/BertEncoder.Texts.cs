using Sparseland.Models.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

// Texts to vectors.
public sealed partial class BertEncoder
{
    private const string Classification = "[CLS]", Separator = "[SEP]";
    private static readonly string[] PaddingNames = ["[PAD]", "<pad>"], s_special = ["[PAD]", "[UNK]", Classification, Separator, "[MASK]"];

    // Where nothing stands; the mask hides it.
    private readonly int _padding;

    // Around a text, where the tokenizer's own file puts nothing there.
    private readonly (int First, int Last)? _around;

    /// <summary>How the model was trained to make one vector of a text; its folder says so, <see cref="Pooling.Cls"/> where it does not.</summary>
    public Pooling Pooling { get; init; } = Pooling.Cls;

    /// <summary>What the model was trained to read before a query, in a search for texts without it; empty where its folder names nothing.</summary>
    public string QueryPrefix { get; init; } = "";

    /// <summary>Most tokens of a text, its two special tokens among them; what is longer is cut. The context where its folder names nothing.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than 2, or more than the context.</exception>
    public int MostTokens
    {
        get;
        init
        {
            if (value < 2 || value > Config.Context) throw new ArgumentOutOfRangeException(nameof(MostTokens), value, $"MostTokens must lie between 2 and the context of {Config.Context}.");
            field = value;
        }
    }

    /// <summary>Ids of a text: [CLS], its pieces, [SEP]; cut at <see cref="MostTokens"/>.</summary>
    /// <param name="text">Any text, perhaps empty.</param>
    public int[] Tokenize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Ids(text, CancellationToken.None);
    }

    /// <summary>A token as the vocabulary writes it, "##" before a piece inside a word; for pictures.</summary>
    /// <param name="id">Token id.</param>
    /// <exception cref="ArgumentOutOfRangeException">The id is not of the vocabulary.</exception>
    public string TokenText(int id) =>
        id >= 0 && id < Tokenizer.Vocabulary ? Tokenizer.Tokens[id] : throw new ArgumentOutOfRangeException(nameof(id), id, $"Token ids run from 0 to {Tokenizer.Vocabulary - 1}.");

    /// <summary>One vector per text. No gradient is kept.</summary>
    /// <param name="texts">Texts, perhaps empty ones; what is longer than <see cref="MostTokens"/> is cut.</param>
    /// <param name="options">How; null for the defaults: the encoder's own pooling, length one.</param>
    /// <param name="hook">Reads and replaces activations; texts of similar length are computed together, so batches do not come in the order of the texts. Null for none.</param>
    /// <param name="progress">Told after each batch, in texts.</param>
    /// <param name="cancel">Checked all the time while texts are split, and between blocks.</param>
    /// <returns>
    /// [texts, dModel], float32, on the CPU, in the order of the texts. What other texts a text is computed with changes its last digits (some
    /// 1e-7), as in every library.
    /// </returns>
    /// <exception cref="ArgumentException">A text is null, a setting is out of its range, or a hook for a place that the model has not.</exception>
    public Tensor Encode(
        IReadOnlyList<string> texts, EmbeddingOptions? options = null, IActivationHook? hook = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        ArgumentNullException.ThrowIfNull(texts);
        for (int i = 0; i < texts.Count; i++)
        {
            if (texts[i] is null) throw new ArgumentException($"Text {i} is null.", nameof(texts));
        }

        hook.Check(Config.Layers, Serves);
        if (options.MostTokens > Config.Context) throw new ArgumentOutOfRangeException(nameof(options), options.MostTokens, $"MostTokens is {options.MostTokens}; the encoder's context is {Config.Context}.");
        int[][] ids = Split(texts, options.Prefix, cancel, options.MostTokens);
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        Tensor vectors = empty([texts.Count, Config.Width]);
        int done = 0;
        foreach (int[] batch in Batches(ids, options.BatchTokens))
        {
            using var inner = NewDisposeScope();
            (Tensor tokens, Tensor? mask) = Pad([.. batch.Select(i => ids[i])]);
            Tensor pooled = Pool(Run(tokens, mask, null, new(hook), cancel), mask, options.Pooling ?? Pooling);
            if (options.Normalize) pooled = nn.functional.normalize(pooled, p: 2, dim: 1);
            vectors.index_copy_(0, tensor(batch.Select(i => (long)i).ToArray()), pooled.to(ScalarType.Float32).to(CPU));
            progress?.Report(new(done += batch.Length, texts.Count));
        }

        return scope.MoveToOuter(vectors);
    }

    /// <summary>One vector per query, <see cref="QueryPrefix"/> before each: for a search among texts that <see cref="Encode"/> took without it.</summary>
    /// <param name="queries">Queries.</param>
    /// <param name="options">How; null for the defaults; a prefix of its own takes the place of <see cref="QueryPrefix"/>.</param>
    /// <param name="progress">Told after each batch, in queries.</param>
    /// <param name="cancel">Checked all the time while texts are split, and between blocks.</param>
    /// <returns>[queries, dModel], float32, on the CPU.</returns>
    /// <exception cref="ArgumentException">A query is null, or a setting is out of its range.</exception>
    public Tensor EncodeQueries(IReadOnlyList<string> queries, EmbeddingOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        return Encode(queries, options.Prefix is { Length: 0 } ? options with { Prefix = QueryPrefix } : options, null, progress, cancel);
    }

    /// <summary>One vector of the vectors of a text's tokens.</summary>
    /// <param name="hidden">What <see cref="Hidden"/> gave [batch, tokens, dModel].</param>
    /// <param name="mask">True where a token stands [batch, tokens]; null where all do.</param>
    /// <param name="pooling">How.</param>
    /// <returns>[batch, dModel].</returns>
    /// <exception cref="ArgumentException">Wrong shapes, or an unknown pooling.</exception>
    public Tensor Pool(Tensor hidden, Tensor? mask, Pooling pooling)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        if (hidden.dim() != 3 || hidden.shape[1] == 0 || hidden.shape[2] != Config.Width) throw new ArgumentException($"hidden must be [batch, tokens, {Config.Width}], but is [{Shape(hidden)}].", nameof(hidden));
        if (mask is not null) CheckMask(mask, hidden.shape[..2]);
        using var scope = NewDisposeScope();
        switch (pooling)
        {
            case Pooling.Cls:
                return scope.MoveToOuter(hidden.select(1, 0).clone());
            case Pooling.Mean when mask is null:
                return scope.MoveToOuter(hidden.mean([1]));
            case Pooling.Mean:
                Tensor weights = mask.to(hidden.device).to(hidden.dtype).unsqueeze(2);
                return scope.MoveToOuter((hidden * weights).sum(1) / weights.sum(1));
            default:
                throw new ArgumentOutOfRangeException(nameof(pooling), pooling, "Pooling is Cls or Mean.");
        }
    }

    /// <summary>Ids of the special tokens, ascending: those of BERT, those that fill, and those around a text.</summary>
    internal int[] SpecialIds => [.. s_special.Concat(PaddingNames).Select(name => Id(Tokenizer, name)).Where(id => id >= 0).Concat(Tokenize("")).Distinct().Order()];

    /// <summary>Ids of each text.</summary>
    internal int[][] Split(IReadOnlyList<string> texts, string prefix, CancellationToken cancel, int? most = null)
    {
        for (int i = 0; i < texts.Count; i++)
        {
            if (texts[i] is null) throw new ArgumentException($"Text {i} is null; an empty one is allowed.", nameof(texts));
        }

        var ids = new int[texts.Count][];
        Parallel.For(0, ids.Length, new ParallelOptions { CancellationToken = cancel }, i => ids[i] = Ids(prefix + texts[i], cancel, most));
        return ids;
    }

    /// <summary>Ids of a text cut as <see cref="Tokenize"/> cuts it, without the special tokens around it.</summary>
    internal int[] Pieces(string text, int? most = null, CancellationToken cancel = default) => Tokenizer.Encode(text, most: (most ?? MostTokens) - (_around is null ? Tokenizer.Around : 2), cancel: cancel);

    private int[] Ids(string text, CancellationToken cancel, int? most = null) => _around is var (first, last)
        ? [first, .. Pieces(text, most, cancel), last]
        : Tokenizer.Encode(text, specialTokens: true, most ?? MostTokens, cancel);

    private static int Id(TextTokenizer words, params string[] names)
    {
        for (int id = 0; id < words.Vocabulary; id++)
        {
            if (names.Contains(words.Tokens[id])) return id;
        }

        return -1;
    }

    /// <summary>A vocabulary of BERT must have all its special tokens; another one must put something around a text.</summary>
    private static void CheckSpecial(TextTokenizer words)
    {
        if (words.Around > 0 && Id(words, Classification) < 0) return;
        foreach (string token in s_special.Where(token => Id(words, token) < 0)) throw new FormatException($"The vocabulary has no token {token}.");
    }

    /// <summary>Texts that are computed together: the longest first, so that the first batch shows how much memory it takes, and those of similar length beside each other, so that little is padded.</summary>
    internal static IEnumerable<int[]> Batches(int[][] ids, int tokens)
    {
        int[] order = [.. Enumerable.Range(0, ids.Length).OrderByDescending(i => ids[i].Length)];
        for (int from = 0; from < order.Length;)
        {
            int count = Math.Max(1, tokens / ids[order[from]].Length);
            yield return order[from..Math.Min(from + count, order.Length)];
            from += count;
        }
    }

    /// <summary>[batch, tokens] of ids of several lengths, and where they stand; no mask where all are of one length.</summary>
    internal (Tensor Ids, Tensor? Mask) Pad(int[][] rows)
    {
        int longest = rows.Max(row => row.Length);
        var ids = new long[rows.Length * longest];
        var mask = new bool[ids.Length];
        Array.Fill(ids, _padding);
        for (int r = 0; r < rows.Length; r++)
        {
            for (int t = 0; t < rows[r].Length; t++) (ids[(r * longest) + t], mask[(r * longest) + t]) = (rows[r][t], true);
        }

        return (tensor(ids, [rows.Length, longest]), rows.All(row => row.Length == longest) ? null : tensor(mask, [rows.Length, longest]));
    }
}
