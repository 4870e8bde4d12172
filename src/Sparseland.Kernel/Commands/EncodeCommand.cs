using System.CommandLine;
using System.Diagnostics;
using Sparseland.Data.Documentation;
using Sparseland.Kernel.Autoencoders;
using Sparseland.Kernel.Notebooks;
using Sparseland.Models.Language;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Collections;
using Sparseland.Retrieval.Formats;
using Sparseland.Retrieval.Learned;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland encode</c>: vectors of a collection, made once and kept.</summary>
internal static class EncodeCommand
{
    /// <summary>Longest document in tokens: as the figures of the notebooks have it.</summary>
    public const int DocumentTokens = 64;

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var collection = new Argument<string>("collection") { Description = "A folder in BEIR's form or with text files, or dotnet for the reference documentation of .NET." };
        var output = new Option<string>("--out") { Description = "Folder for the vectors; what it has already is not made again.", Required = true };
        var model = new Option<string>("--model") { Description = "A text encoder's folder as Hugging Face has them, or arctic for the one that comes as a package.", DefaultValueFactory = _ => "arctic" };
        var view = new Option<DocView>("--view") { Description = "View of the documentation: cards or signatures.", DefaultValueFactory = _ => DocView.Cards };
        var part = new Option<bool>("--part") { Description = "Only the part of the documentation that the notebooks use where the whole is not there." };
        var tokens = new Option<int>("--tokens") { Description = "Most tokens of a document; what is longer is cut.", DefaultValueFactory = _ => DocumentTokens };
        var queries = new Option<bool>("--queries") { Description = "Test queries too." };
        var split = new Option<string?>("--split") { Description = "With --queries and a folder: the split of its queries, a file of qrels/ without its ending; by default test, or the only one." };
        Option<string?> docs = Shared.Docs();
        Option<int?> threads = Shared.Threads();
        var command = new Command("encode", "Make the vectors of a collection with a text encoder and keep them in half precision.") { collection, output, model, view, part, queries, split, tokens, docs, threads };
        command.SetAction((parsed, cancel) => Guard.RunAsync("encode", () =>
        {
            Shared.UseThreads(parsed.GetValue(threads));
            var watch = Stopwatch.StartNew();
            void Say(string line) => Console.WriteLine($"{watch.Elapsed:h\\:mm\\:ss}  {line}");
            if (parsed.GetValue(tokens) < 1) throw new ArgumentException($"--tokens: {parsed.GetValue(tokens)} is less than 1.");
            AtomicFile.CheckFolder(parsed.GetValue(output)!);
            (string[] documents, string[] asked) = Texts(parsed.GetValue(collection)!, parsed.GetValue(view), parsed.GetValue(part), parsed.GetValue(queries), parsed.GetValue(split), parsed.GetValue(docs), cancel);
            using HostModel host = HostModel.Load(parsed.GetValue(model)!, cancel);
            BertEncoder encoder = host.Encoder ?? throw new ArgumentException($"'{host.Name}' is a decoder; vectors of texts are made by a text encoder.");
            EmbeddingOptions options = new() { MostTokens = Math.Min(parsed.GetValue(tokens), encoder.MostTokens) };
            using VectorStore store = VectorStore.Open(parsed.GetValue(output)!);
            Say($"{documents.Length:N0} documents and {asked.Length:N0} queries; {store.Count:N0} vectors are there");
            try
            {
                store.Encode(documents, encoder, options, new ProgressLines("document", Say), cancel: cancel).Dispose();
                if (asked.Length > 0) store.EncodeQueries(asked, encoder, options, new ProgressLines("query", Say), cancel).Dispose();
            }
            catch (OperationCanceledException)
            {
                Console.Error.WriteLine($"sparseland encode: stopped; {store.Count:N0} vectors are kept, and the same call goes on from them.");
                return Task.FromResult(Guard.Stopped);
            }

            Say($"{store.Count:N0} vectors of width {store.Width} in {store.Folder}");
            return Task.FromResult(Guard.Good);
        }));
        return command;
    }

    private static (string[] Documents, string[] Queries) Texts(string name, DocView view, bool part, bool queries, string? split, string? docs, CancellationToken cancel)
    {
        if (name != "dotnet")
        {
            if (split is not null && !queries) throw new ArgumentException("--split goes with --queries.");
            if (part) throw new ArgumentException("--part is of the documentation of .NET; a folder is encoded whole.");
            IReadOnlyList<RetrievalDocument> own = queries ? [] : Shared.Documents(name, null, cancel);
            RetrievalCollection? folder = queries ? Beir.Read(name, new() { Split = split }, cancel: cancel).Collection : null;
            return ([.. (folder?.Documents ?? own).Select(d => CamelCaseText.Split(d).Contents)], [.. (folder?.Queries ?? []).Select(q => CamelCaseText.Split(q.Text))]);
        }

        if (split is not null) throw new ArgumentException("--split is of a folder in BEIR's form; the documentation has its own test queries.");
        DotNetDocCollection documentation = DotNetDocCollection.Build(DotNetDocs.Load(DotNetDocs.FindFiles(docs), cancel: cancel), cancel: cancel);
        DocQueryKind[] kinds = view == DocView.Cards ? [DocQueryKind.Topic, DocQueryKind.Result, DocQueryKind.Failure] : [DocQueryKind.Topic, DocQueryKind.Summary];
        IReadOnlyList<RetrievalDocument> documents = part ? documentation.SubCollection(view, kinds[0], seed: 1).Documents : documentation.Documents(view);
        return ([.. documents.Select(d => CamelCaseText.Split(d.Contents))], queries ? [.. kinds.SelectMany(k => documentation.Of(k)).Select(q => CamelCaseText.Split(q.Text)).Distinct()] : []);
    }
}
