using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>One block of <see cref="BertEncoder"/>: y = norm(x + Attention(x)), then norm(y + MLP(y)). The norms stand on the residual stream itself.</summary>
public sealed class BertBlock : Module, ILinearPlaces
{
    private readonly LinearPlace _query, _key, _value, _output, _up, _down;
    private readonly int _heads;

    internal BertBlock(BertConfig config, Device? device)
        : base(nameof(BertBlock))
    {
        _heads = config.Heads;
        LinearPlace Square() => new(Linear(config.Width, config.Width, device: device));
        (_query, _key, _value, _output) = (Square(), Square(), Square(), Square());
        (_up, _down) = (new(Linear(config.Width, config.MlpWidth, device: device)), new(Linear(config.MlpWidth, config.Width, device: device)));
        (AttentionNorm, MlpNorm) = (LayerNorm(config.Width, config.NormEpsilon), LayerNorm(config.Width, config.NormEpsilon));
        register_module("attention", new NamedModules(
            ("self", NamedModules.Of([("query", _query), ("key", _key), ("value", _value)])), ("output", NamedModules.Of([("dense", _output)], ("LayerNorm", AttentionNorm)))));
        register_module("intermediate", NamedModules.Of([("dense", _up)]));
        register_module("output", NamedModules.Of([("dense", _down)], ("LayerNorm", MlpNorm)));
    }

    /// <summary>Makes the queries [dModel, dModel].</summary>
    public Linear Query => _query.Linear;

    /// <summary>Makes the keys [dModel, dModel].</summary>
    public Linear Key => _key.Linear;

    /// <summary>Makes the values [dModel, dModel].</summary>
    public Linear Value => _value.Linear;

    /// <summary>Mixes the heads [dModel, dModel].</summary>
    public Linear Output => _output.Linear;

    /// <summary>First matrix of the MLP [mlpWidth, dModel].</summary>
    public Linear Up => _up.Linear;

    /// <summary>Last matrix of the MLP [dModel, mlpWidth].</summary>
    public Linear Down => _down.Linear;

    /// <summary>Norm behind the attention.</summary>
    public LayerNorm AttentionNorm { get; }

    /// <summary>Norm behind the MLP.</summary>
    public LayerNorm MlpNorm { get; }

    IEnumerable<(string Path, LinearPlace Place)> ILinearPlaces.Places =>
    [
        ("attention.self.query", _query), ("attention.self.key", _key), ("attention.self.value", _value), ("attention.output.dense", _output),
        ("intermediate.dense", _up), ("output.dense", _down),
    ];

    /// <summary>From the residual stream before the block to the one after it.</summary>
    /// <param name="layer">Block, for the hook.</param>
    /// <param name="x">[batch, tokens, dModel].</param>
    /// <param name="keys">True where a key may be seen [batch, 1, 1, tokens]; null where all may.</param>
    /// <param name="call">A hook reads and replaces activations, a method takes the place of the attention.</param>
    internal Tensor Run(int layer, Tensor x, Tensor? keys, ModelCall call)
    {
        IActivationHook? hook = call.Hook;
        Tensor input = hook.At(layer, Activation.AttentionInput, x);
        Tensor middle = AttentionNorm.call(x + hook.At(layer, Activation.AttentionOutput, _output.call(CausalAttention.Join(Attend(layer, input, keys, call)))));
        Tensor up = hook.At(layer, Activation.MlpUp, _up.call(hook.At(layer, Activation.MlpInput, middle)));
        Tensor hidden = hook.At(layer, Activation.MlpHidden, functional.gelu(up));
        return MlpNorm.call(middle + hook.At(layer, Activation.MlpOutput, _down.call(hidden)));
    }

    /// <summary>softmax(Q K^T / sqrt(headDim)) V, each token over all that stand.</summary>
    private Tensor Attend(int layer, Tensor x, Tensor? keys, ModelCall call)
    {
        IActivationHook? hook = call.Hook;
        Tensor Heads(Activation activation, LinearPlace linear) => hook.At(layer, activation, CausalAttention.Split(linear.call(x), _heads));
        Tensor q = Heads(Activation.Queries, _query), k = Heads(Activation.Keys, _key), v = Heads(Activation.Values, _value), output;
        if (call.Attention.Of(new(layer, 1 / Math.Sqrt(q.shape[3]), Causal: false, keys?.flatten(1)), q, k, v, hook) is { } other) return hook.At(layer, Activation.HeadOutputs, other);
        if (hook is null || !hook.Wants(new(layer, Activation.AttentionPattern)))
        {
            output = keys is null ? functional.scaled_dot_product_attention(q, k, v) : functional.scaled_dot_product_attention(q, k, v, keys);
        }
        else
        {
            Tensor scores = q.MatMul(k.transpose(2, 3)).div(Math.Sqrt(q.shape[3]));
            if (keys is not null) scores = scores.masked_fill(keys.logical_not(), double.NegativeInfinity);
            output = hook.At(layer, Activation.AttentionPattern, scores.softmax(-1)).MatMul(v);
        }

        return hook.At(layer, Activation.HeadOutputs, output);
    }
}
