using System.Security.Cryptography;
using System.Text;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.IO;

/// <summary>Names the numbers of a tensor: two tensors have one hash where type, shape and every bit are the same.</summary>
internal static class TensorHash
{
    private const long Piece = 1 << 28;

    /// <summary>SHA-256 of type, shape and bytes, as hexadecimal digits.</summary>
    /// <param name="tensor">On any device, with any strides.</param>
    public static unsafe string Of(Tensor tensor)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{plain.dtype} [{string.Join(", ", plain.shape)}]"));
        byte* start = TensorMemory.Address(plain);
        long bytes = plain.numel() * plain.element_size();
        for (long from = 0; from < bytes; from += Piece) hash.AppendData(new ReadOnlySpan<byte>(start + from, (int)Math.Min(Piece, bytes - from)));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
