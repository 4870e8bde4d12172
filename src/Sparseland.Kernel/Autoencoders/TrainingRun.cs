using System.Diagnostics;
using Sparseland.Autoencoders;
using Sparseland.Kernel.Commands;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Texts;
using Sparseland.Models.Language;
using Sparseland.Solvers;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernel.Autoencoders;

/// <summary>What is to be trained, on what, and where it goes.</summary>
internal sealed record TrainingRequest
{
    public required string Model { get; init; }

    public required string Site { get; init; }

    public required AutoencoderRecipe Recipe { get; init; }

    public required string Folder { get; init; }

    public required long Steps { get; init; }

    public required long HeldOutTokens { get; init; }

    public required long CheckpointEvery { get; init; }

    public required string Command { get; init; }

    public bool Resume { get; init; }

    public bool Keep { get; init; }

    public string? Text { get; init; }

    public string? Docs { get; init; }

    public int? Context { get; init; }

    public int SkipFirst { get; init; }

    public double? MaxNormRatio { get; init; }

    public bool Pooled { get; init; }
}

/// <summary>Trains an autoencoder into a folder: activations, steps, thresholds, held-out figures, data sheet.</summary>
internal static class TrainingRun
{
    /// <summary>Name of the file that a stopped training goes on from.</summary>
    public const string CheckpointFile = "training.safetensors";

    // Buffer: at most so many tokens and bytes, but never below the fifty batches that make a mixture.
    private const int MostHeld = 1 << 18, LeastBatches = 50;
    private const long MostBytes = 1L << 30;

    // Tokens of the training text that thresholds are calibrated on, from windows all over it.
    private const int CalibrationTokens = 32_768;

    /// <summary>Runs a training to its end, or until it is stopped.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(TrainingRequest request, CancellationToken cancel) =>
        Shared.Resumable(request.Folder, () => File.Exists(Path.Combine(request.Folder, CheckpointFile)), () => Train(request, cancel));

    private static int Train(TrainingRequest request, CancellationToken cancel)
    {
        AutoencoderRecipe recipe = request.Recipe;
        recipe.Validate();
        if (request.Steps < 1) throw new ArgumentOutOfRangeException(nameof(request.Steps), request.Steps, "--steps must be positive.");
        if (request.Steps > TokenCount.Most / recipe.BatchTokens)
            throw new ArgumentOutOfRangeException(nameof(request.Steps), request.Steps, $"--steps of {recipe.BatchTokens:N0} tokens each must not be more than {TokenCount.Most:N0} tokens in all.");
        if (request.CheckpointEvery < 0) throw new ArgumentOutOfRangeException(nameof(request.CheckpointEvery), request.CheckpointEvery, "--checkpoint-every must not be negative.");
        string checkpoint = Path.Combine(request.Folder, CheckpointFile);
        if (!request.Resume && File.Exists(checkpoint)) throw new IOException($"'{checkpoint}' is a training that is not done; go on with --resume, or delete it.");
        if (request.Resume && !File.Exists(checkpoint) && File.Exists(Path.Combine(request.Folder, "cfg.json")))
            throw new IOException($"'{request.Folder}' holds an autoencoder that is done and no checkpoint to go on from; without --resume it is trained again.");
        AtomicFile.CheckFolder(request.Folder);
        var watch = Stopwatch.StartNew();
        void Say(string line) => Console.WriteLine($"{watch.Elapsed:h\\:mm\\:ss}  {line}");

        using HostModel model = HostModel.Load(request.Model, cancel);
        var reading = new Reading(model.Site(request.Site), request.Context, request.SkipFirst, request.MaxNormRatio, request.Pooled);
        reading.Check(model, recipe.NeedsGradients);
        HostText text = HostText.Load(request.Text, request.Docs, cancel);
        (IActivationSource source, IActivationSource heldOut, TokenText? heldOutText) = Sources(request, model, reading, text, Say, cancel);
        Say($"{model.Name}, {source.Description}");

        AutoencoderTrainingOptions options = recipe.Training(request.Steps) with
        {
            Checkpoint = checkpoint, CheckpointEvery = request.CheckpointEvery,
            Variant = FormattableString.Invariant($"{model.Name}, {HookNames.Short(reading.Site)}, {text.Description}, {recipe.Latents} latents, {request.Steps} steps; "),
        };
        using SparseAutoencoder autoencoder = recipe.Create(source.Width);
        using var buffer = new ActivationBuffer(source, recipe.BatchTokens, Held(source, recipe), new ProgressLines("window", Say), cancel);
        using var trainer = new AutoencoderTrainer(autoencoder, buffer, options);
        if (request.Resume && File.Exists(checkpoint))
        {
            trainer.Load(checkpoint);
            Say($"goes on after step {trainer.History.Count:N0}");
        }

        Say(FormattableString.Invariant($"{recipe.Architecture}, {recipe.Latents:N0} latents of width {source.Width}, {request.Steps:N0} steps of {recipe.BatchTokens:N0} tokens, rate {options.LearningRate:G3}"));
        TrainingResult result;
        try
        {
            result = trainer.Run(new ProgressLines("step", Say), cancel);
            Say("measures");
            Finish(request, model, reading, text, trainer, result, source, heldOut, heldOutText, Say, cancel);
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine($"sparseland sae train: stopped after step {trainer.History.Count:N0}, which the checkpoint in {request.Folder} holds; go on with --resume.");
            return Guard.Stopped;
        }
        catch (DivergenceException e)
        {
            Console.Error.WriteLine($"sparseland sae train: {e.Message}");
            return Guard.Bad;
        }

        if (!request.Keep) File.Delete(checkpoint);
        Say($"the autoencoder is in {request.Folder}");
        return Guard.Good;
    }

