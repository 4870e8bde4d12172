using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.FeatureSelection;

/// <summary>Features in the order of their strength.</summary>
/// <param name="Indices">The chosen features, the strongest first; equal ones by index.</param>
/// <param name="Strength">Strength of every feature.</param>
/// <param name="Trace">Strengths after each epoch.</param>
/// <param name="Losses">Mean squared error of each epoch.</param>
/// <param name="Constant">Features that had one value throughout: they carry nothing and are never chosen, though noise on the input lets them keep some strength.</param>
public sealed record FeatureRanking(IReadOnlyList<int> Indices, IReadOnlyList<double> Strength, IReadOnlyList<IReadOnlyList<double>> Trace, IReadOnlyList<double> Losses, IReadOnlyList<int> Constant)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Feature selection without labels (QuickSelection, Atashgahi et al. 2022): the inputs of a sparse autoencoder that are connected most strongly.</summary>
public static class QuickSelection
{
    /// <summary>Trains the autoencoder and ranks the features.</summary>
    /// <param name="X">[samples, features], as they are; standardised here with the population deviation. Stays the caller's.</param>
    /// <param name="count">K, how many are chosen.</param>
    /// <param name="epochs">Epochs. Default 10, the paper's shorter form; its longer one has 100.</param>
    /// <param name="options">Settings; null, the default, for the record's.</param>
    /// <param name="progress">Reported after each epoch.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">More features are wanted than there are, a value is not finite, or there are fewer samples than a mini-batch.</exception>
    /// <exception cref="Solvers.DivergenceException">The loss of an epoch is not finite.</exception>
    public static FeatureRanking Select(
        Tensor X, int count, int epochs = 10, QuickSelectionOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(X);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        if (X.dim() == 2 && count > X.shape[1]) throw new ArgumentOutOfRangeException(nameof(count), count, $"There are {X.shape[1]} features to choose from.");
        using DisposeScope scope = NewDisposeScope();
        using StandardisedFeatures table = FeatureScores.Standardise(X);
        if (count > X.shape[1] - table.Constant.Count)
            throw new ArgumentOutOfRangeException(nameof(count), count, $"{table.Constant.Count} of the {X.shape[1]} features have one value throughout; only the others can be chosen.");
        using SparselyConnectedAutoencoder network = new(checked((int)X.shape[1]), options);
        var trace = new List<IReadOnlyList<double>>();
        IReadOnlyList<double> losses = network.Fit(table.X, epochs, _ => trace.Add(NeuronStrength.Of(network.Encoder)), progress, cancel);
        double[] ranks = [.. trace[^1]];
        foreach (int still in table.Constant) ranks[still] = -1;
        return new(FeatureScores.Best(ranks, count), trace[^1], trace, losses, table.Constant);
    }
}
