using System.Globalization;

namespace Sparseland.Retrieval.Formats;

/// <summary>A run as it was read.</summary>
/// <param name="Run">The run; its lists descend in score, and equal scores stand as in the file.</param>
/// <param name="ResortedQueries">Number of queries whose lines were not in the order of their scores.</param>
public sealed record TrecRun(Run Run, int ResortedQueries)
{
    /// <summary>The run and, where lists were sorted anew, how many.</summary>
    public override string ToString() => Run + (ResortedQueries > 0 ? $"; the lines of {ResortedQueries} were not in the order of scores and were sorted" : "");
}

/// <summary>
/// Files in TREC's forms: runs "qid Q0 docid rank score tag" and judgements "qid 0 docid grade", fields apart by spaces or tabs. The rank is
/// not read, as in trec_eval: scores decide. Lines that begin with '#' are comments, as in trec_eval 10.
/// </summary>
public static class TrecFiles
{
    /// <summary>Reads a run. Queries keep the order in which they first stand; their lines may lie apart.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">Name of the run; null, the default, for the tag of its first line.</param>
    /// <param name="progress">Bytes read.</param>
    /// <param name="cancel">Checked at each line.</param>
    /// <exception cref="InvalidDataException">A line without six fields (a tag may hold spaces), a score that is no finite number, a document twice for a query, or no line.</exception>
    public static TrecRun ReadRun(string path, string? name = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var lists = new Dictionary<string, List<RankedDocument>>(StringComparer.Ordinal);
        var lines = new Dictionary<(string, string), int>();
        var order = new List<string>();
        foreach ((int number, string text) in TextLines.Read(path, progress, cancel).Where(l => l.Text[0] != '#'))
        {
            string[] fields = RunFields(path, number, text);
            (string query, string document) = (fields[0], fields[2]);
            if (!double.TryParse(fields[4], NumberStyles.Float, CultureInfo.InvariantCulture, out double score) || !double.IsFinite(score))
                throw Error(path, number, $"the score '{fields[4]}' of document '{document}' is no finite number");
            if (!lines.TryAdd((query, document), number))
                throw Error(path, number, $"document '{document}' stands again for query '{query}', first in line {lines[(query, document)]}");
            if (!lists.TryGetValue(query, out List<RankedDocument>? list))
            {
                lists.Add(query, list = []);
                order.Add(query);
            }

            list.Add(new(document, score));
            name ??= fields[5];
        }

        if (order.Count == 0) throw new InvalidDataException($"'{path}' holds no line of a run.");
        int resorted = 0;
        foreach (string query in order)
        {
            List<RankedDocument> list = lists[query];
            if (list.Zip(list.Skip(1)).All(pair => pair.First.Score >= pair.Second.Score)) continue;
            lists[query] = [.. list.OrderByDescending(d => d.Score)];
            resorted++;
        }

        return new(new Run(order.Select(q => KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>(q, lists[q])), name!), resorted);
    }

