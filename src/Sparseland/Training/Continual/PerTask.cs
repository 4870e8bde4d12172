using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Continual;

/// <summary>A part of a network of which every task has one of its own: norms and heads.</summary>
public interface IPerTask
{
    /// <summary>Number of tasks that have one.</summary>
    int Count { get; }

    /// <summary>The task, from 0, whose part is in use.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The task has none.</exception>
    int Current { get; set; }

    /// <summary>Makes one for the next task, which is then in use.</summary>
    void Add();

    /// <summary>Gives the current one its first values again: those of a new one.</summary>
    void Renew();
}

/// <summary>A module for each task; what passes goes through that of the current one. It begins with one, for the first task.</summary>
/// <typeparam name="TModule">The module, such as BatchNorm2d or Linear.</typeparam>
public sealed class PerTask<TModule> : nn.Module<Tensor, Tensor>, IPerTask
    where TModule : nn.Module<Tensor, Tensor>
{
    private readonly Func<int, TModule> _make;
    private readonly List<TModule> _modules = [];
    private int _current;

    /// <summary>Makes the module of the first task.</summary>
    /// <param name="make">Makes the module of a task, by its number from 0, the same each time.</param>
    public PerTask(Func<int, TModule> make)
        : base(nameof(PerTask<TModule>))
    {
        ArgumentNullException.ThrowIfNull(make);
        _make = make;
        Add();
    }

    /// <inheritdoc/>
    public int Count => _modules.Count;

    /// <inheritdoc/>
    public int Current
    {
        get => _current;
        set => _current = value >= 0 && value < Count ? value : throw new ArgumentOutOfRangeException(nameof(value), value, $"There are modules of {Count} tasks.");
    }

    /// <summary>The module of a task.</summary>
    /// <param name="task">From 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The task has none.</exception>
    public TModule this[int task] => task >= 0 && task < Count ? _modules[task] : throw new ArgumentOutOfRangeException(nameof(task), task, $"There are modules of {Count} tasks.");

    /// <inheritdoc/>
    public void Add()
    {
        TModule module = _make(Count);

        // The module lives as long as this, whatever scope it was made in.
        foreach (TorchSharp.Modules.Parameter parameter in module.parameters()) parameter.DetachFromDisposeScope();
        foreach (Tensor buffer in module.buffers()) buffer.DetachFromDisposeScope();
        register_module($"{Count}", module);
        module.train(training);
        _modules.Add(module);
        _current = Count - 1;
    }

    /// <inheritdoc/>
    public void Renew()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using TModule fresh = _make(_current);
        foreach ((Tensor old, Tensor first) in _modules[_current].parameters().Zip(fresh.parameters())) old.copy_(first);
        foreach ((Tensor old, Tensor first) in _modules[_current].buffers().Zip(fresh.buffers())) old.copy_(first);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input) => _modules[_current].call(input);
}
