using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>What a model asks of an attention, beside its tensors.</summary>
/// <param name="Layer">Block, from 0.</param>
/// <param name="Scale">Factor of the products of queries and keys.</param>
/// <param name="Causal">Whether a token sees itself and those before it alone; false in encoders.</param>
/// <param name="Stands">True where a key stands [batch, keys]: encoders pad texts of different lengths. Null where all do.</param>
public readonly record struct AttentionCall(int Layer, double Scale, bool Causal, Tensor? Stands = null);

/// <summary>
/// An attention that takes the place of a model's own: a pattern, an approximation. It is given per call, so that it works on every model, and the model
/// then computes no product of all queries and keys by itself.
/// </summary>
public interface IAttentionMethod
{
    /// <summary>The attention of one block.</summary>
    /// <param name="call">Block, scale, and what may be seen.</param>
    /// <param name="q">Queries, positions applied [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys, positions applied [batch, keyValueHeads, keys, headDim]: those of a cache first, the last ones are the tokens' own. keyValueHeads divides heads; each serves heads / keyValueHeads neighbouring query heads.</param>
    /// <param name="v">Values [batch, keyValueHeads, keys, headDim].</param>
    /// <returns>[batch, heads, tokens, headDim]; null for the model's own attention in this call.</returns>
    Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v);
}

/// <summary>What goes along with one pass through a decoder.</summary>
/// <param name="Hook">Reads and replaces activations. Default none.</param>
/// <param name="Cache">Holds earlier tokens. Default none.</param>
/// <param name="Attention">In place of the model's attention. Default none.</param>
/// <param name="State">What the model prepared from the tokens of this call, for all its blocks. Default nothing.</param>
internal readonly record struct ModelCall(IActivationHook? Hook = null, KeyValueCache? Cache = null, IAttentionMethod? Attention = null, object? State = null);

/// <summary>Asks methods and checks what they give.</summary>
internal static class AttentionMethods
{
    /// <summary>The method's output, or null where there is no method or it leaves the call to the model.</summary>
    public static Tensor? Of(this IAttentionMethod? method, AttentionCall call, Tensor q, Tensor k, Tensor v, IActivationHook? hook)
    {
        if (method?.Attend(call, q, k, v) is not { } output) return null;
        if (hook is not null && hook.Wants(new(call.Layer, Activation.AttentionPattern)))
            throw new ArgumentException($"A hook wants the pattern of block {call.Layer}, whose attention a method computes without one.", nameof(hook));
        if (output.IsInvalid) throw new ArgumentException($"The attention method gave a disposed tensor in block {call.Layer}.", nameof(method));
        if (!output.shape.SequenceEqual(q.shape) || output.dtype != q.dtype)
        {
            throw new ArgumentException(
                $"The attention method gave {output.dtype} [{string.Join(", ", output.shape)}] in block {call.Layer}, where {q.dtype} [{string.Join(", ", q.shape)}] is needed.", nameof(method));
        }

        return output;
    }
}
