using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>Sets of images with a margin: for networks and patterns that want sides of a certain number, such as a power of two.</summary>
public static class PaddedImages
{
    /// <summary>The images in the middle of a square of zeros; where the margin is odd, the extra row and column are below and on the right. A copy with labels of its own; dispose it.</summary>
    /// <param name="set">The images.</param>
    /// <param name="side">Rows and columns of the square, not below those of an image.</param>
    /// <exception cref="ArgumentOutOfRangeException">The images are larger.</exception>
    public static LabelledImages Padded(this LabelledImages set, int side)
    {
        ArgumentNullException.ThrowIfNull(set);
        long down = side - set.Images.shape[^2], across = side - set.Images.shape[^1];
        if (down < 0 || across < 0) throw new ArgumentOutOfRangeException(nameof(side), side, $"Images of {set.Images.shape[^2]} x {set.Images.shape[^1]} do not fit into a square of {side}.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor padded = nn.functional.pad(set.Images, [across / 2, across - (across / 2), down / 2, down - (down / 2)], PaddingModes.Constant, 0);
        return new(scope.MoveToOuter(padded), scope.MoveToOuter(set.Labels.clone()), set.ClassNames);
    }
}
