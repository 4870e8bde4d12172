using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Every place that has ever been active: how much of the network a sparse training has explored (in-time over-parameterization, Liu et al.
/// 2021). Its rate never falls, and begins at the density.
/// </summary>
public sealed class FiredSet : IDisposable
{
    private readonly (string Name, Tensor Fired)[] _layers;
    private readonly NativeSize _size;

    /// <summary>Begins with what is active now.</summary>
    /// <param name="masks">The masks, copied.</param>
    public FiredSet(MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(masks);
        _layers = [.. masks.Names.Select(name => (name, masks[name].clone().DetachFromDisposeScope()))];
        _size = NativeSize.Of(_layers.Select(l => l.Fired));
    }

    /// <summary>Share of all masked places that have been active, from 0 to 1.</summary>
    public double Rate => (double)_layers.Sum(l => MaskSet.TrueIn(l.Fired)) / _layers.Sum(l => l.Fired.numel());

    /// <summary>The places of a parameter that have been active; it belongs to the set.</summary>
    /// <param name="name">Name of the parameter.</param>
    /// <exception cref="ArgumentException">It has no mask.</exception>
    public Tensor this[string name] => Array.Find(_layers, l => l.Name == name) is { Fired: not null } found
        ? found.Fired
        : throw new ArgumentException($"{name} has no mask; there are {string.Join(", ", _layers.Select(l => l.Name))}.", nameof(name));

    /// <summary>Share of a parameter's places that have been active.</summary>
    /// <param name="name">Name of the parameter.</param>
    /// <exception cref="ArgumentException">It has no mask.</exception>
    public double RateOf(string name) => (double)MaskSet.TrueIn(this[name]) / this[name].numel();

    /// <summary>Adds what is active now.</summary>
    /// <param name="masks">Masks of the same parameters.</param>
    /// <exception cref="ArgumentException">A parameter has no mask there.</exception>
    public void Add(MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(masks);
        using IDisposable off = no_grad();
        foreach ((string name, Tensor fired) in _layers) fired.logical_or_(masks[name]);
    }

    /// <summary>
    /// The rate that growth at random leads to on average, whatever is dropped: 1 - (1 - d) times the product over updates of (1 - d) / (1 - d + k/n).
    /// A place that was never active is never kept, and all places that are not kept have the same chance.
    /// </summary>
    /// <param name="size">n, places of the layer.</param>
    /// <param name="active">d n of them active at any time.</param>
    /// <param name="counts">k, weights moved in each update.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double ExpectedUnderRandomGrowth(long size, long active, IEnumerable<long> counts)
    {
        ArgumentNullException.ThrowIfNull(counts);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        if (active < 0 || active > size) throw new ArgumentOutOfRangeException(nameof(active), active, $"active must be from 0 to {size}.");
        double never = 1 - ((double)active / size), idle = never;
        foreach (long count in counts)
        {
            if (count < 0 || count > active) throw new ArgumentOutOfRangeException(nameof(counts), count, $"A count must be from 0 to {active}.");
            if (count > 0) never *= idle / (idle + ((double)count / size));
        }

        return 1 - never;
    }

    /// <summary>Frees what it holds.</summary>
    public void Dispose()
    {
        foreach ((_, Tensor fired) in _layers) fired.Dispose();
        _size.Dispose();
    }
}
