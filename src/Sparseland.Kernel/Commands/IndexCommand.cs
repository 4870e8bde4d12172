using System.CommandLine;
using System.Diagnostics;
using Sparseland.Kernel.Notebooks;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Formats;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland index</c>.</summary>
internal static class IndexCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var folder = new Argument<string>("folder") { Description = "A folder in BEIR's form (its corpus.jsonl is indexed), or one with text files: each is a document, under its path." };
        var output = new Option<string>("--out") { Description = "The index file to write; by default FOLDER's name with the ending .index, here." };
        var stemming = new Option<Stemming>("--stemming") { Description = "Porter, Krovetz or None.", DefaultValueFactory = _ => Stemming.Porter };
        var whole = new Option<bool>("--no-camel-case") { Description = "Names stay whole; by default they are also split into their parts." };
        var k1 = new Option<double>("--k1") { Description = "BM25's saturation.", DefaultValueFactory = _ => 1.2 };
        var b = new Option<double>("--b") { Description = "BM25's share of length normalisation.", DefaultValueFactory = _ => 0.75 };
        var endings = new Option<string[]>("--endings") { Description = $"Endings of the text files; by default {string.Join(' ', TextFolder.DefaultEndings)}.", AllowMultipleArgumentsPerToken = true };
        var threads = new Option<int?>("--threads") { Description = "Most threads; the index is the same for any number. By default one a core." };
        var command = new Command("index", "Index a collection for sparseland search.") { folder, output, stemming, whole, k1, b, endings, threads };
        command.SetAction((parsed, cancel) => Guard.RunAsync("index", () =>
        {
            var options = new IndexOptions
            {
                Analyzer = Analyzers.English(parsed.GetValue(stemming), !parsed.GetValue(whole)), Model = new Bm25(K1: parsed.GetValue(k1), B: parsed.GetValue(b)), Threads = parsed.GetValue(threads) ?? 0,
            };
            options.Validate();
            string source = parsed.GetValue(folder)!, path = parsed.GetValue(output) ?? $"{Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(source)))}.index";
            if (Path.GetDirectoryName(Path.GetFullPath(path)) is string parent && !Directory.Exists(parent)) throw new DirectoryNotFoundException($"--out: there is no folder '{parent}'.");
            AtomicFile.CheckFile(path, "--out");
            var watch = Stopwatch.StartNew();
            IReadOnlyList<RetrievalDocument> documents = Shared.Documents(source, parsed.GetValue(endings), cancel);
            using InvertedIndex index = InvertedIndex.Build(documents, options, new ProgressLines("document", Console.WriteLine), cancel);
            index.Save(path, cancel);
            Console.WriteLine($"Made {path} in {watch.Elapsed.TotalSeconds:0.0} s: {index}.");
            return Task.FromResult(Guard.Good);
        }));
        return command;
    }
}
