using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// The plain mean squared error of hidden states, which <see cref="SquareHead"/> divides by the teacher's mean square: sum over layers of mean((S - T)^2). Layers of
/// large states decide it nearly alone.
/// </summary>
public static class StateError
{
    /// <summary>The loss.</summary>
    /// <param name="states">Student's states, one [batch, tokens, dModel] for each layer.</param>
    /// <param name="targets">Teacher's states, of the same shapes; no gradient is taken.</param>
    /// <param name="tokenMask">True where a token is no padding, Bool [batch, tokens]. Null, the default, where none is padding.</param>
    /// <returns>One number.</returns>
    /// <exception cref="ArgumentException">Numbers of layers or shapes differ, the mask leaves no token, or a teacher's state is not finite (the layer is named).</exception>
    public static Tensor Loss(IReadOnlyList<Tensor> states, IReadOnlyList<Tensor> targets, Tensor? tokenMask = null)
    {
        using DisposeScope scope = NewDisposeScope();
        return PerLayer(states, targets, tokenMask).sum().MoveToOuterDisposeScope();
    }

    /// <summary>The terms of the loss.</summary>
    /// <param name="states">Student's states, one [batch, tokens, dModel] for each layer.</param>
    /// <param name="targets">Teacher's states, of the same shapes; no gradient is taken.</param>
    /// <param name="tokenMask">True where a token is no padding, Bool [batch, tokens]. Null, the default, where none is padding.</param>
    /// <returns>[layers].</returns>
    /// <exception cref="ArgumentException">As for <see cref="Loss"/>.</exception>
    public static Tensor PerLayer(IReadOnlyList<Tensor> states, IReadOnlyList<Tensor> targets, Tensor? tokenMask = null)
    {
        using DisposeScope scope = NewDisposeScope();
        return Each(states, targets, tokenMask, (distance, _) => distance).MoveToOuterDisposeScope();
    }

    /// <summary>How far the states are from the teacher's, in units of the teacher's: ||S - T||^2 / ||T||^2 of each layer. No gradient.</summary>
    /// <param name="states">Student's states, one [batch, tokens, dModel] for each layer.</param>
    /// <param name="targets">Teacher's states, of the same shapes.</param>
    /// <param name="tokenMask">True where a token is no padding, Bool [batch, tokens]. Null, the default, where none is padding.</param>
    /// <returns>[layers]; NaN where the teacher's states are all zero and so are the student's.</returns>
    /// <exception cref="ArgumentException">As for <see cref="Loss"/>.</exception>
    public static IReadOnlyList<double> Relative(IReadOnlyList<Tensor> states, IReadOnlyList<Tensor> targets, Tensor? tokenMask = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor squares = Each(states, targets, tokenMask, (distance, size) => distance / size, wide: true);
        return [.. squares.cpu().data<double>()];
    }

    /// <summary>Of each layer, what a rule makes of mean((S - T)^2) and mean(T^2).</summary>
    /// <remarks>Squares need a wider type than their roots: 16 bits become 32, and float32 float64 where a square overflows, or always if <paramref name="wide"/>.</remarks>
    internal static Tensor Each(IReadOnlyList<Tensor> states, IReadOnlyList<Tensor> targets, Tensor? tokenMask, Func<Tensor, Tensor, Tensor> rule, bool wide = false)
    {
        ArgumentNullException.ThrowIfNull(states);
        ArgumentNullException.ThrowIfNull(targets);
        if (states.Count == 0) throw new ArgumentException("There are no states.", nameof(states));
        if (states.Count != targets.Count) throw new ArgumentException($"The student has {states.Count} states, the teacher {targets.Count}.", nameof(targets));
        var terms = new List<Tensor>();
        for (int layer = 0; layer < states.Count; layer++)
        {
            (Tensor state, Tensor target) = (states[layer], targets[layer]);
            ArgumentNullException.ThrowIfNull(state, nameof(states));
            ArgumentNullException.ThrowIfNull(target, nameof(targets));
            if (state.dim() < 2 || state.numel() == 0) throw new ArgumentException($"State {layer + 1} must be [batch, tokens, dModel] and not empty, but is [{string.Join(", ", state.shape)}].", nameof(states));
            if (!target.shape.SequenceEqual(state.shape))
                throw new ArgumentException($"State {layer + 1} of the teacher is [{string.Join(", ", target.shape)}], the student's [{string.Join(", ", state.shape)}].", nameof(targets));
            (state, target) = (TokenMask.Rows(state, tokenMask, nameof(tokenMask)), TokenMask.Rows(target.detach(), tokenMask, nameof(tokenMask)));
            if (!TensorInput.IsFinite(target)) throw new ArgumentException($"State {layer + 1} of the teacher is not finite.", nameof(targets));
            ScalarType type = wide ? ScalarType.Float64 : state.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : state.dtype;
            (Tensor distance, Tensor size) = Means(type);

            // Both are looked at and not their ratio, which is zero where the size alone overflows.
            if (type == ScalarType.Float32 && !distance.isfinite().logical_and(size.isfinite()).item<bool>()) (distance, size) = Means(ScalarType.Float64);
            terms.Add(rule(distance, size));

            (Tensor Distance, Tensor Size) Means(ScalarType of)
            {
                Tensor own = state.to(of), given = target.to(of);
                return ((own - given).square().mean(), given.square().mean());
            }
        }

        ScalarType widest = terms.Any(term => term.dtype == ScalarType.Float64) ? ScalarType.Float64 : ScalarType.Float32;
        return stack([.. terms.Select(term => term.to(widest))]);
    }
}
