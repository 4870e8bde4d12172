using System.Diagnostics;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Native;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>What became of a layer.</summary>
/// <param name="Name">Path in the network.</param>
/// <param name="Kept">Weights that stay by its mask.</param>
/// <param name="Size">All weights.</param>
/// <param name="RelativeError">
/// ||X (W - W')^T||^2 / ||X W^T||^2 over the inputs that the method saw, where it gathered second moments; else NaN.
/// </param>
public sealed record PrunedLayer(string Name, long Kept, long Size, double RelativeError)
{
    /// <summary>Share that went.</summary>
    public double Sparsity => 1 - ((double)Kept / Size);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>A decoder after pruning.</summary>
/// <param name="Method">Name of the method.</param>
/// <param name="Pattern">The pattern.</param>
/// <param name="Masks">Masks of all pruned weights; dispose them.</param>
/// <param name="Layers">What became of each layer, in order.</param>
/// <param name="Tokens">Tokens of the texts that calibrated it.</param>
/// <param name="Seconds">Time.</param>
public sealed record BlockwiseResult(string Method, PruningPattern Pattern, MaskSet Masks, IReadOnlyList<PrunedLayer> Layers, long Tokens, double Seconds) : IDisposable
{
    /// <summary>Share of the prunable weights that went.</summary>
    public double Sparsity => 1 - ((double)Layers.Sum(l => l.Kept) / Layers.Sum(l => l.Size));

