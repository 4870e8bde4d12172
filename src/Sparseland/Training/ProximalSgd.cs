using System.Globalization;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Groups and what is asked of them.</summary>
/// <param name="Groups">Groups of one layer, or of several under one k.</param>
/// <param name="Regularizer">The penalty on their norms.</param>
public sealed record RegularizedGroups(GroupSpec Groups, IGroupRegularizer Regularizer);

/// <summary>
/// Proximal stochastic gradient descent: theta = prox_{eta pen}(theta - eta m), m = momentum m + gradient. The prox has eta times the
/// strength, so a small step never decides anything at once; and momentum carries the gradient of the loss only, never the shrinkage.
/// </summary>
/// <remarks>
/// Every parameter that is trained is either in a group or named as free: a batch-norm scale that was forgotten would keep its channel
/// alive. The prox runs on one thread, one pass over the parameters for the norms and one to scale them, and is the same bit by
/// bit for a seed; libtorch's gradients are so for one number of threads.
/// </remarks>
public sealed class ProximalSgd : IOptimizer
{
    private readonly SgdOptimizer _gradient;
    private readonly (RegularizedGroups Part, double[] Scales)[] _parts;
    private readonly (string Name, Parameter Parameter)[] _free;

    /// <summary>Sets it up; nothing changes yet.</summary>
    /// <param name="model">The network; its trainable parameters must be on the CPU.</param>
    /// <param name="parts">Groups with their penalties; they must not overlap.</param>
    /// <param name="free">
    /// Names of the parameters without a penalty, or names of modules for all below them: "head" stands for "head.weight" and "head.bias".
    /// </param>
    /// <param name="momentum">From 0 to below 1. Default 0.</param>
    /// <exception cref="ArgumentException">
    /// A number is out of its range; a parameter is neither in a group nor free, or both; groups overlap or are not the model's; a name
    /// is nobody's; k does not fit the groups.
    /// </exception>
    public ProximalSgd(nn.Module model, IReadOnlyList<RegularizedGroups> parts, IReadOnlyList<string> free, double momentum = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(free);
        _free = Match(OptimizerState.Trainable(model), parts, free);
        foreach (RegularizedGroups part in parts) part.Regularizer.Validate(part.Groups.Count);
        _gradient = new SgdOptimizer(model, momentum);
        _parts = [.. parts.Select(part => (part, new double[part.Groups.Count]))];
    }

    /// <inheritdoc/>
    public string Name => "proximal-sgd";

    /// <summary>Share of the last direction that the next one keeps.</summary>
    public double Momentum => _gradient.Momentum;

    /// <summary>Momentum, groups and kinds of penalties.</summary>
    public IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
    {
        [nameof(Momentum)] = Momentum.ToString("R", CultureInfo.InvariantCulture), [nameof(Parts)] = string.Join("; ", Parts.Select(part => $"{part.Groups.Name}, {part.Groups.Count} groups, {part.Regularizer.GetType().Name}")),
    };

    /// <inheritdoc/>
    public long Count => _gradient.Count;

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _gradient.Parameters;

    /// <summary>Groups with their penalties.</summary>
    public IReadOnlyList<RegularizedGroups> Parts => [.. _parts.Select(part => part.Part)];

    /// <summary>Momentum of each parameter by its name.</summary>
    public IReadOnlyDictionary<string, Tensor> State => _gradient.State;

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => _gradient.MomentsOf(parameter);

    /// <inheritdoc/>
    public void Reset(string parameter) => _gradient.Reset(parameter);

    /// <summary>Gradient step, then prox.</summary>
    /// <param name="rate">eta, not negative.</param>
    /// <exception cref="DivergenceException">A parameter is not finite after the gradient step; the message names it. No prox was made.</exception>
    public void Step(double rate)
    {
        GradientStep(rate);
        Prox(rate);
    }

    /// <summary>The gradient step alone: m = momentum m + gradient, theta = theta - eta m. A parameter without a gradient stays.</summary>
    /// <param name="rate">eta, not negative.</param>
    public void GradientStep(double rate)
    {
        _gradient.Step(rate);
    }

