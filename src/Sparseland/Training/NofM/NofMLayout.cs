using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.NofM;

/// <summary>
/// Which entries of a weight are neighbours under N:M: the reduction of a product runs over the inputs, so runs of M lie along them; in a convolution along the input channels at each kernel
/// position. Flattening [out, in, kh, kw] would put kernel positions into one run.
/// </summary>
public static class NofMLayout
{
    /// <summary>A convolution's weight as a matrix whose rows have the input channels next to each other.</summary>
    /// <param name="weight">[out, in, kh, kw].</param>
    /// <returns>[out kh kw, in], a copy.</returns>
    /// <exception cref="ArgumentException">Another number of dimensions.</exception>
    public static Tensor ForConvolution(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (weight.dim() != 4) throw new ArgumentException($"A convolution's weight is [out, in, kh, kw], not [{string.Join(", ", weight.shape)}].", nameof(weight));
        using DisposeScope scope = NewDisposeScope();
        return weight.permute(0, 2, 3, 1).contiguous().reshape(-1, weight.shape[1]).MoveToOuterDisposeScope();
    }

    /// <summary>Such a matrix as a convolution's weight again.</summary>
    /// <param name="matrix">[out kh kw, in].</param>
    /// <param name="shape">[out, in, kh, kw].</param>
    /// <returns>Of that shape, contiguous.</returns>
    /// <exception cref="ArgumentException">The numbers do not fit.</exception>
    public static Tensor FromMatrix(Tensor matrix, IReadOnlyList<long> shape)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        ArgumentNullException.ThrowIfNull(shape);
        if (shape.Count != 4 || matrix.dim() != 2 || matrix.shape[1] != shape[1] || matrix.shape[0] != shape[0] * shape[2] * shape[3])
            throw new ArgumentException($"[{string.Join(", ", matrix.shape)}] is no matrix of a convolution's weight [{string.Join(", ", shape)}].", nameof(matrix));
        using DisposeScope scope = NewDisposeScope();
        return matrix.reshape(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>The N highest of every M neighbours along the inputs.</summary>
    /// <param name="scores">[out, in] or [out, in, kh, kw], Float32 or Float64, without NaN; equal ones: the lower index stays.</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run; it must divide the inputs.</param>
    /// <returns>Bool, of the shape of the scores, on their device.</returns>
    /// <exception cref="ArgumentException">The pattern does not fit, or a score is NaN.</exception>
    public static Tensor Mask(Tensor scores, int n, int m) => Along(scores, n, m, inputs: true);

    /// <summary>The N highest of every M neighbours along the outputs: what the product with the transposed weight can use.</summary>
    /// <param name="scores">[out, in] or [out, in, kh, kw].</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run; it must divide the outputs.</param>
    /// <returns>Bool, of the shape of the scores, on their device.</returns>
    /// <exception cref="ArgumentException">The pattern does not fit, or a score is NaN.</exception>
    public static Tensor MaskAlongOutputs(Tensor scores, int n, int m) => Along(scores, n, m, inputs: false);

    private static Tensor Along(Tensor scores, int n, int m, bool inputs)
    {
        ArgumentNullException.ThrowIfNull(scores);
        if (scores.dim() is not (2 or 4)) throw new ArgumentException($"scores must be [out, in] or [out, in, kh, kw], but are [{string.Join(", ", scores.shape)}].", nameof(scores));
        var budget = PruningPattern.NofM(n, m).For(0, 0);
        using DisposeScope scope = NewDisposeScope();
        Tensor turned = inputs ? scores : scores.transpose(0, 1);
        Tensor mask = turned.dim() == 2 ? Select.Mask(turned, budget) : FromMatrix(Select.Mask(ForConvolution(turned), budget), turned.shape);
        return (inputs ? mask : mask.transpose(0, 1).contiguous()).to(scores.device).MoveToOuterDisposeScope();
    }
}
