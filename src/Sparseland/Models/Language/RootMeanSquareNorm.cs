using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019), over the last dimension; in Gemma * (1 + weight).</summary>
public sealed class RootMeanSquareNorm : Module<Tensor, Tensor>
{
    private readonly Scalar _epsilon;
    private readonly bool _addOne;

    // Module.to puts a parameter of the new type or device into the field of this name.
    [TorchSharp.Utils.ComponentName(Name = "weight")]
    private Parameter _weight;

    /// <summary>A norm that scales by one at first.</summary>
    /// <param name="width">Size of the last dimension.</param>
    /// <param name="epsilon">eps.</param>
    /// <param name="addOne">The factor is 1 + weight, and weights begin at zero. Default false.</param>
    public RootMeanSquareNorm(int width, double epsilon, bool addOne = false)
        : base(nameof(RootMeanSquareNorm))
    {
        (_epsilon, _addOne) = (epsilon.ToScalar(), addOne);
        _weight = Parameter(addOne ? zeros(width) : ones(width));
        register_parameter("weight", _weight);
    }

    /// <summary>The weights [width].</summary>
    public Parameter Weight => _weight;

    /// <summary>What the normed input is multiplied with [width].</summary>
    internal Tensor Gain => _addOne ? Weight.add(1) : Weight;

    /// <inheritdoc/>
    public override Tensor forward(Tensor input) => input.mul(input.square().mean([-1L], keepdim: true).add(_epsilon).rsqrt()).mul(Gain);
}
