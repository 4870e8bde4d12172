using TorchSharp;

namespace Sparseland.Coding;

/// <summary><see cref="BatchOmp"/> with k atoms per sample, as a coder for dictionary learning.</summary>
/// <param name="atomsPerSample">k, at least 1.</param>
/// <exception cref="ArgumentOutOfRangeException">k is not positive.</exception>
public sealed class OmpCoder(int atomsPerSample) : ISparseCoder
{
    /// <summary>k.</summary>
    public int AtomsPerSample { get; } = atomsPerSample >= 1
        ? atomsPerSample
        : throw new ArgumentOutOfRangeException(nameof(atomsPerSample), atomsPerSample, "atomsPerSample must be at least 1.");

    /// <inheritdoc/>
    public string Name => $"OMP, {AtomsPerSample} atoms";

    /// <inheritdoc/>
    public torch.Tensor Codes(torch.Tensor X, torch.Tensor dictionary, torch.Tensor? initial = null, CancellationToken cancel = default)
    {
        using PursuitResult result = BatchOmp.Encode(X, dictionary, AtomsPerSample, cancel);
        return result.ToDense();
    }

    /// <inheritdoc/>
    public double PenaltyOf(torch.Tensor codes) => 0;
}
