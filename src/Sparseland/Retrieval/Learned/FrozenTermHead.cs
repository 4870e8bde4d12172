using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// A sparse head over the frozen states of an encoder that others trained: z_i = g (W h_i + c) E' + b over some terms, with E the encoder's own
/// embeddings, then SPLADE's pooling. It starts as a lexical model: W and c are the ridge regression from states to the embedding of the state's own
/// token, g and b such that a text's own tokens weigh 1 or so and hardly anything else fires. Minutes of training are enough from there.
/// </summary>
public sealed class FrozenTermHead : nn.Module
{
    // Adam moves every number by about the rate; the matrix should move by a ninth of what the others do.
    private static readonly Scalar s_matrixRate = 0.11;

    [ComponentName(Name = "embeddings")]
    private readonly Tensor _embeddings;
    [ComponentName(Name = "matrix")]
    private readonly Tensor _matrix;
    [ComponentName(Name = "change")]
    private readonly Parameter _change;
    [ComponentName(Name = "offset")]
    private readonly Parameter _offset;
    [ComponentName(Name = "gain")]
    private readonly Parameter _gain;
    [ComponentName(Name = "bias")]
    private readonly Parameter _bias;
    private readonly NativeSize _size;

    private FrozenTermHead(IReadOnlyList<int> terms, Tensor embeddings, Tensor matrix, Tensor offset, double gain, Tensor bias)
        : base(nameof(FrozenTermHead))
    {
        Terms = [.. terms];
        (_embeddings, _matrix) = (embeddings.DetachFromDisposeScope(), matrix.DetachFromDisposeScope());
        (_change, _offset, _gain, _bias) = (Own(zeros_like(matrix)), Own(offset), Own(tensor((float)gain)), Own(bias));
        register_parameter("change", _change);
        register_parameter("offset", _offset);
        register_parameter("gain", _gain);
        register_parameter("bias", _bias);
        register_buffer("embeddings", _embeddings, persistent: false);
        register_buffer("matrix", _matrix);
        _size = NativeSize.Of(_embeddings, _matrix, _change, _bias);
    }

    private static Parameter Own(Tensor values) => new(values.DetachFromDisposeScope());

    /// <summary>Token ids of its terms, ascending.</summary>
    public IReadOnlyList<int> Terms { get; }

    /// <summary>A head at its start.</summary>
    /// <param name="encoder">The encoder that made the states; its embeddings are copied.</param>
    /// <param name="terms">Token ids that can be terms: those that queries hold, since others meet no query. Special tokens are refused.</param>
    /// <param name="states">States of some texts, a few thousand tokens at least.</param>
    /// <param name="ridge">Ridge of the regression as a share of the mean variance of the states, above 0. Default 0.01.</param>
    /// <exception cref="ArgumentException">A term is no token or a special one, there is none, or too few tokens of the texts are terms.</exception>
    public static FrozenTermHead Start(BertEncoder encoder, IReadOnlyList<int> terms, TokenStates states, double ridge = 0.01)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(states);
        int[] ordered = Check(encoder, terms);
        Finite.Positive(ridge);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Dictionary<int, int> places = ordered.Select((term, place) => (term, place)).ToDictionary(t => t.term, t => t.place);
        Tensor embeddings = encoder.Embeddings.detach().index_select(0, tensor(ordered.Select(t => (long)t).ToArray())).to(ScalarType.Float32).cpu();
        (Tensor h, long[] own) = Sample(states, places);
        if (own.Length < 2 * states.Width) throw new ArgumentException($"Only {own.Length} tokens of the texts are terms; the start needs at least {2 * states.Width}.", nameof(states));

        // [W c]' = (X'X + ridge)^-1 X'Y with a column of ones, in float64.
        Tensor x = cat([h, ones(h.shape[0], 1)], 1).to(ScalarType.Float64), y = embeddings.index_select(0, tensor(own)).to(ScalarType.Float64);
        Tensor gram = x.t().MatMul(x);
        Tensor solved = linalg.solve(gram + (eye(gram.shape[0], dtype: ScalarType.Float64) * (ridge * gram.diag().mean().item<double>())), x.t().MatMul(y));
        Tensor matrix = solved.narrow(0, 0, states.Width).t().to(ScalarType.Float32).contiguous(), offset = solved[states.Width].to(ScalarType.Float32).clone();

