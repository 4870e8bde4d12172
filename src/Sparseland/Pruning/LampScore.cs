using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Magnitudes that layers can be compared by (LAMP, Lee et al. 2021): w^2 over the sum of v^2 of all v of the same layer with |v| >= |w|. The largest weight of each layer
/// scores 1 where it is alone, and rescaling a layer changes nothing, so that a global ranking with a weight for each layer empties none.
/// </summary>
public static class LampScore
{
    /// <summary>Scores of all prunable weights, Float64.</summary>
    /// <param name="model">The network.</param>
    /// <exception cref="ArgumentException">Nothing to prune, or a weight that is not finite.</exception>
    public static ParameterScores Of(nn.Module model)
    {
        IReadOnlyDictionary<string, Parameter> weights = PrunableWeights.Of(model);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return new("LAMP", weights.Select(pair => KeyValuePair.Create(pair.Key, Of(pair.Value))).ToArray());
    }

    /// <summary>Scores of one layer.</summary>
    /// <param name="weight">Its weight, any shape, finite.</param>
    /// <returns>Float64, of the weight's shape; a zero scores 0. It belongs to the caller.</returns>
    /// <exception cref="ArgumentException">A weight that is not finite.</exception>
    public static Tensor Of(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        double[] sizes = weight.detach().cpu().to(ScalarType.Float64).abs().contiguous().data<double>().ToArray();
        if (!Array.TrueForAll(sizes, double.IsFinite)) throw new ArgumentException("A weight is not finite.", nameof(weight));
        int[] places = [.. Enumerable.Range(0, sizes.Length)];
        double[] ordered = [.. sizes], scores = new double[sizes.Length];

        // Sums from the largest on; equal weights stand in each other's sums.
        Array.Sort(ordered, places);
        double largest = ordered.Length == 0 ? 0 : ordered[^1], sum = 0;
        for (int end = ordered.Length - 1; end >= 0 && ordered[end] > 0;)
        {
            int start = end;
            while (start > 0 && ordered[start - 1] == ordered[end]) start--;
            double square = ordered[end] / largest * (ordered[end] / largest);
            sum += (end - start + 1) * square;
            for (int i = start; i <= end; i++) scores[places[i]] = square / sum;
            end = start - 1;
        }

        return scope.MoveToOuter(tensor(scores, weight.shape));
    }
}
