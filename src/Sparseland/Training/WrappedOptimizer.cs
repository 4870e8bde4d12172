using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>A rule around another one: what it does not say itself is the inner rule's.</summary>
public abstract class WrappedOptimizer : IOptimizer
{
    /// <summary>Wraps a rule; it is disposed with this.</summary>
    /// <exception cref="ArgumentException">The rule has made steps.</exception>
    private protected WrappedOptimizer(IOptimizer inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        if (inner.Count != 0) throw new ArgumentException($"The inner optimizer has made {inner.Count} steps; it must be new.", nameof(inner));
        Inner = inner;
    }

    /// <inheritdoc/>
    public abstract string Name { get; }

    /// <inheritdoc/>
    public virtual IReadOnlyDictionary<string, string> Settings => Inner.Settings;

    /// <inheritdoc/>
    public virtual long Count => Inner.Count;

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => Inner.Parameters;

    /// <inheritdoc/>
    public virtual IReadOnlyDictionary<string, Tensor> State => Inner.State;

    /// <summary>The rule inside.</summary>
    private protected IOptimizer Inner { get; }

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => Inner.MomentsOf(parameter);

    /// <inheritdoc/>
    public virtual void Reset(string parameter) => Inner.Reset(parameter);

    /// <inheritdoc/>
    public abstract void Step(double rate);

    /// <inheritdoc/>
    public virtual void Load(IReadOnlyDictionary<string, Tensor> state, long count) => Inner.Load(state, count);

    /// <inheritdoc/>
    public virtual void CheckState(IReadOnlyDictionary<string, Tensor> state, long count) => Inner.CheckState(state, count);

    /// <summary>Frees the inner rule; the parameters stay.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what belongs to the rule.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> calls.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing) Inner.Dispose();
    }
}
