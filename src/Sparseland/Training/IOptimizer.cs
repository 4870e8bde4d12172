using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// A rule from gradients to steps. With the parameters, <see cref="State"/> and <see cref="Count"/> are all the state there is: a training
/// that takes them over goes on as if nothing had happened.
/// </summary>
public interface IOptimizer : IDisposable
{
    /// <summary>Short name of the rule; tensors of a checkpoint begin with it.</summary>
    string Name { get; }

    /// <summary>Settings that decide where a training goes, by name; a checkpoint is taken up only where they are the same.</summary>
    IReadOnlyDictionary<string, string> Settings { get; }

    /// <summary>Steps done.</summary>
    long Count { get; }

    /// <summary>The parameters that are stepped, by name.</summary>
    IEnumerable<(string Name, Parameter Parameter)> Parameters { get; }

    /// <summary>Moments and the like by name. They belong to the optimizer.</summary>
    IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>The moments of one parameter, each of its shape: what must be forgotten where a weight is switched off or begins anew. None for a name it does not step.</summary>
    /// <param name="parameter">Name as in <see cref="Parameters"/>.</param>
    IReadOnlyList<Tensor> MomentsOf(string parameter);

    /// <summary>Forgets what it knows of one parameter: its moments, and where there is a bias correction the steps that it counts for it.</summary>
    /// <param name="parameter">Name as in <see cref="Parameters"/>.</param>
    /// <exception cref="ArgumentException">It does not step such a parameter.</exception>
    void Reset(string parameter);

    /// <summary>One step with the gradients that the parameters hold; a parameter without one stays, unless the rule says otherwise.</summary>
    /// <param name="rate">Learning rate, finite and not negative.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rate is negative or not finite. Nothing has changed.</exception>
    void Step(double rate);

    /// <summary>Takes over moments.</summary>
    /// <param name="state">As <see cref="State"/>.</param>
    /// <param name="count">Steps done.</param>
    /// <exception cref="ArgumentException">Something is missing or has another shape. Nothing has changed.</exception>
    void Load(IReadOnlyDictionary<string, Tensor> state, long count);

    /// <summary>Throws what <see cref="Load"/> would throw, and changes nothing: who loads several rules loads all of them or none. A rule that refuses more than missing names and other shapes says it here.</summary>
    /// <param name="state">As <see cref="State"/>.</param>
    /// <param name="count">Steps done.</param>
    /// <exception cref="ArgumentException">Something is missing, has another shape, or is refused.</exception>
    void CheckState(IReadOnlyDictionary<string, Tensor> state, long count) => OptimizerState.CheckShapes(State, state, count);
}

/// <summary>What optimizers share.</summary>
internal static class OptimizerState
{
    /// <summary>The parameters of a model that require a gradient, with their names.</summary>
    public static (string Name, Parameter Parameter)[] Trainable(nn.Module model) =>
        [.. model.named_parameters().Where(p => p.parameter.requires_grad).Select(p => (p.name, p.parameter))];

    /// <summary>Parameters that a caller named, each once.</summary>
    public static (string Name, Parameter Parameter)[] Checked(IEnumerable<(string Name, Parameter Parameter)> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        (string Name, Parameter Parameter)[] all = [.. parameters];
        if (all.Length == 0) throw new ArgumentException("There is no parameter; there is nothing to train.", nameof(parameters));
        HashSet<string> names = [];
        HashSet<nint> tensors = [];
        foreach ((string name, Parameter parameter) in all)
        {
            ArgumentNullException.ThrowIfNull(parameter, nameof(parameters));
            if (string.IsNullOrEmpty(name)) throw new ArgumentException("A parameter has no name.", nameof(parameters));
            if (!names.Add(name)) throw new ArgumentException($"There are two parameters {name}.", nameof(parameters));
            if (!tensors.Add(TensorMemory.Identity(parameter))) throw new ArgumentException($"{name} is a parameter that stands here under another name too; it would be stepped twice.", nameof(parameters));
            if (!parameter.requires_grad) throw new ArgumentException($"{name} requires no gradient, so there is nothing to step it by.", nameof(parameters));
        }

        return all;
    }

