using System.Globalization;
using System.Text;
using Sparseland.Autoencoders;
using Sparseland.Kernel.Texts;
using Sparseland.Training;

namespace Sparseland.Kernel.Autoencoders;

/// <summary>The data sheet of an autoencoder: everything that one must know to judge it or to make it again.</summary>
internal static class AutoencoderSheet
{
    private const int CurveLines = 10;

    /// <summary>Writes the sheet.</summary>
    public static string Of(
        TrainingRequest request, HostModel model, Reading reading, HostText text, AutoencoderTrainer trainer, TrainingResult result, IActivationSource source, Measures measures)
    {
        AutoencoderRecipe recipe = request.Recipe;
        AutoencoderTrainingOptions training = recipe.Training(request.Steps);
        long tokens = request.Steps * recipe.BatchTokens, available = (long)source.Windows * source.TokensPerWindow;
        var sheet = new StringBuilder();
        void Line(FormattableString line) => sheet.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Line($"# Sparse autoencoder of {model.Name}, {HookNames.Short(reading.Site)}\n");
        Line($"Made by `{request.Command}`\n");
        Line($"| | |\n| --- | --- |");
        Line($"| place | {HookNames.Short(reading.Site)} ({reading.Site.Activation} of block {reading.Site.Layer}), width {source.Width} |");
        Line($"| architecture | {trainer.Autoencoder.Rule.Description}; {recipe.Latents:N0} latents |");
        Line($"| losses | reconstruction, {string.Join(", ", training.Losses.Select(loss => loss.Description))} |");
        Line($"| text | {text.Description}; {source.Description} |");
        Line($"| training | {request.Steps:N0} steps of {recipe.BatchTokens:N0} tokens ({tokens:N0} tokens, {(double)tokens / available:F2} passes), {result.Seconds:N0} s on {TorchSharp.torch.get_num_threads()} threads |");
        Line($"| optimizer | Adam, rate {training.LearningRate:G3} after {training.WarmUp:N0} steps of warm-up, to zero over the last fifth, {(training.UnitDecoder ? "decoder rows of norm one" : "free decoder rows")}, seed {recipe.Seed} |");
        Line($"| in this folder | the layout of SAELens; the scaling of the activations ({trainer.Autoencoder.Scaling.Factor:G6}) is folded into the weights{(trainer.Autoencoder.Rule.ChoosesAcrossBatch ? $", and the choice across a batch is kept as thresholds, calibrated to an L0 of {recipe.ActiveLatents:G4} on training text" : "")} |\n");
        Line($"## Held-out text\n");
        Line($"| | | measured on |\n| --- | --- | --- |");
        foreach (Measure measure in measures.Each()) Line($"| {measure.Name.Replace("||", "\\|\\|", StringComparison.Ordinal)} | {measure.Text} | {measure.On} |");
        Line($"\nBehind +- stands the standard error over windows, for cosines the deviation over latents. Figures of two autoencoders are comparable on the same windows only.\n");
        Line($"## Curve\n");
        Line($"| steps | training loss | learning rate |\n| --- | --- | --- |");
        foreach ((long step, double loss, _, double rate) in TinyLMSheet.Curve(result.History, CurveLines)) Line($"| {step} | {loss:F3} | {rate:G3} |");
        return sheet.ToString();
    }
}
