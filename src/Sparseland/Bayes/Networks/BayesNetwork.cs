using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>Quantiles of the deviations of a network's active weights.</summary>
/// <param name="Step">Steps of the training that were done.</param>
/// <param name="Low">5 % quantile.</param>
/// <param name="Median">Median.</param>
/// <param name="High">95 % quantile.</param>
public sealed record SigmaQuantiles(long Step, double Low, double Median, double High);

/// <summary>Networks with layers whose weights are distributions.</summary>
public static class BayesNetwork
{
    /// <summary>Puts a <see cref="BayesLinear"/> in the place of each linear layer and a <see cref="BayesConv2d"/> in that of each convolution (<see cref="LinearSlots.ConvolutionsOf"/>); the layers before are disposed.</summary>
    /// <typeparam name="T">Type of the network.</typeparam>
    /// <param name="network">The network: its weights are the means. It is changed.</param>
    /// <param name="sigma">First deviation of all weights, positive. Default 0.02.</param>
    /// <returns>The network itself.</returns>
    /// <exception cref="ArgumentException">The deviation is not positive and finite, the network has no such layer, or a convolution is padded by other than zeros.</exception>
    public static T Convert<T>(T network, double sigma = 0.02)
        where T : nn.Module
    {
        ArgumentNullException.ThrowIfNull(network);
        Finite.Positive(sigma);
        List<(LinearSlot Slot, BayesLayer Layer)> made = [];
        LinearSlot[] slots = [.. LinearSlots.Of(network).Concat(LinearSlots.ConvolutionsOf(network))];
        var owners = new WeightOwners(network);
        HashSet<nn.Module> seen = new(ReferenceEqualityComparer.Instance);
        foreach (LinearSlot slot in slots)
        {
            Parameter? weight = slot.Module switch { Linear linear => linear.weight, Conv2d convolution => convolution.weight, _ => null };
            if (weight is null) continue;
            if (!seen.Add(slot.Module)) throw new ArgumentException($"{slot.Name} is a layer that stands in another place too; each must have its own.", nameof(network));
            if (owners.Others(weight, slot.Name + ".weight") is { Count: > 0 } others) throw new ArgumentException($"{slot.Name} is tied: its weight is also {string.Join(" and ", others)}.", nameof(network));
        }

        foreach (LinearSlot slot in slots)
        {
            if (slot.Module is Linear linear) made.Add((slot, new BayesLinear(linear, sigma)));
            else if (slot.Module is Conv2d convolution) made.Add((slot, new BayesConv2d(convolution, sigma)));
        }

        if (made.Count == 0) throw new ArgumentException("The network has no linear layer and no convolution that can be replaced.", nameof(network));
        foreach ((LinearSlot slot, BayesLayer layer) in made)
        {
            nn.Module before = slot.Module;
            layer.train(before.training);
            slot.Put(layer);
            before.Dispose();
        }

        return network;
    }

    /// <summary>The layers of normal weights, in the order of the network, with the names of their means.</summary>
    /// <param name="network">The network.</param>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static IReadOnlyList<(string Weight, BayesLayer Layer)> LayersOf(nn.Module network)
    {
        ArgumentNullException.ThrowIfNull(network);
        (string, BayesLayer)[] layers = [.. network.named_modules().DistinctBy(m => m.Item2, ReferenceEqualityComparer.Instance)
            .Where(m => m.Item2 is BayesLayer).Select(m => (m.Item1 + ".weight", (BayesLayer)m.Item2))];
        return layers.Length > 0 ? layers : throw new ArgumentException("The network has no Bayesian layer; make one by BayesNetwork.Convert.", nameof(network));
    }

    /// <summary>KL divergence of all layers (<see cref="BayesLayer.Kl"/>).</summary>
    /// <param name="network">The network.</param>
    /// <param name="prior">Deviation of the prior, positive.</param>
    /// <returns>One Float64 number with gradients; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">The prior is not positive and finite, or there is no Bayesian layer.</exception>
    public static Tensor Kl(nn.Module network, double prior)
    {
        using DisposeScope scope = NewDisposeScope();
        return LayersOf(network).Select(l => l.Layer.Kl(prior)).Aggregate((a, b) => a + b).MoveToOuterDisposeScope();
    }

