using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>Images with the class of each: what the generated sets and the readers of real ones give.</summary>
/// <remarks>Disposing it frees both tensors.</remarks>
public record LabelledImages : IDisposable
{
    private readonly NativeSize _size;

    /// <summary>Puts images, labels and names together and checks that they fit.</summary>
    /// <param name="images">[samples, rows, columns] if grey, [samples, channels, rows, columns] otherwise; float32, 0 to 1.</param>
    /// <param name="labels">[samples], int64, positions in <paramref name="classNames"/>.</param>
    /// <param name="classNames">A name per class.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, a tensor is empty, or a label has no name.</exception>
    public LabelledImages(Tensor images, Tensor labels, IReadOnlyList<string> classNames)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(classNames);
        if (images.dtype != ScalarType.Float32 || images.dim() is not (3 or 4) || images.numel() == 0)
            throw new ArgumentException($"images are {images.dtype} [{string.Join(", ", images.shape)}]; they must be Float32 [samples, rows, columns] or [samples, channels, rows, columns] and not empty.", nameof(images));
        if (labels.dtype != ScalarType.Int64 || labels.dim() != 1 || labels.shape[0] != images.shape[0])
            throw new ArgumentException($"labels are {labels.dtype} [{string.Join(", ", labels.shape)}]; they must be Int64 [{images.shape[0]}], one per image.", nameof(labels));
        using (Tensor least = labels.min(), most = labels.max())
        {
            long low = least.item<long>(), high = most.item<long>();
            if (low < 0 || high >= classNames.Count)
                throw new ArgumentException($"labels go from {low} to {high}; with {classNames.Count} class names they must lie between 0 and {classNames.Count - 1}.", nameof(labels));
        }
        (Images, Labels, ClassNames, _size) = (images, labels, classNames, NativeSize.Of(images, labels));
    }

    /// <summary>[samples, rows, columns] if grey, [samples, channels, rows, columns] otherwise; float32, 0 to 1.</summary>
    public Tensor Images { get; }

    /// <summary>[samples], int64, positions in <see cref="ClassNames"/>.</summary>
    public Tensor Labels { get; }

    /// <summary>A name per class.</summary>
    public IReadOnlyList<string> ClassNames { get; }

    /// <summary>Number of images.</summary>
    public int Count => (int)Images.shape[0];

    /// <summary>What a fully connected network takes: a view [samples, values], to be disposed by itself.</summary>
    public Tensor Flat() => Images.view(Count, -1);

    /// <summary>What a convolutional network takes: a view [samples, channels, rows, columns], to be disposed by itself.</summary>
    public Tensor Planes() => Images.view(Count, -1, Images.shape[^2], Images.shape[^1]);

    /// <summary>Some images next to one another, in the memory of this set: no copy, and it lives on when this set is disposed.</summary>
    /// <param name="start">The first.</param>
    /// <param name="count">How many.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many images.</exception>
    public LabelledImages Part(int start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        if (start > Count - count)
            throw new ArgumentOutOfRangeException(nameof(count), count, $"There are {Count} images; {count} from number {start} on are too many.");
        return new(Images.narrow(0, start, count), Labels.narrow(0, start, count), ClassNames);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Images.Dispose();
        Labels.Dispose();
        _size.Dispose();
        GC.SuppressFinalize(this);
    }
}
