using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>One block of <see cref="BertEncoder"/>: y = norm(x + Attention(x)), then norm(y + MLP(y)). The norms stand on the residual stream itself.</summary>
public sealed class BertBlock : Module
{
    private readonly int _heads;

    internal BertBlock(BertConfig config, Device? device)
        : base(nameof(BertBlock))
    {
        _heads = config.Heads;
        Linear Square() => Linear(config.Width, config.Width, device: device);
        (Query, Key, Value, Output) = (Square(), Square(), Square(), Square());
        (Up, Down) = (Linear(config.Width, config.MlpWidth, device: device), Linear(config.MlpWidth, config.Width, device: device));
        (AttentionNorm, MlpNorm) = (LayerNorm(config.Width, config.NormEpsilon), LayerNorm(config.Width, config.NormEpsilon));
        register_module("attention", new NamedModules(
            ("self", new NamedModules(("query", Query), ("key", Key), ("value", Value))), ("output", new NamedModules(("dense", Output), ("LayerNorm", AttentionNorm)))));
        register_module("intermediate", new NamedModules(("dense", Up)));
        register_module("output", new NamedModules(("dense", Down), ("LayerNorm", MlpNorm)));
    }

    /// <summary>Makes the queries [dModel, dModel].</summary>
    public Linear Query { get; }

    /// <summary>Makes the keys [dModel, dModel].</summary>
    public Linear Key { get; }

    /// <summary>Makes the values [dModel, dModel].</summary>
    public Linear Value { get; }

    /// <summary>Mixes the heads [dModel, dModel].</summary>
    public Linear Output { get; }

    /// <summary>First matrix of the MLP [mlpWidth, dModel].</summary>
    public Linear Up { get; }

    /// <summary>Last matrix of the MLP [dModel, mlpWidth].</summary>
    public Linear Down { get; }

    /// <summary>Norm behind the attention.</summary>
    public LayerNorm AttentionNorm { get; }

    /// <summary>Norm behind the MLP.</summary>
    public LayerNorm MlpNorm { get; }

    /// <summary>From the residual stream before the block to the one after it.</summary>
    /// <param name="layer">Block, for the hook.</param>
    /// <param name="x">[batch, tokens, dModel].</param>
    /// <param name="keys">True where a key may be seen [batch, 1, 1, tokens]; null where all may.</param>
    /// <param name="hook">Reads and replaces activations; null for none.</param>
    internal Tensor Run(int layer, Tensor x, Tensor? keys, IActivationHook? hook)
    {
        Tensor input = hook.At(layer, Activation.AttentionInput, x);
        Tensor middle = AttentionNorm.call(x + hook.At(layer, Activation.AttentionOutput, Output.call(Attention.Join(Attend(layer, input, keys, hook)))));
        Tensor up = hook.At(layer, Activation.MlpUp, Up.call(hook.At(layer, Activation.MlpInput, middle)));
        Tensor hidden = hook.At(layer, Activation.MlpHidden, functional.gelu(up));
        return MlpNorm.call(middle + hook.At(layer, Activation.MlpOutput, Down.call(hidden)));
    }

    /// <summary>softmax(Q K^T / sqrt(headDim)) V, each token over all that stand.</summary>
    private Tensor Attend(int layer, Tensor x, Tensor? keys, IActivationHook? hook)
    {
        Tensor Heads(Activation activation, Linear linear) => hook.At(layer, activation, Attention.Split(linear.call(x), _heads));
        Tensor q = Heads(Activation.Queries, Query), k = Heads(Activation.Keys, Key), v = Heads(Activation.Values, Value), output;
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
