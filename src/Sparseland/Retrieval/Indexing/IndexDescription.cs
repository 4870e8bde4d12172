using System.Text.Json;
using System.Text.Json.Serialization;
using Sparseland.Retrieval.Analysis;

namespace Sparseland.Retrieval.Indexing;

/// <summary>What an index file says of itself, as JSON.</summary>
internal sealed record IndexDescription(int Documents, int Terms, bool Floats, LengthCount Counting, Bm25? Bm25, GivenImpacts? Given, AnalyzerOptions? Analyzer)
{
    private static readonly JsonSerializerOptions s_json = new() { Converters = { new JsonStringEnumConverter() } };

    internal static byte[] Of(InvertedIndex index)
    {
        if (index.Model is not (Indexing.Bm25 or GivenImpacts))
            throw new InvalidOperationException($"A file keeps the models {nameof(Indexing.Bm25)} and {nameof(GivenImpacts)}, not {index.Model.GetType().Name}. Save the index with one of them and set yours with With().");
        return JsonSerializer.SerializeToUtf8Bytes(new IndexDescription(index.Documents, index.Terms, index.Lists.Floats, index.Counting, index.Model as Bm25, index.Model as GivenImpacts, index.Analyzer?.Options), s_json);
    }

    internal static IndexDescription Read(byte[] json, string path)
    {
        try
        {
            IndexDescription? description = JsonSerializer.Deserialize<IndexDescription>(json, s_json);
            if (description is { Documents: > 0, Terms: >= 0 } && (description.Bm25 is null) != (description.Given is null)) return description;
            throw new InvalidDataException($"'{path}': its description lacks what an index has.");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"'{path}': its description cannot be read: {e.Message}", e);
        }
    }
}
