using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>First values of the factors of a layer.</summary>
public enum FactorStart
{
    /// <summary>A and B normal, so that the product has the variance of a default linear layer's weight.</summary>
    Balanced,

    /// <summary>LoRA's: A uniform in +-1/sqrt(in), B = 0. A network of such layers begins dead.</summary>
    Zero,
}

/// <summary>A linear layer of low rank, y = scale (x A^T) B^T + b: W is never formed.</summary>
public sealed class LowRankLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device.
    private readonly Parameter lora_A, lora_B;
    private readonly Parameter? bias;

    /// <summary>A layer with random factors.</summary>
    /// <param name="inputs">in.</param>
    /// <param name="outputs">out.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="seed">Seed of the factors.</param>
    /// <param name="scale">Constant before the product, finite and not 0. Default 1.</param>
    /// <param name="start">First values. Default <see cref="FactorStart.Balanced"/>.</param>
    /// <param name="bias">Whether there is a bias, from 0. Default false.</param>
    /// <param name="type">Float32, the default, or Float64.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public LowRankLinear(
        long inputs, long outputs, int rank, long seed, double scale = 1, FactorStart start = FactorStart.Balanced, bool bias = false, ScalarType type = ScalarType.Float32)
        : base(nameof(LowRankLinear))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        Decomposition.CheckRank(rank, outputs, inputs);
        Scale = Factors.CheckScale(scale);
        if (!Enum.IsDefined(start)) throw new ArgumentOutOfRangeException(nameof(start), start, "There is no such start.");
        if (type is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The layer is Float32 or Float64, not {type}.", nameof(type));
        (lora_A, lora_B) = Factors.Start(inputs, outputs, rank, seed, scale, start, type);
        this.bias = bias ? LinearOf.Owned(zeros(outputs, dtype: type)) : null;
        Register();
    }

    private LowRankLinear(Parameter a, Parameter b, double scale, Parameter? c)
        : base(nameof(LowRankLinear))
    {
        (lora_A, lora_B, Scale, bias) = (a, b, scale, c);
        Register();
    }

    /// <summary>A [r, in].</summary>
    public Parameter A => lora_A;

    /// <summary>B [out, r].</summary>
    public Parameter B => lora_B;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>Constant before the product.</summary>
    public double Scale { get; }

    /// <summary>r.</summary>
    public int Rank => (int)A.shape[0];

    /// <inheritdoc/>
    public long ParameterCount => A.numel() + B.numel() + (Bias?.numel() ?? 0);

    /// <inheritdoc/>
    public long MacsPerToken => A.numel() + B.numel();

    /// <summary>The best copy of a linear layer of some rank (<see cref="TruncatedSvd"/>); the bias is copied.</summary>
    /// <param name="linear">The layer; it stays as it is.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="name">Name of the layer in messages; null, the default, for none.</param>
    /// <exception cref="ArgumentException">A rank that there is not, or NaN or infinity in the weight.</exception>
    public static LowRankLinear FromDense(Linear linear, int rank, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(linear);
        using FactorPair pair = TruncatedSvd.Of(linear.weight!, rank, name);
        return FromFactors(pair, linear.bias);
    }

    /// <summary>A layer of factors that were made elsewhere; they are copied.</summary>
    /// <param name="pair">Factors.</param>
    /// <param name="bias">b [out], of the factors' type; copied. Null, the default, for none.</param>
    /// <exception cref="ArgumentException">A bias of another length or type.</exception>
    public static LowRankLinear FromFactors(FactorPair pair, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(pair);
        if (bias is not null && (bias.dim() != 1 || bias.shape[0] != pair.B.shape[0] || bias.dtype != pair.B.dtype))
            throw new ArgumentException($"bias must be {pair.B.dtype} [{pair.B.shape[0]}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        using IDisposable off = no_grad();
        return new(LinearOf.Owned(pair.A.clone()), LinearOf.Owned(pair.B.clone()), 1, bias is null ? null : LinearOf.Owned(bias.detach().clone()));
    }

    /// <summary>scale (x A^T) B^T + b.</summary>
    /// <param name="input">[..., in], of the parameters' type.</param>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    public override Tensor forward(Tensor input)
    {
        LayerInput.Check(input, A);
        using DisposeScope scope = NewDisposeScope();
        Tensor thin = nn.functional.linear(input, A);
        return nn.functional.linear(Scale == 1 ? thin : thin * Scale, B, Bias).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor EffectiveWeight()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return (B.mm(A) * Scale).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, Bias);
    }

    /// <inheritdoc/>
    public override string ToString() => $"LowRankLinear([{B.shape[0]}, {A.shape[1]}], rank {Rank})";

    private void Register()
    {
        register_parameter("lora_A", A);
        register_parameter("lora_B", B);
        if (Bias is not null) register_parameter("bias", Bias);
    }
}
