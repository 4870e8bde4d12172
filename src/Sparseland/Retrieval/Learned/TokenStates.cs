using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// What an encoder makes of every token of some texts, kept in half precision, special tokens left out: a head over a frozen encoder is trained on
/// them without running the encoder again.
/// </summary>
public sealed class TokenStates : IDisposable
{
    private readonly Tensor _states;
    private readonly int[] _starts;
    private readonly int[] _ids;
    private readonly Dictionary<string, int> _places;
    private readonly NativeSize _size;

    private TokenStates(Tensor states, int[] starts, int[] ids, Dictionary<string, int> places)
    {
        (_states, _starts, _ids, _places) = (states, starts, ids, places);
        _size = NativeSize.Of(states);
    }

    /// <summary>Number of texts.</summary>
    public int Count => _starts.Length - 1;

    /// <summary>Tokens of all texts together.</summary>
    public int Tokens => _ids.Length;

    /// <summary>Width of a state, dModel.</summary>
    public int Width => (int)_states.shape[1];

    /// <summary>Runs the encoder over texts.</summary>
    /// <param name="encoder">The encoder.</param>
    /// <param name="texts">Texts; one that stands twice is kept once.</param>
    /// <param name="batchTokens">Most tokens that are computed together. Default 1024.</param>
    /// <param name="progress">Told in texts. Default none.</param>
    /// <param name="cancel">Checked all the time. Never by default.</param>
    /// <exception cref="ArgumentException">There is no text, or one is null.</exception>
    public static TokenStates Of(BertEncoder encoder, IReadOnlyList<string> texts, int batchTokens = 1024, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchTokens);
        if (texts.Count == 0) throw new ArgumentException("There is no text.", nameof(texts));
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int i = 0; i < texts.Count; i++) places.TryAdd(texts[i] ?? throw new ArgumentException($"Text {i} is null.", nameof(texts)), places.Count);
        string[] distinct = [.. places.OrderBy(p => p.Value).Select(p => p.Key)];
        HashSet<int> special = [.. encoder.SpecialIds];
        int[][] ids = encoder.Split(distinct, "", cancel);
        int[][] kept = [.. ids.Select(row => Enumerable.Range(0, row.Length).Where(i => !special.Contains(row[i])).ToArray())];
        int[] starts = new int[ids.Length + 1];
        for (int t = 0; t < ids.Length; t++) starts[t + 1] = checked(starts[t] + kept[t].Length);

        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor states = empty([starts[^1], encoder.Config.Width], ScalarType.Float16);
        int done = 0;
        foreach (int[] batch in BertEncoder.Batches(ids, batchTokens))
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            (Tensor tokens, Tensor? mask) = encoder.Pad([.. batch.Select(t => ids[t])]);
            Tensor hidden = encoder.HiddenOf(tokens, mask, cancel);
            long longest = hidden.shape[1];
            long[] from = [.. batch.SelectMany((t, row) => kept[t].Select(i => (row * longest) + i))];
            long[] to = [.. batch.SelectMany(t => Enumerable.Range(starts[t], kept[t].Length).Select(i => (long)i))];
            if (from.Length > 0) states.index_copy_(0, tensor(to), hidden.view(-1, hidden.shape[2]).index_select(0, tensor(from)).to(ScalarType.Float16));
            progress?.Report(new(done += batch.Length, distinct.Length));
        }

        return new(states.DetachFromDisposeScope(), starts, [.. ids.SelectMany((row, t) => kept[t].Select(i => row[i]))], places);
    }

    /// <summary>Place of a text.</summary>
    /// <param name="text">One of the texts.</param>
    /// <exception cref="KeyNotFoundException">It is not one of them.</exception>
    public int PlaceOf(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return _places.TryGetValue(text, out int place) ? place : throw new KeyNotFoundException($"There are no states of the text '{(text.Length > 60 ? text[..60] + "..." : text)}'.");
    }

    /// <summary>Token ids of a text, special ones left out.</summary>
    /// <param name="place">Place of the text.</param>
    public ReadOnlySpan<int> Ids(int place) => _ids.AsSpan(_starts[place].._starts[place + 1]);

    /// <summary>States of some texts, filled up with zeros.</summary>
    /// <param name="places">Places of texts.</param>
    /// <returns>[texts, tokens, dModel] in float32, and where a token stands [texts, tokens].</returns>
    public (Tensor States, Tensor Mask) Rows(IReadOnlyList<int> places)
    {
        ArgumentNullException.ThrowIfNull(places);
        using DisposeScope scope = NewDisposeScope();
        int longest = Math.Max(1, places.Max(p => _starts[p + 1] - _starts[p]));
        bool[] stands = new bool[places.Count * longest];
        var (from, to) = (new List<long>(), new List<long>());
        for (int row = 0; row < places.Count; row++)
        {
            int start = _starts[places[row]], length = _starts[places[row] + 1] - start;
            for (int i = 0; i < length; i++)
            {
                stands[(row * longest) + i] = true;
                from.Add(start + i);
                to.Add((row * longest) + i);
            }
        }

        Tensor rows = zeros([places.Count * longest, Width]);
        if (from.Count > 0) rows.index_copy_(0, tensor(to.ToArray()), _states.index_select(0, tensor(from.ToArray())).to(ScalarType.Float32));
        return (rows.view(places.Count, longest, Width).MoveToOuterDisposeScope(), tensor(stands, [places.Count, longest]).MoveToOuterDisposeScope());
    }

    /// <summary>Frees the states.</summary>
    public void Dispose()
    {
        _states.Dispose();
        _size.Dispose();
    }
}
