using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// The factor that optimal brain surgery needs of a layer's inputs: U, upper triangular, with (H + damping mean(diag H) I)^-1 = U^T U and H = (2/n) X^T X. It is
/// shared by all rows of a layer and by all layers of one input (Frantar and Alistarh 2023).
/// </summary>
public sealed class ObsFactor : IDisposable
{
    /// <summary>Four times the distance from 1 to the next float32.</summary>
    private const double Resolution = 4.8e-7;

    private readonly NativeSize _size;

    private ObsFactor(Tensor upper, int[] dead, double damping)
    {
        (Upper, Dead, Damping) = (upper.DetachFromDisposeScope(), dead, damping);
        Diagonal = Upper.diagonal().contiguous().data<double>().ToArray();
        _size = NativeSize.Of(Upper);
    }

    /// <summary>U [in, in], float64.</summary>
    public Tensor Upper { get; }

    /// <summary>Diagonal of U [in], positive.</summary>
    public IReadOnlyList<double> Diagonal { get; }

    /// <summary>Inputs that were zero on every token: their diagonal of H is taken as 1, and their weights do nothing.</summary>
    public IReadOnlyList<int> Dead { get; }

    /// <summary>What was added to the diagonal of H.</summary>
    public double Damping { get; }

    /// <summary>Factors the second moments of a layer's inputs.</summary>
    /// <param name="inputs">Statistics with second moments.</param>
    /// <param name="damping">Share of the mean diagonal that is added to it, not negative. Default 0.01.</param>
    /// <exception cref="ArgumentException">No second moments, nothing seen, a damping out of range, or a matrix that is not positive definite even so.</exception>
    public static ObsFactor Of(ActivationStatistics inputs, double damping = 0.01)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        Finite.NotNegative(damping);
        if (inputs.Gram is null) throw new ArgumentException("The statistics hold no second moments; gather them with gram: true.", nameof(inputs));
        if (inputs.Count == 0) throw new ArgumentException("The statistics have seen no tokens.", nameof(inputs));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor H = inputs.Gram.mul(2.0 / inputs.Count), diagonal = H.diagonal();
        double[] values = diagonal.contiguous().data<double>().ToArray();
        int[] dead = [.. Enumerable.Range(0, values.Length).Where(i => values[i] == 0)];
        if (dead.Length > 0) diagonal.index_fill_(0, tensor(dead.Select(i => (long)i).ToArray()), 1);
        double added = damping * diagonal.mean().item<double>();
        diagonal.add_(added);

        // With the order of inputs reversed, H = R R^T for an upper R = J L J, and U = R^-1 = J L^-1 J: one factorisation and one triangular solve.
        (Tensor L, Tensor info) = linalg.cholesky_ex(H.flip(0, 1));
        if (info.to(ScalarType.Int64).item<long>() != 0 || IsRounding(L, diagonal))
        {
            throw new ArgumentException(
                $"The second moments of {inputs.Width} inputs over {inputs.Count} tokens are not positive definite with a damping of {damping}; give more tokens or more damping.", nameof(inputs));
        }

        Tensor inverse = linalg.solve_triangular(L, eye(inputs.Width, dtype: ScalarType.Float64), upper: false);
        return new(inverse.flip(0, 1).contiguous(), dead, added);
    }

    /// <summary>
    /// Whether some input has nothing left of its own but rounding: second moments are summed in float32, so a pivot below its resolution may come out positive by
    /// chance, and everything divided by it would be noise.
    /// </summary>
    private static bool IsRounding(Tensor L, Tensor diagonal) => (L.diagonal().square() <= diagonal.flip(0) * Resolution).any().item<bool>();

    /// <summary>Scores w_ij^2 / U_jj^2: what removing a weight costs when the later ones may make up for it. Zero for dead inputs.</summary>
    /// <param name="weight">[out, in].</param>
    /// <returns>[out, in], float64; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Another width.</exception>
    public Tensor Scores(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (weight.dim() != 2 || weight.shape[1] != Diagonal.Count)
            throw new ArgumentException($"weight must be [out, {Diagonal.Count}], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        double[] inverse = [.. Diagonal.Select(u => 1 / u)];
        foreach (int j in Dead) inverse[j] = 0;
        return scope.MoveToOuter(weight.to(ScalarType.Float64).mul(tensor(inverse).to(weight.device)).square());
    }

    /// <summary>Frees U.</summary>
    public void Dispose()
    {
        Upper.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"ObsFactor of {Diagonal.Count} inputs, {Dead.Count} of them dead";
}
