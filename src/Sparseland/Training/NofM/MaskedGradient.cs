using System.Numerics;
using System.Runtime.CompilerServices;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.NofM;

/// <summary>What a step's report needs of one layer, in one pass over gradient and masks: as tensor operations it would cost as much as the layer's own products.</summary>
/// <param name="Kept">Sum of squares of the gradient where the mask is true.</param>
/// <param name="Pruned">The same where it is false.</param>
/// <param name="Count">Entries that are kept.</param>
/// <param name="Changed">Entries in which the mask is not the one before; 0 without one.</param>
internal readonly record struct MaskedGradient(double Kept, double Pruned, long Count, long Changed)
{
    /// <summary>Sums up one layer.</summary>
    public static unsafe MaskedGradient Of(Tensor gradient, Tensor mask, Tensor? before)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor values = gradient.detach().cpu().contiguous(), kept = mask.cpu().contiguous(), old = (before ?? mask).cpu().contiguous();
        byte* now = TensorMemory.Address(kept), then = TensorMemory.Address(old);
        if (values.dtype is not (ScalarType.Float32 or ScalarType.Float64)) values = values.to(ScalarType.Float32);
        return values.dtype == ScalarType.Float32
            ? Of((float*)TensorMemory.Address(values), now, then, values.numel())
            : Of((double*)TensorMemory.Address(values), now, then, values.numel());
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe MaskedGradient Of<T>(T* gradient, byte* mask, byte* before, long count)
        where T : unmanaged, INumber<T>
    {
        // Four running sums: one alone would wait for itself.
        double* kept = stackalloc double[4], pruned = stackalloc double[4];
        for (int lane = 0; lane < 4; lane++) kept[lane] = pruned[lane] = 0;
        long stay = 0, changed = 0, i = 0;
        for (; i + 4 <= count; i += 4)
        {
            for (int lane = 0; lane < 4; lane++)
            {
                double g = double.CreateTruncating(gradient[i + lane]), square = g * g;
                byte one = mask[i + lane];
                kept[lane] += square * one;
                pruned[lane] += square * (1 - one);
                stay += one;
                changed += one ^ before[i + lane];
            }
        }

        for (; i < count; i++)
        {
            double g = double.CreateTruncating(gradient[i]), square = g * g;
            kept[0] += square * mask[i];
            pruned[0] += square * (1 - mask[i]);
            stay += mask[i];
            changed += mask[i] ^ before[i];
        }

        return new(kept[0] + kept[1] + (kept[2] + kept[3]), pruned[0] + pruned[1] + (pruned[2] + pruned[3]), stay, changed);
    }
}
