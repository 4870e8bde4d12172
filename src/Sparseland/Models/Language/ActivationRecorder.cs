using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// A hook that keeps copies of what stood at some places in the model's last call, or in all of its calls (<see cref="KeepAll"/>). It owns
/// them.
/// </summary>
/// <remarks>Behind other hooks in <see cref="ActivationHook.All"/> it keeps what they left.</remarks>
public sealed class ActivationRecorder : IActivationHook, IDisposable
{
    private readonly Func<ActivationSite, bool> _wants;
    private readonly IReadOnlyCollection<ActivationSite>? _named;
    private readonly Dictionary<ActivationSite, List<Tensor>> _values = [];

    /// <summary>Keeps some places.</summary>
    /// <param name="sites">The places.</param>
    public ActivationRecorder(params ActivationSite[] sites)
    {
        ArgumentNullException.ThrowIfNull(sites);
        HashSet<ActivationSite> wanted = [.. sites];
        _wants = wanted.Contains;
        _named = wanted;
    }

    /// <summary>Keeps the places that a function names.</summary>
    /// <param name="wants">Which places.</param>
    public ActivationRecorder(Func<ActivationSite, bool> wants)
    {
        ArgumentNullException.ThrowIfNull(wants);
        _wants = wants;
    }

    /// <summary>Whether the values of all calls are kept, not only those of the last; false by default.</summary>
    public bool KeepAll { get; init; }

    /// <summary>Places that have been seen.</summary>
    public IReadOnlyCollection<ActivationSite> Sites => _values.Keys;

    /// <inheritdoc/>
    IReadOnlyCollection<ActivationSite>? IActivationHook.Named => _named;

    /// <summary>The values at a place in the order of the calls: all of them where <see cref="KeepAll"/> is set, else the last. Valid until the recorder is disposed or cleared.</summary>
    /// <param name="site">The place.</param>
    /// <exception cref="KeyNotFoundException">Not wanted, or the model has not been called.</exception>
    public IReadOnlyList<Tensor> Calls(ActivationSite site) => Of(site);

    /// <summary>Forgets what was recorded.</summary>
    public void Clear()
    {
        foreach (Tensor value in _values.Values.SelectMany(list => list)) value.Dispose();
        _values.Clear();
    }

    /// <summary>The value at a place in the last call that came there; valid until the next one or until the recorder is disposed.</summary>
    /// <param name="site">The place.</param>
    /// <exception cref="KeyNotFoundException">Not wanted, not in this architecture, or the model has not been called.</exception>
    public Tensor this[ActivationSite site] => Of(site)[^1];

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
        if (!_values.TryGetValue(site, out List<Tensor>? kept)) _values[site] = kept = [];
        if (!KeepAll)
        {
            kept.ForEach(older => older.Dispose());
            kept.Clear();
        }

        kept.Add(copy);
        return null;
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    private List<Tensor> Of(ActivationSite site) =>
        _values.TryGetValue(site, out List<Tensor>? kept) ? kept : throw new KeyNotFoundException($"Nothing was recorded at {site.Activation} of block {site.Layer}.");
}
