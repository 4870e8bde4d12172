using Sparseland.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>The three sets of an unlearning: what stays, what is forgotten, and test images that nobody trained on. Copies; dispose it.</summary>
public sealed class UnlearnData : IDisposable
{
    private UnlearnData(ForgetSplit split, LabelledImages retain, LabelledImages forget, LabelledImages test) => (Split, Retain, Forget, Test) = (split, retain, forget, test);

    /// <summary>The partition.</summary>
    public ForgetSplit Split { get; }

    /// <summary>D_r, in the order of <see cref="ForgetSplit.Retain"/>.</summary>
    public LabelledImages Retain { get; }

    /// <summary>D_f, in the order of <see cref="ForgetSplit.Forget"/>.</summary>
    public LabelledImages Forget { get; }

    /// <summary>Test images; where a class is forgotten, those of the other classes only.</summary>
    public LabelledImages Test { get; }

    /// <summary>Divides a training set.</summary>
    /// <param name="train">Training images; stays the caller's.</param>
    /// <param name="split">Which are forgotten.</param>
    /// <param name="test">Test images; stays the caller's.</param>
    /// <exception cref="ArgumentException">A split of another size, or a test set that has nothing left without the forgotten class.</exception>
    public static UnlearnData Of(LabelledImages train, ForgetSplit split, LabelledImages test)
    {
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(split);
        ArgumentNullException.ThrowIfNull(test);
        if (split.Size != train.Count) throw new ArgumentException($"The split is of {split.Size} samples and there are {train.Count}.", nameof(split));
        using Tensor here = test.Labels.cpu().contiguous();
        long[] labels = here.data<long>().ToArray();
        int[] others = [.. Enumerable.Range(0, labels.Length).Where(i => labels[i] != split.Class)];
        if (others.Length == 0) throw new ArgumentException($"All test images are of the forgotten class {split.Class}.", nameof(test));
        return new(split, Subset(train, split.Retain), Subset(train, split.Forget), Subset(test, others));
    }

    /// <summary>Some images of a set, as a copy.</summary>
    /// <param name="set">The set.</param>
    /// <param name="indices">Numbers of the images, at least one.</param>
    /// <exception cref="ArgumentException">No number, or one out of range.</exception>
    public static LabelledImages Subset(LabelledImages set, IReadOnlyList<int> indices)
    {
        ArgumentNullException.ThrowIfNull(set);
        ArgumentNullException.ThrowIfNull(indices);
        if (indices.Count == 0) throw new ArgumentException("No image is named.", nameof(indices));
        if (indices.Where(i => i < 0 || i >= set.Count).Select(i => (int?)i).FirstOrDefault() is { } strange) throw new ArgumentOutOfRangeException(nameof(indices), strange, $"Images have the numbers 0 to {set.Count - 1}.");
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = tensor([.. indices.Select(i => (long)i)], device: set.Images.device);
        return new(scope.MoveToOuter(set.Images.index_select(0, rows)), scope.MoveToOuter(set.Labels.index_select(0, rows)), set.ClassNames);
    }

    /// <summary>Frees the copies.</summary>
    public void Dispose()
    {
        Retain.Dispose();
        Forget.Dispose();
        Test.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"UnlearnData: {Retain.Count} stay, {Forget.Count} to forget, {Test.Count} test images";
}
