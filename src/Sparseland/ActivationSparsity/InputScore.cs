using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>
/// What an input of a linear layer y = W x is worth for one token: the size of the input times a number that the layer alone sets. The inputs of the highest scores are
/// kept, and the columns of W that meet the others are not read.
/// </summary>
public abstract record InputScore
{
    /// <summary>The number of each input that its size is multiplied with.</summary>
    /// <param name="layer">Path of the layer.</param>
    /// <param name="weight">W [out, in].</param>
    /// <returns>[in], of the type of W; null where all are one. The caller disposes it.</returns>
    public abstract Tensor? ScaleOf(string layer, Tensor weight);

    /// <summary>Scores of the inputs of some tokens.</summary>
    /// <param name="x">[..., in].</param>
    /// <param name="scale">[in] of <see cref="ScaleOf"/>; null for ones.</param>
    /// <returns>[..., in], not negative; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">The widths differ.</exception>
    public static Tensor Of(Tensor x, Tensor? scale)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (scale is not null && (scale.dim() != 1 || x.dim() == 0 || scale.shape[0] != x.shape[^1]))
            throw new ArgumentException($"scale must be [{(x.dim() == 0 ? 0 : x.shape[^1])}], a number for each input, but is [{string.Join(", ", scale.shape)}].", nameof(scale));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor size = x.detach().abs();
        return (scale is null ? size : size.mul(scale)).MoveToOuterDisposeScope();
    }
}

/// <summary>|x_j|, the size of the input alone: TEAL (Liu et al. 2024, arXiv 2408.14690).</summary>
public sealed record InputMagnitudeScore : InputScore
{
    /// <inheritdoc/>
    public override Tensor? ScaleOf(string layer, Tensor weight) => null;
}
