using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>Which features estimate exp(q . k).</summary>
public enum FeatureKind
{
    /// <summary><see cref="PositiveFeatures"/>.</summary>
    Positive,

    /// <summary><see cref="HyperbolicFeatures"/>.</summary>
    Hyperbolic,

    /// <summary><see cref="TrigonometricFeatures"/>.</summary>
    Trigonometric,
}

/// <summary>How good random features are at exp(q . k): formulas (Choromanski et al. 2021, lemma 2; Chen et al. 2021, section 4) and samples.</summary>
public static class FeatureEstimate
{
    /// <summary>z = norm(q + k)^2, on which the error of positive features depends, for each pair of two lists of vectors.</summary>
    /// <param name="q">[..., headDim], with the root of the scores' factor folded in.</param>
    /// <param name="k">[..., headDim], of a shape that broadcasts with q's.</param>
    /// <returns>[...].</returns>
    public static Tensor Z(Tensor q, Tensor k)
    {
        ArgumentNullException.ThrowIfNull(q);
        ArgumentNullException.ThrowIfNull(k);
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(q.add(k).square().sum(-1));
    }

    /// <summary>Expected squared error of the estimate of exp(q . k), for independent directions.</summary>
    /// <param name="q">[..., headDim], with the root of the scores' factor folded in.</param>
    /// <param name="k">[..., headDim], of a shape that broadcasts with q's.</param>
    /// <param name="rows">Directions; hyperbolic and trigonometric features are twice as many.</param>
    /// <param name="kind">Which features. Default hyperbolic.</param>
    /// <returns>[...].</returns>
    /// <exception cref="ArgumentException">rows is not positive, or there are no such features.</exception>
    public static Tensor MeanSquareError(Tensor q, Tensor k, int rows, FeatureKind kind = FeatureKind.Hyperbolic)
    {
        ArgumentNullException.ThrowIfNull(q);
        ArgumentNullException.ThrowIfNull(k);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        using var scope = NewDisposeScope();
        Tensor z = Z(q, k), square = q.mul(k).sum(-1).mul(2).exp();
        return scope.MoveToOuter(kind switch
        {
            FeatureKind.Positive => square.mul(z.expm1()).div(rows),
            FeatureKind.Hyperbolic => square.mul(z.cosh().sub(1)).div(rows),
            FeatureKind.Trigonometric => z.exp().div(square).mul(q.sub(k).square().sum(-1).neg().expm1().square()).div(2.0 * rows),
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not a kind of features."),
        });
    }

    /// <summary>The z above which hyperbolic features do worse than writing 0: cosh z - 1 = rows.</summary>
    /// <param name="rows">Directions, half of the features.</param>
    public static double UselessBeyond(int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        return Math.Acosh(1.0 + rows);
    }

    /// <summary>A feature map by its kind.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="headDim">Width of queries and keys.</param>
    /// <param name="rows">Directions; hyperbolic and trigonometric features are twice as many.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="orthogonal">Whether directions are orthogonal in blocks of headDim. Default true.</param>
    /// <exception cref="ArgumentException">A number is not positive, or there are no such features.</exception>
    public static RandomFeatures Map(FeatureKind kind, int headDim, int rows, long seed = 1, bool orthogonal = true) => kind switch
    {
        FeatureKind.Positive => new PositiveFeatures(headDim, rows, seed, orthogonal),
        FeatureKind.Hyperbolic => new HyperbolicFeatures(headDim, checked(2 * rows), seed, orthogonal),
        FeatureKind.Trigonometric => new TrigonometricFeatures(headDim, checked(2 * rows), seed, orthogonal),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not a kind of features."),
    };

    /// <summary>Estimates of exp(q . k) for one pair from many independent draws of the directions.</summary>
    /// <param name="q">[headDim], with the root of the scores' factor folded in.</param>
    /// <param name="k">[headDim].</param>
    /// <param name="rows">Directions of a draw.</param>
    /// <param name="draws">How many draws.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="kind">Which features. Default hyperbolic.</param>
    /// <returns>[draws].</returns>
    /// <exception cref="ArgumentException">Shapes differ, or a number is not positive.</exception>
    public static double[] Sample(Tensor q, Tensor k, int rows, int draws, long seed = 1, FeatureKind kind = FeatureKind.Hyperbolic)
    {
        ArgumentNullException.ThrowIfNull(q);
        ArgumentNullException.ThrowIfNull(k);
        if (q.dim() != 1 || k.dim() != 1 || q.shape[0] != k.shape[0] || q.shape[0] == 0)
            throw new ArgumentException($"q and k must be two vectors of one width, but are [{string.Join(", ", q.shape)}] and [{string.Join(", ", k.shape)}].", nameof(k));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(draws);
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        // One map with the directions of all draws; each draw is the mean of its own.
        RandomFeatures map = Map(kind, (int)q.shape[0], checked(rows * draws), seed, orthogonal: false);
        Tensor phi = map.Map(stack([q.to(ScalarType.Float64), k.to(ScalarType.Float64)])).Values;
        Tensor products = phi[0].mul(phi[1]).view(-1, draws, rows).sum([0L, 2L]).mul(draws);
        return TensorMemory.Read<double>(products.contiguous()).ToArray();
    }

    /// <summary>phi(q) . phi(k) of all pairs, the low-rank estimate of exp(scale q . k): for pictures and tests.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="features">The features.</param>
    /// <param name="scale">Factor of the scores, its root folded into q and k; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, heads, tokens, keys].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit each other or the features, a value is not finite, or an estimate leaves the range of the type.</exception>
    public static Tensor Matrix(Tensor q, Tensor k, IFeatureMap features, double? scale = null)
    {
        AttentionShape shape = HeadInput.Check(q, k);
        (Tensor foldedQ, Tensor foldedK) = LinearAttention.Folded(q, k, shape, features, scale, out DisposeScope scope);
        using (scope)
        {
            (Tensor phiQ, Tensor logQ) = features.Map(foldedQ, FeatureScale.PerVector);
            (Tensor phiK, Tensor logK) = features.Map(foldedK, FeatureScale.PerSet);
            Tensor products = phiQ.MatMul(HeadInput.Shared(phiK, shape.Group).transpose(2, 3));
            Tensor matrix = products.mul(logQ.add(HeadInput.Shared(logK, shape.Group)).exp());
            HeadInput.InRange(q, matrix);
            return scope.MoveToOuter(matrix);
        }
    }
}
