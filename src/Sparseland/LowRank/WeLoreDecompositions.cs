using Sparseland.IO;
using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// The singular value decompositions of a network's linear layers, made once where several plans are tried: <see cref="WeLore.Apply"/> then cuts the network, or copies of it with the same weights, without
/// decomposing again, and to the same bits.
/// </summary>
/// <remarks>They hold both sides in float64: of a square matrix four times the bytes of float32 weights, with Gram matrices six times.</remarks>
public sealed class WeLoreDecompositions : IDisposable
{
    private readonly Dictionary<string, Parts> _parts = new(StringComparer.Ordinal);
    private NativeSize? _size;

    private WeLoreDecompositions() { }

    /// <summary>Names of the layers, in the order of the network.</summary>
    public IReadOnlyList<string> Names => [.. _parts.Keys];

    /// <summary>Decomposes all linear layers of a network; layers that are no longer linear are passed over.</summary>
    /// <param name="model">The network; it stays as it is.</param>
    /// <param name="grams">Gram matrices of the layers' inputs by name, for <see cref="ActivationAwareSvd"/>; null, the default, for the plain decomposition.</param>
    /// <param name="damping">Damping of the Gram matrices, above 0. Default 1e-6.</param>
    /// <param name="progress">Matrices done.</param>
    /// <param name="cancel">Checked between matrices.</param>
    /// <exception cref="ArgumentException">There is no linear layer, or one has NaN or infinity, or no Gram matrix that fits; it is named.</exception>
    public static WeLoreDecompositions Of(
        nn.Module model, IReadOnlyDictionary<string, Tensor>? grams = null, double damping = 1e-6, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        Finite.Positive(damping);
        (string Name, Linear Layer)[] layers = [.. LinearSlots.Of(model).Where(s => s.Module is Linear).Select(s => (s.Name, (Linear)s.Module))];
        if (layers.Length == 0) throw new ArgumentException("The network has no linear layer.", nameof(model));
        if (grams is not null && layers.FirstOrDefault(l => !grams.ContainsKey(l.Name)) is { Name: { } bare }) throw new ArgumentException($"There is no Gram matrix of {bare}.", nameof(grams));
        var all = new WeLoreDecompositions();
        try
        {
            foreach ((string name, Linear layer) in layers)
            {
                cancel.ThrowIfCancellationRequested();
                all._parts[name] = Parts.Of(layer.weight!, grams?[name], damping, name);
                progress?.Report(new(all._parts.Count, layers.Length, name));
            }
        }
        catch
        {
            all.Dispose();
            throw;
        }

        all._size = NativeSize.Of(all._parts.Values.SelectMany(p => p.Tensors));
        return all;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor one in _parts.Values.SelectMany(p => p.Tensors)) one.Dispose();
        _parts.Clear();
        _size?.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"WeLoreDecompositions of {_parts.Count} matrices";

    /// <summary>Throws unless these are a layer's.</summary>
    internal void Check(string name, Tensor weight)
    {
        if (!_parts.TryGetValue(name, out Parts? parts)) throw new ArgumentException($"There is no decomposition of {name}; there are {string.Join(", ", Names)}.", "decompositions");
        if (parts.Hash != TensorHash.Of(weight)) throw new ArgumentException($"The decomposition of {name} is of another weight: the network is another one, or was changed since.", "decompositions");
    }

    internal FactorPair Cut(string name, Tensor weight, int rank) => _parts[name].Cut(weight, rank);

    private sealed record Parts(string Hash, Tensor U, Tensor S, Tensor Vt, Tensor? L, PowerOfTwoScale Scale)
    {
        public IEnumerable<Tensor> Tensors => new[] { U, S, Vt, L }.OfType<Tensor>();

        public static Parts Of(Tensor weight, Tensor? gram, double damping, string name)
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            Tensor wide = Decomposition.Wide(weight, nameof(weight), name);
            Tensor? L = gram is null ? null : ActivationAwareSvd.WhiteningOf(gram, weight, damping, name);
            (Tensor u, Tensor s, Tensor vt, PowerOfTwoScale scale) = L is null ? Plain(Decomposition.Svd(wide, nameof(weight), name)) : ActivationAwareSvd.Decompose(wide, L, name);
            return new(TensorHash.Of(weight), u.DetachFromDisposeScope(), s.DetachFromDisposeScope(), vt.DetachFromDisposeScope(), L?.DetachFromDisposeScope(), scale);
        }

        public FactorPair Cut(Tensor like, int rank)
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            return L is null ? TruncatedSvd.Split(U, S, Vt, rank, like) : ActivationAwareSvd.Cut((U, S, Vt, Scale), y => ActivationAwareSvd.Unwhiten(L, y), rank, like);
        }

        private static (Tensor, Tensor, Tensor, PowerOfTwoScale) Plain((Tensor U, Tensor S, Tensor Vt) parts) => (parts.U, parts.S, parts.Vt, new(0));
    }
}
