using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Feedback;

/// <summary>How a <see cref="DenseIndex"/> keeps its vectors.</summary>
public sealed record DenseIndexOptions
{
    /// <summary>Brings each vector to length 1, so that inner products with queries of length 1 are cosines. Default true.</summary>
    public bool Normalise { get; init; } = true;

    /// <summary>Keeps vectors as float16, in half the memory and with 11 bits. Default false: float32.</summary>
    public bool HalfPrecision { get; init; }
}

/// <summary>
/// Vectors of documents and exact search by inner product: blocked matrix products in float32 choose candidates, and whatever could be among the
/// first k by the products' error bound is scored again in float64, so that results and their order depend neither on the batch nor on the number
/// of threads.
/// </summary>
public sealed class DenseIndex : IDisposable
{
    private const int BlockRows = 8192;
    private const long ScoresAtOnce = 1 << 22;

    private readonly Tensor _vectors;
    private readonly NativeSize _size;
    private readonly Dictionary<string, int> _numbers;
    private readonly double _longest;

    private DenseIndex(Tensor vectors, IReadOnlyList<string> ids, Dictionary<string, int> numbers, double longest, int zeros, DenseIndexOptions options)
    {
        (_vectors, Ids, _numbers, _longest, ZeroVectors, Options) = (vectors, ids, numbers, longest, zeros, options);
        _size = NativeSize.Of(vectors);
    }

    /// <summary>Ids of the documents by number.</summary>
    public IReadOnlyList<string> Ids { get; }

    /// <summary>Number of documents.</summary>
    public int Documents => Ids.Count;

    /// <summary>Width of the vectors.</summary>
    public int Width => (int)_vectors.size(1);

    /// <summary>Number of documents whose vector is 0; they are kept and score 0.</summary>
    public int ZeroVectors { get; }

    /// <summary>How vectors are kept.</summary>
    public DenseIndexOptions Options { get; }

