using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Prefill;

/// <summary>
/// How many columns and slashes each head needs, by the mass that they hold (FlexPrefill, Lai et al. 2025, in the vertical-slash form of Nawrot et al. 2025, without the paper's branch of blocks): a budget
/// that adapts to head and text.
/// </summary>
public static class FlexPrefill
{
    /// <summary>Of each head the smallest numbers of columns and of slashes, heaviest first, that hold a share of the strip's mass.</summary>
    /// <param name="strip">Weights of the last queries [batch, heads, queries, keys], of <see cref="VerticalSlashIndex.Strip"/>.</param>
    /// <param name="alpha">Share of the mass, above 0 and at most 1. Default 0.65.</param>
    /// <param name="min">Columns, and slashes, of a head at least; a shorter text takes all it has. Default 512.</param>
    /// <returns>Of each head of each sequence: n with the n - 1 heaviest at most alpha and one more, as released.</returns>
    /// <exception cref="ArgumentException">Another shape, or a number out of its range.</exception>
    public static IReadOnlyList<VerticalSlash> Budget(Tensor strip, double alpha = 0.65, int min = 512)
    {
        ArgumentNullException.ThrowIfNull(strip);
        using DisposeScope scope = NewDisposeScope();
        (Tensor columns, Tensor slashes) = VerticalSlashIndex.Scores(strip);
        return Budget(columns / strip.shape[2], slashes / strip.shape[2], alpha, min);
    }

    /// <summary>The same from mean masses that are there already.</summary>
    /// <param name="columns">Mean mass of each column [batch, heads, keys].</param>
    /// <param name="slashes">Mean mass of each slash [batch, heads, keys].</param>
    /// <param name="alpha">Share of the mass, above 0 and at most 1.</param>
    /// <param name="min">Columns, and slashes, of a head at least.</param>
    /// <exception cref="ArgumentException">Another shape, NaN or infinity, or a number out of its range.</exception>
    public static IReadOnlyList<VerticalSlash> Budget(Tensor columns, Tensor slashes, double alpha, int min)
    {
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(slashes);
        if (!(alpha > 0 && alpha <= 1)) throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "alpha must be above 0 and at most 1.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(min);
        if (columns.dim() != 3 || !columns.shape.SequenceEqual(slashes.shape)) throw new ArgumentException($"Masses must be [batch, heads, keys] both, but are [{string.Join(", ", columns.shape)}] and [{string.Join(", ", slashes.shape)}].", nameof(slashes));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        int[] down = Needed(columns, alpha, min), along = Needed(slashes, alpha, min);
        return [.. down.Zip(along, (c, s) => new VerticalSlash(c, s))];
    }

    private static int[] Needed(Tensor masses, double alpha, int min)
    {
        long keys = masses.shape[2];
        Tensor sorted = masses.detach().to(ScalarType.Float64).sort(-1, descending: true).Values;
        if (!TensorInput.IsFinite(sorted)) throw new ArgumentException("Masses hold NaN or infinity.", nameof(masses));
        return [.. sorted.cumsum(-1).le(alpha).sum(-1).add(1).clamp(Math.Min(min, keys), keys).flatten().to(ScalarType.Int32).data<int>()];
    }
}
