using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>A hook that keeps copies of what stood at some places in the model's last call. It owns them.</summary>
/// <remarks>Behind other hooks in <see cref="ActivationHook.All"/> it keeps what they left.</remarks>
public sealed class ActivationRecorder : IActivationHook, IDisposable
{
    private readonly Func<ActivationSite, bool> _wants;
    private readonly Dictionary<ActivationSite, Tensor> _values = [];

    /// <summary>Keeps some places.</summary>
    /// <param name="sites">The places.</param>
    public ActivationRecorder(params ActivationSite[] sites)
    {
        ArgumentNullException.ThrowIfNull(sites);
        HashSet<ActivationSite> wanted = [.. sites];
        _wants = wanted.Contains;
    }

    /// <summary>Keeps the places that a function names.</summary>
    /// <param name="wants">Which places.</param>
    public ActivationRecorder(Func<ActivationSite, bool> wants)
    {
        ArgumentNullException.ThrowIfNull(wants);
        _wants = wants;
    }

    /// <summary>Places that have been seen.</summary>
    public IReadOnlyCollection<ActivationSite> Sites => _values.Keys;

    /// <summary>The value at a place in the last call that came there; valid until the next one or until the recorder is disposed.</summary>
    /// <param name="site">The place.</param>
    /// <exception cref="KeyNotFoundException">Not wanted, not in this architecture, or the model has not been called.</exception>
    public Tensor this[ActivationSite site] => _values.TryGetValue(site, out Tensor? value) ? value : throw new KeyNotFoundException($"Nothing was recorded at {site.Activation} of block {site.Layer}.");

    /// <summary>The value at a place in the last call that came there.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="activation">Place in it.</param>
    /// <exception cref="KeyNotFoundException">Not wanted, not in this architecture, or the model has not been called.</exception>
    public Tensor this[int layer, Activation activation] => this[new ActivationSite(layer, activation)];

    /// <inheritdoc/>
    public bool Wants(ActivationSite site) => _wants(site);

    /// <inheritdoc/>
    public Tensor? Visit(ActivationSite site, Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        Tensor copy = value.clone().DetachFromDisposeScope();
        if (_values.Remove(site, out Tensor? older)) older.Dispose();
        _values[site] = copy;
        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor value in _values.Values) value.Dispose();
        _values.Clear();
    }
}
