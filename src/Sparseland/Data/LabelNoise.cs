using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>Wrong labels, for what a network does with them.</summary>
public static class LabelNoise
{
    /// <summary>Each label is drawn anew with a probability, uniformly from ALL classes: a share of (classes - 1) / classes of those becomes wrong.</summary>
    /// <param name="labels">Class numbers [samples], Int64; unchanged.</param>
    /// <param name="share">Probability of a new draw, from 0 to 1.</param>
    /// <param name="classes">Classes, at least 2.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <returns>New labels [samples]; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">A number or label is out of its range, or the labels are not one row of Int64.</exception>
    public static Tensor Redraw(Tensor labels, double share, int classes, long seed)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, 2);
        if (!(share is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "The share of labels drawn anew must be from 0 to 1.");
        if (labels.dim() != 1 || labels.dtype != ScalarType.Int64) throw new ArgumentException($"labels must be Int64 [samples], but are {labels.dtype} [{string.Join(", ", labels.shape)}].", nameof(labels));
        using Tensor copy = labels.detach().cpu().contiguous();
        long[] values = TensorMemory.Read<long>(copy).ToArray();
        if (Array.FindIndex(values, v => v < 0 || v >= classes) is >= 0 and var at) throw new ArgumentException($"Label {at} is {values[at]}; there are {classes} classes.", nameof(labels));
        var random = new SeededRandom(seed, 4_700);
        for (int i = 0; i < values.Length; i++)
        {
            // Both are drawn always, so that a larger share changes further labels and none back.
            double draw = random.NextDouble();
            int other = Math.Min(classes - 1, (int)(random.NextDouble() * classes));
            if (draw < share) values[i] = other;
        }

        return tensor(values);
    }
}
