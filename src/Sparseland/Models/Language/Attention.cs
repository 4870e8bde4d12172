using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>Causal attention of several query heads per key and value head (Vaswani et al. 2017; Ainslie et al. 2023).</summary>
internal static class Attention
{
    /// <summary>softmax(Q K^T / sqrt(headDim)) V, each token over itself and those before it.</summary>
    /// <param name="q">[batch, heads, tokens, headDim].</param>
    /// <param name="k">[batch, keyValueHeads, keys, headDim]; the last keys are those of the tokens.</param>
    /// <param name="v">[batch, keyValueHeads, keys, headDim].</param>
    /// <param name="layer">Block, for the hook.</param>
    /// <param name="hook">Sees the pattern, if it wants it, and the heads' outputs.</param>
    /// <returns>[batch, heads, tokens, headDim].</returns>
    public static Tensor Causal(Tensor q, Tensor k, Tensor v, int layer, IActivationHook? hook)
    {
        long tokens = q.shape[2], keys = k.shape[2], shared = q.shape[1] / k.shape[1];
        bool patternWanted = hook is not null && hook.Wants(new(layer, Activation.AttentionPattern));
        if (tokens == 1 && !patternWanted)
        {
            // A single token sees every key, so the heads that share keys can stand where tokens stand: no key is copied.
            Tensor heads = q.reshape(q.shape[0], k.shape[1], shared, q.shape[3]);
            return hook.At(layer, Activation.HeadOutputs, nn.functional.scaled_dot_product_attention(heads, k, v).reshape(q.shape));
        }

        if (shared > 1)
        {
            k = k.repeat_interleave(shared, 1);
            v = v.repeat_interleave(shared, 1);
        }

        Tensor output;
        if (patternWanted)
        {
            Tensor scores = q.flatten(0, 1).bmm(k.flatten(0, 1).transpose(1, 2)).div(Math.Sqrt(q.shape[3])).view(q.shape[0], q.shape[1], tokens, keys);
            if (tokens > 1) scores = scores.masked_fill(Future(tokens, keys, q.device), double.NegativeInfinity);
            Tensor pattern = hook.At(layer, Activation.AttentionPattern, scores.softmax(-1));
            output = pattern.flatten(0, 1).bmm(v.flatten(0, 1)).view(q.shape);
        }
        else if (tokens == keys)
        {
            output = nn.functional.scaled_dot_product_attention(q, k, v, is_casual: true);
        }
        else
        {
            output = nn.functional.scaled_dot_product_attention(q, k, v, Future(tokens, keys, q.device).logical_not());
        }

        return hook.At(layer, Activation.HeadOutputs, output);
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

    private static Tensor Future(long tokens, long keys, Device device) => ones([tokens, keys], dtype: ScalarType.Bool, device: device).triu(keys - tokens + 1);
}
