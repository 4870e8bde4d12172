using System.Globalization;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// A linear layer y = (M * W') x + b whose mask M is chosen anew in every step, by an importance S that is trained along: of the n k weights the floor(v n k) with the
/// smallest S are zero. The choice has no slope; its gradient is passed straight through, dL/dS := dL/dM = G * W' with G = dL/d(M * W'), for all
/// entries, kept and pruned. What W' and S are is the method: <see cref="PstLinear"/>, <see cref="MovementLinear"/>.
/// </summary>
public abstract class LearnedMaskLinear : nn.Module<Tensor, Tensor>
{
    private readonly int _maskEvery;
    private Tensor? _mask;
    private long _calls;

    private protected LearnedMaskLinear(string kind, string name, Tensor weight, Tensor? bias, int maskEvery)
        : base(kind)
    {
        LayerName = name;
        (Outputs, Inputs) = (weight.shape[0], weight.shape[1]);
        _maskEvery = maskEvery;
        if (bias is null) return;
        if (bias.dtype != weight.dtype || bias.dim() != 1 || bias.shape[0] != Outputs)
            throw new ArgumentException($"{name}: bias must be {weight.dtype} [{Outputs}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        register_buffer("bias", bias.detach().clone().DetachFromDisposeScope());
    }

    // Asked for by name: a module that changes its type gives its buffers new tensors, and fills only the fields of the derived class.
    private Tensor? Bias => get_buffer("bias");

    /// <summary>Name that messages give the layer: its path in the network.</summary>
    public string LayerName { get; }

    /// <summary>n, the outputs.</summary>
    public long Outputs { get; }

    /// <summary>k, the inputs.</summary>
    public long Inputs { get; }

    /// <summary>v, the share of weights that are zero now. 0 at first.</summary>
    public double Sparsity { get; private set; }

    /// <summary>W' [n, k], before the mask. Gradients flow to what is trained of it.</summary>
    public abstract Tensor EffectiveWeight();

    /// <summary>S [n, k]: of two weights the one with the higher importance stays. Gradients flow to what is trained of it.</summary>
    public Tensor Importance()
    {
        using DisposeScope scope = NewDisposeScope();
        return Importance(EffectiveWeight()).MoveToOuterDisposeScope();
    }

    /// <summary>M for a sparsity, by the importance as it is now.</summary>
    /// <param name="sparsity">v, from 0 to below 1; null, the default, for the layer's own.</param>
    /// <returns>Bool [n, k], true where a weight stays.</returns>
    /// <exception cref="ArgumentException">A sparsity out of its range or that leaves no weight, or an importance that is not finite.</exception>
    public Tensor Mask(double? sparsity = null)
    {
        if (sparsity is { } asked) Check(asked);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return Choose(Importance(EffectiveWeight()), sparsity ?? Sparsity).MoveToOuterDisposeScope();
    }

    /// <summary>Sets v.</summary>
    /// <param name="sparsity">From 0 to below 1.</param>
    /// <exception cref="ArgumentException">Out of its range, no weight would be left, or lower than it is while the layer is in training mode: what was pruned would come back untrained.</exception>
    public void SetSparsity(double sparsity)
    {
        Check(sparsity);
        if (training && sparsity < Sparsity)
        {
            throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, string.Create(
                CultureInfo.InvariantCulture, $"{LayerName} has the sparsity {Sparsity}, which must not fall while it is trained; weights that were pruned would come back. In evaluation mode it may."));
        }

        Sparsity = sparsity;
    }

    /// <summary>(M * W') x + b.</summary>
    /// <param name="input">[..., k].</param>
    /// <returns>[..., n].</returns>
    /// <exception cref="ArgumentException">An importance that is not finite; the layer is named.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        return nn.functional.linear(input, MaskedWeight(), Bias).MoveToOuterDisposeScope();
    }

    /// <summary>M * W' as the forward pass has it, with its gradients.</summary>
    /// <returns>[n, k].</returns>
    public Tensor MaskedWeight()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor effective = EffectiveWeight(), importance = Importance(effective), mask = Current(importance);
        Tensor factor = importance.requires_grad ? StraightThrough.Mask(mask, importance) : mask.to(effective.dtype);
        return (factor * effective).MoveToOuterDisposeScope();
    }

    /// <summary>M * W' once and for all, with hard zeros: what an ordinary layer computes from.</summary>
    /// <returns>[n, k], without gradients; floor(v n k) entries are 0, and those that W' has itself.</returns>
    public Tensor Export()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor effective = EffectiveWeight();

        // Not a product: it would leave negative zeros.
        return effective.masked_fill(Choose(Importance(effective), Sparsity).logical_not(), 0).MoveToOuterDisposeScope();
    }

    /// <summary>An ordinary layer with <see cref="Export"/> as its weight; everything that was trained besides is in it.</summary>
    public Linear ToLinear()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor weight = Export();
        Linear linear = nn.Linear(Inputs, Outputs, hasBias: Bias is not null, dtype: weight.dtype, device: weight.device);
        linear.weight!.copy_(weight);
        if (Bias is not null) linear.bias!.copy_(Bias);
        return linear;
    }

    /// <summary>S, given W'.</summary>
    private protected abstract Tensor Importance(Tensor effective);

    /// <summary>Refuses what no layer can begin with.</summary>
    private protected static void CheckWeight(Tensor weight, string name)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (weight.dim() != 2 || weight.numel() == 0 || weight.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"{name}: weight must be Float32 or Float64 [n, k] and not empty, but is {weight.dtype} [{string.Join(", ", weight.shape)}].", nameof(weight));
        using DisposeScope scope = NewDisposeScope();
        if (!TensorInput.IsFinite(weight)) throw new ArgumentException($"{name} has weights that are not finite.", nameof(weight));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _mask?.Dispose();
        base.Dispose(disposing);
    }

    private Tensor Current(Tensor importance)
    {
        if (!training || _maskEvery == 1) return Choose(importance, Sparsity);
        if (_mask is null || _calls % _maskEvery == 0)
        {
            _mask?.Dispose();
            _mask = Choose(importance, Sparsity).DetachFromDisposeScope();
            _calls = 0;
        }

        _calls++;
        return _mask;
    }

    private Tensor Choose(Tensor importance, double sparsity) => MaskSet.Keep($"importance of {LayerName}", importance, PruningPattern.PerLayer(sparsity)).to(importance.device);

    private void Check(double sparsity)
    {
        // The pattern refuses what is no share.
        _ = PruningPattern.PerLayer(sparsity);
        if (PruningPattern.Kept(Outputs * Inputs, sparsity) == 0)
            throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, $"It leaves none of the {Outputs * Inputs} weights of {LayerName}.");
    }
}
