using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tensors;

/// <summary>
/// Tells the collector how much native memory an object keeps in its tensors: to it a tensor is a handle of a few bytes, so that results of
/// gigabytes would never be worth a collection. The owner keeps one in a field, made from its tensors, and disposes it with them; an owner that is
/// forgotten takes it along.
/// </summary>
/// <remarks>Copies of a record share it, and it plays no part in their equality.</remarks>
internal sealed class NativeSize : IDisposable, IEquatable<NativeSize>
{
    private long _bytes;

    private NativeSize(long bytes)
    {
        _bytes = bytes;
        if (bytes > 0) GC.AddMemoryPressure(bytes);
        else GC.SuppressFinalize(this);
    }

    ~NativeSize() => Forget();

    /// <summary>Bytes that the collector is told of now.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>The size of some tensors; those that are null or lie on a device count nothing.</summary>
    public static NativeSize Of(params IEnumerable<Tensor?> tensors) =>
        new(tensors.Sum(tensor => tensor is { IsInvalid: false, device_type: DeviceType.CPU } ? tensor.numel() * tensor.element_size() : 0));

    /// <summary>The tensors are gone.</summary>
    public void Dispose()
    {
        Forget();
        GC.SuppressFinalize(this);
    }

    /// <inheritdoc/>
    public bool Equals(NativeSize? other) => true;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is null or NativeSize;

    /// <inheritdoc/>
    public override int GetHashCode() => 0;

    private void Forget()
    {
        long bytes = Interlocked.Exchange(ref _bytes, 0);
        if (bytes > 0) GC.RemoveMemoryPressure(bytes);
    }
}
