using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>Puts an autoencoder into a running model: the value at a place is replaced by its reconstruction.</summary>
/// <remarks>No gradient passes through it.</remarks>
public sealed class Splice : IActivationHook
{
    private readonly SparseAutoencoder _autoencoder;
    private readonly int _skip;

    /// <summary>Names autoencoder and place.</summary>
    /// <param name="autoencoder">The autoencoder; stays the caller's.</param>
    /// <param name="site">The place; its values must be [batch, tokens, d].</param>
    /// <param name="skipFirst">
    /// Tokens at the beginning of each sequence that keep their value: in many models the first has a norm of its own, on which autoencoders
    /// are not trained. They are counted from the beginning of a call, so do not use it with a cache. Default 0.
    /// </param>
    /// <exception cref="ArgumentException">skipFirst is negative.</exception>
    public Splice(SparseAutoencoder autoencoder, ActivationSite site, int skipFirst = 0)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentOutOfRangeException.ThrowIfNegative(skipFirst);
        (_autoencoder, Site, _skip) = (autoencoder, site, skipFirst);
    }

    /// <summary>The place.</summary>
    public ActivationSite Site { get; }

    /// <inheritdoc/>
    public IReadOnlyCollection<ActivationSite> Named => [Site];

    /// <inheritdoc/>
    public bool Wants(ActivationSite site) => site == Site;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The value is not [batch, tokens, d] with the autoencoder's width.</exception>
    /// <exception cref="InvalidDataException">A value is not finite; the message names place, sequence and token.</exception>
    public Tensor Visit(ActivationSite site, Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        return Changed(site, value, _skip, rest =>
        {
            CodeStream.CheckWidth(_autoencoder, rest.shape[2], Name(site), nameof(value));
            using IDisposable off = no_grad();
            Tensor x = rest.reshape(-1, rest.shape[2]).to(CPU).to(_autoencoder.Encoder.dtype);
            if (FiniteRows.FirstBad(x) is { } row)
                throw new InvalidDataException($"{Name(site)} is not finite at token {_skip + (row % rest.shape[1])} of sequence {row / rest.shape[1]}.");

            return _autoencoder.Reconstruct(x).reshape(rest.shape);
        });
    }

    /// <summary>The value with all but its first tokens replaced.</summary>
    internal static Tensor Changed(ActivationSite site, Tensor value, int skip, Func<Tensor, Tensor> replace)
    {
        Tensor rows = SiteRows.Flat(site, value);
        if (rows.dim() != 3)
            throw new ArgumentException($"{Name(site)} is [{string.Join(", ", value.shape)}]; an autoencoder takes places of the shape [batch, tokens, d].", nameof(value));
        long kept = Math.Min(skip, rows.shape[1]);
        if (kept == rows.shape[1]) return value;
        Tensor rest = replace(rows.narrow(1, kept, rows.shape[1] - kept)).to(value.dtype).to(value.device);
        return SiteRows.Shaped(kept == 0 ? rest : cat([rows.narrow(1, 0, kept), rest], 1), value);
    }

    internal static string Name(ActivationSite site) => $"{site.Activation} of block {site.Layer}";
}
