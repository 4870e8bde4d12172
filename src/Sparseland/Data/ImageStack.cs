using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>What every function on images asks of them.</summary>
internal static class ImageStack
{
    /// <summary>Count, height and width of a stack of finite float images [count, height, width] of at least 2 x 2.</summary>
    internal static (int Count, int Height, int Width) Validate(Tensor images, string name = "images")
    {
        ArgumentNullException.ThrowIfNull(images, name);
        if (images.dim() != 3 || images.shape.Any(size => size < 1))
            throw new ArgumentException($"Images are [count, height, width], not [{string.Join(", ", images.shape)}].", name);
        if (images.shape[1] < 2 || images.shape[2] < 2)
            throw new ArgumentException($"An image is at least 2 x 2, not {images.shape[1]} x {images.shape[2]}.", name);
        if (images.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"Images are float32 or float64, not {images.dtype}.", name);
        if (images.NumberOfElements > Array.MaxLength)
            throw new ArgumentException($"At most {Array.MaxLength} pixels in one stack, not {images.NumberOfElements}.", name);

        using DisposeScope scope = NewDisposeScope();
        Tensor finite = isfinite(images).flatten(1).all(1);
        if (!finite.all().item<bool>())
            throw new ArgumentException($"Image {finite.logical_not().to(ScalarType.Int32).argmax().item<long>()} holds a value that is not finite.", name);
        return ((int)images.shape[0], (int)images.shape[1], (int)images.shape[2]);
    }
}
