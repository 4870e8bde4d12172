using System.Diagnostics;
using Sparseland.Data;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Soups;

/// <summary>
/// Sparse model soups (Zimmer, Spiegel and Pokutta, ICLR 2024, arXiv 2306.16788): in every phase of iterative magnitude pruning the parent is pruned once, m
/// children are retrained from it with the same masks, and their average is the parent of the next phase.
/// </summary>
public static class SparseModelSoups
{
    /// <summary>m children of one pruned parent, several at a time on one thread each; the result does not depend on how many.</summary>
    /// <param name="create">Makes a network; its weights do not matter. Called from several threads.</param>
    /// <param name="pruned">The pruned parent; it stays.</param>
    /// <param name="train">The images.</param>
    /// <param name="options">Children, what varies, the retraining.</param>
    /// <param name="rate">Learning rate before a child's factor, see <see cref="IterativeMagnitudePruning.StartRate"/>.</param>
    /// <param name="phase">Number of the phase, for the seeds. Default 1.</param>
    /// <param name="seed">Seed of the run. Default 1.</param>
    /// <param name="cancel">Checked before each step of each child.</param>
    /// <returns>The children, batch norm recalibrated; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public static IReadOnlyList<SparseSnapshot> Children(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot pruned, LabelledImages train, SmsOptions options, double rate, int phase = 1, long seed = 1, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(pruned);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        SparseSnapshot?[] children = new SparseSnapshot?[options.Children];
        try
        {
            IndependentWork.For(options.Children, child =>
            {
                double factor = options.Vary == SoupVariation.Seed ? 1 : options.FactorOf(child);
                MaskedSgdOptions retrain = IterativeMagnitudePruning.Form(options.Pruning);
                retrain = options.Vary switch
                {
                    SoupVariation.WeightDecay => retrain with { WeightDecay = retrain.WeightDecay * factor },
                    SoupVariation.Length => retrain with { Epochs = Math.Max(1, (int)Math.Round(retrain.Epochs * factor)) },
                    _ => retrain,
                };
                long order = IterativeMagnitudePruning.SeedOf(seed, phase, options.Vary == SoupVariation.Seed ? child : 0);
                using nn.Module<Tensor, Tensor> workbench = create();
                double start = options.Vary == SoupVariation.LearningRate ? rate * factor : rate;
                children[child] = IterativeMagnitudePruning.Retrain(workbench, pruned, train, retrain, start, order, null, cancel);
            }, cancel);
        }
        catch
        {
            foreach (SparseSnapshot? child in children) child?.Dispose();
            throw;
        }

