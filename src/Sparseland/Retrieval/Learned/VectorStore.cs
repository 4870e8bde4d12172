using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// A folder that keeps the vectors which an encoder made of texts, in half precision, each found by its text: a collection is encoded once, in
/// minutes, and read in a moment ever after. A text that is not there yet is encoded and kept; so a call that was stopped goes on where it was, and
/// two collections that share texts share their vectors.
/// </summary>
/// <remarks>
/// The folder holds files "vectors-XXXXXXXX.safetensors" of some thousand texts each, with a key for each text (64 bits of SHA-256 of prefix and
/// text) and a note of the encoder. A file appears when it is whole, so several processes may fill one folder. Not for use by several threads at once.
/// </remarks>
public sealed class VectorStore : IDisposable
{
    private const string Pattern = "vectors-*.safetensors", Keys = "keys", Vectors = "vectors", Encoder = "encoder";
    private const int Texts = 2048;

    private readonly Dictionary<long, (int Shard, int Row)> _rows = [];
    private readonly List<Tensor> _shards = [];
    private NativeSize _size = NativeSize.Of();

    private VectorStore(string folder) => Folder = folder;

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>Number of texts that it has.</summary>
    public int Count => _rows.Count;

    /// <summary>Width of the vectors, dModel; 0 while there is none.</summary>
    public int Width => _shards.Count == 0 ? 0 : (int)_shards[0].shape[1];

    /// <summary>The encoder that made the vectors, as <see cref="Describe"/> names it; empty while there is none.</summary>
    public string Model { get; private set; } = "";

    /// <summary>Opens a folder.</summary>
    /// <param name="folder">The folder; it need not be there yet.</param>
    /// <exception cref="InvalidDataException">A file is damaged, is of another kind, or holds vectors of another encoder than the file before it; the message names it.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static VectorStore Open(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var store = new VectorStore(folder);
        try
        {
            if (Directory.Exists(folder))
            {
                foreach (string file in Directory.GetFiles(folder, Pattern).Order(StringComparer.Ordinal)) store.Read(file);
            }

            return store;
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>Names an encoder and how it makes vectors: two that differ in a weight, the pooling or the longest text have different names.</summary>
    /// <param name="encoder">The encoder.</param>
    /// <param name="options">How; null, the default, for the encoder's own way.</param>
    public static string Describe(BertEncoder encoder, EmbeddingOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        options ??= new();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((string name, TorchSharp.Modules.Parameter parameter) in encoder.named_parameters())
        {
            using DisposeScope scope = NewDisposeScope();
            hash.AppendData(Encoding.UTF8.GetBytes(name));
            hash.AppendData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(TensorMemory.Read<float>(parameter.detach().to(ScalarType.Float32).cpu().contiguous())));
        }

        Pooling pooling = options.Pooling ?? encoder.Pooling;
        return $"BERT, {encoder.Config.Layers} layers, width {encoder.Config.Width}, {pooling}, {options.MostTokens ?? encoder.MostTokens} tokens{(options.Normalize ? "" : ", not normalized")}, weights {Convert.ToHexStringLower(hash.GetCurrentHash())[..16]}";
    }

    /// <summary>Whether the vector of a text is there.</summary>
    /// <param name="text">The text.</param>
    /// <param name="prefix">What stood before it when it was encoded. Default empty.</param>
    public bool Has(string text, string prefix = "")
    {
        ArgumentNullException.ThrowIfNull(text);
        return _rows.ContainsKey(Key(prefix, text));
    }

    /// <summary>Vectors of texts that are all there.</summary>
    /// <param name="texts">Texts.</param>
    /// <param name="prefix">What stood before them when they were encoded. Default empty.</param>
    /// <returns>[texts, dModel], float32.</returns>
    /// <exception cref="KeyNotFoundException">A text is not there; the message says how many.</exception>
    public Tensor Find(IReadOnlyList<string> texts, string prefix = "")
    {
        ArgumentNullException.ThrowIfNull(texts);
        int missing = texts.Count(text => !Has(text, prefix));
        return missing == 0 ? Gather(texts, prefix) : throw new KeyNotFoundException($"'{Folder}' has no vectors of {missing} of {texts.Count} texts; give the encoder to make them.");
    }

    /// <summary>Vectors of texts; those that are not there are made, and kept.</summary>
    /// <param name="texts">Texts.</param>
    /// <param name="encoder">The encoder; it must be the one that made what is there.</param>
    /// <param name="options">How, with the prefix; null, the default, for the encoder's own way and no prefix.</param>
    /// <param name="progress">Told in texts. Default none.</param>
    /// <param name="cancel">Stops at once; whole files of 2,048 texts that were made until then are kept. Never by default.</param>
    /// <returns>[texts, dModel], float32, rounded to half precision whether they were there or not.</returns>
    /// <exception cref="ArgumentException">The encoder, or how it makes vectors, is another than that of the folder.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public Tensor Encode(IReadOnlyList<string> texts, BertEncoder encoder, EmbeddingOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(encoder);
        options ??= new();
        options.Validate();
        string[] missing = [.. texts.Where(text => !Has(text, options.Prefix)).Distinct(StringComparer.Ordinal)];
        if (missing.Length > 0)
        {
            string model = Describe(encoder, options);
            if (Model.Length > 0 && Model != model) throw new ArgumentException($"'{Folder}' has vectors of another encoder ({Model}), not of this one ({model}); take another folder.", nameof(encoder));
            Directory.CreateDirectory(Folder);
            int done = texts.Count - missing.Length;
            foreach (string[] part in missing.Chunk(Texts))
            {
                cancel.ThrowIfCancellationRequested();
                var within = progress is null ? null : new Shifted(progress, done, texts.Count);
                Keep(part, encoder, options, model, within, cancel);
                done += part.Length;
            }
        }

