using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Activations of some tokens, and gradients of the model's loss at them where wanted.</summary>
/// <param name="Activations">[tokens, d], Float32 or Float64, on the CPU.</param>
/// <param name="Gradients">[tokens, d] in the same order, likewise; null for none.</param>
public readonly record struct ActivationRows(Tensor Activations, Tensor? Gradients = null);

/// <summary>Where activations come from, a window of neighbouring tokens at a time.</summary>
public interface IActivationSource
{
    /// <summary>What the activations are of, in one line; a checkpoint keeps it.</summary>
    string Description { get; }

    /// <summary>d.</summary>
    int Width { get; }

    /// <summary>Number of windows.</summary>
    int Windows { get; }

    /// <summary>Tokens that each window gives.</summary>
    int TokensPerWindow { get; }

    /// <summary>Whether gradients come with the activations.</summary>
    bool HasGradients { get; }

    /// <summary>Activations of some windows, one after the other, <see cref="TokensPerWindow"/> rows of each, with gradients where <see cref="HasGradients"/> says so; the tensors belong to the caller.</summary>
    /// <param name="windows">Numbers of windows, from 0 to <see cref="Windows"/> - 1.</param>
    /// <param name="cancel">Looked at within a tenth of a second.</param>
    ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel);
}
