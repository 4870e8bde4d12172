using System.Text.Json;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// The query's side of an inference-free retriever (Geng et al. 2024): a query is its distinct tokens, each with a weight that is looked up. No network
/// runs and no tensor is made. Special tokens have none, and a weight below 0 counts as 0.
/// </summary>
public sealed class QueryTable
{
    private readonly BertEncoder _words;
    private readonly float[] _weights;

    private QueryTable(BertEncoder words, float[] weights, string name)
    {
        foreach (int token in words.SpecialIds) weights[token] = 0;
        (_words, _weights, Name) = (words, weights, name);
    }

    /// <summary>What figures call it.</summary>
    public string Name { get; }

    /// <summary>Weight of each token [vocabulary].</summary>
    public ReadOnlySpan<float> Weights => _weights;

    /// <summary>Every token of the query counts 1, as the first inference-free models (SPLADE-doc) had it.</summary>
    /// <param name="encoder">The encoder of the documents; its tokenizer is used.</param>
    public static QueryTable Binary(BertEncoder encoder)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        float[] weights = new float[encoder.Config.Vocabulary];
        Array.Fill(weights, 1);
        return new(encoder, weights, "binary");
    }

    /// <summary>
    /// Inverse document frequencies of a collection's tokens, ln(1 + (N - n + 0.5)/(n + 0.5)); a token that no document has gets the value of n = 0.
    /// </summary>
    /// <param name="encoder">The encoder of the documents; its tokenizer is used.</param>
    /// <param name="documents">Texts of the documents.</param>
    /// <param name="queries">
    /// Queries over whose tokens the table's mean becomes 1; null, the default, for the raw table. Raw values multiply all scores by five or so, and a
    /// comparison with the binary table is then one of temperatures.
    /// </param>
    /// <param name="cancel">Checked all the time. Never by default.</param>
    /// <exception cref="ArgumentException">There is no document, or the queries have no token.</exception>
    public static QueryTable FromIdf(BertEncoder encoder, IReadOnlyList<string> documents, IReadOnlyList<string>? queries = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(documents);
        if (documents.Count == 0) throw new ArgumentException("There is no document to count tokens in.", nameof(documents));
        int[] counts = new int[encoder.Config.Vocabulary];
        foreach (int[] ids in encoder.Split(documents, "", cancel))
        {
            foreach (int token in ids.Distinct()) counts[token]++;
        }

        float[] weights = [.. counts.Select(n => (float)Math.Log(1 + ((documents.Count - n + 0.5) / (n + 0.5))))];
        var table = new QueryTable(encoder, weights, queries is null ? "idf, raw" : "idf");
        if (queries is null) return table;
        double sum = 0;
        long tokens = 0;
        foreach (int[] ids in encoder.Split(queries, "", cancel))
        {
            foreach (int token in ids.Distinct().Where(t => table._weights[t] > 0))
            {
                sum += table._weights[token];
                tokens++;
            }
        }

        if (tokens == 0) throw new ArgumentException("The queries have no token with a weight, so their mean cannot be 1.", nameof(queries));
        return table.Times((float)(tokens / sum));
    }

    /// <summary>Weights by token, as the idf.json of published inference-free models has them; a token without an entry counts 1.</summary>
    /// <param name="encoder">The encoder of the documents.</param>
    /// <param name="path">A file {"token": weight, ...}.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no such file, a weight is not finite, or a token is not of the encoder's vocabulary.</exception>
    public static QueryTable Read(BertEncoder encoder, string path)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no table '{path}'.", path);
        float[] weights = new float[encoder.Config.Vocabulary];
        Array.Fill(weights, 1);
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int id = 0; id < encoder.Tokenizer.Vocabulary; id++) places.TryAdd(encoder.Tokenizer.Tokens[id], id);
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllText(path));
            foreach (JsonProperty entry in json.RootElement.EnumerateObject())
            {
                if (!places.TryGetValue(entry.Name, out int id)) throw new InvalidDataException($"'{path}': token '{entry.Name}' is not of the encoder's vocabulary; the table belongs to another model.");
                if (entry.Value.ValueKind != JsonValueKind.Number || !float.IsFinite(entry.Value.GetSingle())) throw new InvalidDataException($"'{path}': token '{entry.Name}' has the weight {entry.Value.GetRawText()}; a finite number was expected.");
                weights[id] = entry.Value.GetSingle();
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"'{path}' is no table of tokens and weights: {error.Message}", error);
        }

        return new(encoder, [.. weights.Select(w => Math.Max(0, w))], Path.GetFileName(path));
    }

    /// <summary>Given weights of the whole vocabulary.</summary>
    /// <param name="encoder">The encoder of the documents.</param>
    /// <param name="weights">A finite weight for each token of its vocabulary; one below 0 counts as 0.</param>
    /// <param name="name">What figures call it. Default "given".</param>
    /// <exception cref="ArgumentException">Another number of weights, or one that is not finite.</exception>
    public static QueryTable Of(BertEncoder encoder, ReadOnlySpan<float> weights, string name = "given")
    {
        ArgumentNullException.ThrowIfNull(encoder);
        if (weights.Length != encoder.Config.Vocabulary) throw new ArgumentException($"{weights.Length} weights for a vocabulary of {encoder.Config.Vocabulary}: the table belongs to another model.", nameof(weights));
        for (int i = 0; i < weights.Length; i++)
        {
            if (!float.IsFinite(weights[i])) throw new ArgumentException($"Token {i} has the weight {weights[i]}; weights are finite.", nameof(weights));
        }

        float[] own = new float[weights.Length];
        for (int i = 0; i < own.Length; i++) own[i] = Math.Max(0, weights[i]);
        return new(encoder, own, name);
    }

    /// <summary>The same table with every weight multiplied.</summary>
    /// <param name="factor">Above 0 and finite.</param>
    /// <exception cref="ArgumentOutOfRangeException">The factor is not, or a weight would leave float32.</exception>
    public QueryTable Times(float factor)
    {
        if (!(factor > 0 && float.IsFinite(factor))) throw new ArgumentOutOfRangeException(nameof(factor), factor, "A factor is positive and finite.");
        float[] multiplied = [.. _weights.Select(w => w * factor)];
        if (!Array.TrueForAll(multiplied, float.IsFinite)) throw new ArgumentOutOfRangeException(nameof(factor), factor, "A weight would leave float32.");
        return new(_words, multiplied, Name);
    }

    /// <summary>The vector of a query; terms are token ids.</summary>
    /// <param name="query">A query, perhaps empty.</param>
    public SparseVector Encode(string query)
    {
        ArgumentNullException.ThrowIfNull(query);
        int[] ids = _words.Pieces(query);
        Array.Sort(ids);
        int kept = 0;
        Span<float> weights = ids.Length <= 512 ? stackalloc float[ids.Length] : new float[ids.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            if ((i > 0 && ids[i] == ids[i - 1]) || _weights[ids[i]] == 0) continue;
            weights[kept] = _weights[ids[i]];
            ids[kept++] = ids[i];
        }

        return SparseVector.Of(ids.AsSpan(0, kept), weights[..kept]);
    }

    /// <summary>Rows of query weights for a training, no gradient.</summary>
    internal Tensor Rows(IReadOnlyList<int[]> ids)
    {
        var (rows, columns, values) = (new List<long>(), new List<long>(), new List<float>());
        for (int q = 0; q < ids.Count; q++)
        {
            foreach (int token in ids[q].Distinct().Where(t => _weights[t] != 0))
            {
                rows.Add(q);
                columns.Add(token);
                values.Add(_weights[token]);
            }
        }

        using DisposeScope scope = NewDisposeScope();
        Tensor dense = zeros(ids.Count, _weights.Length);
        if (rows.Count > 0) dense.index_put_(tensor(values.ToArray()), tensor(rows.ToArray()), tensor(columns.ToArray()));
        return dense.MoveToOuterDisposeScope();
    }
}
