using System.Diagnostics;
using System.Text;
using Sparseland.Data.Documentation;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>The documentation as tokens.</summary>
/// <param name="Tokenizer">Learned on the training text.</param>
/// <param name="Training">Training text.</param>
/// <param name="HeldOut">Text of other types.</param>
/// <param name="TrainingNumbers">Sizes of the training text.</param>
/// <param name="HeldOutNumbers">Sizes of the held-out text.</param>
public sealed record TinyLMText(TextTokenizer Tokenizer, TokenText Training, TokenText HeldOut, DocStatistics TrainingNumbers, DocStatistics HeldOutNumbers);

/// <summary>
/// Makes the language model that the chapters look into: tokenizer and TinyLM, trained on the reference documentation of .NET. The text is
/// read where the SDK has it; the folder that comes out holds weights, sizes, vocabulary and a data sheet, and no text.
/// </summary>
public static class TinyLMRecipe
{
    /// <summary>Name of the file that a stopped training goes on from.</summary>
    public const string CheckpointFile = "training.safetensors";

    /// <summary>Splits the documentation, learns the vocabulary and makes tokens of both texts.</summary>
    /// <param name="members">From <see cref="DotNetDocs.Load"/>.</param>
    /// <param name="options">Split and size of the vocabulary.</param>
    /// <param name="tokenizer">A tokenizer that is there already; null learns one.</param>
    /// <param name="progress">Merges learned, then articles done.</param>
    /// <param name="cancel">Checked between texts and between merges.</param>
    /// <exception cref="ArgumentException">An option is out of its range, there is too little text, or the tokenizer has another size.</exception>
    public static TinyLMText Prepare(
        IReadOnlyList<DocMember> members, TinyLMRecipeOptions options, TextTokenizer? tokenizer = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(members);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        DocCorpus corpus = DocCorpus.Split(members, options.Corpus);
        string[] training = [.. DocCorpus.Articles(corpus.Training)], heldOut = [.. DocCorpus.Articles(corpus.HeldOut)];
        tokenizer ??= new TextTokenizer(BpeTrainer.Train(training, new() { Vocabulary = options.Config.Vocabulary }, progress, cancel));
        if (tokenizer.Vocabulary != options.Config.Vocabulary)
            throw new ArgumentException($"The tokenizer has {tokenizer.Vocabulary} tokens, but the model's vocabulary is {options.Config.Vocabulary}.", nameof(tokenizer));
        return new(
            tokenizer, TokenText.Of(training, tokenizer, progress, cancel), TokenText.Of(heldOut, tokenizer, progress, cancel),
            DocCorpus.Count(corpus.Training), DocCorpus.Count(corpus.HeldOut));
    }

    /// <summary>The training, ready for its first step.</summary>
    /// <param name="model">A new model of the options' sizes.</param>
    /// <param name="text">From <see cref="Prepare"/>.</param>
    /// <param name="options">Batches and schedule.</param>
    /// <param name="copy">A copy in bfloat16 that computes the gradients; null trains in float32 alone. It stays the caller's.</param>
    public static TrainingLoop Loop(TinyLM model, TinyLMText text, TinyLMRecipeOptions options, Bfloat16Copy<TinyLM>? copy = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        TokenText some = text.HeldOut.Count <= options.EvaluationTokens + 1 ? text.HeldOut : new TokenText(text.HeldOut.Ids[..(options.EvaluationTokens + 1)].ToArray());
        return new TrainingLoop(
            model, new TextBatches(text.Training, options.Batch, options.Config.Context, options.Training.Seed), copy is null ? Losses.CrossEntropy(model) : copy.CrossEntropy,
            options.Training with { Variant = copy is null ? "float32" : "bfloat16" },
            new() { OnGradients = copy is null ? null : _ => copy.HandOver(), Evaluate = cancel => Perplexity.Of(model, some, stride: Math.Min(options.Config.Context, some.Count - 1), cancel: cancel).Loss });
    }

    /// <summary>A copy of a model in bfloat16, for <see cref="Loop"/>.</summary>
    /// <param name="model">The model.</param>
    public static Bfloat16Copy<TinyLM> Copy(TinyLM model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new(model, () => new TinyLM(model.Config));
    }

    /// <summary>How many steps fit in a time, from the pace of a few steps of a model that is thrown away.</summary>
    /// <param name="text">From <see cref="Prepare"/>.</param>
    /// <param name="options">Sizes and batches.</param>
    /// <param name="time">Time for the training.</param>
    /// <param name="trial">Steps to measure, after two that warm up. Default 8.</param>
    /// <param name="cancel">Checked before each step.</param>
    public static long StepsIn(TinyLMText text, TinyLMRecipeOptions options, TimeSpan time, int trial = 8, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (time <= TimeSpan.Zero) throw new ArgumentOutOfRangeException(nameof(time), time, "time must be positive.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(trial);
        using var model = new TinyLM(options.Config, options.Training.Seed);
        using Bfloat16Copy<TinyLM>? copy = options.Bfloat16 ? Copy(model) : null;
        using TrainingLoop loop = Loop(model, text, options with { Training = options.Training with { Steps = trial + 2, WarmUp = 0, EvaluateEvery = 0, CheckpointEvery = 0, Checkpoint = null } }, copy);
        loop.Step(cancel);
        loop.Step(cancel);
        var watch = Stopwatch.StartNew();
        for (int i = 0; i < trial; i++) loop.Step(cancel);
        return Math.Max(options.Training.WarmUp + 1, (long)(time / watch.Elapsed * trial));
    }
}
