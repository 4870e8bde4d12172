using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>A mask after the swaps.</summary>
/// <param name="Mask">Bool [out, in]; as many kept weights in each row as before. Dispose it.</param>
/// <param name="ErrorBefore">Expected difference of dense and sparse output of each row, summed over the tokens of a sequence [out].</param>
/// <param name="ErrorAfter">The same after the swaps [out].</param>
/// <param name="Swaps">Swaps made in each row [out].</param>
/// <param name="Trajectories">Expected errors of each row from before the first swap to after the last; empty where they were not asked for.</param>
/// <param name="FlooredVariances">Inputs whose variance was below 1e-12, where the division took 1e-12.</param>
public sealed record DSnoTResult(
    Tensor Mask, IReadOnlyList<double> ErrorBefore, IReadOnlyList<double> ErrorAfter, IReadOnlyList<int> Swaps, IReadOnlyList<IReadOnlyList<double>> Trajectories, int FlooredVariances) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Mask);

    /// <summary>Frees the mask.</summary>
    public void Dispose()
    {
        Mask.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant(
        $"DSnoT: {Swaps.Sum()} swaps in {Swaps.Count} rows, sum of squared expected errors {ErrorBefore.Sum(e => e * e):G3} to {ErrorAfter.Sum(e => e * e):G3}");
}