    /// <summary>Makes an index; the vectors are copied.</summary>
    /// <param name="vectors">[documents, d] on the CPU, Float16, Float32 or Float64, finite, not empty.</param>
    /// <param name="ids">Id of each document, each once.</param>
    /// <param name="options">Lengths and precision; null, the default, for the record's defaults.</param>
    /// <exception cref="ArgumentException">A wrong shape or type, a value that is not finite (its row is named), another number of ids, or an id twice.</exception>
    public static DenseIndex Of(Tensor vectors, IReadOnlyList<string> ids, DenseIndexOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentNullException.ThrowIfNull(ids);
        options ??= new();
        if (vectors.dim() != 2 || vectors.numel() == 0) throw new ArgumentException($"vectors must be [documents, d] and not empty, but are [{string.Join(", ", vectors.shape)}].", nameof(vectors));
        if (vectors.dtype is not (ScalarType.Float16 or ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"vectors are {vectors.dtype}; they must be Float16, Float32 or Float64.", nameof(vectors));
        if (vectors.device_type != DeviceType.CPU) throw new ArgumentException($"vectors are on {vectors.device_type}; move them to the CPU first.", nameof(vectors));
        if (vectors.size(0) != ids.Count) throw new ArgumentException($"{vectors.size(0)} vectors, but {ids.Count} ids.", nameof(ids));
        var numbers = new Dictionary<string, int>(ids.Count, StringComparer.Ordinal);
        for (int i = 0; i < ids.Count; i++)
        {
            if (string.IsNullOrEmpty(ids[i])) throw new ArgumentException($"The id of document {i} is empty.", nameof(ids));
            if (!numbers.TryAdd(ids[i], i)) throw new ArgumentException($"The id '{ids[i]}' stands at {numbers[ids[i]]} and {i}.", nameof(ids));
        }

        using DisposeScope scope = NewDisposeScope();
        Tensor stored = empty(vectors.shape, dtype: options.HalfPrecision ? ScalarType.Float16 : ScalarType.Float32);
        (double longest, int zeros) = (0, 0);
        for (int row = 0; row < ids.Count; row += BlockRows)
        {
            using DisposeScope block = NewDisposeScope();
            int rows = Math.Min(BlockRows, ids.Count - row);
            Tensor values = vectors.narrow(0, row, rows).detach().to(ScalarType.Float64);
            double[] largest = values.abs().amax([1]).data<double>().ToArray();
            int bad = Array.FindIndex(largest, l => !double.IsFinite(l));
            if (bad >= 0) throw new ArgumentException($"The vector of document '{ids[row + bad]}' (row {row + bad}) holds a value that is not finite.", nameof(vectors));
            if (options.Normalise)
            {
                // By powers of two first, which changes no digit: squares of 1e200 and of 1e-200 leave float64.
                values = values.mul(tensor(Array.ConvertAll(largest, l => l == 0 ? 1 : Math.ScaleB(1, -Math.Max(Math.ILogB(l), -1000)))).unsqueeze(1));
                Tensor lengths = values.norm(1);
                values = values.div(where(lengths.eq(0), 1, lengths).unsqueeze(1));
            }

            Tensor part = stored.narrow(0, row, rows).copy_(values);
            longest = Math.Max(longest, part.to(ScalarType.Float64).norm(1).max().item<double>());
            zeros += largest.Count(l => l == 0);
        }

        if (!double.IsFinite(longest)) throw new ArgumentException("A vector is too large for the precision it is to be kept in.", nameof(vectors));
        return new(stored.DetachFromDisposeScope(), [.. ids], numbers, longest, zeros, options);
    }

    /// <summary>Number of the document with an id; null where there is none.</summary>
    /// <param name="id">Id of a document.</param>
    public int? Find(string id) => _numbers.TryGetValue(id, out int number) ? number : null;

    /// <summary>The vector of a document as it is kept, Float32 [d].</summary>
    /// <param name="id">Id of the document.</param>
    /// <exception cref="KeyNotFoundException">There is none.</exception>
    public Tensor Vector(string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        ObjectDisposedException.ThrowIf(_vectors.IsInvalid, this);
        int number = Find(id) ?? throw new KeyNotFoundException($"The index has no vector of document '{id}'.");
        using DisposeScope scope = NewDisposeScope();
        return _vectors[number].to(ScalarType.Float32, copy: true).MoveToOuterDisposeScope();
    }

    /// <summary>The vectors of some documents as they are kept, Float32 [n, d].</summary>
    /// <param name="documents">Numbers of documents, perhaps none.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number that is not there.</exception>
    public Tensor Vectors(IReadOnlyList<int> documents)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ObjectDisposedException.ThrowIf(_vectors.IsInvalid, this);
        if (documents.Any(d => d < 0 || d >= Documents)) throw new ArgumentOutOfRangeException(nameof(documents), documents.First(d => d < 0 || d >= Documents), $"The index has {Documents} documents.");
        using DisposeScope scope = NewDisposeScope();
        if (documents.Count == 0) return zeros([0, Width]).MoveToOuterDisposeScope();
        return _vectors.index_select(0, tensor(documents.Select(d => (long)d).ToArray())).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>The k documents of the largest inner products with each query, scores in float64.</summary>
    /// <param name="queries">[n, d] or [d] on the CPU, Float16, Float32 or Float64; they are taken as float32 and not brought to length 1.</param>
    /// <param name="k">Documents of each query, at least 1; all where there are fewer.</param>
    /// <param name="progress">Queries done.</param>
    /// <param name="cancel">Checked between blocks.</param>
    /// <returns>A list for each query, in the order of <see cref="Hit"/>.</returns>
    /// <exception cref="ArgumentException">Another width, a value that is not finite, a query of zeros, or k below 1.</exception>
    public IReadOnlyList<IReadOnlyList<Hit>> Search(Tensor queries, int k, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        ObjectDisposedException.ThrowIf(_vectors.IsInvalid, this);
        using DisposeScope scope = NewDisposeScope();
        Tensor all = CheckQueries(queries, out float[] scales);
        int count = (int)all.size(0), batch = (int)Math.Clamp(ScoresAtOnce / Documents, 1, 64);
        var results = new IReadOnlyList<Hit>[count];
        for (int first = 0; first < count; first += batch)
        {
            int size = Math.Min(batch, count - first);
            using DisposeScope inner = NewDisposeScope();
            Tensor some = all.narrow(0, first, size), scores = Products(some.mul(tensor(scales[first..(first + size)]).unsqueeze(1)), cancel);
            nint scoresAt = TensorMemory.StartOf(scores), queriesAt = TensorMemory.StartOf(some), vectorsAt = TensorMemory.StartOf(_vectors);
            int start = first;
            Parallel.For(0, size, new ParallelOptions { CancellationToken = cancel }, q => results[start + q] = Best(
                TensorMemory.Part<float>(scoresAt, (long)q * Documents, Documents), TensorMemory.Part<float>(queriesAt, (long)q * Width, Width), scales[start + q], vectorsAt, k));
            GC.KeepAlive(scores);
            GC.KeepAlive(some);
            progress?.Report(new(first + size, count, "dense search"));
        }

        return results;
    }

    /// <summary>Searches queries that have ids.</summary>
    /// <param name="ids">Id of each query, each once.</param>
    /// <param name="queries">[n, d], as in <see cref="Search"/>.</param>
    /// <param name="k">Documents of each query, at least 1. Default 1000.</param>
    /// <param name="name">Name of the run. Default "dense".</param>
    /// <param name="progress">Queries done.</param>
    /// <param name="cancel">Checked between blocks.</param>
    /// <exception cref="ArgumentException">As in <see cref="Search"/>, another number of ids, or one that is empty or stands twice.</exception>
    public Run SearchRun(
        IReadOnlyList<string> ids, Tensor queries, int k = 1000, string name = "dense", IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(queries);
        if (queries.dim() != 2 || queries.size(0) != ids.Count) throw new ArgumentException($"{ids.Count} ids, but queries are [{string.Join(", ", queries.shape)}].", nameof(queries));
        Run.CheckQueries(ids, nameof(ids));
        IReadOnlyList<IReadOnlyList<Hit>> found = Search(queries, k, progress, cancel);
        return new(ids.Select((id, q) => KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>(id, [.. found[q].Select(h => new RankedDocument(Ids[h.Document], h.Score))])), name);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _size.Dispose();
        _vectors.Dispose();
    }

    /// <summary>Numbers and precision.</summary>
    public override string ToString() => $"Dense index: {Documents} vectors of width {Width}, {(Options.HalfPrecision ? "float16" : "float32")}{(Options.Normalise ? ", length 1" : "")}"
        + (ZeroVectors > 0 ? $", {ZeroVectors} of them zero" : "");

    private Tensor CheckQueries(Tensor queries, out float[] scales)
    {
        ArgumentNullException.ThrowIfNull(queries);
        if (queries.dim() is not (1 or 2) || queries.shape[^1] != Width)
            throw new ArgumentException($"queries are [{string.Join(", ", queries.shape)}], but the index has the width {Width}; they must be [n, {Width}] or [{Width}].", nameof(queries));
        if (queries.dtype is not (ScalarType.Float16 or ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"queries are {queries.dtype}; they must be Float16, Float32 or Float64.", nameof(queries));
        if (queries.device_type != DeviceType.CPU) throw new ArgumentException($"queries are on {queries.device_type}; move them to the CPU first.", nameof(queries));
        Tensor all = queries.detach().to(ScalarType.Float32).reshape(-1, Width).contiguous();
        double[] lengths = all.to(ScalarType.Float64).norm(1).data<double>().ToArray();
        int bad = Array.FindIndex(lengths, l => !double.IsFinite(l)), zero = Array.IndexOf(lengths, 0.0);
        if (bad >= 0) throw new ArgumentException($"Query {bad} holds a value that is not finite in float32.", nameof(queries));
        if (zero >= 0) throw new ArgumentException($"Query {zero} is the zero vector, to which all documents are equal.", nameof(queries));
        scales = Array.ConvertAll(lengths, Scale);
        return all;
    }

    // A power of two that keeps a query's products within float32 and above what it loses at its small end; 1 for all but extreme sizes. Scores
    // are then those of another unit, which their order does not see.
    private float Scale(double length)
    {
        int own = Math.ILogB(length), product = own + (_longest == 0 ? 0 : Math.ILogB(_longest));
        return product is > 100 or < -60 ? MathF.ScaleB(1, Math.Clamp(Math.Min(60 - product, 120 - own), -126, 126)) : 1;
    }

    // [queries, documents] in float32, a block of documents at a time: half precision is widened block by block.
    private Tensor Products(Tensor queries, CancellationToken cancel)
    {
        Tensor scores = empty([queries.size(0), Documents], dtype: ScalarType.Float32);
        for (int row = 0; row < Documents; row += BlockRows)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int rows = Math.Min(BlockRows, Documents - row);
            scores.narrow(1, row, rows).copy_(queries.mm(_vectors.narrow(0, row, rows).to(ScalarType.Float32).t()));
        }

        return scores;
    }

    private Hit[] Best(ReadOnlySpan<float> scores, ReadOnlySpan<float> query, float scale, nint vectors, int k)
    {
        k = Math.Min(k, Documents);
        double length = 0;
        foreach (float value in query) length += (double)value * value;

        // |float32 product - product| <= d u |q| |v| for any order of its sums (Higham 2002, section 3.1), twice: the k-th and the candidate.
        double margin = 2 * (Width + 1) * Math.ScaleB(1, -24) * Math.Sqrt(length) * scale * _longest * 1.01;
        double least = KthLargest(scores, k) - margin;
        var candidates = new List<Hit>(k + 16);
        for (int d = 0; d < scores.Length; d++)
        {
            if (!(scores[d] < least)) candidates.Add(new(d, Product(query, vectors, d)));
        }

        candidates.Sort();
        return [.. candidates.Take(k)];
    }

    private double Product(ReadOnlySpan<float> query, nint vectors, int document)
    {
        double sum = 0;
        if (Options.HalfPrecision)
        {
            ReadOnlySpan<Half> row = TensorMemory.Part<Half>(vectors, (long)document * Width, Width);
            for (int i = 0; i < row.Length; i++) sum += (double)query[i] * (double)row[i];
        }
        else
        {
            ReadOnlySpan<float> row = TensorMemory.Part<float>(vectors, (long)document * Width, Width);
            for (int i = 0; i < row.Length; i++) sum += (double)query[i] * row[i];
        }

        return sum;
    }

    // A heap of the k largest, the least of them at its root.
    private static float KthLargest(ReadOnlySpan<float> values, int k)
    {
        float[] heap = values[..k].ToArray();
        for (int i = (k / 2) - 1; i >= 0; i--) Sink(heap, i);
        foreach (float value in values[k..])
        {
            if (value <= heap[0]) continue;
            heap[0] = value;
            Sink(heap, 0);
        }

        return heap[0];
    }

    private static void Sink(float[] heap, int at)
    {
        float value = heap[at];
        while (true)
        {
            int child = (2 * at) + 1;
            if (child >= heap.Length) break;
            if (child + 1 < heap.Length && heap[child + 1] < heap[child]) child++;
            if (heap[child] >= value) break;
            heap[at] = heap[child];
            at = child;
        }

        heap[at] = value;
    }
}
