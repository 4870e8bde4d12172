using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>How scores of an attention are made from queries and keys.</summary>
/// <param name="Scale">Factor of the products; null for 1 / sqrt(headDim).</param>
/// <param name="Cap">Scores become cap * tanh(score / cap) before the mask; null for as they are.</param>
/// <param name="Window">Keys that a token sees, its own included; null for all.</param>
/// <param name="Hidden">[tokens, keys]: what tokens do not see, in place of later keys; null for those.</param>
internal readonly record struct AttentionRule(double? Scale = null, double? Cap = null, int? Window = null, Tensor? Hidden = null);

/// <summary>Causal attention of several query heads per key and value head (Vaswani et al. 2017; Ainslie et al. 2023).</summary>
internal static class CausalAttention
{
    private const long PieceTokens = 512;

    /// <summary>softmax(scores) V with scores Q K^T / sqrt(headDim), each token over itself and those before it.</summary>
    /// <param name="q">[batch, heads, tokens, headDim].</param>
    /// <param name="k">[batch, keyValueHeads, keys, headDim]; the last keys are those of the tokens.</param>
    /// <param name="v">[batch, keyValueHeads, keys, headDim].</param>
    /// <param name="layer">Block, for the hook.</param>
    /// <param name="call">A hook sees the pattern, if it wants it, and the heads' outputs; a cache holds keys and values before these; a method takes the place of all below.</param>
    /// <param name="rule">Scale, cap and window of the scores.</param>
    /// <returns>[batch, heads, tokens, headDim].</returns>
    public static Tensor Of(Tensor q, Tensor k, Tensor v, int layer, ModelCall call, AttentionRule rule = default)
    {
        IActivationHook? hook = call.Hook;
        if (call.Cache is not null) (k, v) = call.Cache.Extend(layer, k, v);
        if (call.Attention.Of(new(layer, rule.Scale ?? 1 / Math.Sqrt(q.shape[3]), Causal: true), q, k, v, hook) is { } output) return hook.At(layer, Activation.HeadOutputs, output);
        return Of(q, k, v, layer, hook, rule);
    }

    private static Tensor Of(Tensor q, Tensor k, Tensor v, int layer, IActivationHook? hook, AttentionRule rule)
    {
        long tokens = q.shape[2], keys = k.shape[2], width = q.shape[3], shared = q.shape[1] / k.shape[1];
        if (rule.Scale is { } scale && scale != 1 / Math.Sqrt(width)) q = q.mul(scale * Math.Sqrt(width));
        bool patternWanted = hook is not null && hook.Wants(new(layer, Activation.AttentionPattern));
        if (tokens == 1 && rule.Cap is null && rule.Hidden is null && !patternWanted)
        {
            if (rule.Window is { } seen && seen < keys) (k, v) = (k.narrow(2, keys - seen, seen), v.narrow(2, keys - seen, seen));

            // A single token sees every key, so the heads that share keys can stand where tokens stand: no key is copied.
            Tensor heads = q.reshape(q.shape[0], k.shape[1], shared, width);
            return hook.At(layer, Activation.HeadOutputs, nn.functional.scaled_dot_product_attention(heads, k, v).reshape(q.shape));
        }

        if (shared > 1)
        {
            k = k.repeat_interleave(shared, 1);
            v = v.repeat_interleave(shared, 1);
        }

        Tensor output = (patternWanted, rule.Cap, tokens == keys && !(rule.Window < keys) && rule.Hidden is null) switch
        {
            (true, _, _) => Explicit(q, k, v, layer, hook, rule),
            (_, not null, _) => Pieces(q, k, v, layer, rule),
            (_, _, true) => nn.functional.scaled_dot_product_attention(q, k, v, is_casual: true),
            _ => nn.functional.scaled_dot_product_attention(q, k, v, (rule.Hidden ?? Hidden(tokens, keys, rule.Window, q.device)).logical_not()),
        };
        return hook.At(layer, Activation.HeadOutputs, output);
    }

    /// <summary>Scores and pattern as tensors: where a hook wants the pattern, and for caps, which the fused attention has not.</summary>
    private static Tensor Explicit(Tensor q, Tensor k, Tensor v, int layer, IActivationHook? hook, AttentionRule rule)
    {
        long tokens = q.shape[2], keys = k.shape[2];
        Tensor scores = q.flatten(0, 1).bmm(k.flatten(0, 1).transpose(1, 2)).div(Math.Sqrt(q.shape[3])).view(q.shape[0], q.shape[1], tokens, keys);
        if (rule.Cap is { } cap) scores = scores.div(cap).tanh().mul(cap);
        if (tokens > 1 || rule.Window < keys || rule.Hidden is not null) scores = scores.masked_fill(rule.Hidden ?? Hidden(tokens, keys, rule.Window, q.device), double.NegativeInfinity);
        Tensor pattern = hook.At(layer, Activation.AttentionPattern, scores.softmax(-1));
        return pattern.flatten(0, 1).bmm(v.flatten(0, 1)).view(q.shape);
    }

    /// <summary>The same without a hook, some tokens at a time with the keys that they see: a pattern of all tokens would take memory with their square.</summary>
    private static Tensor Pieces(Tensor q, Tensor k, Tensor v, int layer, AttentionRule rule)
    {
        long tokens = q.shape[2], before = k.shape[2] - tokens;
        var parts = new List<Tensor>();
        for (long from = 0; from < tokens; from += PieceTokens)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(PieceTokens, tokens - from), end = before + from + count;
            long begin = rule.Window is { } window ? Math.Max(0, before + from - window + 1) : 0;
            parts.Add(scope.MoveToOuter(Explicit(q.narrow(2, from, count), k.narrow(2, begin, end - begin), v.narrow(2, begin, end - begin), layer, null, rule)));
        }

        return parts.Count == 1 ? parts[0] : cat(parts, 2);
    }

    /// <summary>From [batch, tokens, heads * width] to [batch, heads, tokens, width].</summary>
    public static Tensor Split(Tensor x, int heads)
    {
        long[] shape = x.shape;
        long width = shape[2] / heads;

        // Of a single token the two orders are the same.
        return shape[1] == 1 ? x.reshape(shape[0], heads, 1, width) : x.reshape(shape[0], shape[1], heads, width).transpose(1, 2);
    }

    /// <summary>From [batch, heads, tokens, width] to [batch, tokens, heads * width].</summary>
    public static Tensor Join(Tensor heads)
    {
        long[] shape = heads.shape;
        return shape[2] == 1 ? heads.reshape(shape[0], 1, shape[1] * shape[3]) : heads.transpose(1, 2).reshape(shape[0], shape[2], shape[1] * shape[3]);
    }

    /// <summary>Keys that a token does not see: later ones, and those a window or more behind it.</summary>
    private static Tensor Hidden(long tokens, long keys, int? window, Device device)
    {
        Tensor all = ones([tokens, keys], dtype: ScalarType.Bool, device: device), future = all.triu(keys - tokens + 1);
        return window < keys ? future.logical_or(all.tril(keys - tokens - window.Value)) : future;
    }
}
