using Sparseland.Data.Documentation;
using Sparseland.Retrieval;

namespace Benchmarks.Retrieval;

/// <summary>The members of the .NET documentation as short documents, and what they return as queries.</summary>
internal static class DocumentationCards
{
    private static readonly Lazy<(RetrievalDocument[] Documents, string[] Queries)> s_cards = new(() =>
    {
        DocMember[] members = [.. DotNetDocs.Load().Where(m => m.Kind != DocMemberKind.Type && m.Summary.Length > 0 && !m.Namespace.StartsWith("System.Runtime.Intrinsics", StringComparison.Ordinal))];
        RetrievalDocument[] documents = [.. members.Select(m => new RetrievalDocument(m.Id, string.Join('\n', m.Parameters.Select(p => $"{p.Name}: {p.Text}").Prepend(m.Summary))) { Title = m.Name })];
        string[] queries = [.. members.Select(m => m.Returns.Split('\n')[0]).Where(r => r.Count(c => c == ' ') >= 4).Distinct().Order(StringComparer.Ordinal)];
        new Random(1).Shuffle(queries);
        return (documents, queries[..1000]);
    });

    public static RetrievalDocument[] Documents => s_cards.Value.Documents;

    public static string[] Queries => s_cards.Value.Queries;
}