    /// <summary>Frees the masks.</summary>
    public void Dispose() => Masks.Dispose();

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Method}, {Pattern}: {Sparsity:0.##%} of {Layers.Count} layers removed in {Seconds:F1} s");
}

/// <summary>
/// Prunes a decoder after training, block by block: run a block with its dense weights on the hidden states of all sequences and gather what its layers see,
/// prune its layers, run it again as it is now, and go on with what comes out. Only one block's statistics are held at a time.
/// </summary>
public static class BlockwisePruning
{
    /// <summary>Prunes the model in place. When it is stopped or fails, the model is as it was before.</summary>
    /// <param name="model">The decoder.</param>
    /// <param name="sequences">Calibration texts, token ids [sequences, tokens], int64; ignored by methods that ask for nothing of the inputs, and may be null for them.</param>
    /// <param name="method">What prunes a layer.</param>
    /// <param name="pattern">How sparse, and who competes with whom; not <see cref="PruningPattern.Global"/>, which <see cref="MaskSet.FromScores"/> does.</param>
    /// <param name="options">Order of work; null for the defaults.</param>
    /// <param name="progress">Told after each block.</param>
    /// <param name="cancel">Checked between batches.</param>
    /// <exception cref="ArgumentException">No text where the method needs it, a pattern that does not fit a layer, or weights or activations that are not finite; the layer is named.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static BlockwiseResult Run(
        LanguageModel model, Tensor? sequences, ILayerPruner method, PruningPattern pattern, BlockwiseOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(pattern);
        (options ??= new()).Validate();
        if (pattern is GlobalPattern) throw new ArgumentException("Layers that are pruned one after another cannot compete with each other; rank the scores of all of them with MaskSet.FromScores.", nameof(pattern));
        if (method.Needs != InputKnowledge.None && (sequences is null || sequences.dim() != 2 || sequences.numel() == 0))
            throw new ArgumentException($"{method.Name} needs calibration texts as token ids [sequences, tokens].", nameof(sequences));
        CheckFits(model, pattern, options.Skip);
        long start = Stopwatch.GetTimestamp();
        bool training = model.training;
        var done = new List<(Linear Layer, Tensor Dense)>();
        var masks = new Dictionary<string, Tensor>();
        model.eval();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        try
        {
            var layers = new List<PrunedLayer>();
            using BlockStates? states = method.Needs == InputKnowledge.None ? null : BlockStates.Of(model, sequences!, options.Batch, cancel);
            for (int block = 0; block < model.Layers; block++)
            {
                cancel.ThrowIfCancellationRequested();
                (string Name, Linear Layer)[] linears = [.. Linears(model, block, options.Skip)];
                done.AddRange(linears.Select(l => (l.Layer, l.Layer.weight.detach().clone())));
                (IReadOnlyList<PrunedLayer> some, Dictionary<string, Tensor> found) = PruneBlock(model, block, linears, states, method, pattern, options, null, cancel);
                layers.AddRange(some);
                foreach ((string name, Tensor mask) in found) masks[name] = mask;
                progress?.Report(new(block + 1, model.Layers, $"block {block + 1} of {model.Layers}"));
            }

            var set = MaskSet.Of(model, masks);
            return new(method.Name, pattern, set, layers, states?.Tokens ?? 0, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        catch
        {
            foreach ((Linear layer, Tensor dense) in done) layer.weight.copy_(dense);
            throw;
        }
        finally
        {
            model.train(training);
        }
    }

    /// <summary>One block: run it dense on the states and gather what its layers see, prune them, run it again as it is now.</summary>
    /// <param name="model">The decoder; this block holds its weights.</param>
    /// <param name="block">Block, from 0.</param>
    /// <param name="linears">The layers that are pruned.</param>
    /// <param name="states">What goes into the block; afterwards what goes into the next. Null for a method that asks for nothing.</param>
    /// <param name="method">What prunes a layer.</param>
    /// <param name="pattern">How sparse.</param>
    /// <param name="options">Order of work.</param>
    /// <param name="settle">Called with the masks when all layers are pruned, before the block is run again: what it does to the weights, later blocks see. Null for nothing.</param>
    /// <param name="cancel">Checked between batches and layers.</param>
    /// <returns>What became of each layer, and the masks by the names of the weights; they belong to the scope around.</returns>
    internal static (IReadOnlyList<PrunedLayer> Layers, Dictionary<string, Tensor> Masks) PruneBlock(
        LanguageModel model, int block, (string Name, Linear Layer)[] linears, BlockStates? states, ILayerPruner method, PruningPattern pattern, BlockwiseOptions options,
        Action<Dictionary<string, Tensor>>? settle, CancellationToken cancel)
    {
        var masks = new Dictionary<string, Tensor>();
        var layers = new List<PrunedLayer>();
        using (StatisticsCollector? seen = states is null ? null : new(linears, method.Needs == InputKnowledge.Gram))
        {
            states?.Visit(model, block, keep: options.Propagation == Propagation.Dense, seen, cancel);
            seen?.StopWatching();
            foreach ((string name, Linear layer) in linears)
            {
                cancel.ThrowIfCancellationRequested();
                (PrunedLayer report, masks[$"{name}.weight"]) = PruneLayer(name, layer, method, pattern, seen?[name], cancel);
                layers.Add(report);
                FreedMemory.GiveBackAfter(layer.weight.numel() * sizeof(float));
            }
        }

        settle?.Invoke(masks);
        if (options.Propagation == Propagation.Pruned && block + 1 < model.Layers) states?.Visit(model, block, keep: true, null, cancel);
        return (layers, masks);
    }

    /// <summary>Prunes one layer in place.</summary>
    /// <returns>What became of it, and its mask.</returns>
    internal static (PrunedLayer Report, Tensor Mask) PruneLayer(string name, Linear layer, ILayerPruner method, PruningPattern pattern, ActivationStatistics? seen, CancellationToken cancel)
    {
        using DisposeScope scope = NewDisposeScope();
        PrunedWeight pruned = method.Prune(new(name, layer.weight, seen), pattern, cancel);
        PrunedLayer report = Report(name, layer.weight, pruned, seen);
        if (pruned.Weight is not null) layer.weight.copy_(pruned.Weight);
        MaskedZeros.Write(layer.weight, pruned.Mask, where: false);
        Tensor mask = pruned.Mask.clone();
        pruned.Dispose();
        return (report, scope.MoveToOuter(mask));
    }

    /// <summary>Refuses a pattern that does not tile a layer, and a choice of layers that stay dense which names none, before any work.</summary>
    internal static void CheckFits(LanguageModel model, PruningPattern pattern, Func<string, bool>? skip)
    {
        string[] names = [.. LinearSlots.Of(model).Where(slot => slot.Module is Linear).Select(slot => slot.Name)];
        if (names.Length == 0 || (skip is not null && names.All(skip)))
            throw new ArgumentException(names.Length == 0 ? "The model has no linear layer to prune." : $"Skip is true for all {names.Length} layers; nothing would be pruned.", nameof(skip));
        if (skip is not null && !names.Any(skip)) throw new ArgumentException($"Skip is true for none of the {names.Length} layers: {string.Join(", ", names.Take(7))}, ...", nameof(skip));
        foreach (LinearSlot slot in LinearSlots.Of(model))
        {
            if (slot.Module is not Linear linear || skip?.Invoke(slot.Name) == true) continue;
            int rows = (int)linear.weight.shape[0], columns = (int)linear.weight.shape[1];
            try
            {
                _ = pattern.For(rows, columns).CountFor(rows, columns);
            }
            catch (ArgumentException error)
            {
                throw new ArgumentException($"{slot.Name} is [{rows}, {columns}]: {error.Message}", nameof(pattern), error);
            }
        }
    }

    /// <summary>The linear layers of a block with their names in the model.</summary>
    internal static IEnumerable<(string Name, Linear Layer)> Linears(LanguageModel model, int block, Func<string, bool>? skip = null)
    {
        HashSet<nn.Module> inside = new(ReferenceEqualityComparer.Instance);
        inside.UnionWith(model.BlockModule(block).named_modules().Select(m => m.Item2));
        return LinearSlots.Of(model).Where(s => inside.Contains(s.Module) && s.Module is Linear && skip?.Invoke(s.Name) != true).Select(s => (s.Name, (Linear)s.Module));
    }

    private static PrunedLayer Report(string name, Tensor dense, PrunedWeight pruned, ActivationStatistics? seen)
    {
        using DisposeScope scope = NewDisposeScope();
        double error = double.NaN;
        if (seen?.Gram is { } gram)
        {
            Tensor wide = dense.to(ScalarType.Float64), rest = (pruned.Weight ?? dense).to(ScalarType.Float64).masked_fill(pruned.Mask.logical_not(), 0);
            error = Energy(wide - rest, gram) / Energy(wide, gram);
        }

        return new(name, MaskSet.TrueIn(pruned.Mask), pruned.Mask.numel(), error);

        static double Energy(Tensor matrix, Tensor gram) => matrix.mm(gram).mul(matrix).sum().item<double>();
    }
}
