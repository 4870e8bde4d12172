using System.Globalization;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Feedback;

/// <summary>Moves a query's vector by the vectors of documents.</summary>
public interface IVectorFeedback
{
    /// <summary>Documents that it takes from the top of a list, at least 0; a shorter list gives what it has.</summary>
    int Documents { get; }

    /// <summary>Documents that it takes from the bottom of a list; 0 where it takes none.</summary>
    int Bottom { get; }

    /// <summary>The new vector [m]; the query itself where there is no feedback.</summary>
    /// <param name="query">[m], Float32 or Float64.</param>
    /// <param name="feedback">[k, m], k at least 0.</param>
    /// <param name="bottom">[b, m], the bottom documents; null, the default, for none.</param>
    /// <exception cref="ArgumentException">Shapes that do not fit, a query of whole numbers, or a value that is not finite.</exception>
    Tensor Apply(Tensor query, Tensor feedback, Tensor? bottom = null);
}

/// <summary>Vector feedback of Li et al. (2021, arXiv 2108.11044). The new vector is not brought to length 1 again, as there.</summary>
public static class VectorFeedback
{
    /// <summary>The mean of the query and k documents: the query is one of k + 1 vectors.</summary>
    /// <param name="k">Documents, at least 0. Default 3.</param>
    /// <exception cref="ArgumentOutOfRangeException">Below 0.</exception>
    public static IVectorFeedback Average(int k = 3) => new AverageFeedback(k);

    /// <summary>alpha * query + beta * mean(top k) - gamma * mean(bottom).</summary>
    /// <param name="k">Documents, at least 0. Default 5.</param>
    /// <param name="alpha">Weight of the query, finite and at least 0. Default 0.4.</param>
    /// <param name="beta">Weight of the documents, finite and at least 0. Default 0.6.</param>
    /// <param name="gamma">Weight of the bottom documents, finite and at least 0. Default 0.</param>
    /// <param name="bottom">Documents from the bottom; above 0 exactly where gamma is. Default 0.</param>
    /// <exception cref="ArgumentException">An argument out of its range, or alpha and beta are both 0.</exception>
    public static IVectorFeedback Rocchio(int k = 5, double alpha = 0.4, double beta = 0.6, double gamma = 0, int bottom = 0) => new RocchioFeedback(k, alpha, beta, gamma, bottom);

    /// <summary>Checks the shapes of one application and gives the rows in float64.</summary>
    internal static (Tensor Query, Tensor Rows) Check(Tensor query, Tensor rows, string name)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(rows, name);
        if (query.dim() != 1) throw new ArgumentException($"A query is a vector [m], not [{string.Join(", ", query.shape)}].", nameof(query));
        if (rows.dim() != 2 || rows.size(1) != query.size(0))
            throw new ArgumentException($"{name} is [{string.Join(", ", rows.shape)}], but the query has the width {query.size(0)}; it must be [k, {query.size(0)}].", name);
        if (!query.is_floating_point()) throw new ArgumentException($"The query is {query.dtype}; a moved vector has fractions.", nameof(query));
        Tensor q = query.to(ScalarType.Float64), r = rows.to(ScalarType.Float64);
        if (!TensorInput.IsFinite(q)) throw new ArgumentException("The query holds a value that is not finite.", nameof(query));
        if (!TensorInput.IsFinite(r)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
        return (q, r);
    }
}

internal sealed class AverageFeedback : IVectorFeedback
{
    public AverageFeedback(int k)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(k);
        Documents = k;
    }

    public int Documents { get; }

    public int Bottom => 0;

    public Tensor Apply(Tensor query, Tensor feedback, Tensor? bottom = null)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor rows) = VectorFeedback.Check(query, feedback, nameof(feedback));
        return cat([q.unsqueeze(0), rows], 0).mean([0L]).to(query.dtype).MoveToOuterDisposeScope();
    }

    public override string ToString() => $"Average {Documents}";
}

internal sealed class RocchioFeedback : IVectorFeedback
{
    private readonly double _alpha, _beta, _gamma;

    public RocchioFeedback(int k, double alpha, double beta, double gamma, int bottom)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(k);
        ArgumentOutOfRangeException.ThrowIfNegative(bottom);
        foreach ((double weight, string name) in new[] { (alpha, nameof(alpha)), (beta, nameof(beta)), (gamma, nameof(gamma)) })
        {
            Finite.NotNegative(weight, name);
        }

        if (alpha == 0 && beta == 0) throw new ArgumentException("alpha and beta are both 0: no query is left.", nameof(alpha));
        if (gamma > 0 != bottom > 0) throw new ArgumentException($"gamma is {gamma} and bottom {bottom}; both are above 0 or none is.", nameof(bottom));
        (Documents, Bottom, _alpha, _beta, _gamma) = (k, bottom, alpha, beta, gamma);
    }

    public int Documents { get; }

    public int Bottom { get; }

    public Tensor Apply(Tensor query, Tensor feedback, Tensor? bottom = null)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor q, Tensor rows) = VectorFeedback.Check(query, feedback, nameof(feedback));
        if (rows.size(0) == 0) return query.clone().MoveToOuterDisposeScope();
        Tensor moved = q.mul(_alpha).add(rows.mean([0L]), _beta);
        if (_gamma > 0 && bottom is not null && bottom.size(0) > 0) moved = moved.add(VectorFeedback.Check(query, bottom, nameof(bottom)).Rows.mean([0L]), -_gamma);
        return moved.to(query.dtype).MoveToOuterDisposeScope();
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"Rocchio {Documents} ({_alpha}, {_beta}{(_gamma > 0 ? $", -{_gamma} of {Bottom}" : "")})");
}
