using System.CommandLine;
using System.Globalization;
using Sparseland.Kernel.Notebooks;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Formats;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland search</c>.</summary>
internal static class SearchCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var index = new Argument<string>("index") { Description = "An index file that sparseland index made, or a folder of segments." };
        var text = new Argument<string?>("query") { Description = "What to find; not with --queries.", Arity = ArgumentArity.ZeroOrOne };
        var k = new Option<int?>("-k") { Description = "Most documents of a query; by default 10, and 1000 with --queries." };
        var explain = new Option<bool>("--explain") { Description = "Also say what each term gave." };
        var queries = new Option<string?>("--queries") { Description = "A folder in BEIR's form: all its queries are searched." };
        var split = new Option<string?>("--split") { Description = "With --queries: only the queries judged in this split, a file of qrels/ without its ending." };
        var run = new Option<string?>("--run") { Description = "With --queries: the file for the run, in TREC's form." };
        var command = new Command("search", "Search an index: one query, or all queries of a collection into a run.") { index, text, k, explain, queries, split, run };
        command.SetAction((parsed, cancel) => Guard.RunAsync("search", () =>
        {
            (string? query, string? folder, string? file) = (parsed.GetValue(text), parsed.GetValue(queries), parsed.GetValue(run));
            if ((query is null) == (folder is null)) throw new ArgumentException("Name a query, or a collection with --queries.");
            if ((folder is null) != (file is null)) throw new ArgumentException("--queries and --run go together.");
            string? judged = parsed.GetValue(split);
            if (judged is not null && folder is null) throw new ArgumentException("--split goes with --queries.");
            int most = parsed.GetValue(k) ?? (folder is null ? 10 : 1000);
            if (most < 1) throw new ArgumentException($"-k: {most} is less than 1.");
            string path = parsed.GetValue(index)!;
            if (file is not null) AtomicFile.CheckFile(file, "--run");
            IReadOnlyList<RetrievalQuery> asked = folder is null ? [] : QueriesOf(folder, judged, cancel);
            using InvertedIndex opened = Directory.Exists(path) ? IndexFolder.Read(path, cancel) : InvertedIndex.Open(path);
            var searcher = new Searcher(opened);
            if (folder is not null)
            {
                TrecFiles.CheckIds(asked.Select(q => q.Id), Enumerable.Range(0, opened.Documents).Select(opened.Id));
                Run found = searcher.Run(asked, most, progress: new ProgressLines("query", Console.WriteLine), cancel: cancel);
                TrecFiles.WriteRun(file!, found, cancel);
                Console.WriteLine($"Made {file}: {found}.");
                return Task.FromResult(Guard.Good);
            }

            IReadOnlyList<Hit> hits = searcher.Search(query!, most);
            if (hits.Count == 0) Console.WriteLine("Nothing found: no document has a term of the query.");
            for (int i = 0; i < hits.Count; i++)
            {
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{i + 1,3}  {hits[i].Score,8:0.000}  {opened.Id(hits[i].Document)}"));
                if (parsed.GetValue(explain)) Console.WriteLine(Explanation.Of(opened, opened.Query(query!), hits[i].Document));
            }

            return Task.FromResult(Guard.Good);
        }));
        return command;
    }

    private static IReadOnlyList<RetrievalQuery> QueriesOf(string folder, string? split, CancellationToken cancel)
    {
        IReadOnlyList<RetrievalQuery> all = Beir.ReadQueries(folder, cancel: cancel);
        if (split is null) return all;
        IReadOnlyList<string> splits = Beir.Splits(folder);
        if (!splits.Contains(split)) throw new ArgumentException($"--split: '{folder}' has no split '{split}'; it has {(splits.Count == 0 ? "none" : string.Join(", ", splits))}.");
        Qrels qrels = Beir.ReadQrels(Path.Combine(folder, "qrels", split + ".tsv"), cancel: cancel);
        return [.. all.Where(q => qrels.Has(q.Id))];
    }
}
