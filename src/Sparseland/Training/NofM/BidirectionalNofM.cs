using Sparseland.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.NofM;

/// <summary>
/// A network some of whose layers are trained with N:M masks in both directions (BDWP; Fang et al. 2024), or in one of them. The optimizer owns the dense weights; both masks are chosen anew from them in
/// each step. What is deployed is the forward mask's weight alone: <see cref="Harden"/>.
/// </summary>
/// <remarks>
/// Without kernels for N:M this is a simulation by masked dense products, slower than dense training. Convolutions have their input gradient from a second convolution; SDGP is of linear layers only.
/// </remarks>
public sealed class BidirectionalNofM : IDisposable
{
    private readonly IReadOnlyList<ReplacedLayer> _replaced;
    private bool _left;

    private BidirectionalNofM(nn.Module module, IReadOnlyList<ReplacedLayer> replaced, PrunedProducts products, int n, int m) => (Module, _replaced, Products, N, M) = (module, replaced, products, n, m);

    /// <summary>The network; it is the caller's.</summary>
    public nn.Module Module { get; }

    /// <summary>What is pruned.</summary>
    public PrunedProducts Products { get; }

    /// <summary>Kept of a run.</summary>
    public int N { get; }

    /// <summary>Length of a run.</summary>
    public int M { get; }

    /// <summary>Names and layers, in the order of the network.</summary>
    public IReadOnlyList<(string Name, EffectiveWeight Layer)> Layers => [.. _replaced.Select(r => (r.Slot.Name, (EffectiveWeight)r.After))];

    /// <summary>Puts such layers into a network.</summary>
    /// <param name="module">The network.</param>
    /// <param name="layers">Which linear layers and convolutions, by name; null for all that the pattern fits, but the first and the last.</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run; it must divide the inputs and the outputs of the layers.</param>
    /// <param name="products">What is pruned.</param>
    /// <param name="options">Settings; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">
    /// No layer is named, a run does not fit (layer and axis are named), the first or the last layer is named without <see cref="BidirectionalOptions.Force"/>, one has been attached before, is tied,
    /// is a convolution in groups, or a convolution for SDGP. Nothing has changed then.
    /// </exception>
    public static BidirectionalNofM Attach(nn.Module module, Func<string, bool>? layers, int n, int m, PrunedProducts products, BidirectionalOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        _ = PruningPattern.NofM(n, m);
        BidirectionalOptions settings = options ?? new();
        settings.Validate();
        if (!Enum.IsDefined(products)) throw new ArgumentOutOfRangeException(nameof(products), products, "There are no such products.");
        HashSet<string> prunable = [.. PrunableWeights.Names(module)];
        // Modules are named level by level, so that the last of them is no head in a nested network; parameters come in order.
        string[] order = [.. module.named_parameters().Select(p => p.name).Where(prunable.Contains)];
        int stream = 0;
        IReadOnlyList<ReplacedLayer> replaced = EffectiveWeight.Attach(module, (name, weight) =>
        {
            bool edge = name + ".weight" is var full && (full == order[0] || full == order[^1]);
            if (layers is null ? edge && !settings.Force : !layers(name)) return null;
            if (edge && !settings.Force) throw new ArgumentException($"{name} is the {(name + ".weight" == order[0] ? "first" : "last")} layer of the network, which stays dense; set {nameof(BidirectionalOptions.Force)} to prune it.", nameof(layers));
            foreach ((string axis, long length) in new[] { ("inputs", weight.shape[1]), ("outputs", weight.shape[0]) })
            {
                if (length % m == 0) continue;
                if (layers is null) return null;
                throw new ArgumentException($"{name} has {length} {axis}, which {m} does not divide.", nameof(m));
            }

            if (weight.dim() == 4 && products == PrunedProducts.BackwardGradient) throw new ArgumentException($"{name} is a convolution; pruned output gradients are known for linear layers.", nameof(layers));
            return new BidirectionalRule(n, m, products, settings, stream++);
        });
        return new(module, replaced, products, n, m);
    }

    /// <summary>Puts ordinary layers with W_FF as their weights back: what is deployed. Nothing of the masks along the outputs remains.</summary>
    /// <returns>The masks; dispose them. All of a layer is kept where the forward product is dense.</returns>
    /// <exception cref="ObjectDisposedException">Hardened or disposed before.</exception>
    public MaskSet Harden()
    {
        ObjectDisposedException.ThrowIf(_left, this);
        _left = true;
        return EffectiveWeight.Harden(Module, _replaced);
    }

    /// <summary>Puts the layers back with their dense weights, if the network was not hardened.</summary>
    public void Dispose()
    {
        if (_left) return;
        _left = true;
        EffectiveWeight.Leave(_replaced);
    }

    /// <inheritdoc/>
    public override string ToString() => $"BidirectionalNofM of {_replaced.Count} layers, {Products} {N}:{M}";
}
