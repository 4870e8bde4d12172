using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Sparseland.Attention.Tasks;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland train tasklm</c>.</summary>
internal static class TrainTaskLMCommand
{
    public static Command Create()
    {
        var output = new Option<string>("--out") { Description = "Folder for the models; each gets a folder of its own in it.", Required = true };
        var models = new Option<int>("--models") { Description = "Models, with the seeds 1, 2, ...", DefaultValueFactory = _ => 3 };
        var layers = new Option<int>("--layers") { Description = "Blocks.", DefaultValueFactory = _ => 2 };
        var width = new Option<int>("--width") { Description = "Width of the residual stream.", DefaultValueFactory = _ => 64 };
        var command = new Command("tasklm", "Train the small models that answer questions about generated texts.") { output, models, layers, width };
        command.SetAction((parsed, cancel) => Guard.RunAsync("train", () => Task.FromResult(
            Train(parsed.GetValue(output)!, parsed.GetValue(models), parsed.GetValue(layers), parsed.GetValue(width), "sparseland " + string.Join(' ', parsed.Tokens.Select(t => t.Value)), cancel))));
        return command;
    }

    private static int Train(string folder, int models, int layers, int width, string made, CancellationToken cancel)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(models, "--models");
        AtomicFile.CheckFolder(folder);
        var watch = Stopwatch.StartNew();
        void Say(string text) => Console.WriteLine($"{watch.Elapsed:h\\:mm\\:ss}  {text}");
        var rows = new StringBuilder();
        long parameters = 0;
        for (int seed = 1; seed <= models; seed++)
        {
            using var model = new TaskLM(layers, width, seed: seed);
            IReadOnlyList<TaskLook> looks = TaskTraining.Run(model, new() { Seed = seed }, progress: new ProgressLines("step", Say), cancel: cancel);
            string own = Path.Combine(folder, seed.ToString(CultureInfo.InvariantCulture));
            MadeFolders.Make(own);
            model.Save(own);
            parameters = model.parameters().Sum(p => p.numel());
            foreach (int tokens in new[] { 256, 512, 1024 })
            {
                using TaskSequences fresh = TaskSequences.Generate(128, new() { Tokens = tokens }, 12345);
                IReadOnlyDictionary<TaskKind, double[]> right = TaskTraining.Answers(model, fresh, cancel: cancel);
                string row = string.Create(CultureInfo.InvariantCulture, $"| {seed} | {looks[^1].Step} | {tokens} | {right[TaskKind.Retrieval].Average():F3} | {right[TaskKind.TwoHops].Average():F3} | {right[TaskKind.Aggregation].Average():F3} |\n");
                rows.Append(row);
                Say(row.Trim());
            }
        }

        AtomicFile.Write(Path.Combine(folder, "README.md"), string.Create(CultureInfo.InvariantCulture, $"""
            # TaskLM

            {models} small decoders, alike but for their seed, that answer questions about generated texts: which value stood behind a key (retrieval), which at the end of a chain
            of two keys (two hops), which class token was the most frequent (aggregation). They are what sparse attention is tried on: what a pattern leaves out shows in the
            answers. Trained by this project on sequences that it makes from a seed; MIT licence.

            Made by `{made}`: {layers} blocks, width {width}, {parameters:N0} parameters, no positions, a token shift at the input; AdamW at 0.004, sequences of 64 tokens until
            retrieval comes, then 300 steps of 128 tokens and 100 of 256.

            Share of right answers on 128 fresh sequences:

            | model | steps | tokens | retrieval | two hops | aggregation |
            | --- | --- | --- | --- | --- | --- |
            {rows}
            Two hops may not have been learned; a chance answer is right in one of 24, an aggregation in one of 8.

            """).ReplaceLineEndings("\n"));
        return Guard.Good;
    }
}
