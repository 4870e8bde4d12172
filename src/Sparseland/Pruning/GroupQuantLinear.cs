using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// A linear layer whose weight is quantised in groups while it is trained (stage 1 of GQSA, after EfficientQAT's Block-AP): parameters are the weights, the scales and the
/// zero points; rounding and cutting pass gradients straight through; what the mask drops is zero and receives none.
/// </summary>
public sealed class GroupQuantLinear : nn.Module<Tensor, Tensor>
{
    private const double LeastScale = 1e-4;
    [ComponentName(Name = "mask")]
    private readonly Tensor _mask;
    [ComponentName(Name = "bias")]
    private readonly Tensor? _bias;

    /// <summary>A layer that begins with the one-shot quantisation of a weight.</summary>
    /// <param name="weight">[out, in], Float32 and finite; copied.</param>
    /// <param name="bias">[out]; copied. Null for none.</param>
    /// <param name="mask">Bool [out, in], true where a weight stays; copied.</param>
    /// <param name="quantizer">Bits and size of the groups.</param>
    /// <exception cref="ArgumentException">As for <see cref="GroupQuantizer.Ranges"/>, or a mask of another shape.</exception>
    public GroupQuantLinear(Tensor weight, Tensor? bias, Tensor mask, GroupQuantizer quantizer)
        : base(nameof(GroupQuantLinear))
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(mask);
        ArgumentNullException.ThrowIfNull(quantizer);
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(weight.shape))
            throw new ArgumentException($"mask must be Bool [{string.Join(", ", weight.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        Quantizer = quantizer;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // Ranges are those of what is kept.
        Tensor kept = weight.detach() * mask;
        (Tensor scales, Tensor zeroPoints) = quantizer.Ranges(kept);
        Weight = new Parameter(kept.clone().DetachFromDisposeScope());
        Scales = new Parameter(scales.DetachFromDisposeScope());
        Zeros = new Parameter(zeroPoints.DetachFromDisposeScope());
        _mask = mask.clone().DetachFromDisposeScope();
        _bias = bias?.detach().clone().DetachFromDisposeScope();
        register_parameter("weight", Weight);
        register_parameter("scales", Scales);
        register_parameter("zeros", Zeros);
        register_buffer("mask", _mask);
        if (_bias is not null) register_buffer("bias", _bias);
    }

    /// <summary>Weights w [out, in].</summary>
    [field: ComponentName(Name = "weight")]
    public Parameter Weight { get; }

    /// <summary>Scales s [out, in / G].</summary>
    [field: ComponentName(Name = "scales")]
    public Parameter Scales { get; }

    /// <summary>Zero points z [out, in / G].</summary>
    [field: ComponentName(Name = "zeros")]
    public Parameter Zeros { get; }

    /// <summary>Bits and size of the groups.</summary>
    public GroupQuantizer Quantizer { get; }

    /// <summary>Which weights stay [out, in]; it belongs to the layer.</summary>
    public Tensor Mask => _mask;

    /// <summary>w^ = (clamp(round(w / s) + z) - z) s on the mask, with s at least 1e-4 and z a whole number from 0 to 2^b - 1. Gradients flow to all three.</summary>
    /// <returns>[out, in].</returns>
    public Tensor Quantized()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor groups = Weight.view(Weight.shape[0], -1, Quantizer.GroupSize), s = Scales.clamp(min: LeastScale).unsqueeze(2);
        Tensor z = StraightThrough.Clamp(StraightThrough.Round(Zeros), 0, Quantizer.Levels).unsqueeze(2);
        Tensor q = StraightThrough.Clamp(StraightThrough.Round(groups / s) + z, 0, Quantizer.Levels);
        return (((q - z) * s).view(Weight.shape) * _mask).MoveToOuterDisposeScope();
    }

    /// <summary>W^ x + b.</summary>
    /// <param name="input">[..., in].</param>
    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        return nn.functional.linear(input, Quantized(), _bias).MoveToOuterDisposeScope();
    }

    /// <summary>Fixes the integers: rounds scales to float16 and zero points to whole numbers, then the weights under them.</summary>
    /// <returns>A layer whose scales alone can be trained.</returns>
    /// <exception cref="ArithmeticException">Training has driven a weight or a scale beyond what can be stored.</exception>
    public GroupScaleLinear Fix()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (!TensorInput.IsFinite(Weight) || !TensorInput.IsFinite(GroupQuantizer.Stored(Scales)) || !TensorInput.IsFinite(Zeros))
            throw new ArithmeticException("Training has driven a weight or a scale beyond float16; take lower rates.");
        Support groups = Support.FromMask(_mask.view(_mask.shape[0], -1, Quantizer.GroupSize).any(2));

        // A dropped weight in a kept group (2:4) is the integer z, whose value is zero.
        Tensor kept = Weight.masked_fill(_mask.logical_not(), 0), scales = Scales.clamp(min: LeastScale);
        return new(Quantizer.Quantize(kept, scales, Zeros, groups), _bias);
    }
}