    /// <summary>The proximal step alone, prox of eta times each penalty. All norms are looked at before anything is changed.</summary>
    /// <param name="rate">eta, not negative.</param>
    /// <exception cref="DivergenceException">A parameter is not finite; the message names it. Nothing was changed.</exception>
    public void Prox(double rate)
    {
        Finite.NotNegative(rate);
        using DisposeScope scope = NewDisposeScope();
        foreach ((RegularizedGroups part, double[] scales) in _parts)
        {
            part.Groups.Norms(scales);
            for (int j = 0; j < scales.Length; j++)
            {
                if (!double.IsFinite(scales[j])) throw Diverged(part.Groups, j, rate);
            }
        }

        foreach ((string name, Parameter value) in _free)
        {
            if (!TensorInput.IsFinite(value)) throw Diverged(name, "", rate);
        }

        // What a schedule may end with; the prox of nothing changes nothing.
        if (rate == 0) return;
        foreach ((RegularizedGroups part, double[] scales) in _parts)
        {
            part.Regularizer.Scales(scales, rate, scales);
            part.Groups.Scale(scales);
        }
    }

    /// <summary>Sum of the penalties at the parameters as they are.</summary>
    public double Penalty() => _parts.Sum(part => part.Part.Regularizer.Value(part.Part.Groups.Norms()));

    /// <inheritdoc/>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count) => _gradient.Load(state, count);

    /// <summary>Frees the momenta; the network stays.</summary>
    public void Dispose() => _gradient.Dispose();

    /// <summary>Checks that every parameter has one place; gives those of the free ones.</summary>
    private static (string Name, Parameter Parameter)[] Match((string Name, Parameter Parameter)[] all, IReadOnlyList<RegularizedGroups> parts, IReadOnlyList<string> free)
    {
        var owner = new Dictionary<nint, string>();
        foreach (RegularizedGroups part in parts)
        {
            ArgumentNullException.ThrowIfNull(part?.Groups, nameof(parts));
            ArgumentNullException.ThrowIfNull(part.Regularizer, nameof(parts));
            foreach (IGrouping<nint, GroupSlice> slices in part.Groups.Slices.GroupBy(slice => slice.Identity))
            {
                if (!owner.TryAdd(slices.Key, part.Groups.Name))
                    throw new ArgumentException($"{slices.First().Name} is in the groups of {owner[slices.Key]} and of {part.Groups.Name}; groups must not overlap.", nameof(parts));
            }
        }

        foreach (string name in free)
        {
            if (!all.Any(p => IsUnder(p.Name, name)))
                throw new ArgumentException($"No trainable parameter is \"{name}\" or below it; there are {string.Join(", ", all.Select(p => p.Name))}.", nameof(free));
        }

        var places = new List<(string Name, Parameter Parameter)>();
        var lost = new List<string>();
        for (int i = 0; i < all.Length; i++)
        {
            bool isFree = free.Any(name => IsUnder(all[i].Name, name)), isGrouped = owner.Remove(TensorMemory.Identity(all[i].Parameter), out string? group);
            if (isFree && isGrouped) throw new ArgumentException($"{all[i].Name} is free and in the groups of {group}; it can be only one.", nameof(free));
            if (isFree) places.Add(all[i]);
            else if (!isGrouped) lost.Add(all[i].Name);
        }

        if (lost.Count > 0)
            throw new ArgumentException($"{string.Join(", ", lost)}: neither in a group nor free. Put it into a group, or name it in free.", nameof(free));
        if (owner.Count > 0)
            throw new ArgumentException($"The groups of {owner.Values.First()} have a parameter that is not trained in this model.", nameof(parts));
        return [.. places];

        static bool IsUnder(string name, string module) => name == module || name.StartsWith(module + ".", StringComparison.Ordinal);
    }

    private static DivergenceException Diverged(GroupSpec groups, int group, double rate)
    {
        using DisposeScope scope = NewDisposeScope();
        string name = groups.Slices.First(slice => !TensorInput.IsFinite(slice.Parameter)).Name;
        return Diverged(name, $" (group {group} of {groups.Name})", rate);
    }

    private static DivergenceException Diverged(string name, string where, double rate)
        => new($"After the gradient step {name}{where} is not finite; take a learning rate below {rate:G3}.");
}
