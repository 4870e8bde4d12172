using System.Globalization;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>A part of a network with an optimizer and a rate of its own.</summary>
/// <param name="Name">Short name, each once.</param>
/// <param name="Optimizer">A new one of the part's parameters (<see cref="AdamWOptimizer(IEnumerable{ValueTuple{string, Parameter}}, double, double, double, double, bool)"/>).</param>
/// <param name="RateFactor">What the rate of each step is multiplied by, finite and not negative. Default 1.</param>
public sealed record ParameterGroup(string Name, IOptimizer Optimizer, double RateFactor = 1);

/// <summary>Several optimizers of disjoint parameters as one: each part of a network has its own rule, its own decay and its own share of the learning rate.</summary>
public sealed class ParameterGroups : IOptimizer
{
    private readonly ParameterGroup[] _groups;

    /// <summary>Joins the groups; their optimizers are disposed with this.</summary>
    /// <param name="groups">At least one.</param>
    /// <exception cref="ArgumentException">No group, a name, a parameter's name or a parameter twice, a factor out of its range, or an optimizer that has made steps.</exception>
    public ParameterGroups(params IReadOnlyList<ParameterGroup> groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        if (groups.Count == 0) throw new ArgumentException("There is no group; there is nothing to train.", nameof(groups));
        HashSet<string> names = [];
        foreach (ParameterGroup group in groups)
        {
            ArgumentNullException.ThrowIfNull(group, nameof(groups));
            ArgumentNullException.ThrowIfNull(group.Optimizer, nameof(groups));
            if (string.IsNullOrEmpty(group.Name) || group.Name.Contains('.', StringComparison.Ordinal) || !names.Add(group.Name))
                throw new ArgumentException($"\"{group.Name}\" must be a name without dots, and each group's own.", nameof(groups));
            if (!(group.RateFactor >= 0 && double.IsFinite(group.RateFactor)))
                throw new ArgumentOutOfRangeException(nameof(groups), group.RateFactor, $"The factor of {group.Name} must be finite and not negative.");
            if (group.Optimizer.Count != 0) throw new ArgumentException($"The optimizer of {group.Name} has made {group.Optimizer.Count} steps; it must be new.", nameof(groups));
        }

        OptimizerState.Checked(groups.SelectMany(g => g.Optimizer.Parameters));
        _groups = [.. groups];
    }

    /// <inheritdoc/>
    public string Name => "groups";

    /// <summary>The groups.</summary>
    public IReadOnlyList<ParameterGroup> Groups => _groups;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> Settings => _groups.SelectMany(g => g.Optimizer.Settings.Select(s => KeyValuePair.Create($"{g.Name}.{s.Key}", s.Value))
        .Append(KeyValuePair.Create($"{g.Name}.{nameof(g.RateFactor)}", g.RateFactor.ToString("R", CultureInfo.InvariantCulture)))
        .Append(KeyValuePair.Create($"{g.Name}.Optimizer", g.Optimizer.Name))).ToDictionary();

    /// <inheritdoc/>
    public long Count { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _groups.SelectMany(g => g.Optimizer.Parameters);

    /// <summary>State of all groups, "GROUP.NAME".</summary>
    public IReadOnlyDictionary<string, Tensor> State => _groups.SelectMany(g => g.Optimizer.State.Select(s => KeyValuePair.Create($"{g.Name}.{s.Key}", s.Value))).ToDictionary();

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => [.. _groups.SelectMany(g => g.Optimizer.MomentsOf(parameter))];

    /// <inheritdoc/>
    public void Reset(string parameter) => (_groups.FirstOrDefault(g => g.Optimizer.Parameters.Any(p => p.Name == parameter)) ?? throw OptimizerState.Unknown(parameter, Parameters)).Optimizer.Reset(parameter);

    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException">The rate, alone or times a group's factor, is negative or not finite. No group has been stepped.</exception>
    public void Step(double rate)
    {
        Finite.NotNegative(rate);
        foreach (ParameterGroup group in _groups)
        {
            if (!double.IsFinite(rate * group.RateFactor)) throw new ArgumentOutOfRangeException(nameof(rate), rate, $"rate times {group.RateFactor}, the factor of {group.Name}, must be finite.");
        }

        foreach (ParameterGroup group in _groups) group.Optimizer.Step(rate * group.RateFactor);
        Count++;
    }

    /// <summary>Takes over the moments of all groups, or of none.</summary>
    /// <param name="state">As <see cref="State"/>.</param>
    /// <param name="count">Steps done.</param>
    /// <exception cref="ArgumentException">Something is missing, has another shape, or is refused by a group's rule. Nothing has changed.</exception>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        CheckState(state, count);
        foreach (ParameterGroup group in _groups) group.Optimizer.Load(PartOf(group, state), count);
        Count = count;
    }

    /// <inheritdoc/>
    public void CheckState(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        OptimizerState.CheckShapes(State, state, count);
        foreach (ParameterGroup group in _groups) group.Optimizer.CheckState(PartOf(group, state), count);
    }

    /// <summary>Frees the optimizers; the parameters stay.</summary>
    public void Dispose()
    {
        foreach (ParameterGroup group in _groups) group.Optimizer.Dispose();
    }

    private static Dictionary<string, Tensor> PartOf(ParameterGroup group, IReadOnlyDictionary<string, Tensor> state) => OptimizerState.PartOf(group.Optimizer, group.Name + ".", state);
}
