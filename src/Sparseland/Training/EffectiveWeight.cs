using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// A linear layer or a convolution that computes with V = rule(W) while the optimizer owns W: what every method needs whose pruned weights may come back. The mask is chosen anew from W in every
/// forward pass.
/// </summary>
/// <remarks>W and the bias are the parameters of the layer that it stands for, not copies: what is trained here is trained there, and the layer put back computes with W itself.</remarks>
public sealed class EffectiveWeight : nn.Module<Tensor, Tensor>
{
    private readonly ConvolutionKernel? _kernel;
    private IWeightRule _rule;
    private Tensor? _mask;

    /// <summary>A layer in place of a linear one.</summary>
    /// <param name="layer">It keeps its parameters, which are used here too.</param>
    /// <param name="rule">From W to V.</param>
    public EffectiveWeight(Linear layer, IWeightRule rule)
        : this((layer ?? throw new ArgumentNullException(nameof(layer))).weight!, layer.bias, null, rule)
    {
    }

    /// <summary>A layer in place of a convolution.</summary>
    /// <param name="layer">With zeros beyond the edge; it keeps its parameters, which are used here too.</param>
    /// <param name="rule">From W to V.</param>
    /// <exception cref="ArgumentException">Another kind of padding.</exception>
    public EffectiveWeight(Conv2d layer, IWeightRule rule)
        : this((layer ?? throw new ArgumentNullException(nameof(layer))).weight!, layer.bias, ConvolutionKernel.Of(layer), rule)
    {
    }

    private EffectiveWeight(Parameter weight, Parameter? bias, ConvolutionKernel? kernel, IWeightRule rule)
        : base(nameof(EffectiveWeight))
    {
        ArgumentNullException.ThrowIfNull(rule);
        (Raw, Bias, _kernel, _rule) = (weight, bias, kernel, rule);
        register_parameter("weight", Raw);
        if (bias is not null) register_parameter("bias", bias);
    }

    /// <summary>W [out, in] or [out, in, kh, kw]: what is trained.</summary>
    [field: ComponentName(Name = "weight")]
    public Parameter Raw { get; }

    /// <summary>b [out]; null for none.</summary>
    [field: ComponentName(Name = "bias")]
    public Parameter? Bias { get; }

    /// <summary>From W to V; may be changed at any time.</summary>
    public IWeightRule Rule
    {
        get => _rule;
        set => _rule = value ?? throw new ArgumentNullException(nameof(value));
    }

    /// <summary>The mask of the last forward pass, Bool of the shape of W; null before one. It belongs to the layer, which disposes it in the next pass: clone it to keep it.</summary>
    public Tensor? Mask => _mask;

    /// <summary>V as it is now, with a mask chosen from W as it is now, without gradients.</summary>
    public Tensor Effective()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return _rule.Effective(Raw, _rule.Mask(Raw)).MoveToOuterDisposeScope();
    }

    /// <summary>Puts such layers in place of linear layers and convolutions.</summary>
    /// <param name="model">The network.</param>
    /// <param name="rule">From name and weight of a layer to its rule; null leaves it as it is.</param>
    /// <returns>What was replaced, for <see cref="LinearSlots.Restore"/>.</returns>
    /// <exception cref="ArgumentException">No layer gets a rule, one has been replaced before, or one is tied to another.</exception>
    public static IReadOnlyList<ReplacedLayer> Attach(nn.Module model, Func<string, Tensor, IWeightRule?> rule)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(rule);
        var made = new List<(LinearSlot Slot, EffectiveWeight Layer)>();
        var owners = new WeightOwners(model);
        foreach ((string name, nn.Module module) in model.named_modules())
        {
            if (module is EffectiveWeight before && rule(name, before.Raw) is not null) throw new ArgumentException($"{name} has an effective weight already; a layer is replaced once.", nameof(model));
        }

        foreach (LinearSlot slot in LinearSlots.Of(model).Concat(LinearSlots.ConvolutionsOf(model)))
        {
            Parameter? weight = slot.Module switch { Linear linear => linear.weight, Conv2d convolution => convolution.weight, _ => null };
            if (weight is null || rule(slot.Name, weight) is not { } own) continue;
            if (owners.Others(weight, slot.Name + ".weight") is { Count: > 0 } others) throw new ArgumentException($"{slot.Name} is tied: its weight is also {string.Join(" and ", others)}. Leave it out.", nameof(model));
            made.Add((slot, slot.Module is Linear dense ? new EffectiveWeight(dense, own) : new EffectiveWeight((Conv2d)slot.Module, own)));
        }

        if (made.Count == 0) throw new ArgumentException("No linear layer and no convolution of the network gets a rule; LinearSlots lists those that there are.", nameof(rule));
        return [.. made.Select(m =>
        {
            var replaced = new ReplacedLayer(m.Slot, m.Slot.Module, m.Layer);
            m.Layer.train(replaced.Before.training);
            m.Slot.Put(m.Layer);
            return replaced;
        })];
    }

    /// <summary>Puts the layers that these stood for back, with V as their weights: hard zeros where the mask of W as it is now is false.</summary>
    /// <param name="model">The network.</param>
    /// <param name="replaced">What <see cref="Attach"/> gave.</param>
    /// <returns>The masks; dispose them.</returns>
    internal static MaskSet Harden(nn.Module model, IReadOnlyList<ReplacedLayer> replaced)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var masks = new Dictionary<string, Tensor>();
        foreach (ReplacedLayer one in replaced)
        {
            var layer = (EffectiveWeight)one.After;
            Tensor mask = layer.Rule.Mask(layer.Raw);
            MaskedZeros.Write(layer.Raw, mask, where: false);
            masks[one.Slot.Name + ".weight"] = mask;
        }

        Leave(replaced);
        return MaskSet.Of(model, masks);
    }

    /// <summary>Puts the layers that these stood for back.</summary>
    internal static void Leave(IReadOnlyList<ReplacedLayer> replaced)
    {
        LinearSlots.Restore(replaced);
        foreach (ReplacedLayer one in replaced) ((EffectiveWeight)one.After).Forget();
    }

    /// <summary>V x + b.</summary>
    /// <param name="input">[..., in], or [samples, in, rows, columns].</param>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        Tensor mask = _rule.Mask(Raw);
        Tensor output = Product(input, mask);
        _mask?.Dispose();
        _mask = mask.DetachFromDisposeScope();
        return output.MoveToOuterDisposeScope();
    }

    private Tensor Product(Tensor input, Tensor mask)
    {
        if (_rule is not IProductRule products)
        {
            Tensor weight = _rule.Effective(Raw, mask);
            return _kernel is null ? nn.functional.linear(input, weight, Bias) : _kernel.Apply(input, weight, Bias);
        }

        if (_kernel is null) return products.Linear(input, Raw, Bias, mask);

        // The second convolution is of zeros: it is there for its gradient.
        Tensor still = input.detach();
        return _kernel.Apply(still, _rule.Effective(Raw, mask), Bias) + _kernel.Apply(input - still, products.Backward(Raw, mask), null);
    }

    /// <summary>Frees what is the layer's own; the parameters stay.</summary>
    private void Forget()
    {
        _mask?.Dispose();
        _mask = null;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) Forget();
        base.Dispose(disposing);
    }
}