    /// <summary>
    /// Writes a run, its name as the tag (spaces become '-'). A query without documents has no line, so it is not there when the file is read.
    /// </summary>
    /// <param name="path">The file, replaced where it is.</param>
    /// <param name="run">The run; scores descend in each list, or trec_eval would order them otherwise than the ranks say.</param>
    /// <param name="cancel">Checked between queries.</param>
    /// <exception cref="ArgumentException">An id holds white space, or a list does not descend.</exception>
    public static void WriteRun(string path, Run run, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(run);
        foreach (string query in run.Queries)
        {
            CheckId(query, "query", nameof(run));
            IReadOnlyList<RankedDocument> list = run[query];
            for (int i = 0; i < list.Count; i++)
            {
                CheckId(list[i].Id, "document", nameof(run));
                if (i > 0 && list[i].Score > list[i - 1].Score)
                    throw new ArgumentException($"Query '{query}': rank {i + 1} has the score {list[i].Score} and rank {i} {list[i - 1].Score}; scores descend.", nameof(run));
            }
        }

        string tag = string.Join('-', run.Name.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        TextLines.Write(path, writer =>
        {
            foreach (string query in run.Queries)
            {
                cancel.ThrowIfCancellationRequested();
                int rank = 0;
                foreach (RankedDocument found in run[query])
                    writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{query} Q0 {found.Id} {++rank} {found.Score:R} {tag}"));
            }
        });
    }

    /// <summary>Whether a run of these could be written, known before the search.</summary>
    /// <exception cref="ArgumentException">An id holds white space, or a query's begins with '#'.</exception>
    internal static void CheckIds(IEnumerable<string> queries, IEnumerable<string> documents)
    {
        foreach (string query in queries) CheckId(query, "query", nameof(queries));
        foreach (string document in documents) CheckId(document, "document", nameof(documents));
    }

    /// <summary>Reads judgements; where a query judges a document again the last line stands, and <see cref="Qrels.Repeated"/> counts it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="progress">Bytes read.</param>
    /// <param name="cancel">Checked at each line.</param>
    /// <exception cref="InvalidDataException">A line without four fields, a grade that is no whole number, or no line.</exception>
    public static Qrels ReadQrels(string path, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var judgements = new List<Judgement>();
        foreach ((int number, string text) in TextLines.Read(path, progress, cancel).Where(l => l.Text[0] != '#'))
        {
            string[] fields = Fields(path, number, text, 4, "judgements have 'qid 0 docid grade'");
            judgements.Add(new(fields[0], fields[2], Grade(path, number, fields[3])));
        }

        return judgements.Count > 0 ? new Qrels(judgements) : throw new InvalidDataException($"'{path}' holds no judgement.");
    }

    /// <summary>Writes judgements.</summary>
    /// <param name="path">The file, replaced where it is.</param>
    /// <param name="qrels">Judgements.</param>
    /// <exception cref="ArgumentException">An id holds white space.</exception>
    public static void WriteQrels(string path, Qrels qrels)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(qrels);
        foreach (Judgement judgement in qrels.All)
        {
            CheckId(judgement.Query, "query", nameof(qrels));
            CheckId(judgement.Document, "document", nameof(qrels));
        }

        TextLines.Write(path, writer =>
        {
            foreach (Judgement judgement in qrels.All)
                writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{judgement.Query} 0 {judgement.Document} {judgement.Grade}"));
        });
    }

    /// <summary>A grade of a line.</summary>
    internal static int Grade(string path, int number, string text) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int grade) ? grade : throw Error(path, number, $"the grade '{text}' is no whole number");

    /// <summary>What is wrong with a line.</summary>
    internal static InvalidDataException Error(string path, int number, string what) => new($"'{path}', line {number}: {what}.");

    private static string[] Fields(string path, int number, string text, int count, string form)
    {
        string[] fields = text.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        return fields.Length == count ? fields : throw Error(path, number, $"{fields.Length} fields, but {form}");
    }

    // A tag may hold spaces, as trec_eval has it; an id may not, and would push the fields on: then no number stands where the rank should.
    private static string[] RunFields(string path, int number, string text)
    {
        string[] fields = text.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length < 6 || (fields.Length > 6 && !long.TryParse(fields[3], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _)))
            throw Error(path, number, $"{fields.Length} fields, but a run has 'qid Q0 docid rank score tag'");
        return fields.Length == 6 ? fields : [.. fields[..5], string.Join(' ', fields[5..])];
    }

    private static void CheckId(string id, string what, string argument)
    {
        if (what == "query" && id[0] == '#') throw new ArgumentException($"The query id '{id}' begins with '#', which makes a line a comment.", argument);
        if (id.Any(char.IsWhiteSpace)) throw new ArgumentException($"The {what} id '{id}' holds white space, which parts the fields of TREC's files.", argument);
    }
}
