using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Sparseland.Coding;
using Sparseland.Data.Documentation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Solvers;
using Sparseland.Training;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland train</c>: makes the models that are shipped in data/.</summary>
internal static class TrainCommand
{
    // The tokenizer of a training that is not done; tokenizer.json belongs to the model that stands in the folder.
    private const string TrainingTokenizer = "training.tokenizer.json", PlanFile = "steps.txt";

    /// <summary>Makes the command.</summary>
    public static Command Create() => new("train", "Make a model that the notebooks share.") { TinyLm(), TrainRetrieversCommand.Create(), TrainTaskLMCommand.Create() };

    private static Command TinyLm()
    {
        TinyLMRecipeOptions plain = new();
        var output = new Option<string>("--out") { Description = "Folder for the model.", Required = true };
        Option<string?> docs = Shared.Docs();
        var resume = new Option<bool>("--resume") { Description = "Go on from the checkpoint in the folder, with the same options." };
        var steps = new Option<long?>("--steps") { Description = "Steps of the training." };
        var minutes = new Option<double?>("--minutes") { Description = "Time for the training instead of steps: as many steps as fit, from the pace of the first ones. [default: 80]" };
        var batch = new Option<int>("--batch") { Description = "Windows a step.", DefaultValueFactory = _ => plain.Batch };
        var rate = new Option<double>("--rate") { Description = "Highest learning rate.", DefaultValueFactory = _ => plain.Training.LearningRate };
        var warmUp = new Option<long>("--warm-up") { Description = "Steps of warm-up.", DefaultValueFactory = _ => plain.Training.WarmUp };
        var plateau = new Option<double>("--plateau") { Description = "Share of the steps at the highest rate.", DefaultValueFactory = _ => plain.Training.Plateau };
        var seed = new Option<long>("--seed") { Description = "Seed of weights and order.", DefaultValueFactory = _ => plain.Training.Seed };
        var vocabulary = new Option<int>("--vocabulary") { Description = "Tokens of the vocabulary.", DefaultValueFactory = _ => plain.Config.Vocabulary };
        var layers = new Option<int>("--layers") { Description = "Blocks.", DefaultValueFactory = _ => plain.Config.Layers };
        var width = new Option<int>("--width") { Description = "Width of the residual stream.", DefaultValueFactory = _ => plain.Config.Width };
        var mlp = new Option<int>("--mlp") { Description = "Width of the MLPs.", DefaultValueFactory = _ => plain.Config.MlpWidth };
        var heads = new Option<int>("--heads") { Description = "Query heads.", DefaultValueFactory = _ => plain.Config.Heads };
        var keyHeads = new Option<int>("--key-heads") { Description = "Key and value heads.", DefaultValueFactory = _ => plain.Config.KeyValueHeads };
        var context = new Option<int>("--context") { Description = "Longest sequence.", DefaultValueFactory = _ => plain.Config.Context };
        var evaluate = new Option<long>("--evaluate-every") { Description = "Steps between evaluations.", DefaultValueFactory = _ => plain.Training.EvaluateEvery };
        var checkpoint = new Option<long>("--checkpoint-every") { Description = "Steps between checkpoints.", DefaultValueFactory = _ => 100 };
        var half = new Option<bool>("--bfloat16") { Description = "Compute gradients in bfloat16; faster where the processor has it (AVX-512 BF16, AMX)." };
        Option<int?> threads = Shared.Threads();
        var keep = new Option<bool>("--keep") { Description = "Keep the checkpoint of the training when it is done." };
        var command = new Command("tinylm", "Train the small language model on the reference documentation of .NET.")
        {
            output, docs, resume, steps, minutes, batch, rate, warmUp, plateau, seed, vocabulary, layers, width, mlp, heads, keyHeads, context, evaluate, checkpoint, half, threads, keep,
        };
        Shared.Exclude(command, steps, minutes);
        command.SetAction((parsed, cancel) => Guard.RunAsync("train", () => Task.FromResult(Train(
            new Request(parsed.GetValue(output)!, parsed.GetValue(docs), parsed.GetValue(resume), parsed.GetValue(steps), parsed.GetValue(minutes) ?? 80, parsed.GetValue(threads), parsed.GetValue(keep), "sparseland " + string.Join(' ', parsed.Tokens.Select(t => t.Value).Where(t => t is not ("--resume" or "--keep")))),
            plain with
            {
                Batch = parsed.GetValue(batch),
                Bfloat16 = parsed.GetValue(half),
                Config = plain.Config with
                {
                    Vocabulary = parsed.GetValue(vocabulary), Layers = parsed.GetValue(layers), Width = parsed.GetValue(width), MlpWidth = parsed.GetValue(mlp),
                    Heads = parsed.GetValue(heads), KeyValueHeads = parsed.GetValue(keyHeads), Context = parsed.GetValue(context),
                },
                EvaluationTokens = Math.Max(plain.EvaluationTokens, parsed.GetValue(context)),
                Training = plain.Training with
                {
                    Steps = parsed.GetValue(steps) ?? long.MaxValue, LearningRate = parsed.GetValue(rate), WarmUp = parsed.GetValue(warmUp), Plateau = parsed.GetValue(plateau),
                    Seed = parsed.GetValue(seed), EvaluateEvery = parsed.GetValue(evaluate), CheckpointEvery = parsed.GetValue(checkpoint),
                    Checkpoint = Path.Combine(parsed.GetValue(output)!, TinyLMRecipe.CheckpointFile),
                },
            },
            cancel))));
        return command;
    }

