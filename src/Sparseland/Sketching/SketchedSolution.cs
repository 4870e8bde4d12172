using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>What became of a sketched regression.</summary>
public enum SketchedStatus
{
    /// <summary>S A has full column rank; the solution is the only one.</summary>
    Solved,

    /// <summary>
    /// S A has lost rank: the sketched problem does not determine x. In statistics this is a failure of the sketch, not a draw to leave out.
    /// </summary>
    RankDeficient,
}

/// <summary>The solution of min ||S A x - S b||.</summary>
/// <param name="X">x' [d]; the shortest of all solutions where the rank is deficient.</param>
/// <param name="Status">Whether x' is determined.</param>
/// <param name="Rank">Rank of S A.</param>
/// <param name="Residual">||S A x' - S b||, which the sketch takes for the residual.</param>
/// <param name="SmallestSingularValue">Of S A; for orthonormal A its distance from 1 is the distortion.</param>
/// <param name="LargestSingularValue">Of S A.</param>
public sealed record SketchedSolution(
    Tensor X, SketchedStatus Status, int Rank, double Residual, double SmallestSingularValue, double LargestSingularValue) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(X);

    /// <inheritdoc/>
    public void Dispose()
    {
        X.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
