using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Budgets that move between layers (SNFS, Dettmers and Zettlemoyer 2019): what all layers drop grows in proportion to the mean size of the averaged gradient at each
/// layer's active places; what finds no place in a full layer goes to the others.
/// </summary>
internal static class Redistribution
{
    /// <summary>The same drops, with other numbers to grow and the same total.</summary>
    public static List<(TopologyContext Layer, long Dropped, long Grown)> Of(IReadOnlyList<(TopologyContext Layer, long Dropped, long Grown)> layers)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long left = layers.Sum(l => l.Dropped);
        double[] weights = [.. layers.Select(l => Size(l.Layer))];
        long[] rooms = [.. layers.Select(l => MaskSet.TrueIn(Room(l.Layer)) + l.Dropped)];
        long[] grown = [.. layers.Select((l, i) => Math.Min(rooms[i], l.Dropped > 0 && MaskSet.TrueIn(l.Mask()) == l.Dropped ? 1 : 0))];
        left -= grown.Sum();
        while (left > 0)
        {
            int[] open = [.. Enumerable.Range(0, layers.Count).Where(i => grown[i] < rooms[i])];
            double total = open.Sum(i => weights[i]);
            double[] shares = [.. open.Select(i => total > 0 ? left * weights[i] / total : (double)left / open.Length)];
            long[] more = [.. open.Select((i, at) => Math.Min(rooms[i] - grown[i], (long)Math.Floor(shares[at])))];
            if (more.Sum() == 0)
            {
                // Fewer are left than layers: one each, the largest shares first, the earlier layer where equal.
                foreach (int at in Enumerable.Range(0, open.Length).OrderByDescending(j => shares[j]).Take((int)Math.Min(left, open.Length))) more[at] = 1;
            }

            for (int at = 0; at < open.Length; at++) grown[open[at]] += more[at];
            left -= more.Sum();
        }

        return [.. layers.Select((l, i) => (l.Layer, l.Dropped, grown[i]))];
    }

    private static double Size(TopologyContext layer)
    {
        Tensor active = layer.AverageFor("redistribution").abs().masked_select(layer.Mask);
        return active.numel() == 0 ? 0 : active.to(ScalarType.Float64).mean().item<double>();
    }

    private static Tensor Mask(this (TopologyContext Layer, long Dropped, long Grown) layer) => layer.Layer.Mask;

    private static Tensor Room(TopologyContext layer) => layer.Allowed is null ? layer.Mask.logical_not() : layer.Mask.logical_not().logical_and(layer.Allowed);
}