    private static int Train(Request request, TinyLMRecipeOptions options, CancellationToken cancel)
    {
        options.Validate();
        Shared.UseThreads(request.Threads);
        string checkpoint = options.Training.Checkpoint!;
        if (!request.Resume && File.Exists(checkpoint))
            throw new IOException($"'{checkpoint}' is a training that is not done; go on with --resume, or delete it.");
        AtomicFile.CheckFolder(request.Folder);
        var watch = Stopwatch.StartNew();
        void Say(string text) => Console.WriteLine($"{watch.Elapsed:h\\:mm\\:ss}  {text}");

        IReadOnlyList<DocMember> members = DotNetDocs.Load(DotNetDocs.FindFiles(request.Docs), cancel: cancel);
        Say($"{members.Count:N0} members of the documentation");
        try
        {
            return Shared.Resumable(request.Folder, () => File.Exists(checkpoint), () => Train(request, options, members, Say, cancel));
        }
        finally
        {
            // Without a checkpoint there is nothing that they could go on with.
            if (!File.Exists(checkpoint))
            {
                File.Delete(Path.Combine(request.Folder, PlanFile));
                File.Delete(Path.Combine(request.Folder, TrainingTokenizer));
            }
        }
    }

    private static int Train(Request request, TinyLMRecipeOptions options, IReadOnlyList<DocMember> members, Action<string> say, CancellationToken cancel)
    {
        string checkpoint = options.Training.Checkpoint!, plan = Path.Combine(request.Folder, PlanFile);
        string tokenizerFile = Path.Combine(request.Folder, TrainingTokenizer);
        TextTokenizer? known = request.Resume && File.Exists(tokenizerFile) ? TokenizerFile.Load(tokenizerFile) : null;
        TinyLMText text = TinyLMRecipe.Prepare(members, options, known, cancel: cancel);
        TokenizerFile.Save(tokenizerFile, text.Tokenizer.Model);
        say($"{text.Training.Count:N0} training tokens, {text.HeldOut.Count:N0} held out");

        // A plan that was measured once stays: the schedule of a resumed training must be that of its beginning.
        long steps = request.Steps ?? (request.Resume && File.Exists(plan)
            ? Steps(plan)
            : TinyLMRecipe.StepsIn(text, options, TimeSpan.FromMinutes(request.Minutes), cancel: cancel));
        AtomicFile.Write(plan, steps.ToString(CultureInfo.InvariantCulture) + "\n");
        options = options with { Training = options.Training with { Steps = steps } };
        using var model = new TinyLM(options.Config, options.Training.Seed);
        using Bfloat16Copy<TinyLM>? copy = options.Bfloat16 ? TinyLMRecipe.Copy(model) : null;
        using TrainingLoop loop = TinyLMRecipe.Loop(model, text, options, copy);
        if (request.Resume && File.Exists(checkpoint))
        {
            loop.Load(checkpoint);
            say($"goes on after step {loop.Done:N0}");
        }

        say($"{model.named_parameters().Sum(p => p.parameter.numel()):N0} parameters, {steps:N0} steps of {options.Batch * options.Config.Context:N0} tokens");
        TrainingResult result;
        try
        {
            result = loop.Run(new ProgressLines("step", say), cancel);
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine($"sparseland train: stopped after step {loop.Done:N0}; go on with --resume.");
            return Guard.Stopped;
        }
        catch (DivergenceException e)
        {
            Console.Error.WriteLine($"sparseland train: {e.Message}");
            return Guard.Bad;
        }

        say("measures");
        TinyLMFigures figures = TinyLMFigures.Measure(model, text, cancel: cancel);
        LanguageModelFolder.Save(request.Folder, model, text.Tokenizer);
        AtomicFile.Write(Path.Combine(request.Folder, "README.md"), TinyLMSheet.Of(model, text, options, result, figures, request.Command, cancel));
        AtomicFile.Write(Path.Combine(request.Folder, TinyLMSheet.CurveFile), TinyLMSheet.CurveCsv(result.History));
        if (!request.Keep) File.Delete(checkpoint);
        say(FormattableString.Invariant($"held-out perplexity {figures.Model.Perplexity:F2}, n-grams {figures.Ngram.Perplexity:F2}, uniform {Math.Exp(figures.Uniform):F0}; the model is in {request.Folder}"));
        return Guard.Good;
    }

    private static long Steps(string plan)
    {
        string text = File.ReadAllText(plan).Trim();
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long steps) && steps > 0
            ? steps : throw new InvalidDataException($"'{plan}' is '{(text.Length > 40 ? text[..40] + "..." : text)}'; it holds the number of steps of the training that is to go on.");
    }

    private sealed record Request(string Folder, string? Docs, bool Resume, long? Steps, double Minutes, int? Threads, bool Keep, string Command);
}
