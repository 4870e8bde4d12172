using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Watches the inputs of linear layers while a network computes. Layers that are given the same tensor (queries, keys and values; gate and up) share one
/// <see cref="ActivationStatistics"/>, gathered once.
/// </summary>
public sealed class StatisticsCollector : IDisposable
{
    private readonly List<Action> _stop = [];
    private readonly Dictionary<string, ActivationStatistics> _byLayer = [];
    private readonly Dictionary<nint, (ActivationStatistics Statistics, Tensor Kept)> _seen = [];
    private readonly bool _gram;

    /// <summary>Watches some layers from now on.</summary>
    /// <param name="layers">The layers by name.</param>
    /// <param name="gram">Whether second moments are gathered. Default false.</param>
    public StatisticsCollector(IEnumerable<(string Name, Linear Layer)> layers, bool gram = false)
    {
        ArgumentNullException.ThrowIfNull(layers);
        _gram = gram;
        (string Name, Linear Layer)[] all = [.. layers];
        foreach ((_, Linear layer) in all) ArgumentNullException.ThrowIfNull(layer, nameof(layers));
        foreach ((string name, Linear layer) in all)
        {
            _stop.Add(layer.register_forward_pre_hook((_, input) =>
            {
                See(name, input);
                return input;
            }).remove);
        }
    }

    /// <summary>The statistics of a layer.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="KeyNotFoundException">The layer is not watched, or has not computed.</exception>
    public ActivationStatistics this[string name] =>
        _byLayer.TryGetValue(name, out ActivationStatistics? statistics) ? statistics : throw new KeyNotFoundException($"Nothing was seen at {name}: it is not watched, or has not computed.");

    /// <summary>Layers that have computed.</summary>
    public IReadOnlyCollection<string> Layers => _byLayer.Keys;

    /// <summary>Runs a network on all sequences and gathers the statistics of all its linear layers in one pass.</summary>
    /// <param name="model">The network; it stays as it is, in evaluation mode while this runs.</param>
    /// <param name="run">One batch through the network.</param>
    /// <param name="batches">How many there are.</param>
    /// <param name="gram">Whether second moments are gathered. Default false.</param>
    /// <param name="cancel">Checked between batches.</param>
    /// <returns>The collector, no longer watching; dispose it.</returns>
    public static StatisticsCollector Gather(nn.Module model, Action<int> run, int batches, bool gram = false, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(run);
        bool training = model.training;
        var collector = new StatisticsCollector(LinearSlots.Of(model).Where(s => s.Module is Linear).Select(s => (s.Name, (Linear)s.Module)), gram);
        model.eval();
        try
        {
            using IDisposable off = no_grad();
            for (int batch = 0; batch < batches; batch++)
            {
                cancel.ThrowIfCancellationRequested();
                using DisposeScope scope = NewDisposeScope();
                run(batch);
                collector.EndBatch();
            }

            collector.StopWatching();
            return collector;
        }
        catch
        {
            collector.Dispose();
            throw;
        }
        finally
        {
            model.train(training);
        }
    }

    /// <summary>Says that a forward pass has ended: only within one do equal tensors mean equal inputs. Call it after each batch.</summary>
    public void EndBatch()
    {
        foreach ((_, Tensor kept) in _seen.Values) kept.Dispose();
        _seen.Clear();
    }

    /// <summary>Watches no longer; what was gathered stays.</summary>
    public void StopWatching()
    {
        foreach (Action stop in _stop) stop();
        _stop.Clear();
        EndBatch();
    }

    /// <summary>Watches no longer and frees what was gathered.</summary>
    public void Dispose()
    {
        StopWatching();
        foreach (ActivationStatistics statistics in _byLayer.Values) statistics.Dispose();
        _byLayer.Clear();
    }

    private void See(string name, Tensor input)
    {
        using IDisposable off = no_grad();
        nint identity = TensorMemory.Identity(input);
        if (_seen.TryGetValue(identity, out var seen) && seen.Kept.shape.SequenceEqual(input.shape) && seen.Kept.stride().SequenceEqual(input.stride()))
        {
            if (_byLayer.TryAdd(name, seen.Statistics) || ReferenceEquals(_byLayer[name], seen.Statistics)) return;
            throw new InvalidOperationException($"{name} shares its input with another layer in this batch, but did not in one before.");
        }

        if (!_byLayer.TryGetValue(name, out ActivationStatistics? own)) _byLayer[name] = own = new(checked((int)input.shape[^1]), _gram);
        try
        {
            own.Add(input);
        }
        catch (ArgumentException error)
        {
            throw new ArgumentException($"{name}: {error.Message}", nameof(input), error);
        }

        // An alias keeps the memory, so that no later input of this pass can lie at the same address.
        _seen[identity] = (own, input.alias().DetachFromDisposeScope());
    }
}
