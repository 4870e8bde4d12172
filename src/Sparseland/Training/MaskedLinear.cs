using Sparseland.Models;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// A linear layer of a network in sparse training whose three products (forward, to the input, to the weights) run over active weights alone. Parameters, masks, optimizer and loop stay what they are; the layer
/// follows the masks as they move, and multiplies dense matrices in steps whose update looks at the gradient of all weights.
/// </summary>
/// <remarks>
/// The weight stays a dense tensor, zero where it is inactive: what is saved is time, not memory. The gradient of inactive weights is zero in place of what it would be, which <see cref="SparseOptimizer"/> masks
/// anyway. Results are those of the dense layer up to the order of sums. Which density pays depends on the layer; above the limit, and in other types than Float32 and Float64, the layer is dense.
/// What it computes sparse has no second derivative: a backward pass that is to be differentiated itself is refused.
/// </remarks>
public sealed class MaskedLinear : nn.Module<Tensor, Tensor>
{
    private readonly MaskSet _masks;
    private readonly string _weightName;
    private readonly Func<bool> _dense;
    private readonly double _limit;

    // Registered under the names of the layer that this one stands for, which goes on holding them.
    private readonly (Parameter Weight, Parameter? Bias)[] _shared;
    private TurnedSupport? _places;
    private long _seen = -1;

    internal MaskedLinear(Linear linear, MaskSet masks, string weightName, Func<bool> dense, double limit)
        : base(nameof(MaskedLinear))
    {
        (_masks, _weightName, _dense, _limit) = (masks, weightName, dense, limit);
        _shared = [(linear.weight, linear.bias)];
        register_parameter("weight", linear.weight);
        if (linear.bias is not null) register_parameter("bias", linear.bias);
    }

    /// <summary>Whether the last forward pass went over the active weights alone.</summary>
    public bool IsSparse { get; private set; }

    /// <summary>Puts such layers in the place of a network's linear layers that have masks.</summary>
    /// <param name="network">The network, on the CPU.</param>
    /// <param name="masks">Its masks; they may move.</param>
    /// <param name="needsDenseGradient">Asked in each forward pass of a training, usually <see cref="SparseOptimizer.NeedsDenseGradient"/>; null, the default, for never.</param>
    /// <param name="limit">Density above which a layer multiplies dense matrices, from 0 to 1. Default 0.12.</param>
    /// <returns>What was replaced, for <see cref="LinearSlots.Restore"/>; weights and biases belong to both layers of a place, so that disposing either ends them.</returns>
    /// <exception cref="ArgumentException">The limit is out of its range, or no linear layer has a mask.</exception>
    public static IReadOnlyList<ReplacedLayer> Attach(nn.Module network, MaskSet masks, Func<bool>? needsDenseGradient = null, double limit = 0.12)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(masks);
        if (!(limit is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(limit), limit, "The limit is a density from 0 to 1.");
        HashSet<string> masked = [.. masks.Names];
        IReadOnlyList<ReplacedLayer> replaced = LinearSlots.Replace(network, (name, linear) =>
            masked.Contains(name + ".weight") && linear.weight.device_type == DeviceType.CPU ? new MaskedLinear(linear, masks, name + ".weight", needsDenseGradient ?? (() => false), limit) : null);
        return replaced.Count > 0 ? replaced : throw new ArgumentException($"No linear layer on the CPU has a mask; there are masks of {string.Join(", ", masks.Names)}.", nameof(masks));
    }

    /// <summary>X W^T + b.</summary>
    /// <param name="input">[..., in].</param>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        (Parameter weight, Parameter? bias) = _shared[0];
        Follow();
        IsSparse = weight.dtype is ScalarType.Float32 or ScalarType.Float64 && _places!.Rows.Density <= _limit && !(training && is_grad_enabled() && _dense());
        if (!IsSparse) return nn.functional.linear(input, weight, bias);
        using DisposeScope scope = NewDisposeScope();
        long[] shape = [.. input.shape[..^1], weight.shape[0]];
        long tokens = 1;
        foreach (long length in input.shape[..^1]) tokens *= length;
        Tensor product = FixedSupportLinear.Multiply(input.reshape(tokens, weight.shape[1]), weight, _places!).reshape(shape);
        return (bias is null ? product : product + bias).MoveToOuterDisposeScope();
    }

    private void Follow()
    {
        if (_seen == _masks.Version) return;
        using IDisposable off = no_grad();
        _places = new(_masks.SupportOf(_weightName));
        _seen = _masks.Version;
    }
}
