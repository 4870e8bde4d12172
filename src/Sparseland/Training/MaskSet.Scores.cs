using System.Globalization;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <content>Masks from scores.</content>
public sealed partial class MaskSet
{
    /// <summary>Keeps the weights with the highest scores under a pattern.</summary>
    /// <param name="model">The network; nothing in it changes before <see cref="Apply"/>.</param>
    /// <param name="scores">Scores by the name of the parameter, of its shape and finite; a higher score is kept. Floating point; 16 bits are widened.</param>
    /// <param name="pattern">How sparse, and who competes with whom.</param>
    /// <param name="among">
    /// Weights that may stay; the others go as well, and the pattern's share counts those that may stay alone: the next round of iterative pruning. Null, the
    /// default, for all.
    /// </param>
    /// <param name="allowEmpty">Whether a layer may lose all its weights. Default false: it is refused and named.</param>
    /// <exception cref="ArgumentException">
    /// There are no scores, or one is not finite (the layer is named), an unknown or tied parameter, another shape, a pattern that does not fit, masks of other parameters, or a layer
    /// without a weight.
    /// </exception>
    public static MaskSet FromScores(nn.Module model, IReadOnlyDictionary<string, Tensor> scores, PruningPattern pattern, MaskSet? among = null, bool allowEmpty = false)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(pattern);
        if (scores.Count == 0) throw new ArgumentException("There are no scores; nothing is to be masked.", nameof(scores));
        if (among is not null && scores.Keys.FirstOrDefault(name => !among.Names.Contains(name)) is { } missing)
            throw new ArgumentException($"{missing} has scores, but no mask among the weights that may stay.", nameof(among));
        if (among is not null && pattern is not (GlobalPattern or PerLayerPattern))
            throw new ArgumentException($"A share of the remaining weights is global or per layer, not {pattern}.", nameof(pattern));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Dictionary<string, Tensor> masks = pattern is GlobalPattern ? Pooled(scores, pattern, among) : [];
        MaskSet set = Of(model, scores.Keys, (name, parameter) =>
        {
            if (!scores[name].shape.SequenceEqual(parameter.shape))
                throw new ArgumentException($"The scores of {name} are [{string.Join(", ", scores[name].shape)}], the parameter is [{string.Join(", ", parameter.shape)}].", nameof(scores));
            return masks.TryGetValue(name, out Tensor? mask) ? mask.reshape(parameter.shape) : Keep(name, scores[name], pattern, among?[name]);
        });
        if (allowEmpty || set.Names.FirstOrDefault(name => set.ActiveOf(name) == 0) is not { } empty) return set;
        set.Dispose();
        throw new ArgumentException(
            $"{pattern} leaves no weight of {empty}; take less, let layers not compete with each other, or allow empty layers.", nameof(pattern));
    }

    /// <summary>The mask of one layer under a pattern.</summary>
    internal static Tensor Keep(string name, Tensor scores, PruningPattern pattern, Tensor? among = null)
    {
        Tensor ranked = Finite(name, scores);
        long columns = ranked.dim() < 2 ? ranked.numel() : ranked.numel() / ranked.shape[0];
        ranked = ranked.reshape(-1, columns);
        Budget budget;
        if (among is null)
        {
            budget = pattern.For(checked((int)ranked.shape[0]), checked((int)columns));
        }
        else
        {
            budget = Budget.Global(checked((int)PruningPattern.Kept(TrueIn(among), pattern.Sparsity)));
            ranked = ranked.masked_fill(among.reshape(ranked.shape).logical_not(), double.NegativeInfinity);
        }

        try
        {
            return Select.Mask(ranked, budget).reshape(scores.shape);
        }
        catch (ArgumentException error)
        {
            throw new ArgumentException($"{name}: {error.Message}", nameof(pattern), error);
        }
    }

    private static Dictionary<string, Tensor> Pooled(IReadOnlyDictionary<string, Tensor> scores, PruningPattern pattern, MaskSet? among)
    {
        string[] names = [.. scores.Keys];
        Tensor pool = cat([.. names.Select(name => Masked(Finite(name, scores[name]), among?[name]).flatten())]);
        long candidates = among is null ? pool.numel() : names.Sum(among.ActiveOf);
        Tensor mask = Select.TopK(pool, Budget.Global(checked((int)PruningPattern.Kept(candidates, pattern.Sparsity)))).ToMask();
        Tensor[] parts = mask.split([.. names.Select(name => scores[name].numel())]);
        return names.Zip(parts).ToDictionary(pair => pair.First, pair => pair.Second);
    }

    private static Tensor Masked(Tensor scores, Tensor? among) => among is null ? scores : scores.masked_fill(among.logical_not(), double.NegativeInfinity);

    private static Tensor Finite(string name, Tensor scores)
    {
        ArgumentNullException.ThrowIfNull(scores);
        if (scores.dtype is ScalarType.Float16 or ScalarType.BFloat16) scores = scores.to(ScalarType.Float32);
        if (scores.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The scores of {name} are {scores.dtype}; they must be floating point numbers.", nameof(scores));
        if (!TensorInput.IsFinite(scores))
        {
            long broken = scores.isfinite().logical_not().sum().item<long>();
            throw new ArgumentException(
                string.Create(CultureInfo.InvariantCulture, $"{broken} scores of {name} are not finite; weights that are not, or statistics that overflowed, are the usual cause."), nameof(scores));
        }

        return scores.detach().cpu();
    }
}