        return [.. children.Select(child => child!)];
    }

    /// <summary>All phases. Nothing in it sees a test image: what is chosen (a greedy soup) is chosen by the validation images.</summary>
    /// <param name="create">Makes a network; its weights do not matter. Called from several threads.</param>
    /// <param name="dense">The trained network; it stays.</param>
    /// <param name="train">Training images, for retraining and batch norm.</param>
    /// <param name="validation">Images for the scores and the greedy soup; null, the default, for no scores.</param>
    /// <param name="options">Sparsity, phases, children, averaging; null, the default, for the record's.</param>
    /// <param name="seed">Seed of the orders of the images. Child 0 has the orders of <see cref="IterativeMagnitudePruning.Run"/> with this seed. Default 1.</param>
    /// <param name="progress">Reported after each phase.</param>
    /// <param name="cancel">Checked before each step of each child.</param>
    /// <exception cref="ArgumentException">An option is out of its range, a greedy soup without validation images, or with the training images for them.</exception>
    public static SmsResult Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot dense, LabelledImages train, LabelledImages? validation = null, SmsOptions? options = null, long seed = 1,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(train);
        options ??= new();
        options.Validate();
        if (options.Averaging == SoupAveraging.Greedy && validation is null) throw new ArgumentNullException(nameof(validation), "A greedy soup is chosen by validation images; there are none.");
        if (validation is not null && ReferenceEquals(validation.Images, train.Images)) throw new ArgumentException("The validation images are the training images; they must be others.", nameof(validation));
        using nn.Module<Tensor, Tensor> workbench = create();
        var phases = new List<SmsPhase>();
        try
        {
            for (int phase = 1; phase <= options.Pruning.Rounds; phase++)
            {
                long started = Stopwatch.GetTimestamp();
                (PruningStep step, SparseSnapshot pruned) = IterativeMagnitudePruning.Prune(workbench, phases.Count == 0 ? dense : phases[^1].Soup, phase, options.Pruning);
                using (pruned)
                {
                    double rate = IterativeMagnitudePruning.StartRate(step, options.Pruning);
                    IReadOnlyList<SparseSnapshot> children = Children(create, pruned, train, options, rate, phase, seed, cancel);

                    // On one thread like the children: sums over more of them differ in their last bits.
                    try
                    {
                        IndependentWork.For(1, _ => phases.Add(Averaged(phase, step, rate, children, workbench, train, validation, options, started, cancel)), cancel);
                    }
                    catch
                    {
                        foreach (SparseSnapshot child in children) child.Dispose();
                        throw;
                    }
                }

                progress?.Report(new(phase, options.Pruning.Rounds, FormattableString.Invariant($"sparsity {step.Sparsity:0.###}")));
            }
        }
        catch
        {
            foreach (SmsPhase phase in phases) phase.Dispose();
            throw;
        }

        return new(phases);
    }

    private static SmsPhase Averaged(
        int phase, PruningStep step, double rate, IReadOnlyList<SparseSnapshot> children, nn.Module<Tensor, Tensor> workbench, LabelledImages train, LabelledImages? validation,
        SmsOptions options, long started, CancellationToken cancel)
    {
        double[] scores = validation is null ? [] : [.. children.Select(child => child.Accuracy(workbench, validation))];
        IReadOnlyList<int> chosen = [.. Enumerable.Range(0, children.Count)];
        if (options.Averaging == SoupAveraging.Greedy)
        {
            using GreedySoup greedy = SparseSoup.Greedy(children, network =>
            {
                using SparseSnapshot ready = network.Recalibrated(workbench, train, cancel);
                return ready.Accuracy(workbench, validation!);
            }, cancel);
            chosen = greedy.Chosen;
        }

        using SparseSnapshot raw = chosen.Count == 1 ? children[chosen[0]].Copy() : SparseSoup.Average([.. chosen.Select(i => children[i])]);
        SparseSnapshot soup = raw.Recalibrated(workbench, train, cancel);
        double[,] distances = new double[children.Count, children.Count];
        for (int i = 0; i < children.Count; i++)
        {
            for (int j = 0; j < i; j++) distances[i, j] = distances[j, i] = ModelDistance.L2(children[i], children[j]);
        }

        return new(
            phase, step, rate, children, soup, chosen, scores, validation is null ? null : soup.Accuracy(workbench, validation), distances,
            ModelDistance.RelativeBarycentre(children), Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    /// <summary>
    /// The baseline of independent runs: m networks pruned each by itself, whose masks differ, are averaged, and the denser average is pruned to the sparsity again and
    /// recalibrated.
    /// </summary>
    /// <param name="networks">At least two pruned networks of one make.</param>
    /// <param name="workbench">A network of the same make; its weights are overwritten.</param>
    /// <param name="train">Training images, for batch norm.</param>
    /// <param name="sparsity">The sparsity, above 0 and below 1.</param>
    /// <param name="cancel">Checked before each batch.</param>
    /// <returns>Density of the average before it was pruned again, and the network after; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">Fewer than two networks, networks of different make, or a sparsity out of its range.</exception>
    public static (double UnionDensity, SparseSnapshot Network) RePrune(
        IReadOnlyList<SparseSnapshot> networks, nn.Module<Tensor, Tensor> workbench, LabelledImages train, double sparsity, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(workbench);
        ArgumentNullException.ThrowIfNull(train);
        if (!(sparsity is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "The sparsity must lie above 0 and below 1.");
        using SparseSnapshot union = SparseSoup.Average(networks, allowUnion: true);
        double density = union.Density;
        using (MaskSet masks = union.CopyTo(workbench) ?? throw new ArgumentException("The networks have no masks.", nameof(networks)))
        {
            GlobalMagnitude.Prune(workbench, masks, Math.Min(masks.Active, PruningPattern.Kept(masks.Size, sparsity)));
            using Tensor X = train.Planes();
            RecalibrateBatchNorm.Run(workbench, X, cancel: cancel);
            return (density, SparseSnapshot.Of(workbench, masks));
        }
    }
}
