using TorchSharp;
using TorchSharp.Modules;
using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Steps without any gradient are left out: they count, so that the batches go on, but the rule inside does not hear of them. Its moments and the step count of its
/// bias correction stay as if the step had never been.
/// </summary>
public sealed class SkippingOptimizer : WrappedOptimizer
{
    private readonly Tensor _steps = zeros(1, dtype: ScalarType.Int64).DetachFromDisposeScope();
    private readonly NativeSize _size;
    private long _count;

    /// <summary>Wraps a rule.</summary>
    /// <param name="inner">A new one; it is disposed with this.</param>
    /// <exception cref="ArgumentException">The rule has made steps.</exception>
    public SkippingOptimizer(IOptimizer inner)
        : base(inner)
    {
        _size = NativeSize.Of(_steps);
    }

    /// <inheritdoc/>
    public override string Name => "skipping-" + Inner.Name;

    /// <summary>Steps asked for, those that were left out too.</summary>
    public override long Count => _count;

    /// <summary>Steps left out.</summary>
    public long Skipped => Count - Inner.Count;

    /// <summary>State of the inner rule ("inner.") and its number of steps.</summary>
    public override IReadOnlyDictionary<string, Tensor> State => OptimizerState.OfInner(Inner, _steps);

    /// <inheritdoc/>
    public override void Step(double rate)
    {
        // The rule inside looks at it only where there is a gradient.
        Finite.NotNegative(rate);
        if (Inner.Parameters.Any(p => HasGradient(p.Parameter))) Inner.Step(rate);
        _count++;

        static bool HasGradient(Parameter parameter)
        {
            using Tensor? gradient = parameter.grad;
            return gradient is not null;
        }
    }

    /// <inheritdoc/>
    public override void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        CheckState(state, count);
        OptimizerState.LoadInner(Inner, state);
        _count = count;
    }

    /// <inheritdoc/>
    public override void CheckState(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        OptimizerState.CheckShapes(State, state, count);
        long steps = OptimizerState.InnerSteps(state);
        if (steps < 0 || steps > count) throw new ArgumentException($"The state has made {steps} steps of {count}.", nameof(state));
        OptimizerState.CheckInner(Inner, state);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (!disposing) return;
        _steps.Dispose();
        _size.Dispose();
    }
}
