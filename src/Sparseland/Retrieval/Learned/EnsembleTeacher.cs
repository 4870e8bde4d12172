using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// One teacher of several (Geng et al. 2024): the scores of each are scaled to [0, 1] over each query's candidates, averaged, and multiplied. Without
/// the scaling a sparse teacher, whose scores run to tens, silences a dense one with its cosines.
/// </summary>
public static class EnsembleTeacher
{
    /// <summary>Logits of the teachers' distribution.</summary>
    /// <param name="teachers">Scores of each teacher [queries, candidates], at least one.</param>
    /// <param name="scale">What averages are multiplied with. Default 30, the published setting.</param>
    /// <param name="normalise">Whether each list is scaled first. Default true.</param>
    /// <returns>[queries, candidates], no gradient.</returns>
    /// <exception cref="ArgumentException">There is no teacher, or they have scores of different candidates.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The scale is not positive and finite.</exception>
    public static Tensor Combine(IReadOnlyList<Tensor> teachers, double scale = 30, bool normalise = true)
    {
        ArgumentNullException.ThrowIfNull(teachers);
        if (teachers.Count == 0) throw new ArgumentException("There is no teacher.", nameof(teachers));
        Finite.Positive(scale);
        for (int i = 0; i < teachers.Count; i++)
        {
            if (teachers[i] is null) throw new ArgumentException($"Teacher {i} is null.", nameof(teachers));
            if (teachers[i].dim() != 2 || teachers[i].shape[1] == 0 || !teachers[i].shape.SequenceEqual(teachers[0].shape))
                throw new ArgumentException($"Teacher {i} has scores [{string.Join(", ", teachers[i].shape)}], the first one [{string.Join(", ", teachers[0].shape)}]; all score the same candidates.", nameof(teachers));
        }

        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor sum = zeros_like(teachers[0]);
        foreach (Tensor scores in teachers) sum = sum + (normalise ? Scaled(scores) : scores);
        return (sum * (scale / teachers.Count)).detach().MoveToOuterDisposeScope();
    }

    /// <summary>Each list on [0, 1]: (s - min) / (max - min + 1e-6).</summary>
    /// <param name="scores">[queries, candidates].</param>
    public static Tensor Scaled(Tensor scores)
    {
        ArgumentNullException.ThrowIfNull(scores);
        using DisposeScope scope = NewDisposeScope();
        Tensor low = scores.amin([1], keepdim: true), high = scores.amax([1], keepdim: true);
        return ((scores - low) / (high - low + 1e-6)).MoveToOuterDisposeScope();
    }
}