        // Own tokens at e - 1, whose weight is 1; of the others one in ten thousand above 0.
        Tensor scores = nn.functional.linear(h, matrix, offset).MatMul(embeddings.t());
        Tensor mine = scores.gather(1, tensor(own).unsqueeze(1)).squeeze(1);
        Tensor others = scores.scatter(1, tensor(own).unsqueeze(1), full([own.Length, 1], float.NegativeInfinity)).view(-1);
        double high = others.topk((int)Math.Max(1, others.shape[0] / 10_000)).values.min().item<float>(), middle = mine.median().item<float>();
        if (middle <= high) throw new ArgumentException("The states do not tell their own tokens from others: an encoder of another vocabulary, or too few texts.", nameof(states));
        double gain = (Math.E - 1) / (middle - high);
        return new(ordered, embeddings.contiguous(), matrix, offset, gain, full([ordered.Length], (float)(-gain * high)));
    }

    /// <summary>Weights of its terms.</summary>
    /// <param name="states">h [texts, tokens, dModel].</param>
    /// <param name="mask">True where a token stands [texts, tokens]; null where all do.</param>
    /// <returns>w [texts, terms], at least 0.</returns>
    public Tensor Weights(Tensor states, Tensor? mask)
    {
        ArgumentNullException.ThrowIfNull(states);
        using DisposeScope scope = NewDisposeScope();
        Tensor read = nn.functional.linear(states, _matrix + (_change * s_matrixRate), _offset) * _gain;
        return SparsePooling.OfLinear(read, mask, _embeddings, _bias).MoveToOuterDisposeScope();
    }

    /// <summary>Sparse vectors of texts whose states are there; terms are token ids. No gradient is kept.</summary>
    /// <param name="states">States.</param>
    /// <param name="progress">Told in texts. Default none.</param>
    /// <param name="cancel">Checked between some hundred texts. Never by default.</param>
    public SparseVector[] Encode(TokenStates states, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(states);
        var vectors = new SparseVector[states.Count];
        using IDisposable off = no_grad();
        int done = 0;
        foreach (int[] part in Enumerable.Range(0, states.Count).OrderBy(t => states.Ids(t).Length).Chunk(64))
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            (Tensor rows, Tensor mask) = states.Rows(part);
            SparseVector[] made = SparsePooling.ToVectors(Weights(rows, mask), Terms);
            for (int i = 0; i < part.Length; i++) vectors[part[i]] = made[i];
            progress?.Report(new(done += part.Length, states.Count));
        }

        return vectors;
    }

    /// <summary>Sparse vectors of texts.</summary>
    /// <param name="encoder">The encoder that the head was trained over.</param>
    /// <param name="texts">Texts, perhaps empty ones.</param>
    /// <param name="cancel">Checked all the time. Never by default.</param>
    public SparseVector[] Encode(BertEncoder encoder, IReadOnlyList<string> texts, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        if (texts.Count == 0) return [];
        using TokenStates states = TokenStates.Of(encoder, texts, cancel: cancel);
        SparseVector[] vectors = Encode(states, cancel: cancel);
        return [.. texts.Select(text => vectors[states.PlaceOf(text)])];
    }

    /// <summary>Writes its terms and weights in half precision, without the encoder's embeddings.</summary>
    /// <param name="path">A safetensors file.</param>
    /// <param name="notes">Kept in the file; null, the default, for none.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path, IReadOnlyDictionary<string, string>? notes = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        SafeTensors.Save(path, new Dictionary<string, Tensor>
        {
            ["terms"] = tensor(Terms.ToArray()), ["matrix"] = (_matrix + (_change * s_matrixRate)).to(ScalarType.Float16), ["offset"] = _offset.detach(), ["gain"] = _gain.detach(), ["bias"] = _bias.detach(),
        }, notes);
    }

    /// <summary>Reads a head.</summary>
    /// <param name="path">A file that <see cref="Save"/> wrote.</param>
    /// <param name="encoder">The encoder that it was trained over.</param>
    /// <exception cref="InvalidDataException">It is no such file, or of an encoder of other sizes.</exception>
    public static FrozenTermHead Load(string path, BertEncoder encoder)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Dictionary<string, Tensor> stored = SafeTensors.Load(path);
        int width = encoder.Config.Width;
        foreach (string name in new[] { "terms", "matrix", "offset", "gain", "bias" }.Where(n => !stored.ContainsKey(n)))
            throw new InvalidDataException($"'{path}' has no tensor '{name}': it holds no head over frozen states.");
        if (stored["terms"].dtype != ScalarType.Int32 || !stored["matrix"].shape.SequenceEqual([width, width]) || !stored["offset"].shape.SequenceEqual([width])
            || stored["gain"].numel() != 1 || !stored["bias"].shape.SequenceEqual(stored["terms"].shape))
            throw new InvalidDataException($"'{path}' does not fit an encoder of width {width}.");
        int[] terms;
        try
        {
            terms = Check(encoder, stored["terms"].data<int>().ToArray());
        }
        catch (ArgumentException error)
        {
            throw new InvalidDataException($"'{path}' is the head of another encoder: {error.Message}", error);
        }

        Tensor embeddings = encoder.Embeddings.detach().index_select(0, tensor(terms.Select(t => (long)t).ToArray())).to(ScalarType.Float32).cpu();
        return new(terms, embeddings, stored["matrix"].to(ScalarType.Float32), stored["offset"].to(ScalarType.Float32), stored["gain"].item<float>(), stored["bias"].to(ScalarType.Float32));
    }

    /// <summary>Frees its tensors.</summary>
    /// <param name="disposing">Whether it is disposed.</param>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _size.Dispose();
        base.Dispose(disposing);
    }

    private static int[] Check(BertEncoder encoder, IReadOnlyList<int> terms)
    {
        ArgumentNullException.ThrowIfNull(terms);
        if (terms.Count == 0) throw new ArgumentException("There is no term.", nameof(terms));
        int[] ordered = [.. terms.Order()];
        HashSet<int> special = [.. encoder.SpecialIds];
        for (int i = 0; i < ordered.Length; i++)
        {
            if (ordered[i] < 0 || ordered[i] >= encoder.Config.Vocabulary) throw new ArgumentException($"Term {ordered[i]} is no token of a vocabulary of {encoder.Config.Vocabulary}.", nameof(terms));
            if (special.Contains(ordered[i])) throw new ArgumentException($"Term {ordered[i]} is the special token {encoder.TokenText(ordered[i])}.", nameof(terms));
            if (i > 0 && ordered[i] == ordered[i - 1]) throw new ArgumentException($"Term {ordered[i]} stands twice.", nameof(terms));
        }

        return ordered;
    }

    // Some thousand tokens that are terms, of texts spread over all: their states and the places of the terms.
    private static (Tensor States, long[] Own) Sample(TokenStates states, Dictionary<int, int> places)
    {
        const int Most = 20_000;
        int step = Math.Max(1, (int)Math.Ceiling((double)states.Tokens / Most));
        int[] texts = [.. Enumerable.Range(0, states.Count).Where(t => t % step == 0 && states.Ids(t).Length > 0)];
        var parts = new List<Tensor>();
        var own = new List<long>();
        foreach (int[] chunk in texts.Chunk(256))
        {
            (Tensor rows, Tensor mask) = states.Rows(chunk);
            int longest = (int)rows.shape[1];
            var at = new List<long>();
            for (int r = 0; r < chunk.Length; r++)
            {
                ReadOnlySpan<int> ids = states.Ids(chunk[r]);
                for (int i = 0; i < ids.Length; i++)
                {
                    if (!places.TryGetValue(ids[i], out int place)) continue;
                    at.Add((r * longest) + i);
                    own.Add(place);
                }
            }

            if (at.Count > 0) parts.Add(rows.view(-1, rows.shape[2]).index_select(0, tensor(at.ToArray())));
        }

        return (parts.Count == 0 ? zeros(0, states.Width) : cat(parts, 0), [.. own]);
    }
}
