using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Modules = TorchSharp.Modules;

namespace Sparseland.Models;

/// <summary>
/// New orders of a network's channels that leave its function as it is: of each space of a <see cref="ChannelGraph"/> the outputs of the writers, their biases, batch norm and depthwise kernels, and the inputs of the readers move
/// together. Sums over inputs are then taken in another order, so that outputs agree up to rounding.
/// </summary>
public sealed class Rearrangement
{
    private readonly int[]?[] _orders;

    private Rearrangement(ChannelGraph graph, Func<ChannelSpace, int[]?> order)
    {
        Graph = graph;
        _orders = [.. graph.Spaces.Select(space => space.IsFixed ? null : order(space))];
    }

    /// <summary>The graph.</summary>
    public ChannelGraph Graph { get; }

    /// <summary>Old channels in their new order, by space; null where the order stays.</summary>
    public IReadOnlyList<IReadOnlyList<int>?> Orders => _orders;

    /// <summary>Whether the network has been rearranged.</summary>
    public bool IsApplied { get; private set; }

    /// <summary>Given orders.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="orders">Old channels in their new order, by the number of a space; spaces without one stay.</param>
    /// <exception cref="ArgumentException">An unknown or fixed space, or an order that is no permutation of its channels.</exception>
    public static Rearrangement Of(ChannelGraph graph, IReadOnlyDictionary<int, int[]> orders)
    {
        ArgumentNullException.ThrowIfNull(graph);
        ArgumentNullException.ThrowIfNull(orders);
        foreach ((int index, int[] order) in orders)
        {
            if (index < 0 || index >= graph.Spaces.Count) throw new ArgumentException($"There is no space {index}; there are {graph.Spaces.Count}.", nameof(orders));
            ChannelSpace space = graph.Spaces[index];
            if (space.IsFixed) throw new ArgumentException($"Space {index} is fixed; its {space.Channels} channels must stay in order.", nameof(orders));
            if (!order.Order().SequenceEqual(Enumerable.Range(0, space.Channels))) throw new ArgumentException($"The order of space {index} is no permutation of its {space.Channels} channels.", nameof(orders));
        }

        return new(graph, space => orders.TryGetValue(space.Index, out int[]? order) ? [.. order] : null);
    }

    /// <summary>A random order of each free space.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="seed">Seed.</param>
    public static Rearrangement Random(ChannelGraph graph, long seed)
    {
        ArgumentNullException.ThrowIfNull(graph);
        return new(graph, space => ChannelOrder.Random(space.Channels, seed + (1_000_003L * space.Index)));
    }

    /// <summary>Channels by descending sum of the absolute weights of their filters, over all writers of a space (Lin et al., arXiv 2105.14713).</summary>
    /// <param name="graph">The graph.</param>
    public static Rearrangement SortByNorm(ChannelGraph graph) => By(graph, ChannelOrder.ByNorm);

    /// <summary>Blocks of N channels whose filters agree; see <see cref="ChannelOrder.Greedy"/>.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="block">N.</param>
    /// <exception cref="ArgumentOutOfRangeException">N is not positive.</exception>
    public static Rearrangement Greedy(ChannelGraph graph, int block)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        return By(graph, weight => ChannelOrder.Greedy(weight, block));
    }

    /// <summary>Moves the channels of the graph's network, in place.</summary>
    /// <exception cref="InvalidOperationException">They have been moved already.</exception>
    public void Apply()
    {
        if (IsApplied) throw new InvalidOperationException("The network has this order already; undo it first.");
        Move(order => order);
        IsApplied = true;
    }

    /// <summary>Moves them back.</summary>
    /// <exception cref="InvalidOperationException">They have not been moved.</exception>
    public void Undo()
    {
        if (!IsApplied) throw new InvalidOperationException("The network does not have this order; there is nothing to undo.");
        Move(order =>
        {
            int[] back = new int[order.Length];
            for (int i = 0; i < order.Length; i++) back[order[i]] = i;
            return back;
        });
        IsApplied = false;
    }

    private static Rearrangement By(ChannelGraph graph, Func<Tensor, int[]> order)
    {
        ArgumentNullException.ThrowIfNull(graph);
        Dictionary<string, Module> modules = graph.Network.named_modules().ToDictionary(m => m.name, m => m.module);
        return new(graph, space =>
        {
            if (space.Writers.Count == 0) return null;
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            return order(cat([.. space.Writers.Select(writer => Weight(modules[writer]).detach().reshape(space.Channels, -1))], 1));
        });
    }

    private void Move(Func<int[], int[]> way)
    {
        Dictionary<string, Module> modules = Graph.Network.named_modules().ToDictionary(m => m.name, m => m.module);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (ChannelSpace space in Graph.Spaces)
        {
            if (_orders[space.Index] is not { } order) continue;
            Tensor to = tensor([.. way(order).Select(i => (long)i)]);
            foreach (string name in space.Writers.Concat(space.Tied))
            {
                foreach (Tensor? part in Rows(modules[name])) part?.copy_(part.index_select(0, to));
            }

            foreach (string name in space.Readers)
            {
                // Behind flatten each channel is a run of inputs.
                Tensor weight = Weight(modules[name]), parted = weight.reshape(weight.shape[0], space.Channels, -1);
                weight.copy_(parted.index_select(1, to).reshape(weight.shape));
            }
        }
    }

    private static Tensor Weight(Module layer) => layer switch
    {
        Conv2d convolution => convolution.weight,
        Linear linear => linear.weight,
        _ => throw new InvalidOperationException($"A {layer.GetType().Name} has no filters."),
    };

    private static Tensor?[] Rows(Module layer) => layer switch
    {
        Conv2d convolution => [convolution.weight, convolution.bias],
        Linear linear => [linear.weight, linear.bias],
        Modules.BatchNorm norm => [norm.weight, norm.bias, norm.running_mean, norm.running_var],
        _ => throw new InvalidOperationException($"A {layer.GetType().Name} has no numbers for channels."),
    };
}
