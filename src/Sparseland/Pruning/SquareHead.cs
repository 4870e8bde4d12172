using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// SquareHead (Kurtic, Kuznedelev, Frantar, Goin and Alistarh 2023, arXiv 2310.06927): the squared distance of a student's hidden states to its teacher's, each layer
/// over the teacher's own mean square, so that layers of very different scale weigh alike:
/// sum over layers of mean((S - T)^2) / (mean(T^2) + eps).
/// </summary>
/// <remarks>
/// Means run over all values of all tokens that are not padding; those of the prompt count. The sum is not divided by the number of layers. The gradient goes to the
/// student alone.
/// </remarks>
public static class SquareHead
{
    /// <summary>eps as published: 2^-7, the machine epsilon of bfloat16.</summary>
    public const double PublishedEpsilon = 1.0 / 128;

    /// <summary>The loss.</summary>
    /// <param name="states">Student's states, one [batch, tokens, dModel] for each layer.</param>
    /// <param name="targets">Teacher's states, of the same shapes; no gradient is taken.</param>
    /// <param name="tokenMask">True where a token is no padding, Bool [batch, tokens]; what stands elsewhere is not looked at. Null, the default, where none is padding.</param>
    /// <param name="eps">eps, positive and finite. Default <see cref="PublishedEpsilon"/>.</param>
    /// <returns>One number.</returns>
    /// <exception cref="ArgumentException">Numbers of layers or shapes differ, the mask leaves no token, eps is out of its range, or a teacher's state is not finite (the layer is named).</exception>
    public static Tensor Loss(IReadOnlyList<Tensor> states, IReadOnlyList<Tensor> targets, Tensor? tokenMask = null, double eps = PublishedEpsilon)
    {
        using DisposeScope scope = NewDisposeScope();
        return PerLayer(states, targets, tokenMask, eps).sum().MoveToOuterDisposeScope();
    }

    /// <summary>The terms of the loss.</summary>
    /// <param name="states">Student's states, one [batch, tokens, dModel] for each layer.</param>
    /// <param name="targets">Teacher's states, of the same shapes; no gradient is taken.</param>
    /// <param name="tokenMask">True where a token is no padding, Bool [batch, tokens]. Null, the default, where none is padding.</param>
    /// <param name="eps">eps, positive and finite. Default <see cref="PublishedEpsilon"/>.</param>
    /// <returns>[layers].</returns>
    /// <exception cref="ArgumentException">As for <see cref="Loss"/>.</exception>
    public static Tensor PerLayer(IReadOnlyList<Tensor> states, IReadOnlyList<Tensor> targets, Tensor? tokenMask = null, double eps = PublishedEpsilon)
    {
        Finite.Positive(eps);
        using DisposeScope scope = NewDisposeScope();
        return StateError.Each(states, targets, tokenMask, (distance, size) => distance / (size + eps)).MoveToOuterDisposeScope();
    }
}
