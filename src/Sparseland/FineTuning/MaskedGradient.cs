using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>
/// Sparse fine-tuning the plain way (LT-SFT; Ansell et al. 2022): the gradients of all weights are computed and those outside the masks set to zero; whatever else the optimizer does to weights outside (decay) is undone
/// after each step. The same numbers as training the entries alone, at the memory of training all.
/// </summary>
public sealed class MaskedGradient : IDisposable
{
    private readonly MaskSet _masks;
    private readonly TrainedOnly _only;
    private readonly (Parameter Parameter, Tensor Outside, Tensor Base)[] _fixed;
    private readonly NativeSize _size;

    /// <summary>Prepares a network: parameters without a mask are not trained.</summary>
    /// <param name="model">The network.</param>
    /// <param name="masks">Which entries are trained; they stay the caller's.</param>
    public MaskedGradient(nn.Module model, MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(masks);
        _masks = masks;
        using IDisposable off = no_grad();
        _fixed = [.. masks.Names.Select(name => (masks.ParameterOf(name), masks[name].logical_not().DetachFromDisposeScope(), masks.ParameterOf(name).detach().clone().DetachFromDisposeScope()))];
        _only = new(model, [.. _fixed.Select(f => f.Parameter)]);
        _size = NativeSize.Of(_fixed.SelectMany(f => new[] { f.Outside, f.Base }));
        Hooks = new() { OnGradients = _ => _masks.MaskGradients(), OnStep = (_, _) => Restore() };
    }

    /// <summary>Callbacks for the training loop.</summary>
    public TrainingHooks Hooks { get; }

    /// <summary>Bytes of gradients and both moments of AdamW: of all masked parameters.</summary>
    public long StateBytes => _fixed.Sum(f => 3 * f.Parameter.numel() * f.Parameter.element_size());

    /// <summary>Frees what it kept; other parameters are trained again.</summary>
    public void Dispose()
    {
        _only.Dispose();
        foreach ((_, Tensor outside, Tensor kept) in _fixed)
        {
            outside.Dispose();
            kept.Dispose();
        }

        _size.Dispose();
    }

    private void Restore()
    {
        using IDisposable off = no_grad();
        foreach ((Parameter parameter, Tensor outside, Tensor kept) in _fixed)
        {
            using Tensor mixed = where(outside, kept, parameter);
            parameter.copy_(mixed);
        }
    }
}