        return Gather(texts, options.Prefix);
    }

    /// <summary>The same for queries: the encoder's own prefix stands before each.</summary>
    /// <param name="queries">Queries.</param>
    /// <param name="encoder">The encoder.</param>
    /// <param name="options">How; null, the default, for the encoder's own way. Its prefix is not taken.</param>
    /// <param name="progress">Told in queries. Default none.</param>
    /// <param name="cancel">Stops at once. Never by default.</param>
    /// <returns>[queries, dModel], float32.</returns>
    /// <exception cref="ArgumentException">The encoder is another than that of the folder.</exception>
    public Tensor EncodeQueries(IReadOnlyList<string> queries, BertEncoder encoder, EmbeddingOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return Encode(queries, encoder, (options ?? new()) with { Prefix = encoder.QueryPrefix }, progress, cancel);
    }

    /// <summary>Frees the vectors; the folder stays.</summary>
    public void Dispose()
    {
        foreach (Tensor shard in _shards) shard.Dispose();
        _size.Dispose();
    }

    private void Keep(string[] texts, BertEncoder encoder, EmbeddingOptions options, string model, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        using DisposeScope scope = NewDisposeScope();
        long[] keys = [.. texts.Select(text => Key(options.Prefix, text))];
        Tensor vectors = encoder.Encode(texts, options, progress: progress, cancel: cancel).to(ScalarType.Float16);
        string name = $"vectors-{unchecked((uint)keys.Aggregate(17L, (a, b) => (a * 31) + b)):x8}.safetensors";
        SafeTensors.Save(Path.Combine(Folder, name), new Dictionary<string, Tensor> { [Keys] = tensor(keys), [Vectors] = vectors }, new Dictionary<string, string> { [Encoder] = model }, cancellationToken: cancel);
        Add(keys, vectors, model);
    }

    private void Read(string file)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile open = SafeTensors.Open(file);
        if (!open.Metadata.TryGetValue(Encoder, out string? model) || !open.Names.Contains(Keys) || !open.Names.Contains(Vectors))
            throw new InvalidDataException($"'{file}' is no file of a vector store: it lacks '{Keys}', '{Vectors}' or the note '{Encoder}'.");
        Tensor keys = open.Load(Keys), vectors = open.Load(Vectors);
        if (keys.dtype != ScalarType.Int64 || keys.dim() != 1 || vectors.dtype != ScalarType.Float16 || vectors.dim() != 2 || vectors.shape[0] != keys.shape[0])
            throw new InvalidDataException($"'{file}': keys are {keys.dtype} [{string.Join(", ", keys.shape)}] and vectors {vectors.dtype} [{string.Join(", ", vectors.shape)}]; int64 [texts] and float16 [texts, dModel] were expected.");
        if (Model.Length > 0 && (model != Model || vectors.shape[1] != Width))
            throw new InvalidDataException($"'{file}' has vectors of another encoder ({model}) than the files before it ({Model}); one folder holds those of one.");
        Add(keys.data<long>().ToArray(), vectors, model);
    }

    private void Add(long[] keys, Tensor vectors, string model)
    {
        for (int row = 0; row < keys.Length; row++) _rows.TryAdd(keys[row], (_shards.Count, row));
        _shards.Add(vectors.DetachFromDisposeScope());
        Model = model;
        _size.Dispose();
        _size = NativeSize.Of(_shards);
    }

    private Tensor Gather(IReadOnlyList<string> texts, string prefix)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor vectors = empty([texts.Count, Width]);
        var byShard = texts.Select((text, place) => (Place: (long)place, At: _rows[Key(prefix, text)])).GroupBy(t => t.At.Shard);
        foreach (var group in byShard)
        {
            Tensor rows = _shards[group.Key].index_select(0, tensor(group.Select(t => (long)t.At.Row).ToArray())).to(ScalarType.Float32);
            vectors.index_copy_(0, tensor(group.Select(t => t.Place).ToArray()), rows);
        }

        return vectors.MoveToOuterDisposeScope();
    }

    private static long Key(string prefix, string text) =>
        BinaryPrimitives.ReadInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(prefix.Length == 0 ? text : prefix + text)));

    private sealed class Shifted(IProgress<ProgressReport> progress, int before, int total) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => progress.Report(new(before + value.Done, total, value.Message));
    }
}