    /// <summary>Switches the noise of all layers off or on.</summary>
    /// <param name="network">The network.</param>
    /// <param name="deterministic">Whether the means alone are used.</param>
    /// <exception cref="ArgumentException">There is no Bayesian layer.</exception>
    public static void SetDeterministic(nn.Module network, bool deterministic)
    {
        foreach ((_, BayesLayer layer) in LayersOf(network)) layer.Deterministic = deterministic;
    }

    /// <summary>Seeds the noise of each layer by a seed, a number and the layer's name: what a step draws depends on nothing else.</summary>
    /// <param name="network">The network.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="number">The step, or the draw.</param>
    /// <exception cref="ArgumentException">There is no Bayesian layer.</exception>
    public static void SeedNoise(nn.Module network, long seed, long number)
    {
        foreach ((string name, BayesLayer layer) in LayersOf(network))
            layer.SeedNoise((long)SeededRandom.Mix((ulong)seed ^ SeededRandom.Mix((ulong)number ^ SeededRandom.Mix(TopologyContext.NameHash(name)))));
    }

    /// <summary>Hands the layers the masks of their weights.</summary>
    /// <param name="network">The network.</param>
    /// <param name="masks">The masks, by the names of the means; a layer without one is dense.</param>
    /// <exception cref="ArgumentException">A mask has no Bayesian layer, or another shape.</exception>
    public static void SetMasks(nn.Module network, MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(masks);
        IReadOnlyList<(string Weight, BayesLayer Layer)> layers = LayersOf(network);
        if (masks.Names.Except(layers.Select(l => l.Weight)).FirstOrDefault() is { } strange)
            throw new ArgumentException($"{strange} has a mask, but is not the mean of a Bayesian layer; there are {string.Join(", ", layers.Select(l => l.Weight))}.", nameof(masks));
        foreach ((string name, BayesLayer layer) in layers)
        {
            if (masks.Names.Contains(name)) layer.SetMask(masks[name]);
        }
    }

    /// <summary>Means and deviations of all active weights.</summary>
    /// <param name="network">The network.</param>
    /// <returns>Two vectors of Float64 without gradients; the caller disposes both.</returns>
    /// <exception cref="ArgumentException">There is no Bayesian layer.</exception>
    public static (Tensor Mu, Tensor Sigma) Active(nn.Module network)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        IReadOnlyList<(string Weight, BayesLayer Layer)> layers = LayersOf(network);
        Tensor mu = cat([.. layers.Select(l => l.Layer.Mu.detach().masked_select(l.Layer.Mask))]).to(ScalarType.Float64);
        Tensor sigma = cat([.. layers.Select(l => l.Layer.Sigma().masked_select(l.Layer.Mask))]).to(ScalarType.Float64);
        return (mu.MoveToOuterDisposeScope(), sigma.MoveToOuterDisposeScope());
    }

    /// <summary>Quantiles of the deviations of the active weights.</summary>
    /// <param name="network">The network.</param>
    /// <param name="step">The step to note. Default 0.</param>
    /// <exception cref="ArgumentException">There is no Bayesian layer, or no active weight.</exception>
    public static SigmaQuantiles Quantiles(nn.Module network, long step = 0)
    {
        using DisposeScope scope = NewDisposeScope();
        (_, Tensor sigma) = Active(network);
        double[] sorted = [.. sigma.data<double>().ToArray().Order()];
        if (sorted.Length == 0) throw new ArgumentException("The network has no active weight.", nameof(network));
        double At(double share) => sorted[(int)Math.Round(share * (sorted.Length - 1), MidpointRounding.AwayFromZero)];
        return new(step, At(0.05), At(0.5), At(0.95));
    }
}
