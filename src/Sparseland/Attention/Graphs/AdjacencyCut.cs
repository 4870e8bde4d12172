using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>How a weighted adjacency is cut.</summary>
public enum CutKind
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>relu(A - t): what is above t, as far as it is above.</summary>
    Relu,

    /// <summary>silu(A - t): cells below t become slightly negative.</summary>
    Silu,

    /// <summary>softplus(A - t): no cell becomes 0, not even a forbidden one.</summary>
    Softplus,

    /// <summary>softplus(beta (A - t)) / beta: nearer to the ReLU; no cell becomes 0 either.</summary>
    SharpSoftplus,

    /// <summary>sigmoid(beta (A - t)): no cell becomes 0 either.</summary>
    Sigmoid,

    /// <summary>1 where A is above t, else 0; no gradient passes.</summary>
    Binary,

    /// <summary>1 at the largest cells of each row, else 0; no gradient passes.</summary>
    TopK,
}

/// <summary>
/// From attention weights to the adjacency of a graph (Buehler 2025, arXiv 2501.02393). Rows are not normalised afterwards: only so can a step over the graph sum where softmax attention averages.
/// </summary>
/// <param name="Kind">The cut.</param>
public sealed record AdjacencyCut(CutKind Kind)
{
    /// <summary>No cut.</summary>
    public static AdjacencyCut None { get; } = new(CutKind.None);

    /// <summary>t, finite; where the threshold is trained its start. Default 0.2.</summary>
    public double Threshold { get; init; } = 0.2;

    /// <summary>Whether an attention with this cut trains t. Default false.</summary>
    public bool TrainedThreshold { get; init; }

    /// <summary>beta of the sharp softplus and of the sigmoid, above 0. Default 10.</summary>
    public double Beta { get; init; } = 10;

    /// <summary>Cells of a row that the cut by rank keeps; rows near the start, which have fewer, keep all. Default 8.</summary>
    public int Keys { get; init; } = 8;

    /// <summary>Whether later keys are cut off again behind the cut. Default true. Without it softplus, sigmoid and silu let a token see the future, top-k where a row has fewer than its keys, and the others where t is below 0: for demonstrations only.</summary>
    public bool Triangle { get; init; } = true;

    /// <summary>Whether t gets a gradient.</summary>
    internal bool Trains => TrainedThreshold;

    /// <summary>Whether a cell can become negative.</summary>
    internal bool Signed => Kind == CutKind.Silu;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A value is out of its range, or a threshold shall be trained that gets no gradient.</exception>
    public void Validate()
    {
        if (!Enum.IsDefined(Kind)) throw new ArgumentOutOfRangeException(nameof(Kind), Kind, "There is no such cut.");
        if (!double.IsFinite(Threshold)) throw new ArgumentOutOfRangeException(nameof(Threshold), Threshold, "Threshold must be finite.");
        Finite.Positive(Beta);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Keys);
        if (TrainedThreshold && Kind is CutKind.None or CutKind.Binary or CutKind.TopK) throw new ArgumentException($"A threshold of the cut {Kind} gets no gradient and cannot be trained.", nameof(TrainedThreshold));
    }

    /// <summary>Cuts an adjacency.</summary>
    /// <param name="a">Weights [..., tokens, tokens], rows are queries.</param>
    /// <param name="threshold">A trained t, one number, in the place of <see cref="Threshold"/>; null, the default, for that.</param>
    /// <returns>[..., tokens, tokens]; a itself where nothing is cut.</returns>
    /// <exception cref="ArgumentException">The matrix is not square, has fewer columns than cells shall be kept, or the threshold is not one number.</exception>
    public Tensor Apply(Tensor a, Tensor? threshold = null)
    {
        ArgumentNullException.ThrowIfNull(a);
        Validate();
        if (a.dim() < 2 || a.shape[^1] != a.shape[^2]) throw new ArgumentException($"An adjacency must be [..., tokens, tokens], but is [{string.Join(", ", a.shape)}].", nameof(a));
        if (Kind == CutKind.TopK && Keys > a.shape[^1]) throw new ArgumentOutOfRangeException(nameof(a), Keys, $"Keys = {Keys} are more than the {a.shape[^1]} cells of a row.");
        if (threshold is not null && threshold.numel() != 1) throw new ArgumentException($"threshold must be one number, but is [{string.Join(", ", threshold.shape)}].", nameof(threshold));
        if (Kind == CutKind.None) return a.alias();
        using DisposeScope scope = NewDisposeScope();

        // A threshold of another type would make the result one.
        Tensor above = threshold is null ? a.sub(Threshold) : a.sub(threshold.to(a.dtype));
        Tensor cut = Kind switch
        {
            CutKind.Relu => above.relu(),
            CutKind.Silu => nn.functional.silu(above),
            CutKind.Softplus => nn.functional.softplus(above),
            CutKind.SharpSoftplus => nn.functional.softplus(above.mul(Beta)).div(Beta),
            CutKind.Sigmoid => above.mul(Beta).sigmoid(),
            CutKind.Binary => above.gt(0).to(a.dtype),
            _ => Largest(a.detach()),
        };
        return scope.MoveToOuter(Triangle ? cut.tril() : cut);
    }

    /// <summary>Ones at the largest allowed cells; forbidden ones come last, and the triangle takes off those that a short row was filled up with.</summary>
    private Tensor Largest(Tensor a)
    {
        Tensor later = ones(a.shape[^1], a.shape[^1], dtype: ScalarType.Bool, device: a.device).triu(1);
        Tensor at = a.masked_fill(later, double.NegativeInfinity).topk(Keys, dim: -1).indexes;
        return zeros_like(a).scatter(-1, at, ones(at.shape, dtype: a.dtype, device: a.device));
    }
}
