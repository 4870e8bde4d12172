using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Hashing;

/// <summary>
/// Queries and keys with two more numbers each, after which all have one length and unchanged products (SMYRF, Daras et al. 2020): K' = [k, sqrt(M - norm(k)^2), 0], Q' = [q, 0, sqrt(M - norm(q)^2)],
/// M = max norm(q)^2 + max norm(k)^2. A hash for distances then finds large products: norm(Q' - K')^2 = 2 M - 2 q . k.
/// </summary>
public static class NormCompletion
{
    /// <summary>Completes queries and keys, M for each head.</summary>
    /// <param name="q">Queries [..., tokens, headDim].</param>
    /// <param name="k">Keys [..., keys, headDim].</param>
    /// <returns>Queries [..., tokens, headDim + 2] and keys [..., keys, headDim + 2]; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">Ranks, leading dimensions, widths or types differ.</exception>
    public static (Tensor Queries, Tensor Keys) Complete(Tensor q, Tensor k)
    {
        ArgumentNullException.ThrowIfNull(q);
        ArgumentNullException.ThrowIfNull(k);
        if (q.dim() < 2 || q.numel() == 0 || k.numel() == 0 || q.dim() != k.dim() || q.shape[^1] != k.shape[^1] || !q.shape[..^2].SequenceEqual(k.shape[..^2]) || q.dtype != k.dtype)
            throw new ArgumentException($"q is {q.dtype} [{string.Join(", ", q.shape)}] and k {k.dtype} [{string.Join(", ", k.shape)}]; all but the number of tokens must agree.", nameof(k));
        using var scope = NewDisposeScope();
        Tensor squareQ = q.square().sum(-1, keepdim: true), squareK = k.square().sum(-1, keepdim: true);
        Tensor M = squareQ.amax([-2L], keepdim: true).add(squareK.amax([-2L], keepdim: true));
        if (q.dtype != ScalarType.Float64 && !M.isfinite().logical_and(M.gt(1e-30)).all().item<bool>())
        {
            // Squares that leave single precision; their roots do not.
            (Tensor wideQ, Tensor wideK) = Complete(q.to(ScalarType.Float64), k.to(ScalarType.Float64));
            return (scope.MoveToOuter(wideQ.to(q.dtype)), scope.MoveToOuter(wideK.to(q.dtype)));
        }

        Tensor queries = cat([q, zeros_like(squareQ), M.sub(squareQ).clamp_min(0).sqrt()], -1);
        Tensor keys = cat([k, M.sub(squareK).clamp_min(0).sqrt(), zeros_like(squareK)], -1);
        return (scope.MoveToOuter(queries), scope.MoveToOuter(keys));
    }
}
