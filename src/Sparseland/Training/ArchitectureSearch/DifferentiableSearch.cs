using System.Diagnostics;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.ArchitectureSearch;

/// <summary>
/// Differentiable search of architectures, first order: DARTS (Liu et al. 2019, arXiv 1806.09055), and DASS (Mousavi et al. 2023, arXiv 2207.06968), which trains the shares of the operations on the
/// validation loss of the pruned supernet, with the masks learned inside the loop: min over alpha of L_val(theta* m*, alpha), theta* and m* by training batches.
/// </summary>
/// <remarks>DASS's published text leaves order and step counts open: here each round makes one step of the scores, one of the weights and one of alpha, in this order.</remarks>
public static class DifferentiableSearch
{
    /// <summary>Trains a supernet and its shares.</summary>
    /// <param name="supernet">A network of mixtures; trained in place and left in training mode, its masks set.</param>
    /// <param name="X">Images [images, planes, rows, columns].</param>
    /// <param name="labels">Classes [images], int64.</param>
    /// <param name="train">Images that weights and scores are trained on.</param>
    /// <param name="validation">Images that alpha is trained on; none of the others.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="progress">Steps and rounds.</param>
    /// <param name="cancel">Looked at before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, no or overlapping sets, images or classes that the space is not for, a network without mixtures, a ratio that leaves a layer nothing, or under the sparse objective no operation with weights; nothing has been trained.</exception>
    /// <exception cref="DivergenceException">A loss is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SearchResult Run(
        SearchNetwork supernet, Tensor X, Tensor labels, IReadOnlyList<int> train, IReadOnlyList<int> validation, SearchOptions? options = null, IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(supernet);
        options ??= new();
        options.Validate();
        CheckSets(X, labels, train, validation);
        supernet.Space.CheckImages(X, labels);
        if (supernet.Mixtures.Count != supernet.Space.Layers) throw new ArgumentException("The network has no mixtures; make a supernet of the space.", nameof(supernet));
        bool sparse = options.Objective == SearchObjective.Sparse;
        if (sparse && supernet.Scored.Count == 0)
            throw new ArgumentException($"None of {string.Join(", ", supernet.Space.Operations)} has weights; the sparse objective has nothing to prune.", nameof(supernet));
        int[] kept = [.. supernet.Scored.Select(layer => sparse ? layer.KeptAt(options.Ratio, options.AtLeastOne) : layer.Count)];
        using DisposeScope scope = NewDisposeScope();
        var watch = Stopwatch.StartNew();
        SampleBatches ofTrain = Batches(X, labels, train, options.Batch, options.Seed), ofValidation = Batches(X, labels, validation, options.Batch, options.Seed + 1);
        foreach (ScoredLayer layer in supernet.Scored) layer.Keep(layer.Count);
        supernet.train();
        using var alphas = new ParameterPhase(supernet, ParameterPhase.Alphas(supernet), n => new AdamWOptimizer(n, 0, 0.5, 0.999, decayAll: true), decay: 1e-3);
        using ParameterPhase? scores = sparse ? new(supernet, ParameterPhase.Scores(supernet), n => new SgdOptimizer(n, 0.9)) : null;
        using var weights = new ParameterPhase(supernet, ParameterPhase.Weights(supernet), n => new SgdOptimizer(n, 0.9, 3e-4), 5);
        TrainingOptions schedule = new() { Steps = options.Pretrain + options.Rounds, LearningRate = options.WeightRate, FinalRate = 0.04 };
        long batch = 0, done = 0, all = options.Pretrain + options.Rounds;
        for (int step = 0; step < options.Pretrain; step++)
        {
            cancel.ThrowIfCancellationRequested();
            weights.Step(ofTrain.At(batch++), schedule.RateOf(done++), $"pretraining step {step}");
            progress?.Report(new(done, all, "pretraining"));
        }

        if (sparse)
        {
            foreach ((ScoredLayer layer, int k) in supernet.Scored.Zip(kept))
            {
                layer.StartScores();
                layer.Keep(k);
            }
        }

        List<double[][]> alpha = [Shares(supernet)];
        List<double> losses = [];
        for (int round = 0; round < options.Rounds; round++)
        {
            cancel.ThrowIfCancellationRequested();
            scores?.Step(ofTrain.At(batch++), options.ScoreRate, $"round {round}, scores");
            cancel.ThrowIfCancellationRequested();
            weights.Step(ofTrain.At(batch++), schedule.RateOf(done++), $"round {round}, weights");
            cancel.ThrowIfCancellationRequested();
            losses.Add(alphas.Step(ofValidation.At(round), options.AlphaRate, $"round {round}, alpha"));
            alpha.Add(Shares(supernet));
            progress?.Report(new(done, all, FormattableString.Invariant($"validation loss {losses[^1]:0.000}")));
        }

        return new(supernet.Derive(), alpha, losses, watch.Elapsed.TotalSeconds);
    }

    /// <summary>Refuses images and labels that do not belong together, and sets of images that are empty, out of range or overlap.</summary>
    internal static void CheckSets(Tensor X, Tensor labels, params IReadOnlyList<int>[] sets)
    {
        ArgumentNullException.ThrowIfNull(X);
        ArgumentNullException.ThrowIfNull(labels);
        if (X.dim() != 4 || X.shape[0] == 0) throw new ArgumentException($"X must be [images, planes, rows, columns] and not empty, but is [{string.Join(", ", X.shape)}].", nameof(X));
        if (labels.dtype != ScalarType.Int64 || labels.dim() != 1 || labels.shape[0] != X.shape[0])
            throw new ArgumentException($"labels must be int64 [{X.shape[0]}], but are {labels.dtype} [{string.Join(", ", labels.shape)}].", nameof(labels));
        HashSet<int> seen = [];
        string[] names = ["train", "validation"];
        for (int s = 0; s < sets.Length; s++)
        {
            ArgumentNullException.ThrowIfNull(sets[s], names[s]);
            if (sets[s].Count < 2) throw new ArgumentException($"{names[s]} has {sets[s].Count} images; at least two are needed.", names[s]);
            foreach (int image in sets[s])
            {
                if (image < 0 || image >= X.shape[0]) throw new ArgumentOutOfRangeException(names[s], image, $"{names[s]} names image {image}; there are 0 to {X.shape[0] - 1}.");
                if (!seen.Add(image)) throw new ArgumentException($"Image {image} of {names[s]} is named twice: alpha trained on images that the weights have seen takes what overfits.", names[s]);
            }
        }
    }

    private static double[][] Shares(SearchNetwork supernet) => [.. supernet.Mixtures.Select(m => m.Probabilities)];

    private static SampleBatches Batches(Tensor X, Tensor labels, IReadOnlyList<int> images, int batch, long seed)
    {
        Tensor rows = tensor(images.Select(i => (long)i).ToArray(), device: X.device);
        return new(X.index_select(0, rows), labels.index_select(0, rows), batch, seed);
    }
}
