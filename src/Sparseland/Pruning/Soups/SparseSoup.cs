using System.Globalization;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Soups;

/// <summary>
/// Averages of networks with the same zeros ("soups", Wortsman et al. 2022; sparse: Zimmer, Spiegel and Pokutta, ICLR 2024): children of one pruned parent share its
/// masks, so their average is as sparse as each of them. Weights are averaged; masks are copied, never averaged.
/// </summary>
public static class SparseSoup
{
    /// <summary>sum_i lambda_i theta_i over parameters and, as a start, batch norm's statistics: recalibrate those before the average is used.</summary>
    /// <param name="networks">At least two, of one make.</param>
    /// <param name="weights">lambda_i, not negative and with the sum 1; null, the default, for 1/m each.</param>
    /// <param name="allowUnion">Whether masks may differ; a weight is then kept where any network keeps it. Default false.</param>
    /// <returns>The average, the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">Fewer than two, networks of different make, weights that are no average, or different masks that were not allowed.</exception>
    public static SparseSnapshot Average(IReadOnlyList<SparseSnapshot> networks, IReadOnlyList<double>? weights = null, bool allowUnion = false)
    {
        CheckNetworks(networks);
        weights ??= [.. networks.Select(_ => 1.0 / networks.Count)];
        if (weights.Count != networks.Count) throw new ArgumentException($"There are {weights.Count} weights for {networks.Count} networks.", nameof(weights));
        for (int i = 0; i < weights.Count; i++)
        {
            if (!(weights[i] >= 0)) throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"Weight {i} is {weights[i]}; the weights of an average are not negative."), nameof(weights));
        }

        if (!(Math.Abs(weights.Sum() - 1) <= 1e-9))
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"The weights have the sum {weights.Sum()}; that of an average is 1."), nameof(weights));
        if (!allowUnion && FirstDifference(networks) is { } name)
        {
            throw new ArgumentException(
                string.Create(CultureInfo.InvariantCulture, $"The masks of {name} differ; the average would have the density {UnionDensity(networks):0.####} in place of {networks[0].Density:0.####}. Say allowUnion if that is wanted."),
                nameof(networks));
        }

        return Combine(networks, weights);
    }

    /// <summary>Density of the union of masks: of the average of networks whose masks differ.</summary>
    /// <param name="networks">At least two, of one make, with masks of the same parameters.</param>
    /// <exception cref="ArgumentException">As for <see cref="Average"/>.</exception>
    public static double UnionDensity(IReadOnlyList<SparseSnapshot> networks)
    {
        CheckNetworks(networks);
        using DisposeScope scope = NewDisposeScope();
        Dictionary<string, Tensor> union = Union(networks);
        return union.Count == 0 ? 1 : (double)union.Values.Sum(MaskSet.TrueIn) / union.Values.Sum(mask => mask.numel());
    }

    /// <summary>
    /// The greedy soup: networks in the order of their validation score; the first is taken, each other one if the uniform average of what is taken and it scores at
    /// least as high as the best so far. Equal scores keep the order given.
    /// </summary>
    /// <param name="networks">At least two, with one set of masks.</param>
    /// <param name="score">From a network to its score on validation data, higher is better. Recalibrate batch norm in it, of all networks alike; never use test data.</param>
    /// <param name="cancel">Checked before each score.</param>
    /// <exception cref="ArgumentException">As for <see cref="Average"/>, or a score is not a number.</exception>
    public static GreedySoup Greedy(IReadOnlyList<SparseSnapshot> networks, Func<SparseSnapshot, double> score, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(score);
        CheckNetworks(networks);
        if (FirstDifference(networks) is { } name) throw new ArgumentException($"The masks of {name} differ; a greedy soup is made of networks with the same zeros.", nameof(networks));
        double[] alone = [.. networks.Select(network => Checked(network))];
        int[] order = [.. Enumerable.Range(0, networks.Count).OrderByDescending(i => alone[i])];
        var chosen = new List<int> { order[0] };
        double best = alone[order[0]];
        SparseSnapshot soup = networks[order[0]].Copy();
        try
        {
            foreach (int next in order.Skip(1))
            {
                SparseSnapshot larger = Average([.. chosen.Append(next).Select(i => networks[i])]), spare = larger;
                try
                {
                    double value = Checked(larger);
                    if (!(value >= best)) continue;
                    (spare, soup, best) = (soup, larger, value);
                    chosen.Add(next);
                }
                finally
                {
                    spare.Dispose();
                }
            }
        }
        catch
        {
            soup.Dispose();
            throw;
        }

        return new(soup, chosen, best, alone);

        double Checked(SparseSnapshot network)
        {
            cancel.ThrowIfCancellationRequested();
            double value = score(network);
            return double.IsNaN(value) ? throw new ArgumentException("A score is NaN.", nameof(score)) : value;
        }
    }

    /// <summary>Any linear combination with the sum 1, also beyond the networks: a point of the line or plane through them. Masks are united.</summary>
    internal static SparseSnapshot Combine(IReadOnlyList<SparseSnapshot> networks, IReadOnlyList<double> weights)
    {
        using IDisposable off = no_grad();
        var state = new Dictionary<string, Tensor>();
        Dictionary<string, Tensor> masks;
        using (DisposeScope scope = NewDisposeScope())
        {
            foreach ((string name, Tensor first) in networks[0].State)
            {
                if (!first.is_floating_point())
                {
                    state[name] = first.clone().DetachFromDisposeScope();
                    continue;
                }

                // In float64 and in the order given: the result does not depend on how the children were made.
                Tensor sum = zeros_like(first, dtype: ScalarType.Float64);
                for (int i = 0; i < networks.Count; i++) sum.add_(networks[i].State[name].to(ScalarType.Float64), alpha: weights[i]);
                state[name] = sum.to(first.dtype).DetachFromDisposeScope();
            }

            masks = Union(networks).ToDictionary(m => m.Key, m => m.Value.DetachFromDisposeScope());
        }

        return new(state, masks, networks[0].Parameters);
    }

    private static Dictionary<string, Tensor> Union(IReadOnlyList<SparseSnapshot> networks) => networks[0].Masks.Keys.Where(name => networks.All(other => other.Masks.ContainsKey(name))).ToDictionary(
        name => name, name => networks.Skip(1).Aggregate(networks[0].Masks[name].clone(), (all, next) => all.logical_or_(next.Masks[name])));

    private static string? FirstDifference(IReadOnlyList<SparseSnapshot> networks)
    {
        using DisposeScope scope = NewDisposeScope();
        return networks[0].Masks.Keys.FirstOrDefault(name => networks.Skip(1).Any(other => other.Masks[name].logical_xor(networks[0].Masks[name]).any().item<bool>()));
    }

    private static void CheckNetworks(IReadOnlyList<SparseSnapshot> networks)
    {
        ArgumentNullException.ThrowIfNull(networks);
        if (networks.Count < 2) throw new ArgumentException($"There is {networks.Count} network; an average needs two.", nameof(networks));
        SparseSnapshot.CheckAlike(networks, nameof(networks));
        foreach (SparseSnapshot other in networks)
        {
            if (networks[0].Masks.Keys.Except(other.Masks.Keys).Concat(other.Masks.Keys.Except(networks[0].Masks.Keys)).FirstOrDefault() is { } strange)
                throw new ArgumentException($"{strange} has a mask in some of the networks only.", nameof(networks));
        }
    }
}

/// <summary>A greedy soup.</summary>
/// <param name="Soup">The average; it belongs to this.</param>
/// <param name="Chosen">Networks that are in it, in the order in which they came.</param>
/// <param name="Score">Its validation score.</param>
/// <param name="Scores">Validation score of each network alone.</param>
public sealed record GreedySoup(SparseSnapshot Soup, IReadOnlyList<int> Chosen, double Score, IReadOnlyList<double> Scores) : IDisposable
{
    /// <summary>Frees the average.</summary>
    public void Dispose() => Soup.Dispose();

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"GreedySoup of {string.Join(", ", Chosen)}, score {Score:0.####}");
}
