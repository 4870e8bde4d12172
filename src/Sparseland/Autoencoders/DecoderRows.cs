using System.Numerics;
using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Autoencoders;

/// <summary>Work on the decoder row by row, in place: matrices of its size that are needed for a moment only would be much of what a training holds.</summary>
internal static class DecoderRows
{
    /// <summary>Removes from each row's gradient what would only change the row's norm: g - &lt;g, w&gt; w.</summary>
    /// <param name="gradient">[latents, d], contiguous; changed.</param>
    /// <param name="rows">w [latents, d] of norm one, contiguous.</param>
    public static void Project(Tensor gradient, Tensor rows)
    {
        if (rows.dtype == ScalarType.Float32) Project<float>(gradient, rows);
        else Project<double>(gradient, rows);
    }

    private static void Project<T>(Tensor gradient, Tensor rows)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int width = (int)rows.shape[1];
        (nint gradients, nint decoder) = (TensorMemory.StartOf(gradient), TensorMemory.StartOf(rows));
        Pieces.For(rows.shape[0], Math.Max(1, (1 << 16) / width), (from, count) =>
        {
            for (long row = from; row < from + count; row++)
            {
                Span<T> g = TensorMemory.Part<T>(gradients, row * width, width), w = TensorMemory.Part<T>(decoder, row * width, width);
                TensorPrimitives.MultiplyAdd(w, -TensorPrimitives.Dot<T>(g, w), g, g);
            }
        });
    }
}
