using Sparseland.Data.Documentation;
using Sparseland.Models.Language;

namespace Sparseland.Training;

/// <summary>How <see cref="TinyLMRecipe"/> makes its checkpoint.</summary>
public sealed record TinyLMRecipeOptions
{
    /// <summary>Sizes of the model; the vocabulary is the tokenizer's too. Default width 256, MLP width 512, 4 layers, 4 heads, 2 of keys and values.</summary>
    public LlamaConfig Config { get; init; } = new() { Width = 256, MlpWidth = 512, Layers = 4, Heads = 4, KeyValueHeads = 2 };

    /// <summary>How the documentation is split. Its own defaults.</summary>
    public DocCorpusOptions Corpus { get; init; } = new();

    /// <summary>Windows of a mini-batch, each as long as the context. Default 8.</summary>
    public int Batch { get; init; } = 8;

    /// <summary>Computes losses and gradients in bfloat16, see <see cref="Bfloat16Copy{TModel}"/>; the weights stay float32. Default false.</summary>
    public bool Bfloat16 { get; init; }

    /// <summary>
    /// Learning rate, schedule, decay, clipping, seed; steps, evaluations and checkpoint are set by the recipe. Default rate 2e-3, warm-up
    /// 200, plateau 0.6, final rate 0.02, weight decay 0.1, an evaluation after each 250 steps.
    /// </summary>
    public TrainingOptions Training { get; init; } = new() { LearningRate = 2e-3, WarmUp = 200, Plateau = 0.6, FinalRate = 0.02, WeightDecay = 0.1, EvaluateEvery = 250 };

    /// <summary>Held-out tokens of an evaluation on the way; the last figure is of all of them. Default 32 * 256.</summary>
    public int EvaluationTokens { get; init; } = 32 * 256;

    /// <summary>Steps of which the mean loss is one line of the data sheet. Default 12.</summary>
    public int CurveLines { get; init; } = 12;

    /// <summary>New tokens of each sample text. Default 120.</summary>
    public int SampleTokens { get; init; } = 120;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Config);
        ArgumentNullException.ThrowIfNull(Corpus);
        ArgumentNullException.ThrowIfNull(Training);
        Config.Validate();
        Corpus.Validate();
        Training.Validate();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Batch);
        ArgumentOutOfRangeException.ThrowIfLessThan(EvaluationTokens, Config.Context);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(CurveLines);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(SampleTokens);
    }
}
