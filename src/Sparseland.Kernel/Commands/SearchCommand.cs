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
        var run = new Option<string?>("--run") { Description = "With --queries: the file for the run, in TREC's form." };
        var command = new Command("search", "Search an index: one query, or all queries of a collection into a run.") { index, text, k, explain, queries, run };
        command.SetAction((parsed, cancel) => Guard.RunAsync("search", () =>
        {
            (string? query, string? folder, string? file) = (parsed.GetValue(text), parsed.GetValue(queries), parsed.GetValue(run));
            if ((query is null) == (folder is null)) throw new ArgumentException("Name a query, or a collection with --queries.");
            if ((folder is null) != (file is null)) throw new ArgumentException("--queries and --run go together.");
            int most = parsed.GetValue(k) ?? (folder is null ? 10 : 1000);
            if (most < 1) throw new ArgumentException($"-k: {most} is less than 1.");
            string path = parsed.GetValue(index)!;
            if (file is not null) AtomicFile.CheckFile(file, "--run");
            using InvertedIndex opened = Directory.Exists(path) ? IndexFolder.Read(path, cancel) : InvertedIndex.Open(path);
            var searcher = new Searcher(opened);
            if (folder is not null)
            {
                Run found = searcher.Run(Beir.Read(folder, cancel: cancel).Collection.Queries, most, progress: new ProgressLines("query", Console.WriteLine), cancel: cancel);
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
}
