using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>Ways in which a photograph is spoilt.</summary>
public enum CorruptionKind
{
    /// <summary>Normal noise on every value, of standard deviation 0.5 at strength 1.</summary>
    Noise,

    /// <summary>A Gaussian blur, of 3 pixels at strength 1; the border is reflected.</summary>
    Blur,

    /// <summary>Contrast towards the image's mean: none is left at strength 1.</summary>
    Contrast,

    /// <summary>A grey square at a random place, with 0.6 of the shorter side at strength 1.</summary>
    Occlusion,
}

/// <summary>Spoilt copies of images, after four of the corruptions of ImageNet-C (Hendrycks and Dietterich 2019): how far a classifier can be trusted away from its training.</summary>
public static class ImageCorruption
{
    /// <summary>The images spoilt. Image i depends on the seed and on i alone; strength 0 changes nothing.</summary>
    /// <param name="images">[samples, rows, columns] or [samples, channels, rows, columns], Float32, 0 to 1; unchanged.</param>
    /// <param name="kind">How.</param>
    /// <param name="strength">How much, from 0 to 1.</param>
    /// <param name="seed">Seed of noise and places. Default 1.</param>
    /// <returns>Images of the same shape, 0 to 1.</returns>
    /// <exception cref="ArgumentException">Another shape or type, a value that is not finite, or a strength out of its range.</exception>
    public static Tensor Apply(Tensor images, CorruptionKind kind, double strength, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.dim() is not (3 or 4) || images.dtype != ScalarType.Float32 || images.numel() == 0)
            throw new ArgumentException($"images must be Float32 [samples, rows, columns] or [samples, channels, rows, columns] and not empty, but are {images.dtype} [{string.Join(", ", images.shape)}].", nameof(images));
        if (!double.IsFinite(TensorInput.LargestMagnitude(images))) throw new ArgumentException("images hold a value that is not finite.", nameof(images));
        if (!(strength is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(strength), strength, "The strength must be from 0 to 1.");
        if (!Enum.IsDefined(kind)) throw new ArgumentOutOfRangeException(nameof(kind), kind, "There is no such corruption.");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor planes = images.detach().reshape(images.shape[0], -1, images.shape[^2], images.shape[^1]);
        Tensor spoilt = strength == 0 ? planes.clone() : kind switch
        {
            CorruptionKind.Noise => Noised(planes, 0.5 * strength, seed),
            CorruptionKind.Blur => Blurred(planes, 3 * strength),
            CorruptionKind.Contrast => planes.lerp(planes.mean([1L, 2L, 3L], keepdim: true).expand_as(planes), (float)strength),
            _ => Covered(planes, 0.6 * strength, seed),
        };
        return scope.MoveToOuter(spoilt.clamp(0, 1).reshape(images.shape));
    }

    private static Tensor Noised(Tensor planes, double deviation, long seed)
    {
        Tensor noise = empty_like(planes).contiguous();
        int each = (int)(planes.numel() / planes.shape[0]);
        nint memory = TensorMemory.StartOf(noise);
        Parallel.For(0, (int)planes.shape[0], i =>
        {
            var random = new SeededRandom(seed, i);
            foreach (ref float value in TensorMemory.Part<float>(memory, (long)i * each, each)) value = (float)(deviation * random.NextGaussian());
        });
        return planes + noise;
    }

    /// <summary>Along rows and along columns, with the kernel cut at three deviations.</summary>
    private static Tensor Blurred(Tensor planes, double sigma)
    {
        long channels = planes.shape[1], radius = Math.Min((long)Math.Ceiling(3 * sigma), Math.Min(planes.shape[2], planes.shape[3]) - 1);
        Tensor kernel = arange(-radius, radius + 1, dtype: ScalarType.Float32).square().mul(-0.5 / (sigma * sigma)).exp();
        kernel = kernel.div(kernel.sum()).repeat(channels).view(channels, 1, -1);
        Tensor padded = nn.functional.pad(planes, [radius, radius, radius, radius], PaddingModes.Reflect);
        Tensor along = nn.functional.conv2d(padded, kernel.unsqueeze(2), groups: channels);
        return nn.functional.conv2d(along, kernel.unsqueeze(3), groups: channels);
    }

    private static Tensor Covered(Tensor planes, double share, long seed)
    {
        int height = (int)planes.shape[2], width = (int)planes.shape[3], side = (int)Math.Round(share * Math.Min(height, width));
        Tensor covered = planes.clone().contiguous();
        int channels = (int)planes.shape[1], plane = height * width;
        Span<float> values = TensorMemory.Part<float>(TensorMemory.StartOf(covered), 0, checked((int)covered.numel()));
        for (int i = 0; i < planes.shape[0]; i++)
        {
            var random = new SeededRandom(seed, i);
            int top = random.NextInt(height - side + 1), left = random.NextInt(width - side + 1);
            for (int c = 0; c < channels; c++)
            {
                for (int y = 0; y < side; y++) values.Slice((((i * channels) + c) * plane) + ((top + y) * width) + left, side).Fill(0.5f);
            }
        }

        return covered;
    }
}
