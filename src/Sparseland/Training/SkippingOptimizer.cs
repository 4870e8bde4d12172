using TorchSharp;
using TorchSharp.Modules;
using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Steps without any gradient are left out: they count, so that the batches go on, but the rule inside does not hear of them. Its moments and the step count of its
/// bias correction stay as if the step had never been.
/// </summary>
public sealed class SkippingOptimizer : IOptimizer
{
    private readonly IOptimizer _inner;
    private readonly Tensor _steps = zeros(1, dtype: ScalarType.Int64).DetachFromDisposeScope();
    private readonly NativeSize _size;

    /// <summary>Wraps a rule.</summary>
    /// <param name="inner">A new one; it is disposed with this.</param>
    /// <exception cref="ArgumentException">The rule has made steps.</exception>
    public SkippingOptimizer(IOptimizer inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        if (inner.Count != 0) throw new ArgumentException($"The inner optimizer has made {inner.Count} steps; it must be new.", nameof(inner));
        (_inner, _size) = (inner, NativeSize.Of(_steps));
    }

    /// <inheritdoc/>
    public string Name => "skipping-" + _inner.Name;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> Settings => _inner.Settings;

    /// <summary>Steps asked for, those that were left out too.</summary>
    public long Count { get; private set; }

    /// <summary>Steps left out.</summary>
    public long Skipped => Count - _inner.Count;

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _inner.Parameters;

    /// <summary>State of the inner rule ("inner.") and its number of steps.</summary>
    public IReadOnlyDictionary<string, Tensor> State => OptimizerState.OfInner(_inner, _steps);

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => _inner.MomentsOf(parameter);

    /// <inheritdoc/>
    public void Reset(string parameter) => _inner.Reset(parameter);

    /// <inheritdoc/>
    public void Step(double rate)
    {
        if (_inner.Parameters.Any(p => HasGradient(p.Parameter))) _inner.Step(rate);
        Count++;

        static bool HasGradient(Parameter parameter)
        {
            using Tensor? gradient = parameter.grad;
            return gradient is not null;
        }
    }

    /// <inheritdoc/>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        OptimizerState.CopyInto(State, state, count);
        long steps = OptimizerState.InnerSteps(state);
        if (steps < 0 || steps > count) throw new ArgumentException($"The state has made {steps} steps of {count}.", nameof(state));
        OptimizerState.LoadInner(_inner, state);
        Count = count;
    }

    /// <summary>Frees the inner rule; the parameters stay.</summary>
    public void Dispose()
    {
        _inner.Dispose();
        _steps.Dispose();
        _size.Dispose();
    }
}
