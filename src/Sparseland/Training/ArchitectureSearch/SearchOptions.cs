using Sparseland.Tensors;

namespace Sparseland.Training.ArchitectureSearch;

/// <summary>On what the shares of operations are trained.</summary>
public enum SearchObjective
{
    /// <summary>The validation loss of the dense supernet: DARTS.</summary>
    Dense,

    /// <summary>The validation loss of the pruned supernet, whose masks are learned on the way: DASS.</summary>
    Sparse,
}

/// <summary>How architectures are searched.</summary>
public sealed record SearchOptions
{
    /// <summary>On what alpha is trained. Default <see cref="SearchObjective.Sparse"/>.</summary>
    public SearchObjective Objective { get; init; } = SearchObjective.Sparse;

    /// <summary>Share of each convolution's weights that goes, in [0, 1); the sparse objective alone uses it. Default 0.95.</summary>
    public double Ratio { get; init; } = 0.95;

    /// <summary>Whether a convolution that would lose all its weights keeps one. Default false: it is refused and named.</summary>
    public bool AtLeastOne { get; init; }

    /// <summary>Steps of the weights before the rounds, all kept and alpha fixed. Default 120.</summary>
    public int Pretrain { get; init; } = 120;

    /// <summary>Rounds: with the sparse objective a step of the scores, one of the weights, one of alpha; with the dense one no step of the scores. Default 250.</summary>
    public int Rounds { get; init; } = 250;

    /// <summary>Images of a batch. Default 64.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Rate of the weights (momentum 0.9, decay 3e-4, gradients clipped at norm 5), half a cosine down to a 25th of it over pretraining and rounds. Default 0.05.</summary>
    public double WeightRate { get; init; } = 0.05;

    /// <summary>Rate of the scores (momentum 0.9, no decay, no clipping, constant). Default 0.1.</summary>
    public double ScoreRate { get; init; } = 0.1;

    /// <summary>Rate of alpha (Adam, betas 0.5 and 0.999, decay 1e-3). A short search needs more than the 3e-4 of DARTS, or alpha stays where it began. Default 0.02.</summary>
    public double AlphaRate { get; init; } = 0.02;

    /// <summary>Seed of the order of images. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Refuses options out of their range.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public void Validate()
    {
        if (!Enum.IsDefined(Objective)) throw new ArgumentOutOfRangeException(nameof(Objective), Objective, "Objective must be Dense or Sparse.");
        if (!(Ratio is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Ratio), Ratio, "Ratio must lie in [0, 1).");
        ArgumentOutOfRangeException.ThrowIfNegative(Pretrain);
        if (Rounds < 1) throw new ArgumentOutOfRangeException(nameof(Rounds), Rounds, "Rounds must be at least 1: before the first there is nothing to derive.");
        ArgumentOutOfRangeException.ThrowIfLessThan(Batch, 2);
        foreach ((string name, double rate) in new[] { (nameof(WeightRate), WeightRate), (nameof(ScoreRate), ScoreRate), (nameof(AlphaRate), AlphaRate) })
        {
            Finite.Positive(rate, name);
        }
    }
}

/// <summary>What a search has found.</summary>
/// <param name="Genotype">The strongest operation of each layer.</param>
/// <param name="Alpha">Shares softmax(alpha) before the first round and after each, [rounds + 1][layers][operations].</param>
/// <param name="ValidationLoss">Loss of the validation batch of each round.</param>
/// <param name="Seconds">Time.</param>
public sealed record SearchResult(Genotype Genotype, IReadOnlyList<double[][]> Alpha, IReadOnlyList<double> ValidationLoss, double Seconds)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
