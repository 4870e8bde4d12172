using System.Globalization;
using System.Text;
using Sparseland.Models.Language;

namespace Sparseland.Training;

/// <summary>Figures of a trained model on text that it has not seen.</summary>
/// <param name="Model">Its loss.</param>
/// <param name="Ngram">Loss of the interpolated n-gram model on the same tokens.</param>
/// <param name="Uniform">Loss of the uniform distribution, ln(vocabulary).</param>
public sealed record TinyLMFigures(TextLoss Model, TextLoss Ngram, double Uniform)
{
    /// <summary>Measures a model and its yardsticks on the whole held-out text.</summary>
    /// <param name="model">The model.</param>
    /// <param name="text">Both texts.</param>
    /// <param name="progress">Windows done.</param>
    /// <param name="cancel">Checked between batches.</param>
    public static TinyLMFigures Measure(TinyLM model, TinyLMText text, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        TextLoss loss = Perplexity.Of(model, text.HeldOut, progress: progress, cancel: cancel);
        cancel.ThrowIfCancellationRequested();
        return new(loss, NgramModel.Count(text.Training, model.Vocabulary).Loss(text.HeldOut), Math.Log(model.Vocabulary));
    }
}

/// <summary>The data sheet of a checkpoint: everything that one must know to judge it or to make it again.</summary>
public static class TinyLMSheet
{
    /// <summary>Name of the file of the curve.</summary>
    public const string CurveFile = "curve.csv";

    private const int CurveRows = 120;

    private static readonly string[] s_openings = ["", "List<T>.Remove(T)\n", "Gets or sets a value that indicates whether "];

    /// <summary>Writes the sheet.</summary>
    /// <param name="model">The trained model.</param>
    /// <param name="text">Its texts.</param>
    /// <param name="options">How it was made.</param>
    /// <param name="result">Its training.</param>
    /// <param name="figures">What it was measured at.</param>
    /// <param name="command">The command that makes it again.</param>
    /// <param name="cancel">Checked before each token of the samples.</param>
    public static string Of(TinyLM model, TinyLMText text, TinyLMRecipeOptions options, TrainingResult result, TinyLMFigures figures, string command, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(figures);
        LlamaConfig config = model.Config;
        TrainingOptions training = options.Training;
        long steps = result.History.Count, perStep = (long)options.Batch * config.Context, parameters = model.named_parameters().Sum(p => p.parameter.numel());
        var sheet = new StringBuilder();
        void Line(FormattableString line) => sheet.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Line($"# TinyLM\n");
        Line($"A small language model (Llama architecture) trained by this project on the English reference documentation of .NET, for looking into");
        Line($"and for making sparse. MIT licence, like the text, which is read from the SDK and is not part of this folder.\n");
        Line($"Made by `{command}`\n");
        Line($"| | |\n| --- | --- |");
        Line($"| model | {parameters:N0} parameters: {config.Layers} blocks, width {config.Width}, MLP {config.MlpWidth}, {config.Heads} query heads on {config.KeyValueHeads} key-value heads of width {config.HeadDim}, context {config.Context}, {(config.TiedEmbeddings ? "tied" : "separate")} embeddings |");
        Line($"| vocabulary | {text.Tokenizer.Vocabulary:N0} byte-pair tokens, learned on the training text |");
        Line($"| training text | {Numbers(text.TrainingNumbers)}, {text.Training.Count:N0} tokens |");
        Line($"| held-out text | {Numbers(text.HeldOutNumbers)}, {text.HeldOut.Count:N0} tokens; other types, and no article whose words stand in the training text |");
        Line($"| split | {options.Corpus.HeldOut.ToString("P0", CultureInfo.InvariantCulture)} of the types held out, seed {options.Corpus.Seed}, without {string.Join(", ", options.Corpus.Without)} |");
        Line($"| training | {steps:N0} steps of {perStep:N0} tokens ({steps * perStep:N0} tokens, {(double)steps * perStep / text.Training.Count:F2} passes), {result.Seconds:N0} s on {TorchSharp.torch.get_num_threads()} threads ({steps * perStep / Math.Max(result.Seconds, 1e-9):N0} tokens per second) |");
        Line($"| optimizer | AdamW, rate {training.LearningRate:G3} after {training.WarmUp} steps of warm-up, plateau {training.Plateau:G3}, then a cosine to {training.LearningRate * training.FinalRate:G3}; betas {training.Beta1:G3} and {training.Beta2:G3}, decay {training.WeightDecay:G3} on matrices, gradients clipped at {training.ClipNorm:G3}, {(options.Bfloat16 ? "products in bfloat16, weights in float32" : "float32")}, seed {training.Seed} |\n");
        Line($"## Held-out text\n");
        Line($"| | loss (nats per token) | perplexity |\n| --- | --- | --- |");
        Line($"| this model | {figures.Model.Loss:F4} | {figures.Model.Perplexity:F2} |");
        Line($"| n-grams, order 3, interpolated, absolute discounting | {figures.Ngram.Loss:F4} | {figures.Ngram.Perplexity:F2} |");
        Line($"| uniform | {figures.Uniform:F4} | {Math.Exp(figures.Uniform):F0} |\n");
        Line($"The model sees windows of {config.Context} tokens, each token with at least {config.Context / 2} before it; {figures.Model.Tokens:N0} tokens.\n");
        Line($"## Curve\n");
        Line($"| steps | training loss | held-out loss (a part of it) | learning rate |\n| --- | --- | --- | --- |");
        foreach ((long step, double loss, double? heldOut, double rate) in Curve(result.History, options.CurveLines))
            Line($"| {step} | {loss:F3} | {(heldOut is { } h ? h.ToString("F3", CultureInfo.InvariantCulture) : "")} | {rate:G3} |");
        Line($"\n## Samples\n");
        Line($"Temperature 0.7, top-p 0.95, seed 1; what was given stands in brackets, and the first begins with nothing.\n");
        foreach (string opening in s_openings) Line($"```\n{Sample(model, text, opening, options.SampleTokens, cancel)}\n```\n");
        return sheet.ToString().TrimEnd() + "\n";
    }

