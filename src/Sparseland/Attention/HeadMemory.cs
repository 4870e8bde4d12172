using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>Where the rows of a tensor [batch, heads, tokens, width] lie, whatever its order of dimensions: the last one alone must be dense.</summary>
internal readonly unsafe struct HeadMemory
{
    private readonly float* _start;
    private readonly long _batch, _head;

    private HeadMemory(float* start, long batch, long head, long row)
    {
        _start = start;
        (_batch, _head, Row) = (batch, head, row);
    }

    /// <summary>From one token to the next.</summary>
    public long Row { get; }

    /// <summary>The rows of a head.</summary>
    public float* Head(int batch, int head) => _start + (batch * _batch) + (head * _head);

    /// <summary>The rows of a tensor, or of a dense copy of it; the tensor that is read must live as long.</summary>
    /// <param name="x">Float32 on the CPU, [batch, heads, tokens, width].</param>
    /// <param name="multiple">The width is filled up with zeros to a multiple of this.</param>
    /// <param name="read">The tensor whose memory it is; a copy belongs to the current scope.</param>
    public static HeadMemory Of(Tensor x, int multiple, out Tensor read)
    {
        long missing = (multiple - (x.shape[3] % multiple)) % multiple;
        read = missing > 0 ? nn.functional.pad(x.detach(), [0, missing]).contiguous() : x.stride(3) == 1 ? x : x.contiguous();
        long[] stride = read.stride();
        return new((float*)First(read), stride[0], stride[1], stride[2]);
    }

    /// <summary>The first element, of a tensor whose rows may lie apart.</summary>
    private static byte* First(Tensor x)
    {
        using DisposeScope scope = NewDisposeScope();
        return TensorMemory.Address(x.narrow(0, 0, 1).narrow(1, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1));
    }
}