    private static (IActivationSource Training, IActivationSource HeldOut, TokenText? HeldOutText) Sources(
        TrainingRequest request, HostModel model, Reading reading, HostText text, Action<string> say, CancellationToken cancel)
    {
        long wanted = request.Steps * request.Recipe.BatchTokens;
        if (model.Decoder is null)
            return (reading.Source(model, text.Training, wanted, say, cancel), reading.Source(model, text.HeldOut, request.HeldOutTokens, say, cancel), null);
        TokenText training = reading.Text(model, text, text.Training, wanted, cancel), heldOut = reading.Text(model, text, text.HeldOut, request.HeldOutTokens, cancel);
        return (reading.Source(model, training, request.Recipe.NeedsGradients, say, cancel), reading.Source(model, heldOut, gradients: false, say, cancel), heldOut);
    }

    /// <summary>What the buffer holds: a mixture of many windows in bounded memory.</summary>
    private static ActivationBufferOptions Held(IActivationSource source, AutoencoderRecipe recipe)
    {
        long fits = MostBytes / (sizeof(float) * (long)source.Width * (source.HasGradients ? 2 : 1));
        return new() { Capacity = (int)Math.Max((long)LeastBatches * recipe.BatchTokens, Math.Min(MostHeld, fits)), Seed = recipe.Seed, Repeat = true };
    }

    private static void Finish(
        TrainingRequest request, HostModel model, Reading reading, HostText text, AutoencoderTrainer trainer, TrainingResult result, IActivationSource source, IActivationSource heldOut,
        TokenText? heldOutText, Action<string> say, CancellationToken cancel)
    {
        AutoencoderRecipe recipe = request.Recipe;
        SparseAutoencoder autoencoder = trainer.Autoencoder;
        if (recipe.ChoosesAcrossBatch)
        {
            using Tensor some = Some(source, cancel);
            double factor = autoencoder.CalibrateThreshold(some, recipe.ActiveLatents, cancel);
            say(FormattableString.Invariant($"thresholds times {factor:G4}, so that L0 is {recipe.ActiveLatents:G4} on {some.shape[0]:N0} tokens of the training text"));
        }

        SparseAutoencoder frozen = autoencoder.Freeze();
        try
        {
            Measures measures = Measures.Of(frozen, model, reading, heldOut, heldOutText, say, cancel);
            foreach (string line in measures.Lines()) say(line);
            AutoencoderFigures figures = measures.Figures() with
            {
                Seed = recipe.Seed, Tokens = request.Steps * recipe.BatchTokens, Rule = autoencoder.Rule.Description, Context = reading.Length(model), MaxNormRatio = reading.MaxNormRatio,
                SkipFirst = model.Decoder is null ? null : reading.SkipFirst, Pooled = model.Encoder is null ? null : reading.Pooled,
            };
            SaeLensFolder.Write(request.Folder, autoencoder, new() { Model = model.Name, Site = reading.Site, Figures = figures });
            AtomicFile.Write(Path.Combine(request.Folder, "README.md"), AutoencoderSheet.Of(request, model, reading, text, trainer, result, source, measures));
        }
        finally
        {
            if (!ReferenceEquals(frozen, autoencoder)) frozen.Dispose();
        }
    }

    /// <summary>Activations of windows all over a source.</summary>
    private static Tensor Some(IActivationSource source, CancellationToken cancel)
    {
        int windows = (int)Math.Min(source.Windows, Math.Max(1, CalibrationTokens / source.TokensPerWindow));
        ActivationRows rows = source.Read([.. Enumerable.Range(0, windows).Select(w => (int)((long)w * source.Windows / windows))], cancel);
        rows.Gradients?.Dispose();
        return rows.Activations;
    }
}
