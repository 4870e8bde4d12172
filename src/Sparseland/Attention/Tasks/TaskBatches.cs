using Sparseland.Training;
using TorchSharp;

namespace Sparseland.Attention.Tasks;

/// <summary>Fresh sequences for each step of a training: none comes twice.</summary>
/// <param name="options">Sizes.</param>
/// <param name="batch">Sequences of a mini-batch, positive.</param>
/// <param name="seed">Seed. Default 1.</param>
public sealed class TaskBatches(TaskOptions options, int batch, long seed = 1) : IBatchSource
{
    /// <inheritdoc/>
    public string Description => $"task sequences of {options.Tokens}, {batch} a batch, seed {seed}";

    /// <inheritdoc/>
    public Batch At(long index)
    {
        // The sequences' own seeds must not meet those of another mini-batch or of a test.
        using TaskSequences sequences = TaskSequences.Generate(batch, options, unchecked((seed * 1_000_003) + (index * 7_919) + 500_000_000));
        return new(sequences.Ids.clone(), sequences.Targets.clone());
    }
}
