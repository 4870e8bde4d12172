using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>A layer that learns one task after another; between <see cref="BeginTask"/> and <see cref="EndTask"/> what it has for the present task requires a gradient, and nothing else does.</summary>
public interface IContinualLayer
{
    /// <summary>The layer.</summary>
    nn.Module<Tensor, Tensor> Layer { get; }

    /// <summary>Tasks begun.</summary>
    int Tasks { get; }

    /// <summary>Makes room for a new task.</summary>
    /// <param name="seed">Seed of its first values.</param>
    /// <exception cref="InvalidOperationException">The task before has not ended.</exception>
    void BeginTask(long seed);

    /// <summary>Freezes what the task has learned.</summary>
    /// <exception cref="InvalidOperationException">No task has begun.</exception>
    void EndTask();
}
