using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>Losses by which retrievers learn to rank; each is a mean over queries.</summary>
public static class RankingLosses
{
    // One for ever: a number that is made for a call can be collected while the call still reads it, when other threads allocate.
    private static readonly Scalar s_leftOut = double.NegativeInfinity;

    /// <summary>InfoNCE: cross-entropy of a softmax over a query's candidates, whose target is the positive.</summary>
    /// <param name="scores">[queries, candidates].</param>
    /// <param name="positives">Place of each query's positive [queries], int64.</param>
    /// <param name="relevant">True where another candidate is relevant to the query as well [queries, candidates]: it is left out. Null, the default, where none is.</param>
    /// <exception cref="ArgumentException">Wrong shapes.</exception>
    public static Tensor InfoNce(Tensor scores, Tensor positives, Tensor? relevant = null)
    {
        Check(scores, nameof(scores));
        ArgumentNullException.ThrowIfNull(positives);
        if (!positives.shape.SequenceEqual([scores.shape[0]])) throw new ArgumentException($"positives must be [{scores.shape[0]}], but are [{string.Join(", ", positives.shape)}].", nameof(positives));
        if (positives.dtype != ScalarType.Int64) throw new ArgumentException($"positives are {positives.dtype}; they must be Int64.", nameof(positives));
        if (positives.device_type == DeviceType.CPU)
        {
            // Elsewhere the question would wait for the device.
            foreach (long place in positives.data<long>())
            {
                if (place < 0 || place >= scores.shape[1]) throw new ArgumentException($"A positive is at place {place}; places are from 0 to {scores.shape[1] - 1}.", nameof(positives));
            }
        }

        if (relevant is not null && !relevant.shape.SequenceEqual(scores.shape)) throw new ArgumentException($"relevant must be [{string.Join(", ", scores.shape)}], but is [{string.Join(", ", relevant.shape)}].", nameof(relevant));
        using DisposeScope scope = NewDisposeScope();
        if (relevant is not null)
        {
            // The positive itself stays, whatever the mask says.
            Tensor others = relevant.scatter(1, positives.unsqueeze(1), zeros(positives.shape[0], 1, ScalarType.Bool));
            scores = scores.masked_fill(others, s_leftOut);
        }

        return nn.functional.cross_entropy(scores, positives).MoveToOuterDisposeScope();
    }

    /// <summary>KL(softmax(teacher) || softmax(student)) over the same candidates.</summary>
    /// <param name="teacher">Logits of the teacher [queries, candidates]; no gradient is taken.</param>
    /// <param name="student">Logits of the student [queries, candidates].</param>
    /// <exception cref="ArgumentException">Shapes differ.</exception>
    public static Tensor Kl(Tensor teacher, Tensor student)
    {
        Check(student, nameof(student));
        ArgumentNullException.ThrowIfNull(teacher);
        if (!teacher.shape.SequenceEqual(student.shape)) throw new ArgumentException($"The teacher has [{string.Join(", ", teacher.shape)}] scores, the student [{string.Join(", ", student.shape)}].", nameof(teacher));
        return Distillation.KullbackLeibler(student, teacher);
    }

    /// <summary>MarginMSE (Hofstätter et al. 2020): squared difference of the margins between positive and negative.</summary>
    /// <param name="teacherPositive">[queries]; no gradient is taken.</param>
    /// <param name="teacherNegative">[queries]; no gradient is taken.</param>
    /// <param name="studentPositive">[queries].</param>
    /// <param name="studentNegative">[queries].</param>
    /// <exception cref="ArgumentException">Shapes differ.</exception>
    public static Tensor MarginMse(Tensor teacherPositive, Tensor teacherNegative, Tensor studentPositive, Tensor studentNegative)
    {
        ArgumentNullException.ThrowIfNull(studentPositive);
        foreach ((Tensor scores, string name) in new[] { (teacherPositive, nameof(teacherPositive)), (teacherNegative, nameof(teacherNegative)), (studentNegative, nameof(studentNegative)) })
        {
            ArgumentNullException.ThrowIfNull(scores, name);
            if (!scores.shape.SequenceEqual(studentPositive.shape)) throw new ArgumentException($"{name} is [{string.Join(", ", scores.shape)}], but studentPositive [{string.Join(", ", studentPositive.shape)}].", name);
        }

        using DisposeScope scope = NewDisposeScope();
        return (studentPositive - studentNegative - (teacherPositive - teacherNegative).detach()).square().mean().MoveToOuterDisposeScope();
    }

    private static void Check(Tensor scores, string name)
    {
        ArgumentNullException.ThrowIfNull(scores, name);
        if (scores.dim() != 2 || scores.numel() == 0) throw new ArgumentException($"{name} must be [queries, candidates] and not empty, but are [{string.Join(", ", scores.shape)}].", name);
    }
}
