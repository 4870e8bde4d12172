using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Losses by which a network learns the predictions of another (Hinton, Vinyals and Dean 2015).</summary>
public static class Distillation
{
    /// <summary>
    /// T^2 / n times the sum over the n labelled places of KL(softmax(teacher / T) || softmax(student / T)). The factor T^2 keeps the size of the gradients as T
    /// changes. It is a mean over labelled places, not over sequences and not over the classes: those are two errors that published code has had.
    /// </summary>
    /// <param name="student">Logits of the student [..., classes].</param>
    /// <param name="teacher">Logits of the teacher [..., classes]; no gradient is taken.</param>
    /// <param name="labelMask">True where a place counts, Bool of the leading shape; what stands elsewhere is not looked at. Null, the default, where all count.</param>
    /// <param name="temperature">T, positive and finite. Default 1.</param>
    /// <returns>One number, with a gradient to the student.</returns>
    /// <exception cref="ArgumentException">Shapes differ, the temperature is out of its range, the mask leaves no place, or a logit of the teacher that counts is not finite.</exception>
    public static Tensor KullbackLeibler(Tensor student, Tensor teacher, Tensor? labelMask = null, double temperature = 1)
    {
        ArgumentNullException.ThrowIfNull(student);
        ArgumentNullException.ThrowIfNull(teacher);
        if (student.dim() < 2 || student.numel() == 0)
            throw new ArgumentException($"student must be [..., classes] and not empty, but is [{string.Join(", ", student.shape)}].", nameof(student));
        if (!teacher.shape.SequenceEqual(student.shape))
            throw new ArgumentException($"The teacher has [{string.Join(", ", teacher.shape)}] logits, the student [{string.Join(", ", student.shape)}].", nameof(teacher));
        Finite.Positive(temperature);
        using DisposeScope scope = NewDisposeScope();
        (Tensor z, Tensor target) = (TokenMask.Rows(student, labelMask, nameof(labelMask)), TokenMask.Rows(teacher.detach(), labelMask, nameof(labelMask)));
        if (!TensorInput.IsFinite(target)) throw new ArgumentException("A logit of the teacher is not finite.", nameof(teacher));
        if (temperature != 1) (z, target) = (z.div(temperature), target.div(temperature));
        target = target.log_softmax(-1);
        Tensor mean = (target.exp() * (target - z.log_softmax(-1))).sum(-1).mean();
        return (temperature == 1 ? mean : mean.mul(temperature * temperature)).MoveToOuterDisposeScope();
    }
}
