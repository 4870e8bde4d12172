using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>
/// How well a classifier's confidence, the largest soft-max probability, tells samples of its world from others (Hendrycks and Gimpel 2017): the probability that a sample of
/// its world has the higher one, ties counted half (the area under the ROC curve). 1/2 is chance.
/// </summary>
public static class OodAuroc
{
    /// <summary>From logits.</summary>
    /// <param name="inside">Logits of samples of the classifier's world [samples, classes], finite.</param>
    /// <param name="outside">Logits of other samples [samples, classes].</param>
    /// <exception cref="ArgumentException">No samples, other shapes, or a logit that is not finite.</exception>
    public static double Of(Tensor inside, Tensor outside) => OfScores(Confidence(inside, nameof(inside)), Confidence(outside, nameof(outside)));

    /// <summary>From any scores that should be higher inside.</summary>
    /// <param name="inside">Scores inside, at least one, no NaN.</param>
    /// <param name="outside">Scores outside.</param>
    /// <exception cref="ArgumentException">No score, or a NaN.</exception>
    public static double OfScores(IReadOnlyList<double> inside, IReadOnlyList<double> outside)
    {
        ArgumentNullException.ThrowIfNull(inside);
        ArgumentNullException.ThrowIfNull(outside);
        if (inside.Count == 0 || outside.Count == 0) throw new ArgumentException($"There are {inside.Count} scores inside and {outside.Count} outside; both need one.", nameof(inside));
        if (inside.Concat(outside).Any(double.IsNaN)) throw new ArgumentException("A score is NaN.", nameof(inside));

        // The rank sum of Mann and Whitney, with mean ranks for ties.
        (double Score, bool Inside)[] all = [.. inside.Select(s => (s, true)).Concat(outside.Select(s => (s, false))).OrderBy(pair => pair.Item1)];
        double ranks = 0;
        for (int start = 0; start < all.Length;)
        {
            int end = start, members = 0;
            while (end < all.Length && all[end].Score == all[start].Score) members += all[end++].Inside ? 1 : 0;
            ranks += members * (start + 1 + end) / 2.0;
            start = end;
        }

        double pairs = (double)inside.Count * outside.Count;
        return (ranks - (inside.Count * (inside.Count + 1.0) / 2)) / pairs;
    }

    private static double[] Confidence(Tensor logits, string name)
    {
        ArgumentNullException.ThrowIfNull(logits, name);
        if (logits.dim() != 2 || logits.numel() == 0) throw new ArgumentException($"{name} must be [samples, classes] and not empty, but is [{string.Join(", ", logits.shape)}].", name);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (!TensorInput.IsFinite(logits)) throw new ArgumentException($"A logit of {name} is not finite.", name);
        return nn.functional.softmax(logits.to(ScalarType.Float64), 1).max(1).values.cpu().contiguous().data<double>().ToArray();
    }
}
