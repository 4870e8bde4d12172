using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>Sets of images at a lower resolution: a quarter of the work for a study of many trainings.</summary>
public static class SmallerImages
{
    /// <summary>The images at half their height and width, each value the mean of four. A copy with labels of its own; dispose it.</summary>
    /// <param name="set">The images; rows and columns are even.</param>
    /// <exception cref="ArgumentException">Rows or columns are odd.</exception>
    public static LabelledImages Halved(this LabelledImages set)
    {
        ArgumentNullException.ThrowIfNull(set);
        if (set.Images.shape[^1] % 2 != 0 || set.Images.shape[^2] % 2 != 0)
            throw new ArgumentException($"Images of {set.Images.shape[^2]} x {set.Images.shape[^1]} cannot be halved; both sides must be even.", nameof(set));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long[] shape = [.. set.Images.shape[..^2], set.Images.shape[^2] / 2, set.Images.shape[^1] / 2];
        Tensor small = nn.functional.avg_pool2d(set.Planes(), 2).reshape(shape).contiguous();
        return new(scope.MoveToOuter(small), scope.MoveToOuter(set.Labels.clone()), set.ClassNames);
    }
}