    /// <summary>The curve in a few lines: mean training loss of each part of the steps, the last evaluation and learning rate in it.</summary>
    /// <param name="history">All steps.</param>
    /// <param name="lines">Parts.</param>
    public static IReadOnlyList<(long Step, double Loss, double? HeldOut, double LearningRate)> Curve(IReadOnlyList<StepReport> history, int lines)
    {
        ArgumentNullException.ThrowIfNull(history);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(lines);
        return [.. history.Chunk(Math.Max(1, (history.Count + lines - 1) / lines)).Select(part =>
            (part[^1].Step, part.Average(s => s.Loss), part.LastOrDefault(s => s.Evaluation is not null)?.Evaluation, part[^1].LearningRate))];
    }

    /// <summary>The curve as a table with a heading: steps, training loss, held-out loss (empty where it was not measured), learning rate.</summary>
    /// <param name="history">All steps.</param>
    public static string CurveCsv(IReadOnlyList<StepReport> history)
    {
        var csv = new StringBuilder("step,training loss,held-out loss,learning rate\n");
        foreach ((long step, double loss, double? heldOut, double rate) in Curve(history, CurveRows))
            csv.Append(CultureInfo.InvariantCulture, $"{step},{loss:F4},{heldOut?.ToString("F4", CultureInfo.InvariantCulture)},{rate:G4}\n");
        return csv.ToString();
    }

    private static string Sample(TinyLM model, TinyLMText text, string opening, int tokens, CancellationToken cancel)
    {
        int end = text.Tokenizer.EndOfText!.Value;
        model.eval();
        IReadOnlyList<int> made = TextGenerator.Generate(
            model, [end, .. text.Tokenizer.Encode(opening)], new() { NewTokens = tokens, Temperature = 0.7, TopP = 0.95, StopAt = end }, cancel: cancel);
        return $"[{opening}]{text.Tokenizer.Decode([.. made.Where(t => t != end)]).TrimEnd()}";
    }

    private static string Numbers(Data.Documentation.DocStatistics numbers) =>
        FormattableString.Invariant($"{numbers.Members:N0} articles of {numbers.Types:N0} types, {numbers.Words:N0} words, {numbers.Characters:N0} characters");
}
