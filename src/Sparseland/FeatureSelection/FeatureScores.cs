using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.FeatureSelection;

/// <summary>A table whose features have mean 0 and variance 1.</summary>
/// <param name="X">[samples, features], Float32; the caller's.</param>
/// <param name="Mean">Mean of each feature.</param>
/// <param name="Deviation">Population deviation of each feature; 1 for a constant one, so that others can be scaled alike.</param>
/// <param name="Constant">Features of one value throughout: 0 in <paramref name="X"/>.</param>
public sealed record StandardisedFeatures(Tensor X, IReadOnlyList<double> Mean, IReadOnlyList<double> Deviation, IReadOnlyList<int> Constant) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(X);

    /// <summary>Frees the table.</summary>
    public void Dispose()
    {
        X.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Scores of features that need no training: what a learned ranking has to beat.</summary>
public static class FeatureScores
{
    /// <summary>Subtracts the mean and divides by the population deviation; a constant feature becomes 0 and is named.</summary>
    /// <param name="X">[samples, features], finite; stays the caller's.</param>
    /// <exception cref="ArgumentException">Not a table, empty, or a value that is not finite, whose feature is named.</exception>
    public static StandardisedFeatures Standardise(Tensor X)
    {
        Check(X);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor wide = X.detach().cpu().to(ScalarType.Float64), mean = wide.mean([0L]), centred = wide - mean, deviation = centred.square().mean([0L]).sqrt();

        // Rounding leaves a constant column with a deviation of some last bits of its mean.
        Tensor constant = deviation.le(mean.abs() * 1e-12);
        Tensor scaled = (centred / deviation.masked_fill(constant, 1)).masked_fill(constant, 0).to(ScalarType.Float32);
        bool[] still = TensorMemory.Read<bool>(constant).ToArray();
        return new(
            scaled.MoveToOuterDisposeScope(), TensorMemory.Read<double>(mean).ToArray(), TensorMemory.Read<double>(deviation.masked_fill(constant, 1)).ToArray(), [.. Enumerable.Range(0, still.Length).Where(i => still[i])]);
    }

    /// <summary>Variance of each feature, of the table before any scaling.</summary>
    /// <param name="X">[samples, features].</param>
    /// <exception cref="ArgumentException">Not a table, empty, or a value that is not finite.</exception>
    public static double[] Variance(Tensor X)
    {
        Check(X);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return TensorMemory.Read<double>(X.detach().cpu().to(ScalarType.Float64).var(0L, unbiased: false).contiguous()).ToArray();
    }

    /// <summary>How much of the leading principal components a feature carries: over the first of them, the sum of squared loadings times singular values.</summary>
    /// <param name="X">[samples, features], standardised.</param>
    /// <param name="components">How many; cut to what there are. Default 20.</param>
    /// <exception cref="ArgumentException">Not a table, empty, a value that is not finite, or no component.</exception>
    public static double[] PcaLoading(Tensor X, int components = 20)
    {
        Check(X);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(components);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor wide = X.detach().cpu().to(ScalarType.Float64);
        (_, Tensor S, Tensor Vh) = linalg.svd(wide - wide.mean([0L]), fullMatrices: false);
        long kept = Math.Min(components, S.shape[0]);
        Tensor loadings = (Vh.narrow(0, 0, kept) * S.narrow(0, 0, kept).unsqueeze(1)).square().sum(0L);
        return TensorMemory.Read<double>(loadings.contiguous()).ToArray();
    }

    /// <summary>
    /// Laplacian score (He, Cai and Niyogi 2005): how much a feature differs between neighbouring samples, relative to its variance; SMALL is good. Neighbours are the nearest, taken both ways, with weights
    /// exp(-distance^2 / mean squared distance); f is centred by the degrees. A constant feature has the score infinity.
    /// </summary>
    /// <param name="X">[samples, features], standardised; samples times samples must fit in memory.</param>
    /// <param name="neighbours">Nearest samples of each, from 1 to below the samples. Default 5.</param>
    /// <exception cref="ArgumentException">Not a table, empty, a value that is not finite, or a number of neighbours out of its range.</exception>
    public static double[] Laplacian(Tensor X, int neighbours = 5)
    {
        Check(X);
        if (neighbours < 1 || neighbours >= X.shape[0]) throw new ArgumentOutOfRangeException(nameof(neighbours), neighbours, $"From 1 to below the {X.shape[0]} samples.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor wide = X.detach().cpu().to(ScalarType.Float64), squared = wide.square().sum(1L, keepdim: true);
        Tensor distances = (squared + squared.t() - (2 * wide.mm(wide.t()))).clamp_min(0);
        distances = distances.masked_fill(eye(distances.shape[0], dtype: ScalarType.Bool), double.PositiveInfinity);
        (Tensor nearest, Tensor indices) = distances.topk(neighbours, dim: 1, largest: false);
        Tensor weights = zeros_like(distances).scatter_(1, indices, (-nearest / nearest.mean().clamp_min(double.Epsilon)).exp());
        weights = maximum(weights, weights.t());
        Tensor degrees = weights.sum(1L, keepdim: true), centred = wide - ((wide * degrees).sum(0L, keepdim: true) / degrees.sum());
        Tensor below = (centred.square() * degrees).sum(0L), above = below - (centred * weights.mm(centred)).sum(0L);
        Tensor score = (above / below).masked_fill(below.le(1e-12), double.PositiveInfinity);
        return TensorMemory.Read<double>(score.contiguous()).ToArray();
    }

    /// <summary>The features with the highest scores, the highest first; equal ones by index.</summary>
    /// <param name="scores">A score for each feature, not NaN.</param>
    /// <param name="count">How many, from 1 to all.</param>
    /// <exception cref="ArgumentException">A score is NaN, or a number out of its range.</exception>
    public static int[] Best(IReadOnlyList<double> scores, int count)
    {
        ArgumentNullException.ThrowIfNull(scores);
        if (count < 1 || count > scores.Count) throw new ArgumentOutOfRangeException(nameof(count), count, $"There are {scores.Count} features to choose from.");
        if (scores.Any(double.IsNaN)) throw new ArgumentException("A score is NaN, which has no rank.", nameof(scores));
        return [.. Enumerable.Range(0, scores.Count).OrderByDescending(i => scores[i]).Take(count)];
    }

    private static void Check(Tensor X)
    {
        ArgumentNullException.ThrowIfNull(X);
        if (X.dim() != 2 || X.numel() == 0) throw new ArgumentException($"X must be [samples, features] and not empty, but is [{string.Join(", ", X.shape)}].", nameof(X));
        using DisposeScope scope = NewDisposeScope();
        Tensor finite = X.isfinite().all(0L);
        if (finite.all().item<bool>()) return;
        throw new ArgumentException($"Feature {finite.logical_not().nonzero()[0, 0].item<long>()} has a value that is not finite.", nameof(X));
    }
}
