using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// SLTrain's layer (Han et al. 2024): W = scale B A + S, S with trained values at fixed places that were drawn once. The random part makes W of full rank; parameters, gradients and moments exist for the
/// factors and the values alone. Y = X W^T + b; of the gradient G = dY^T X only dB = scale G A^T, dA = scale B^T G and G at the places are wanted.
/// </summary>
/// <remarks>
/// For the backward pass X alone is kept, beside the parameters. As published both passes form W and the backward pass G; <see cref="ForwardMode.Factored"/> forms neither: dB = scale dY^T (X A^T), dA =
/// scale (dY B)^T X, and values by a sampled product. The results are the same up to rounding. Values mean nothing at other places: a mark of the support is a part of the saved state, and a state of a layer with
/// another one is refused when the layer is next used.
/// </remarks>
public sealed partial class LowRankSparseLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    /// <summary>Dense multiply-adds for which <see cref="ForwardMode.Auto"/> takes a sparse one.</summary>
    public const double SparseCost = 8;

    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device.
    private readonly Parameter values;
    private readonly Parameter? lora_A, lora_B, bias;
    private readonly Tensor support;
    private readonly long _mark;
    private readonly Plan _plan;

    /// <summary>A layer with a random support and SLTrain's start: A and values uniform in +-1/sqrt(in), B = 0.</summary>
    /// <param name="inputs">in.</param>
    /// <param name="outputs">out.</param>
    /// <param name="options">Rank, density, seed; null for the defaults of the record.</param>
    /// <param name="bias">Whether there is a bias, from 0. Default false.</param>
    /// <param name="type">Float32, the default, or Float64.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public LowRankSparseLinear(int inputs, int outputs, SLTrainOptions? options = null, bool bias = false, ScalarType type = ScalarType.Float32)
        : this(Drawn(inputs, outputs, options ??= new()), options, bias ? zeros(outputs, dtype: type) : null, type)
    {
    }

    /// <summary>A layer of given places, with SLTrain's start.</summary>
    /// <param name="support">Places of S [out, in], at least one.</param>
    /// <param name="options">Rank, scale, seed of the start; the density is the support's.</param>
    /// <param name="bias">b [out], of the type; copied. Null, the default, for none.</param>
    /// <param name="type">Float32, the default, or Float64.</param>
    /// <exception cref="ArgumentException">An option is out of its range, an empty support, or another bias.</exception>
    public LowRankSparseLinear(Support support, SLTrainOptions options, Tensor? bias = null, ScalarType type = ScalarType.Float32)
        : base(nameof(LowRankSparseLinear))
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(options);
        if (support.Count == 0) throw new ArgumentException("The support is empty; take a LowRankLinear.", nameof(support));
        (options with { Density = 0.5 }).Validate(support.Rows, support.Columns);
        if ((long)support.Rows * support.Columns > int.MaxValue) throw new ArgumentException($"[{support.Rows}, {support.Columns}] has more places than 32-bit indices reach.", nameof(support));
        if (type is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The layer is Float32 or Float64, not {type}.", nameof(type));
        if (bias is not null && (bias.dim() != 1 || bias.shape[0] != support.Rows || bias.dtype != type))
            throw new ArgumentException($"bias must be {type} [{support.Rows}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        (Support, Scale, Mode) = (support, options.Scale, options.Mode);
        using IDisposable off = no_grad();
        using (NewDisposeScope())
        {
            using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)options.Seed) ^ 0x51));
            values = LinearOf.Owned(Factors.Uniform(support.Columns, [support.Count], generator).to(type));
            if (options.Rank > 0) (lora_A, lora_B) = Factors.Start(support.Columns, support.Rows, options.Rank, options.Seed, Scale, FactorStart.Zero, type);
            this.bias = bias is null ? null : LinearOf.Owned(bias.detach().cpu().clone());
            _plan = new(new(support), Scale);
            _mark = unchecked((long)Convert.ToUInt64(support.Hash()[..16], 16));
            this.support = tensor(new[] { _mark }).DetachFromDisposeScope();
        }

        if (A is not null) register_parameter("lora_A", A);
        if (B is not null) register_parameter("lora_B", B);
        register_parameter("values", Values);
        if (Bias is not null) register_parameter("bias", Bias);
        register_buffer("support", this.support);
    }

    /// <summary>A [r, in]; null where the rank is 0.</summary>
    public Parameter? A => lora_A;

    /// <summary>B [out, r]; null where the rank is 0.</summary>
    public Parameter? B => lora_B;

    /// <summary>Values of S [Count], row after row.</summary>
    public Parameter Values => values;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>Places of S [out, in].</summary>
    public Support Support { get; }

    /// <summary>Constant before the product.</summary>
    public double Scale { get; }

    /// <summary>How products are computed; may be changed at any time.</summary>
    public ForwardMode Mode { get; set; }

    /// <summary>r.</summary>
    public int Rank => (int)(A?.shape[0] ?? 0);

    /// <inheritdoc/>
    public long ParameterCount => (Rank * (long)(Support.Rows + Support.Columns)) + Support.Count + (Bias?.numel() ?? 0);

    /// <summary>Multiply-adds of the factored form, r (out + in) + k. As published it is out in + r out in / T (<see cref="FlopAccount.FormedLowRankSparse"/>).</summary>
    public long MacsPerToken => (Rank * (long)(Support.Rows + Support.Columns)) + Support.Count;

    /// <summary>A dense layer taken apart: B A the best copy of some rank, the values what is left of W at the places.</summary>
    /// <param name="linear">The layer; it stays as it is.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="support">From what is left, W - B A [out, in] in the weight's type, to the places: random ones, or its largest entries.</param>
    /// <param name="name">Name of the layer in messages; null, the default, for none.</param>
    /// <exception cref="ArgumentException">A rank that there is not, NaN in the weight, or a support of another shape.</exception>
    public static LowRankSparseLinear FromDense(Linear linear, int rank, Func<Tensor, Support> support, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(linear);
        ArgumentNullException.ThrowIfNull(support);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using FactorPair pair = TruncatedSvd.Of(linear.weight!, rank, name);
        Tensor rest = linear.weight!.detach() - pair.Product();
        Support places = support(rest);
        if (places.Rows != rest.shape[0] || places.Columns != rest.shape[1]) throw new ArgumentException($"The support is [{places.Rows}, {places.Columns}], the weight [{string.Join(", ", rest.shape)}].", nameof(support));
        var layer = new LowRankSparseLinear(places, new() { Rank = rank }, linear.bias, rest.dtype);
        layer.A!.copy_(pair.A);
        layer.B!.copy_(pair.B);
        layer.Values.copy_(places.Gather(rest));
        return layer;
    }

    /// <summary>X W^T + b.</summary>
    /// <param name="input">[..., in], of the layer's type, on the CPU.</param>
    /// <returns>[..., out], with gradients for the input and the parameters.</returns>
    /// <exception cref="ArgumentException">Another width, type or device.</exception>
    /// <exception cref="InvalidDataException">A state was loaded whose values are those of another support.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != Support.Columns) throw new ArgumentException($"input must be [..., {Support.Columns}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        if (input.dtype != Values.dtype || input.device_type != DeviceType.CPU) throw new ArgumentException($"input is {input.dtype} on {input.device_type}; it must be {Values.dtype} on the CPU.", nameof(input));
        CheckMark();
        using DisposeScope scope = NewDisposeScope();
        long[] shape = [.. input.shape[..^1], Support.Rows];
        long tokens = 1;
        foreach (long length in input.shape[..^1]) tokens *= length;
        Tensor rows = input.reshape(tokens, Support.Columns), none = empty(0, dtype: Values.dtype);
        Tensor product = IsFactored(tokens)
            ? FactoredProduct.apply(rows, A ?? none, B ?? none, Values, _plan)
            : FormedProduct.apply(rows, A ?? none, B ?? none, Values, _plan);
        product = product.reshape(shape);
        return (Bias is null ? product : product + Bias).MoveToOuterDisposeScope();
    }

    /// <summary>Whether W is left unformed for so many tokens.</summary>
    /// <param name="tokens">Tokens of a batch.</param>
    public bool IsFactored(long tokens) => Mode switch
    {
        ForwardMode.Factored => true,
        ForwardMode.FormWeight => false,
        _ => tokens * (FlopAccount.LowRank(Support.Rows, Support.Columns, Rank) + (SparseCost * Support.Count)) < (tokens + Rank) * FlopAccount.Dense(Support.Rows, Support.Columns),
    };

    /// <inheritdoc/>
    /// <exception cref="InvalidDataException">A state was loaded whose values are those of another support.</exception>
    public Tensor EffectiveWeight()
    {
        CheckMark();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return _plan.Form(A, B, Values).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, Bias);
    }

    /// <summary>Spectra of W and of its two parts, whose singular values do not add up.</summary>
    public (SpectrumReport Total, SpectrumReport LowRank, SpectrumReport Sparse) SpectrumParts()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor sparse = SparseProduct.ToDense(Support, Values.detach()), low = A is null ? zeros_like(sparse) : B!.mm(A) * Scale;
        return (SpectrumReport.Of(low + sparse, "B A + S"), SpectrumReport.Of(low, "B A"), SpectrumReport.Of(sparse, "S"));
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"LowRankSparseLinear([{Support.Rows}, {Support.Columns}], rank {Rank}, {Support.Count} values)");

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) support.Dispose();
        base.Dispose(disposing);
    }

    private void CheckMark()
    {
        if (support.item<long>() != _mark) throw new InvalidDataException($"A state was loaded into {this} whose values are those of another support: of another seed, density or choice of places.");
    }

    private static Support Drawn(int inputs, int outputs, SLTrainOptions options)
    {
        options.Validate(outputs, inputs);
        return Support.Random(outputs, inputs, (int)(options.Density * outputs * inputs), options.Seed);
    }
}
