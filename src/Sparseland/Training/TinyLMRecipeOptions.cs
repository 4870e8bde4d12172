using Sparseland.Data.Documentation;
using Sparseland.Models.Language;

namespace Sparseland.Training;

/// <summary>How <see cref="TinyLMRecipe"/> makes its checkpoint.</summary>
public sealed record TinyLMRecipeOptions
{
    /// <summary>Sizes of the model; the vocabulary is the tokenizer's too.</summary>
    public LlamaConfig Config { get; init; } = new() { Width = 256, MlpWidth = 512, Layers = 4, Heads = 4, KeyValueHeads = 2 };

    /// <summary>How the documentation is split.</summary>
    public DocCorpusOptions Corpus { get; init; } = new();

    /// <summary>Windows of a mini-batch, each as long as the context.</summary>
    public int Batch { get; init; } = 8;

    /// <summary>Computes losses and gradients in bfloat16, see <see cref="Bfloat16Copy{TModel}"/>; the weights stay float32.</summary>
    public bool Bfloat16 { get; init; }

    /// <summary>Learning rate, schedule, decay, clipping, seed; steps, evaluations and checkpoint are set by the recipe.</summary>
    public TrainingOptions Training { get; init; } = new() { LearningRate = 2e-3, WarmUp = 200, Plateau = 0.6, FinalRate = 0.02, WeightDecay = 0.1, EvaluateEvery = 250 };

    /// <summary>Held-out tokens of an evaluation on the way; the last figure is of all of them.</summary>
    public int EvaluationTokens { get; init; } = 32 * 256;

    /// <summary>Steps of which the mean loss is one line of the data sheet.</summary>
    public int CurveLines { get; init; } = 12;

    /// <summary>New tokens of each sample text.</summary>
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
