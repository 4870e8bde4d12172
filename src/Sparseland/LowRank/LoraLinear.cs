using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// A frozen linear layer with a trained update of low rank (LoRA, Hu et al. 2021): y = x W0^T + scale (x A^T) B^T + b. A begins uniform in +-1/sqrt(in), B at 0, so that nothing changes at first and only B
/// moves in the first step.
/// </summary>
/// <remarks>W0 and the bias are the memory of the layer that this stands for, not copies, and frozen here alone.</remarks>
public sealed class LoraLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device.
    private readonly Parameter weight, lora_A, lora_B;
    private readonly Parameter? bias;
    private readonly long _seed;
    private int _draws;

    /// <summary>An adapter around a layer.</summary>
    /// <param name="linear">The layer.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="seed">Seed of A.</param>
    /// <param name="scale">Constant before the product, usually alpha / r; finite and not 0. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public LoraLinear(Linear linear, int rank, long seed, double scale = 1)
        : base(nameof(LoraLinear))
    {
        ArgumentNullException.ThrowIfNull(linear);
        Parameter own = linear.weight!;
        Decomposition.CheckRank(rank, own.shape[0], own.shape[1]);
        (Scale, _seed) = (Factors.CheckScale(scale), seed);
        weight = LinearOf.Shared(own);
        bias = linear.bias is null ? null : LinearOf.Shared(linear.bias);
        (lora_A, lora_B) = Factors.Start(weight.shape[1], weight.shape[0], rank, seed, scale, FactorStart.Zero, weight.dtype, weight.device);
        register_parameter("weight", Base);
        register_parameter("lora_A", A);
        register_parameter("lora_B", B);
        if (Bias is not null) register_parameter("bias", Bias);
    }

    /// <summary>W0 [out, in], frozen.</summary>
    public Parameter Base => weight;

    /// <summary>A [r, in].</summary>
    public Parameter A => lora_A;

    /// <summary>B [out, r].</summary>
    public Parameter B => lora_B;

    /// <summary>b [out], frozen; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>Constant before the product.</summary>
    public double Scale { get; }

    /// <summary>r.</summary>
    public int Rank => (int)A.shape[0];

    /// <inheritdoc/>
    public long ParameterCount => Base.numel() + TrainedCount + (Bias?.numel() ?? 0);

    /// <summary>Numbers that are trained, r (out + in).</summary>
    public long TrainedCount => A.numel() + B.numel();

    /// <inheritdoc/>
    public long MacsPerToken => Base.numel() + TrainedCount;

    /// <summary>Puts adapters around linear layers of a network and freezes all the rest of it.</summary>
    /// <param name="model">The network.</param>
    /// <param name="rank">r, from 1 to the smaller side of every layer that gets one.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="scale">Constant before the products. Default 1.</param>
    /// <param name="where">Which layers, by name; null, the default, for all of <see cref="LinearSlots"/>.</param>
    /// <param name="freezeRest">Whether embeddings, norms, biases and layers without adapter are frozen. Default true.</param>
    /// <returns>What was replaced, for <see cref="LinearSlots.Restore"/>; the layers before share their weights with the adapters, so that disposing either ends them.</returns>
    /// <exception cref="ArgumentException">No layer gets an adapter, one has been replaced before, or a number is out of its range.</exception>
    public static IReadOnlyList<ReplacedLayer> Attach(nn.Module model, int rank, long seed, double scale = 1, Func<string, bool>? where = null, bool freezeRest = true)
    {
        ArgumentNullException.ThrowIfNull(model);
        LinearSlot[] wanted = [.. LinearSlots.Of(model).Where(s => where?.Invoke(s.Name) ?? true)];
        if (wanted.Length == 0) throw new ArgumentException("No linear layer of the network gets an adapter; LinearSlots lists those that there are.", nameof(where));
        foreach (LinearSlot slot in wanted)
        {
            if (slot.Module is not Linear linear) throw new ArgumentException($"{slot.Name} is a {slot.Module.GetType().Name}; an adapter goes around a Linear.", nameof(model));
            Decomposition.CheckRank(rank, linear.weight!.shape[0], linear.weight.shape[1]);
        }

        Factors.CheckScale(scale);
        if (freezeRest)
        {
            foreach (Parameter parameter in model.parameters()) parameter.requires_grad = false;
        }

        HashSet<string> names = [.. wanted.Select(s => s.Name)];
        long at = 0;
        return LinearSlots.Replace(model, (name, linear) => names.Contains(name) ? new LoraLinear(linear, rank, unchecked((seed * 1_000_003) + at++), scale) : null);
    }

    /// <summary>x W0^T + scale (x A^T) B^T + b.</summary>
    /// <param name="input">[..., in], of the parameters' type.</param>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    public override Tensor forward(Tensor input)
    {
        LayerInput.Check(input, Base);
        using DisposeScope scope = NewDisposeScope();
        Tensor thin = nn.functional.linear(input, A);
        return nn.functional.linear(input, Base, Bias).add(nn.functional.linear(Scale == 1 ? thin : thin * Scale, B)).MoveToOuterDisposeScope();
    }

    /// <summary>scale B A [out, in], what training has added; the caller disposes it.</summary>
    public Tensor Update()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return (B.mm(A) * Scale).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor EffectiveWeight()
    {
        using IDisposable off = no_grad();
        using Tensor update = Update();
        return update.add_(Base).alias();
    }

    /// <inheritdoc/>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, Bias);
    }

    /// <summary>ReLoRA's restart (Lialin et al. 2023): adds the update to W0, in the memory that the layer before shares, draws A anew and sets B to 0. The function stays the same.</summary>
    public void Restart()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Base.add_(B.mm(A), alpha: Scale);
        _draws++;
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)_seed + ((ulong)_draws << 32)) ^ 0x2e10));
        A.copy_(Factors.Uniform(A.shape[1], [A.shape[0], A.shape[1]], generator));
        B.zero_();
    }

    /// <summary>Which draw of A this is; a training that is taken up says it, as the draws follow from it.</summary>
    internal int Draws
    {
        get => _draws;
        set => _draws = value;
    }

    /// <inheritdoc/>
    public override string ToString() => $"LoraLinear([{B.shape[0]}, {A.shape[1]}], rank {Rank})";
}