    /// <summary>The error for a name that an optimizer does not step.</summary>
    public static ArgumentException Unknown(string parameter, IEnumerable<(string Name, Parameter Parameter)> parameters) =>
        new($"There is no parameter \"{parameter}\"; there are {string.Join(", ", parameters.Select(p => p.Name))}.", nameof(parameter));

    /// <summary>Zeros the moments of one parameter.</summary>
    public static void Forget(IOptimizer optimizer, string parameter)
    {
        IReadOnlyList<Tensor> moments = optimizer.MomentsOf(parameter);
        if (moments.Count == 0) throw Unknown(parameter, optimizer.Parameters);
        using IDisposable off = no_grad();
        foreach (Tensor moment in moments) moment.zero_();
    }

    /// <summary>Checks the steps of resets in a state before it is taken over.</summary>
    public static void CheckSince(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (!state.TryGetValue("since", out Tensor? since)) return;
        using DisposeScope scope = NewDisposeScope();
        foreach (long step in since.to(ScalarType.Int64).contiguous().data<long>())
        {
            if (step < 0 || step > count) throw new ArgumentException($"The state was reset in step {step} of {count}.", nameof(state));
        }
    }

    /// <summary>Zeros like a parameter that no scope disposes.</summary>
    public static Tensor Zeros(Parameter like)
    {
        using IDisposable off = no_grad();
        return zeros_like(like).DetachFromDisposeScope();
    }

    /// <summary>State of a rule that another one wraps ("inner."), with its number of steps, which is not the wrapper's.</summary>
    public static Dictionary<string, Tensor> OfInner(IOptimizer inner, Tensor steps)
    {
        var state = inner.State.ToDictionary(s => "inner." + s.Key, s => s.Value);
        steps.fill_(inner.Count);
        state["steps"] = steps;
        return state;
    }

    /// <summary>Steps of the wrapped rule in a state of <see cref="OfInner"/>.</summary>
    public static long InnerSteps(IReadOnlyDictionary<string, Tensor> state)
    {
        using DisposeScope scope = NewDisposeScope();
        return state["steps"].to(ScalarType.Int64).item<long>();
    }

    /// <summary>Hands the wrapped rule its part of such a state.</summary>
    public static void LoadInner(IOptimizer inner, IReadOnlyDictionary<string, Tensor> state) => inner.Load(PartOf(inner, "inner.", state), InnerSteps(state));

    /// <summary>Throws where the wrapped rule would refuse its part of such a state, whose names and shapes have been checked.</summary>
    public static void CheckInner(IOptimizer inner, IReadOnlyDictionary<string, Tensor> state) => inner.CheckState(PartOf(inner, "inner.", state), InnerSteps(state));

    /// <summary>The part of a state that belongs to one of several rules.</summary>
    public static Dictionary<string, Tensor> PartOf(IOptimizer rule, string prefix, IReadOnlyDictionary<string, Tensor> state) => rule.State.Keys.ToDictionary(key => key, key => state[prefix + key]);

    /// <summary>Checks that a state has everything in the right shape, then copies it.</summary>
    public static void CopyInto(IReadOnlyDictionary<string, Tensor> own, IReadOnlyDictionary<string, Tensor> state, long count)
    {
        CheckShapes(own, state, count);
        using IDisposable off = no_grad();
        foreach ((string name, Tensor value) in own) value.copy_(state[name]);
    }

    /// <summary>Checks that a state has everything in the right shape.</summary>
    public static void CheckShapes(IReadOnlyDictionary<string, Tensor> own, IReadOnlyDictionary<string, Tensor> state, long count)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        foreach ((string name, Tensor value) in own)
        {
            if (!state.TryGetValue(name, out Tensor? other) || !other.shape.SequenceEqual(value.shape))
                throw new ArgumentException($"The state has no {name} of shape [{string.Join(", ", value.shape)}].", nameof(state));
        }
    }
}
