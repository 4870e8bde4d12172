using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>
/// |x_j| c_j with c_j the norm of column j of W: the size of what the input adds to the outputs, WINA (Chen et al. 2025, arXiv 2505.19427). If the columns of W are
/// orthogonal, keeping the highest scores leaves the least error of the output of all choices of so many inputs.
/// </summary>
/// <remarks>The error of dropping the set D is |W ((1 - m) x)|^2 = sum over D of (x_j c_j)^2 + sum over pairs of D of x_j x_k W_j . W_k; orthogonal columns make the second sum zero.</remarks>
public sealed record WeightInformedScore : InputScore
{
    /// <summary>Layers that take their norms into account; the others are scored by size alone, as after a rotation that makes only some matrices orthogonal. Default null, all of them.</summary>
    public Func<string, bool>? Layers { get; init; }

    /// <summary>Euclidean norms of the columns of a matrix, summed in float64.</summary>
    /// <param name="weight">W [out, in].</param>
    /// <returns>[in], of the type of W; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">W is no matrix.</exception>
    public static Tensor ColumnNorms(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (weight.dim() != 2) throw new ArgumentException($"weight must be [out, in], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return weight.detach().to(ScalarType.Float64).square().sum([0L]).sqrt().to(weight.dtype).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor? ScaleOf(string layer, Tensor weight) => Layers is null || Layers(layer) ? ColumnNorms(weight) : null;
}
