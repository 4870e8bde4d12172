using System.Globalization;
using Sparseland.Data.Documentation;
using Sparseland.Retrieval.Analysis;

namespace Sparseland.Retrieval.Collections;

/// <summary>
/// Makes queries of fields that the documents do not show. A text is a query where it has four terms, at most twenty owners, and owners of one
/// split only; its owners are the answers of grade 2 and their other overloads those of grade 1.
/// </summary>
internal sealed class DocQueryMaker
{
    private const int FewestTerms = 4, MostOwners = 20, FewestMembers = 5, MostMembers = 100;

    // Parts of names as the terms of texts are made, but every word counts: a name may be "To" or "If".
    private static readonly Analyzer s_parts = Analyzers.English(stopWords: []);
    private readonly DocMember[] _documents;
    private readonly DocMember[] _types;
    private readonly Func<DocMember, DocSplit> _split;
    private readonly TermNumbers _numbers;
    private readonly ILookup<string, int> _overloads;

    public DocQueryMaker(DocMember[] documents, DocMember[] types, Func<DocMember, DocSplit> split, TermNumbers numbers)
    {
        (_documents, _types, _split, _numbers) = (documents, types, split, numbers);
        _overloads = Enumerable.Range(0, documents.Length).ToLookup(d => Overload(documents[d]), StringComparer.Ordinal);
    }

    /// <summary>All queries of all kinds, kind by kind, each in the order of its first owner.</summary>
    public IReadOnlyList<DocQuery> All(CancellationToken cancel)
    {
        var all = new List<DocQuery>();
        (DocQueryKind, Func<DocMember, IEnumerable<string>>)[] fields =
        [
            (DocQueryKind.Result, m => [FirstLine(m.Returns)]), (DocQueryKind.Failure, m => m.Exceptions.SelectMany(e => Conditions(e.Text))),
            (DocQueryKind.Remark, m => [FirstLine(m.Remarks)]), (DocQueryKind.Summary, m => [FirstLine(m.Summary)]),
        ];
        foreach ((DocQueryKind kind, Func<DocMember, IEnumerable<string>> texts) in fields)
        {
            cancel.ThrowIfCancellationRequested();
            all.AddRange(OfField(kind, texts));
        }

        all.AddRange(Topics());
        return all;
    }

    private IEnumerable<DocQuery> OfField(DocQueryKind kind, Func<DocMember, IEnumerable<string>> texts)
    {
        var owners = new Dictionary<string, List<int>>(StringComparer.Ordinal);
        var order = new List<string>();
        for (int d = 0; d < _documents.Length; d++)
        {
            foreach (string text in texts(_documents[d]).Where(t => t.Length > 0).Distinct(StringComparer.Ordinal))
            {
                if (!owners.TryGetValue(text, out List<int>? list))
                {
                    owners.Add(text, list = []);
                    order.Add(text);
                }

                list.Add(d);
            }
        }

        int number = 0;
        foreach (string text in order)
        {
            List<int> mine = owners[text];
            if (mine.Count > MostOwners || mine.Select(d => _split(_documents[d])).Distinct().Count() > 1 || _numbers.Of(text).Length < FewestTerms) continue;
            IEnumerable<int> overloads = mine.SelectMany(d => _overloads[Overload(_documents[d])]).Distinct().Except(mine).Order();
            yield return Query(kind, ++number, _split(_documents[mine[0]]), text, mine, overloads, mine.Select(d => OwnName(_documents[d])));
        }
    }

    private IEnumerable<DocQuery> Topics()
    {
        ILookup<string, int> members = Enumerable.Range(0, _documents.Length).ToLookup(d => _documents[d].TypeKey, StringComparer.Ordinal);
        ILookup<string, int> references = Enumerable.Range(0, _documents.Length)
            .SelectMany(d => _documents[d].References.Where(r => r[0] == 'T').Select(r => (Type: DocId.Path(r), Document: d))).Distinct().ToLookup(r => r.Type, r => r.Document, StringComparer.Ordinal);
        HashSet<string> shared = [.. _types.GroupBy(t => t.Summary, StringComparer.Ordinal).Where(g => g.Select(t => t.TypeKey).Distinct(StringComparer.Ordinal).Count() > 1).Select(g => g.Key)];
        var seen = new HashSet<string>(StringComparer.Ordinal);
        int number = 0;
        foreach (DocMember type in _types)
        {
            int[] declared = [.. members[type.TypeKey]];
            if (declared.Length is < FewestMembers or > MostMembers || shared.Contains(type.Summary) || _numbers.Of(type.Summary).Length < FewestTerms || !seen.Add(type.Summary)) continue;
            IEnumerable<int> referring = references[DocId.Path(type.Id)].Where(d => _documents[d].TypeKey != type.TypeKey).Take(MostMembers);
            yield return Query(DocQueryKind.Topic, ++number, _split(type), type.Summary, declared, referring, [type.Type]);
        }
    }

    private DocQuery Query(DocQueryKind kind, int number, DocSplit split, string text, IReadOnlyList<int> answers, IEnumerable<int> partial, IEnumerable<string> names)
    {
        string id = string.Create(CultureInfo.InvariantCulture, $"{kind.ToString().ToLowerInvariant()}-{number:00000}");
        string blind = BlindText.Of(text, names, s_parts);
        return new(id, kind, split, text, _numbers.Of(blind).Length < FewestTerms ? null : blind)
        {
            Judgements = [.. answers.Select(d => new Judgement(id, _documents[d].Id, 2)), .. partial.Select(d => new Judgement(id, _documents[d].Id, 1))],
        };
    }

    private static string FirstLine(string text) => text.IndexOf('\n', StringComparison.Ordinal) is >= 0 and var end ? text[..end] : text;

    private static IEnumerable<string> Conditions(string text) => text.Split("-or-").Select(c => string.Join(' ', c.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)));

    /// <summary>What overloads share: kind and path without parameters.</summary>
    private static string Overload(DocMember member) => member.Id[..2] + DocId.Path(member.Id);

    /// <summary>The last part of a member's name: "Trim" of String.Trim(Char), the type's of a constructor.</summary>
    private static string OwnName(DocMember member)
    {
        string name = DocId.ShortName(member.Id);
        return name[(name.LastIndexOf('.') + 1)..];
    }
}
