using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>The places of a batch that count in a loss.</summary>
internal static class TokenMask
{
    /// <summary>The rows [n, last] of a tensor at the places that count. They are picked and not multiplied with zero: what stands elsewhere may be anything, NaN too.</summary>
    /// <param name="values">[..., last].</param>
    /// <param name="mask">Bool of the leading shape; null for all.</param>
    /// <param name="name">What the caller calls the mask.</param>
    /// <exception cref="ArgumentException">Another type or shape, or it leaves nothing.</exception>
    public static Tensor Rows(Tensor values, Tensor? mask, string name)
    {
        Tensor rows = values.reshape(-1, values.shape[^1]);
        return mask is null ? rows : rows.index_select(0, Places(mask, values.shape[..^1], name));
    }

    private static Tensor Places(Tensor mask, long[] shape, string name)
    {
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(shape))
            throw new ArgumentException($"{name} must be Bool [{string.Join(", ", shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", name);
        Tensor places = mask.flatten().nonzero().flatten();
        return places.numel() > 0 ? places : throw new ArgumentException($"{name} leaves no token.", name);
    }
}
