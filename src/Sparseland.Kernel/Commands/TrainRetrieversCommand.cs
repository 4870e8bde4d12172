using System.CommandLine;
using Sparseland.Kernel.Retrieval;
using Sparseland.Retrieval.Learned;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland train retrievers</c>.</summary>
internal static class TrainRetrieversCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        RetrieverRecipe plain = new();
        var output = new Option<string>("--out") { Description = "Folder for the retrievers, one folder each.", Required = true };
        var resume = new Option<bool>("--resume") { Description = "Go on where a stopped call was, with the same options; what is done stays." };
        var steps = new Option<long>("--steps") { Description = "Steps of each retriever.", DefaultValueFactory = _ => plain.Steps };
        var masked = new Option<long>("--masked-steps") { Description = "Steps of the start on masked words.", DefaultValueFactory = _ => plain.MaskedSteps };
        var batch = new Option<int>("--batch") { Description = "Pairs a step.", DefaultValueFactory = _ => plain.Batch };
        var rate = new Option<double>("--rate") { Description = "Highest learning rate.", DefaultValueFactory = _ => plain.LearningRate };
        var lambda = new Option<double>("--lambda") { Description = "Weight of the FLOPS penalty where labels teach.", DefaultValueFactory = _ => plain.Lambda };
        var width = new Option<int>("--width") { Description = "Width of the encoders.", DefaultValueFactory = _ => plain.Width };
        var layers = new Option<int>("--layers") { Description = "Blocks.", DefaultValueFactory = _ => plain.Layers };
        var heads = new Option<int>("--heads") { Description = "Heads.", DefaultValueFactory = _ => plain.Heads };
        var vocabulary = new Option<int>("--vocabulary") { Description = "Tokens of the vocabulary.", DefaultValueFactory = _ => plain.Vocabulary };
        var seed = new Option<long>("--seed") { Description = "Seed of weights and order.", DefaultValueFactory = _ => plain.Seed };
        var keep = new Option<bool>("--keep") { Description = "Keep the checkpoints of the trainings when they are done." };
        Option<string?> docs = Shared.Docs();
        Option<int?> threads = Shared.Threads();
        var command = new Command("retrievers", "Train the small dense and sparse retrievers on the reference documentation of .NET.")
        {
            output, resume, docs, steps, masked, batch, rate, lambda, width, layers, heads, vocabulary, seed, threads, keep,
        };
        command.SetAction((parsed, cancel) => Guard.RunAsync("train retrievers", () =>
        {
            Shared.UseThreads(parsed.GetValue(threads));
            var recipe = plain with
            {
                Steps = parsed.GetValue(steps), MaskedSteps = parsed.GetValue(masked), Batch = parsed.GetValue(batch), LearningRate = parsed.GetValue(rate), Lambda = parsed.GetValue(lambda),
                Width = parsed.GetValue(width), Layers = parsed.GetValue(layers), Heads = parsed.GetValue(heads), Vocabulary = parsed.GetValue(vocabulary), Seed = parsed.GetValue(seed),
            };
            string line = "sparseland " + string.Join(' ', parsed.Tokens.Select(t => t.Value).Where(t => t is not ("--resume" or "--keep")));
            return Task.FromResult(new RetrieverMaking(recipe, parsed.GetValue(output)!, line, parsed.GetValue(resume), parsed.GetValue(keep), parsed.GetValue(docs)).Run(cancel));
        }));
        return command;
    }
}
