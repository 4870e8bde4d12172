using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>How unequal the rows and columns of a matrix are.</summary>
/// <param name="RowNorms">Euclidean norm of each row.</param>
/// <param name="ColumnNorms">Euclidean norm of each column.</param>
public sealed record RowColumnProfile(IReadOnlyList<double> RowNorms, IReadOnlyList<double> ColumnNorms)
{
    /// <summary>Standard deviation of the rows' norms over their mean: 0 where all are equal.</summary>
    public double RowVariation => Variation(RowNorms);

    /// <summary>Standard deviation of the columns' norms over their mean.</summary>
    public double ColumnVariation => Variation(ColumnNorms);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static double Variation(IReadOnlyList<double> norms)
    {
        // Over the largest: squares of the norms themselves may overflow or vanish.
        double largest = norms.Max(), mean = norms.Average(n => n / largest);
        return Math.Sqrt(norms.Average(n => ((n / largest) - mean) * ((n / largest) - mean))) / mean;
    }
}

/// <summary>
/// What a matrix of scores is made of: how much of it a few directions hold, and how unequal its rows and columns are. The reference is always the same matrix with its
/// entries shuffled (<see cref="Shuffled"/>): same numbers, no order.
/// </summary>
public static class ScoreAnalysis
{
    /// <summary>Singular values, in float64.</summary>
    /// <param name="scores">[n, k], finite and not zero everywhere.</param>
    /// <returns>min(n, k) of them, the largest first.</returns>
    /// <exception cref="ArgumentException">Another shape, or numbers that are not finite or all zero.</exception>
    public static double[] SingularValues(Tensor scores)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Checked(scores);
        var scale = PowerOfTwoScale.Of(wide);
        return [.. linalg.svdvals(scale.Down(wide)).data<double>().ToArray().Select(scale.Up)];
    }

    /// <summary>Share of the squared Frobenius norm that the largest singular values hold.</summary>
    /// <param name="scores">[n, k], finite and not zero everywhere.</param>
    /// <param name="rank">How many, from 1 to min(n, k).</param>
    /// <exception cref="ArgumentException">Another shape, numbers that are not finite or all zero, or a rank out of its range.</exception>
    public static double TopShare(Tensor scores, int rank)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Checked(scores);
        long count = Math.Min(wide.shape[0], wide.shape[1]);
        if (rank < 1 || rank > count) throw new ArgumentOutOfRangeException(nameof(rank), rank, $"A matrix of [{string.Join(", ", scores.shape)}] has {count} singular values.");
        double[] values = linalg.svdvals(PowerOfTwoScale.Of(wide).Down(wide)).data<double>().ToArray();
        return values.Take(rank).Sum(v => v * v) / values.Sum(v => v * v);
    }

    /// <summary>Norms of rows and columns.</summary>
    /// <param name="scores">[n, k], finite and not zero everywhere.</param>
    /// <exception cref="ArgumentException">Another shape, or numbers that are not finite or all zero.</exception>
    public static RowColumnProfile RowColumnProfile(Tensor scores)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = Checked(scores);
        var scale = PowerOfTwoScale.Of(wide);
        Tensor squares = scale.Down(wide).square();
        double[] Norms(long along) => Array.ConvertAll(squares.sum([along]).sqrt().data<double>().ToArray(), scale.Up);
        return new(Norms(1), Norms(0));
    }

    /// <summary>The same entries in random order.</summary>
    /// <param name="scores">[n, k], finite and not zero everywhere.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <returns>Float64 [n, k]; it belongs to the caller.</returns>
    /// <exception cref="ArgumentException">Another shape, or numbers that are not finite or all zero.</exception>
    public static Tensor Shuffled(Tensor scores, long seed)
    {
        using DisposeScope scope = NewDisposeScope();
        double[] values = Checked(scores).flatten().data<double>().ToArray();
        var random = new SeededRandom(seed, 920);
        random.Shuffle(values.AsSpan());
        return tensor(values, scores.shape).MoveToOuterDisposeScope();
    }

    private static Tensor Checked(Tensor scores)
    {
        ArgumentNullException.ThrowIfNull(scores);
        if (scores.dim() != 2 || scores.numel() == 0) throw new ArgumentException($"scores must be [n, k] and not empty, but are [{string.Join(", ", scores.shape)}].", nameof(scores));
        Tensor wide = scores.detach().cpu().to(ScalarType.Float64).contiguous();
        if (!TensorInput.IsFinite(wide)) throw new ArgumentException("A score is not finite.", nameof(scores));
        return wide.any().item<bool>() ? wide : throw new ArgumentException("All scores are zero; there is nothing to share.", nameof(scores));
    }
}
