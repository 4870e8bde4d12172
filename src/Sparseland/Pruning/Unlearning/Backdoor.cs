using Sparseland.Data;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>A backdoor: training images with a trigger in a corner and the label of one class. A network that learned it gives any image with the trigger that class.</summary>
public static class Backdoor
{
    /// <summary>Sets the trigger: a white square in the lower right corner. A copy; dispose it.</summary>
    /// <param name="set">The images.</param>
    /// <param name="side">Its side in pixels, positive and not above that of an image. Default 3.</param>
    /// <exception cref="ArgumentOutOfRangeException">The side is out of its range.</exception>
    public static LabelledImages Stamp(LabelledImages set, int side = 3)
    {
        ArgumentNullException.ThrowIfNull(set);
        Check(set, side);
        using DisposeScope scope = NewDisposeScope();
        Tensor images = set.Images.clone();
        Mark(images, side);
        return new(scope.MoveToOuter(images), scope.MoveToOuter(set.Labels.clone()), set.ClassNames);
    }

    /// <summary>Poisons a share of the images of other classes: trigger, and the label changed.</summary>
    /// <param name="set">Training images; they stay.</param>
    /// <param name="target">The class that the trigger is to mean.</param>
    /// <param name="share">Share of all images that is poisoned, above 0 and below 1. Default 0.1.</param>
    /// <param name="seed">Seed of the draw. Default 1.</param>
    /// <param name="side">Side of the trigger. Default 3.</param>
    /// <returns>A copy, the caller's to dispose, and the numbers of the poisoned images, ascending.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or there are not so many images of other classes.</exception>
    public static (LabelledImages Set, int[] Poisoned) Poison(LabelledImages set, int target, double share = 0.1, long seed = 1, int side = 3)
    {
        ArgumentNullException.ThrowIfNull(set);
        Check(set, side);
        if (target < 0 || target >= set.ClassNames.Count) throw new ArgumentOutOfRangeException(nameof(target), target, $"Classes have the numbers 0 to {set.ClassNames.Count - 1}.");
        if (!(share is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "The share must lie above 0 and below 1.");
        using DisposeScope scope = NewDisposeScope();
        long[] labels = set.Labels.cpu().contiguous().data<long>().ToArray();
        int[] others = [.. Enumerable.Range(0, labels.Length).Where(i => labels[i] != target)];
        int count = (int)Math.Round(share * labels.Length, MidpointRounding.AwayFromZero);
        if (count < 1 || count > others.Length) throw new ArgumentException($"{count} images are to be poisoned, and {others.Length} are of other classes.", nameof(share));
        var random = new SeededRandom(seed, 5_300);
        random.Shuffle(others.AsSpan());
        int[] poisoned = [.. others.Take(count).Order()];
        Tensor rows = tensor([.. poisoned.Select(i => (long)i)]), images = set.Images.clone(), changed = set.Labels.clone();
        Tensor stamped = images.index_select(0, rows);
        Mark(stamped, side);
        images.index_copy_(0, rows, stamped);
        changed.index_fill_(0, rows, target);
        return (new(scope.MoveToOuter(images), scope.MoveToOuter(changed), set.ClassNames), poisoned);
    }

    /// <summary>Share of images of other classes that a network gives the target class once the trigger is on them.</summary>
    /// <param name="model">The network.</param>
    /// <param name="test">Clean test images.</param>
    /// <param name="target">The class.</param>
    /// <param name="side">Side of the trigger. Default 3.</param>
    /// <exception cref="ArgumentException">No image of another class.</exception>
    public static double Success(nn.Module<Tensor, Tensor> model, LabelledImages test, int target, int side = 3)
    {
        ArgumentNullException.ThrowIfNull(test);
        using DisposeScope scope = NewDisposeScope();
        long[] labels = test.Labels.cpu().contiguous().data<long>().ToArray();
        int[] others = [.. Enumerable.Range(0, labels.Length).Where(i => labels[i] != target)];
        if (others.Length == 0) throw new ArgumentException("No image is of another class.", nameof(test));
        using LabelledImages part = UnlearnData.Subset(test, others), stamped = Stamp(part, side);
        return SnapshotEvaluation.Probabilities(model, stamped).argmax(1).eq(target).to(ScalarType.Float64).mean().item<double>();
    }

    private static void Mark(Tensor images, int side)
    {
        using Tensor corner = images.narrow(-2, images.shape[^2] - side, side).narrow(-1, images.shape[^1] - side, side);
        corner.fill_(1);
    }

    private static void Check(LabelledImages set, int side)
    {
        if (side < 1 || side > Math.Min(set.Images.shape[^1], set.Images.shape[^2])) throw new ArgumentOutOfRangeException(nameof(side), side, "The trigger must fit into an image.");
    }
}
