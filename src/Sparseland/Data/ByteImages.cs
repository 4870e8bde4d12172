using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>Bytes of image files to tensors.</summary>
internal static class ByteImages
{
    /// <summary>0 to 255 as 0 to 1, float32.</summary>
    internal static Tensor ToUnit(byte[] values, long[] shape)
    {
        using var scope = NewDisposeScope();
        Tensor bytes = tensor(values, shape);
        return bytes.to(ScalarType.Float32).div_(255).MoveToOuterDisposeScope();
    }
}
