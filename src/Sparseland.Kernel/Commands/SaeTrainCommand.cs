using System.CommandLine;
using Sparseland.Autoencoders;
using Sparseland.Kernel.Autoencoders;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland sae train</c>.</summary>
internal static class SaeTrainCommand
{
    private const long UsualTokens = 2_000_000, UsualHeldOut = 40_960;

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        AutoencoderRecipe plain = new();
        var model = new Argument<string>("model") { Description = $"The model: {SaeOptions.Models}." };
        var output = new Option<string>("--out") { Description = "Folder for the autoencoder, in the layout of SAELens.", Required = true };
        var site = new Option<string>("--site") { Description = $"Place in the model: {HookNames.Example}.", Required = true };
        var architecture = new Option<string>("--architecture") { Description = $"One of {string.Join(", ", AutoencoderRecipe.Architectures)}.", DefaultValueFactory = _ => plain.Architecture };
        var latents = new Option<int>("--latents") { Description = "Latents of the autoencoder.", DefaultValueFactory = _ => plain.Latents };
        var k = new Option<double?>("--k") { Description = "Active latents of a token: at most for topk and gradient, in the mean for the others; relu and gated have none. [default: 32]" };
        var penalty = new Option<double?>("--penalty") { Description = "Weight of the loss that makes codes sparse, for relu, gated and jumprelu: more of it is fewer active latents. [default: 1, 3 and 30]" };
        var tokens = SaeOptions.Tokens("--tokens", "Tokens to train on, such as 500k or 2M; a text that is shorter is read again. [default: 2M]");
        var steps = new Option<long?>("--steps") { Description = "Steps of the training instead of tokens." };
        var batch = new Option<int?>("--batch") { Description = "Tokens of a batch. [default: 1024; for feature-choice as many as give each latent twenty entries]" };
        var rate = new Option<double?>("--rate") { Description = "Highest learning rate. [default: 0.004 * sqrt(3072 / latents), at most 0.008]" };
        var seed = new Option<long>("--seed") { Description = "Seed of directions and order.", DefaultValueFactory = _ => plain.Seed };
        var held = SaeOptions.Tokens("--evaluate-tokens", "Held-out tokens to measure on at the end. [default: 40960]");
        var checkpoint = new Option<long>("--checkpoint-every") { Description = "Steps between checkpoints.", DefaultValueFactory = _ => 200 };
        var resume = new Option<bool>("--resume") { Description = "Go on from the checkpoint in the folder, with the same options." };
        var keep = new Option<bool>("--keep") { Description = "Keep the checkpoint of the training when it is done." };
        Option<string?> text = SaeOptions.Text(), docs = Shared.Docs();
        Option<int> skip = SaeOptions.SkipFirst();
        Option<double?> ratio = SaeOptions.MaxNormRatio();
        Option<bool> pooled = SaeOptions.Pooled();
        Option<int?> context = SaeOptions.Context(), threads = Shared.Threads();
        var command = new Command("train", "Train a sparse autoencoder of a model's activations.")
        {
            model, site, architecture, latents, k, penalty, tokens, steps, batch, rate, seed, output, resume, text, docs, skip, ratio, pooled, context, held, checkpoint, threads, keep,
        };
        Shared.Exclude(command, tokens, steps);
        command.SetAction((parsed, cancel) => Guard.RunAsync("sae train", () =>
        {
            var recipe = new AutoencoderRecipe
            {
                Architecture = parsed.GetValue(architecture)!, Latents = parsed.GetValue(latents), K = parsed.GetValue(k), Penalty = parsed.GetValue(penalty), Seed = parsed.GetValue(seed),
                Batch = parsed.GetValue(batch), LearningRate = parsed.GetValue(rate),
            };
            recipe.Validate();
            Shared.UseThreads(parsed.GetValue(threads));
            var request = new TrainingRequest
            {
                Model = parsed.GetValue(model)!, Site = parsed.GetValue(site)!, Recipe = recipe, Folder = parsed.GetValue(output)!, Resume = parsed.GetValue(resume), Keep = parsed.GetValue(keep),
                Steps = parsed.GetValue(steps) ?? Math.Max(1, (parsed.GetValue(tokens) ?? UsualTokens) / recipe.BatchTokens), CheckpointEvery = parsed.GetValue(checkpoint),
                Text = parsed.GetValue(text), Docs = parsed.GetValue(docs), HeldOutTokens = parsed.GetValue(held) ?? UsualHeldOut,
                Context = parsed.GetValue(context), SkipFirst = parsed.GetValue(skip), MaxNormRatio = parsed.GetValue(ratio), Pooled = parsed.GetValue(pooled),
                Command = "sparseland " + string.Join(' ', parsed.Tokens.Select(t => t.Value).Where(t => t is not ("--resume" or "--keep"))),
            };
            return Task.FromResult(TrainingRun.Run(request, cancel));
        }));
        return command;
    }
}
