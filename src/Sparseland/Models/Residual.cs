using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models;

/// <summary>x + inner(x).</summary>
public sealed class Residual : Module<Tensor, Tensor>
{
    /// <summary>Wraps layers whose output has the shape of their input.</summary>
    /// <param name="inner">The layers.</param>
    public Residual(Sequential inner)
        : base(nameof(Residual))
    {
        ArgumentNullException.ThrowIfNull(inner);
        Inner = inner;
        register_module("inner", inner);
    }

    /// <summary>The layers.</summary>
    public Sequential Inner { get; }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input) => input + Inner.call(input);
}
