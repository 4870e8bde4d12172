using System.Globalization;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// A network with its masks at one moment, apart from the network: parameters, buffers (batch norm's statistics) and keep-masks by name, copied. It can be put
/// into any network of the same make; that is how several children begin from one parent, and how averages are made.
/// </summary>
public sealed class SparseSnapshot : IDisposable
{
    private readonly Dictionary<string, Tensor> _state;
    private readonly Dictionary<string, Tensor> _masks;
    private readonly NativeSize _size;

    internal SparseSnapshot(Dictionary<string, Tensor> state, Dictionary<string, Tensor> masks, IReadOnlyList<string> parameters)
    {
        (_state, _masks, Parameters) = (state, masks, parameters);
        foreach (Tensor value in state.Values.Concat(masks.Values)) value.DetachFromDisposeScope();
        _size = NativeSize.Of(state.Values.Concat(masks.Values));
    }

    /// <summary>Parameters and buffers by name; they belong to the snapshot.</summary>
    public IReadOnlyDictionary<string, Tensor> State => _state;

    /// <summary>Keep-masks by the name of their parameter, in order; none for a dense network.</summary>
    public IReadOnlyDictionary<string, Tensor> Masks => _masks;

    /// <summary>Names in <see cref="State"/> that are parameters and not buffers, in order.</summary>
    public IReadOnlyList<string> Parameters { get; }

    /// <summary>Kept weights over all masked ones; 1 without masks.</summary>
    public double Density => _masks.Count == 0 ? 1 : (double)_masks.Values.Sum(MaskSet.TrueIn) / _masks.Values.Sum(mask => mask.numel());

    /// <summary>Copies a network as it is.</summary>
    /// <param name="model">The network; nothing in it changes.</param>
    /// <param name="masks">Its masks; null, the default, for none.</param>
    public static SparseSnapshot Of(nn.Module model, MaskSet? masks = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Dictionary<string, Tensor> state = model.state_dict().ToDictionary(s => s.Key, s => s.Value.detach().clone().DetachFromDisposeScope());
        Dictionary<string, Tensor> kept = masks?.Names.ToDictionary(name => name, name => masks[name].clone().DetachFromDisposeScope()) ?? [];
        return new(state, kept, [.. model.named_parameters().Select(p => p.name)]);
    }

    /// <summary>Writes parameters and buffers into a network, and sets to zero what the masks do not keep.</summary>
    /// <param name="model">A network with the same names and shapes.</param>
    /// <returns>The masks, bound to that network and the caller's to dispose; null where there are none.</returns>
    /// <exception cref="ArgumentException">A name is missing or of another shape; nothing has changed.</exception>
    public MaskSet? CopyTo(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Dictionary<string, Tensor> target = model.state_dict();
        if (target.Keys.Except(_state.Keys).Concat(_state.Keys.Except(target.Keys)).FirstOrDefault() is { } strange)
            throw new ArgumentException($"{strange} is in one of snapshot and network only; they must be of one make.", nameof(model));
        if (target.FirstOrDefault(t => !t.Value.shape.SequenceEqual(_state[t.Key].shape)) is { Key: not null } other)
            throw new ArgumentException($"{other.Key} is [{string.Join(", ", other.Value.shape)}] in the network and [{string.Join(", ", _state[other.Key].shape)}] in the snapshot.", nameof(model));

        // Masks refuse a parameter that is tied or does not train: before anything is written.
        MaskSet? masks = _masks.Count == 0 ? null : MaskSet.Of(model, _masks);
        using (IDisposable off = no_grad())
            foreach ((string name, Tensor value) in target) value.copy_(_state[name]);
        masks?.Apply();
        return masks;
    }

    /// <summary>An independent copy.</summary>
    public SparseSnapshot Copy()
    {
        using IDisposable off = no_grad();
        return new(_state.ToDictionary(s => s.Key, s => s.Value.clone().DetachFromDisposeScope()), _masks.ToDictionary(m => m.Key, m => m.Value.clone().DetachFromDisposeScope()), Parameters);
    }

    /// <summary>Weights that no mask keeps and that are not exactly zero; 0 in every honest sparse network.</summary>
    public long Leaks()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return _masks.Sum(mask => _state[mask.Key].ne(0).logical_and(mask.Value.logical_not()).sum().item<long>());
    }

    /// <summary>Refuses networks of different make.</summary>
    internal static void CheckAlike(IReadOnlyList<SparseSnapshot> snapshots, string argument)
    {
        foreach (SparseSnapshot other in snapshots)
        {
            ArgumentNullException.ThrowIfNull(other, argument);
            if (snapshots[0]._state.Keys.Except(other._state.Keys).Concat(other._state.Keys.Except(snapshots[0]._state.Keys)).FirstOrDefault() is { } strange)
                throw new ArgumentException($"{strange} is not in all of the networks; they must be of one make.", argument);
            foreach ((string name, Tensor value) in snapshots[0]._state)
            {
                if (!value.shape.SequenceEqual(other._state[name].shape))
                    throw new ArgumentException($"{name} is [{string.Join(", ", value.shape)}] in one network and [{string.Join(", ", other._state[name].shape)}] in another; they must be of one make.", argument);
            }
        }
    }

    /// <summary>Frees it.</summary>
    public void Dispose()
    {
        foreach (Tensor value in _state.Values.Concat(_masks.Values)) value.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"SparseSnapshot of {Parameters.Count} parameters, {_masks.Count} masked (density {Density:0.###%})");
}
