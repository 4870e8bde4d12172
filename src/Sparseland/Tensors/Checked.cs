using TorchSharp;

namespace Sparseland;

/// <summary>Tensor products that check their arguments before libtorch sees them.</summary>
public static class Checked
{
    /// <summary>
    /// The matrix product with the shapes of <c>torch.matmul</c>: vector by vector gives a scalar, matrix by vector a
    /// vector, matrix by matrix a matrix, and leading dimensions are batch dimensions that broadcast.
    /// </summary>
    /// <remarks>
    /// TorchSharp's own <c>matmul</c> ends the process on a wrong shape where <see cref="Native.NativeLibraryReport.Guarded"/>
    /// is false; this one never does. Gradients flow through it.
    /// </remarks>
    /// <param name="left">[k], [n, k] or [batch..., n, k].</param>
    /// <param name="right">[k], [k, m] or [batch..., k, m], of the same element type and on the same device.</param>
    /// <returns>[batch..., n, m]; n or m falls away where that argument is a vector.</returns>
    /// <exception cref="ArgumentException">Element types, devices, inner or batch dimensions do not fit; the message has both shapes and the rule.</exception>
    public static torch.Tensor MatMul(this torch.Tensor left, torch.Tensor right)
    {
        ArgumentNullException.ThrowIfNull(left);
        ArgumentNullException.ThrowIfNull(right);
        long[] batch = ResultBatch(left, right);

        using DisposeScope scope = torch.NewDisposeScope();
        return Multiply(left, right, batch).MoveToOuterDisposeScope();
    }

    private static torch.Tensor Multiply(torch.Tensor left, torch.Tensor right, long[] batch)
    {
        switch (left.dim(), right.dim())
        {
            case (1, 1): return left.dot(right);
            case (2, 1): return left.mv(right);
            case (2, 2): return left.mm(right);
            case (1, _): return Multiply(left.unsqueeze(0), right, batch).squeeze(-2);
            case (_, 1): return Multiply(left, right.unsqueeze(-1), batch).squeeze(-1);
        }
        long n = left.size(-2), k = left.size(-1), m = right.size(-1);
        if (right.dim() == 2)
        {
            // One matrix for the whole batch: a single large product instead of many small ones.
            return left.reshape(Product(batch) * n, k).mm(right).reshape([.. batch, n, m]);
        }
        torch.Tensor a = left.expand([.. batch, n, k]).reshape(Product(batch), n, k);
        torch.Tensor b = right.expand([.. batch, k, m]).reshape(Product(batch), k, m);
        return a.bmm(b).reshape([.. batch, n, m]);
    }

    /// <summary>Checks the rules of the product and gives the broadcast batch dimensions.</summary>
    private static long[] ResultBatch(torch.Tensor left, torch.Tensor right)
    {
        long[] a = left.shape, b = right.shape;
        string shapes = $"MatMul of [{string.Join(", ", a)}] by [{string.Join(", ", b)}]";
        if (a.Length == 0 || b.Length == 0)
        {
            throw new ArgumentException($"{shapes}: a scalar has no dimension to sum over; use * instead.", a.Length == 0 ? nameof(left) : nameof(right));
        }
        if (left.dtype != right.dtype)
        {
            throw new ArgumentException($"{shapes}: element types must be the same, but are {left.dtype} and {right.dtype}; convert one with to_type.", nameof(right));
        }
        if (left.device_type != right.device_type || left.device_index != right.device_index)
        {
            throw new ArgumentException($"{shapes}: both must be on one device, but are on {left.device} and {right.device}.", nameof(right));
        }
        int inner = Math.Max(b.Length - 2, 0);
        if (a[^1] != b[inner])
        {
            string which = b.Length == 1 ? "the length of the right" : "the second last of the right";
            throw new ArgumentException($"{shapes}: the last dimension of the left ({a[^1]}) must equal {which} ({b[inner]}).", nameof(right));
        }
        var batch = new long[Math.Max(Math.Max(a.Length, b.Length) - 2, 0)];
        for (int i = 1; i <= batch.Length; i++)
        {
            long x = i <= a.Length - 2 ? a[a.Length - 2 - i] : 1, y = i <= b.Length - 2 ? b[b.Length - 2 - i] : 1;
            if (x != y && x != 1 && y != 1)
            {
                throw new ArgumentException($"{shapes}: batch dimensions, counted from the right, must be equal or 1, but {x} meets {y}.", nameof(right));
            }
            batch[^i] = x == 1 ? y : x;
        }
        return batch;
    }

    private static long Product(long[] sizes) => sizes.Aggregate(1L, (product, size) => product * size);
}
