using System.CommandLine;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Texts;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Notebooks;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland prune</c>.</summary>
internal static class PruneCommand
{
    private static readonly string[] s_methods = ["wanda", "sparsegpt", "magnitude", "dsnot", "random"];

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var model = new Argument<string>("model") { Description = "The model: a folder of Hugging Face (config.json, safetensors, tokenizer.json) of a decoder, or tinylm for the model that is shipped." };
        var output = new Option<string>("--out") { Description = "Folder for the pruned model: empty or missing.", Required = true };
        var method = new Option<string>("--method") { Description = $"One of {string.Join(", ", s_methods)}.", DefaultValueFactory = _ => "wanda" };
        method.AcceptOnlyFromAmong(s_methods);
        var sparsity = new Option<string>("--sparsity") { Description = "Share of the weights that goes, such as 0.5, or N:M such as 2:4 (N of M stay).", DefaultValueFactory = _ => "0.5" };
        var compare = new Option<string?>("--compare") { Description = "Who competes with whom: row or layer. [default: as the method's paper, row for wanda and dsnot, layer for the others]" };
        compare.AcceptOnlyFromAmong("row", "layer");
        var sequences = new Option<int>("--sequences") { Description = "Calibration sequences.", DefaultValueFactory = _ => 64 };
        var context = new Option<int?>("--context") { Description = "Tokens of a calibration sequence and of a window of perplexity. [default: the model's context, at most 512]" };
        var windows = new Option<int>("--windows") { Description = "Windows of held-out text on which perplexity is measured before and after; 0 for none.", DefaultValueFactory = _ => 64 };
        var skip = new Option<string[]>("--skip") { Description = "Layers that stay dense: those whose name contains this. May be given again." };
        var dense = new Option<bool>("--dense-statistics") { Description = "Gather statistics on the dense model in place of the one pruned so far." };
        var seed = new Option<long>("--seed") { Description = "Seed of the calibration sequences, and of the method random.", DefaultValueFactory = _ => 0 };
        var resume = new Option<bool>("--resume") { Description = "Go on where a stopped call with the same options was." };
        Option<string?> text = SaeOptions.Text(), docs = Shared.Docs();
        text.Description = "Text for calibration and perplexity: a .jsonl file with a field \"text\" in each line, or a file of plain text; its last twentieth is held out for perplexity. By default the reference documentation of .NET.";
        Option<int?> threads = Shared.Threads();
        var command = new Command("prune", "Prune a language model's folder, block by block, with perplexity before and after.")
        {
            model, output, method, sparsity, compare, sequences, context, windows, skip, dense, seed, resume, text, docs, threads,
        };
        command.SetAction((parsed, cancel) => Guard.RunAsync("prune", () =>
        {
            Shared.UseThreads(parsed.GetValue(threads));
            ILayerPruner pruner = Method(parsed.GetValue(method)!, parsed.GetValue(seed));
            PruningPattern pattern = Pattern(parsed.GetValue(sparsity)!, parsed.GetValue(compare), pruner);
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(parsed.GetValue(sequences), "--sequences");
            ArgumentOutOfRangeException.ThrowIfNegative(parsed.GetValue(windows), "--windows");
            string folder = parsed.GetValue(model)!;
            if (folder == "tinylm" && !Directory.Exists(folder)) folder = SeriesData.Find("tinylm");
            string[] kept = parsed.GetValue(skip) ?? [];
            var skipped = new HashSet<string>();
            bool Skips(string name)
            {
                string[] found = [.. kept.Where(k => name.Contains(k, StringComparison.Ordinal))];
                skipped.UnionWith(found);
                return found.Length > 0;
            }

            // Every layer has been asked for before the first block is read: who misspelt a name need not wait for the last.
            void Unmatched()
            {
                foreach (string name in kept.Where(k => !skipped.Contains(k))) Console.WriteLine($"  --skip {name} is in no layer's name");
            }

            AtomicFile.CheckFolder(parsed.GetValue(output)!);
            using DisposeScope scope = NewDisposeScope();
            Texts? texts = pruner.Needs == InputKnowledge.None && parsed.GetValue(windows) == 0 ? null
                : Read(folder, HostText.Load(parsed.GetValue(text), parsed.GetValue(docs), cancel), parsed.GetValue(sequences), parsed.GetValue(context), parsed.GetValue(windows), parsed.GetValue(seed), pruner.Needs != InputKnowledge.None, cancel);
            Console.WriteLine($"{folder}: {pruner.Name}, {pattern}");
            if (texts is not null) Console.WriteLine($"  {texts.Description}");
            FolderPruningResult result = Run(folder, parsed.GetValue(output)!, new()
            {
                Method = pruner, Pattern = pattern, Calibration = texts?.Calibration, Evaluation = texts?.Evaluation, Resume = parsed.GetValue(resume),
                Texts = texts?.Description,
                Blockwise = new() { Propagation = parsed.GetValue(dense) ? Propagation.Dense : Propagation.Pruned, Skip = kept.Length == 0 ? null : Skips },
            }, Unmatched, cancel);
            Say(result, parsed.GetValue(output)!);
            return Task.FromResult(Guard.Good);
        }));
        return command;
    }

    private static FolderPruningResult Run(string source, string target, FolderPruningOptions options, Action first, CancellationToken cancel) =>
        Shared.Resumable(target, () => FolderPruning.CanResume(target), () => FolderPruning.Run(source, target, options, new ProgressLines("block", Console.WriteLine, first), cancel));

    private static ILayerPruner Method(string name, long seed) => name switch
    {
        "wanda" => new WandaPruner(),
        "sparsegpt" => new SparseGptPruner(),
        "magnitude" => new MagnitudePruner(),
        "dsnot" => new DSnoTPruner(),
        _ => new RandomPruner(seed),
    };

    private static PruningPattern Pattern(string sparsity, string? compare, ILayerPruner method)
    {
        PruningPattern asked;
        try
        {
            asked = PruningPattern.Parse(sparsity);
        }
        catch (ArgumentException error)
        {
            throw new ArgumentException($"--sparsity is '{sparsity}': a share from 0 to below 1, or N:M with N from 1 to M.", error);
        }
        catch (FormatException error)
        {
            throw new ArgumentException($"--sparsity: {error.Message}");
        }

        if (asked is NofMPattern) return compare is null ? asked : throw new ArgumentException($"--compare {compare} has no meaning for {asked}: weights compete within each run of inputs.");
        return compare switch
        {
            "row" => PruningPattern.PerRow(asked.Sparsity),
            "layer" => PruningPattern.PerLayer(asked.Sparsity),
            _ => method.PatternOf(asked.Sparsity),
        };
    }

    private sealed record Texts(Tensor? Calibration, Tensor? Evaluation, string Description);

    private static Texts Read(string folder, HostText text, int sequences, int? context, int windows, long seed, bool calibrate, CancellationToken cancel)
    {
        // The config before the tokenizer: a folder that is not there, or of another kind of model, is said to be that.
        int most = LanguageModelFolder.ContextOf(folder), length = context ?? Math.Min(most, 512);
        TextTokenizer tokenizer = TokenizerFile.Load(folder);
        if (length < 2 || length > most) throw new ArgumentOutOfRangeException("--context", length, $"A window has from 2 tokens to the model's context of {most}.");

        // A method that looks at no input needs no text for it, however short the text is.
        Tensor? calibration = calibrate ? Calibrate() : null;
        Tensor Calibrate()
        {
            // Enough text that sequences are drawn from all over it, and not so much that tokenizing is the longest part.
            TokenText training = text.Tokens(text.Training, tokenizer, 8L * sequences * length, cancel);
            int[] starts = training.EpochStarts(length, seed, 0);
            if (starts.Length < sequences) throw new ArgumentException($"The text has {training.Count:N0} tokens, which make {starts.Length} sequences of {length}; {sequences} are asked for. Give more text, or less of --sequences or --context.");
            (Tensor drawn, _) = training.Windows(starts.AsSpan(0, sequences), length);
            return drawn;
        }

        Tensor? evaluation = null;
        if (windows > 0)
        {
            TokenText held = text.Tokens(text.HeldOut, tokenizer, ((long)windows * length) + 1, cancel);
            int count = Math.Min(windows, (held.Count - 1) / length);
            if (count < 1) throw new ArgumentException($"The held-out text has {held.Count} tokens, too few for a window of {length}. Give more text, or less of --context.");
            (Tensor ids, Tensor next) = held.Windows(Enumerable.Range(0, count).Select(i => i * length).ToArray(), length);
            evaluation = cat([ids, next.narrow(1, length - 1, 1)], 1);
        }

        string calibrated = calibrate ? FormattableString.Invariant($"; calibration: {sequences} sequences of {length} tokens, seed {seed}") : "";
        string measured = evaluation is null ? "" : $"; perplexity on {evaluation.shape[0]} held-out windows of {length} tokens, stride {length}";
        return new(calibration, evaluation, $"{text.Description}{calibrated}{measured}");
    }

    private static void Say(FolderPruningResult result, string output)
    {
        Console.WriteLine();
        foreach (IGrouping<string, PrunedLayer> kind in result.Layers.GroupBy(l => l.Name.Split('.')[^1]))
        {
            string[] names = [.. result.ZerosSaved.Keys.Where(n => n.EndsWith($".{kind.Key}.weight", StringComparison.Ordinal))];
            string saved = names.Length == 0 ? "" : FormattableString.Invariant($", zeros in the files {names.Min(n => result.ZerosSaved[n]):0.00%} to {names.Max(n => result.ZerosSaved[n]):0.00%}");
            string error = kind.All(l => double.IsFinite(l.RelativeError)) ? FormattableString.Invariant($", relative error {kind.Average(l => l.RelativeError):0.000}") : "";
            Console.WriteLine(FormattableString.Invariant($"  {kind.Key,-18} {kind.Count(),3} matrices: {kind.Average(l => l.Sparsity):0.00%} removed{saved}{error}"));
        }

        if (result.After is { } after)
        {
            double[] difference = [.. after.Losses.Zip(result.Before!.Losses, (a, b) => a - b)];
            Console.WriteLine(FormattableString.Invariant($"  perplexity {result.Before.Perplexity:F3} before, {after.Perplexity:F3} after ({after.Losses.Count} windows of {after.Length} tokens; loss {difference.Average():+0.0000;-0.0000} nats)"));
        }

        foreach (string remark in result.Remarks) Console.WriteLine($"  {remark}");
        Console.WriteLine(FormattableString.Invariant($"{result.Sparsity:0.00%} of the prunable weights removed in {result.Seconds:F1} s: {output}"));
    }
}
