using Sparseland.Tensors;
using System.Globalization;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form): m = momentum m + gradient + lambda theta, theta =
/// theta - rate m; Nesterov's variant steps along gradient + lambda theta + momentum m.
/// </summary>
public sealed class SgdOptimizer : IOptimizer
{
    private readonly (string Name, Parameter Value, Tensor Momentum)[] _slots;
    private readonly NativeSize _size;

    /// <summary>Prepares the momenta, all zero.</summary>
    /// <param name="model">Its parameters that require a gradient are stepped.</param>
    /// <param name="momentum">Share of the last direction that the next one keeps, from 0 to below 1. Default 0.</param>
    /// <param name="weightDecay">lambda, on all parameters; not negative. Default 0.</param>
    /// <param name="nesterov">Nesterov's variant; it needs a momentum. Default false.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the model has no parameter that requires a gradient.</exception>
    public SgdOptimizer(nn.Module model, double momentum = 0, double weightDecay = 0, bool nesterov = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!(momentum >= 0 && momentum < 1)) throw new ArgumentOutOfRangeException(nameof(momentum), momentum, "momentum must be from 0 to below 1.");
        Finite.NotNegative(weightDecay);
        if (nesterov && momentum == 0) throw new ArgumentException("Nesterov's variant needs a momentum above 0.", nameof(nesterov));
        (Momentum, WeightDecay, Nesterov) = (momentum, weightDecay, nesterov);
        _slots = [.. OptimizerState.Trainable(model).Select(p => (p.Name, p.Parameter, OptimizerState.Zeros(p.Parameter)))];
        if (_slots.Length == 0) throw new ArgumentException("The model has no parameter that requires a gradient; there is nothing to train.", nameof(model));
        _size = NativeSize.Of(_slots.Select(slot => slot.Momentum));
    }

    /// <inheritdoc/>
    public string Name => "sgd";

    /// <summary>Share of the last direction that the next one keeps.</summary>
    public double Momentum { get; }

    /// <summary>lambda.</summary>
    public double WeightDecay { get; }

    /// <summary>Whether it looks ahead.</summary>
    public bool Nesterov { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
    {
        [nameof(Momentum)] = Momentum.ToString("R", CultureInfo.InvariantCulture), [nameof(WeightDecay)] = WeightDecay.ToString("R", CultureInfo.InvariantCulture), [nameof(Nesterov)] = Nesterov.ToString(),
    };

    /// <inheritdoc/>
    public long Count { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _slots.Select(s => (s.Name, s.Value));

    /// <summary>Momentum of each parameter by its name.</summary>
    public IReadOnlyDictionary<string, Tensor> State => _slots.ToDictionary(s => s.Name, s => s.Momentum);

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => [.. _slots.Where(s => s.Name == parameter).Select(s => s.Momentum)];

    /// <inheritdoc/>
    public void Reset(string parameter) => OptimizerState.Forget(this, parameter);

    /// <inheritdoc/>
    public void Step(double rate)
    {
        Finite.NotNegative(rate);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Count++;
        foreach ((_, Parameter value, Tensor momentum) in _slots)
        {
            if (value.grad is not { } gradient) continue;
            Tensor direction = WeightDecay == 0 ? gradient : gradient.add(value, alpha: WeightDecay);
            if (Momentum > 0)
            {
                momentum.mul_(Momentum).add_(direction);
                direction = Nesterov ? direction.add(momentum, alpha: Momentum) : momentum;
            }

            value.add_(direction, alpha: -rate);
        }
    }

    /// <inheritdoc/>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        OptimizerState.CopyInto(State, state, count);
        Count = count;
    }

    /// <summary>Frees the momenta; the parameters stay.</summary>
    public void Dispose()
    {
        foreach ((_, _, Tensor momentum) in _slots) momentum.Dispose();
        _size.Dispose();
    }
}
