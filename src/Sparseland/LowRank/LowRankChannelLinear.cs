using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// A layer of low rank beside a few input channels that are kept densely (LOST: Li, Yin, Shen, Xu, Xu, Huang, Wang, Liu, Wang, 2025, arXiv 2508.02668):
/// y = gamma B f(A x) + (1 - gamma) V x[C] + b. Factors and channels come from one singular value decomposition of a dense start W0: B A is its best copy of rank r, C the columns that are largest in what
/// this leaves, V the columns C of W0 itself. A, B, V and b are trained, C stays.
/// </summary>
/// <remarks>
/// It does not start as W0 nor as a copy of it of lower rank: gamma and the columns see to that. The signs of the singular vectors are fixed, since with an activation they are part of the function.
/// C is part of the saved state and loads together with V. What a state brings must be channels of the layer, rising: the first forward pass on the CPU, <see cref="Channels"/>, <see cref="EffectiveWeight"/> and
/// <see cref="Merge"/> refuse others.
/// </remarks>
public sealed class LowRankChannelLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device.
    private readonly Parameter lora_A, lora_B;
    private readonly Parameter? values, bias;
    private readonly Tensor channels;
    private readonly string _name;
    private readonly LoadedIndices _loaded;

    /// <summary>A layer from a dense start.</summary>
    /// <param name="start">W0 and the bias; it stays as it is.</param>
    /// <param name="options">Rank, channels, gamma and activation.</param>
    /// <param name="name">Name of the layer in messages; null, the default, for none.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or W0 holds NaN or infinity.</exception>
    public LowRankChannelLinear(Linear start, LostOptions options, string? name = null)
        : base(nameof(LowRankChannelLinear))
    {
        ArgumentNullException.ThrowIfNull(start);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate(start.weight.shape[1], start.weight.shape[0]);
        (Options, _name) = (options, name ?? "The layer");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor weight = start.weight.detach(), wide = Decomposition.Wide(weight, nameof(start), name);
        (Tensor u, Tensor s, Tensor vt) = Decomposition.Svd(wide, nameof(start), name);
        (u, vt) = SingularSigns.Fix(u, vt);
        using FactorPair pair = TruncatedSvd.Split(u, s, vt, options.Rank, weight);
        (lora_B, lora_A) = (LinearOf.Owned(pair.B.clone()), LinearOf.Owned(pair.A.clone()));
        int[] chosen = Choose(s, vt, (int)weight.shape[1], options);
        _loaded = new(Array.ConvertAll(chosen, c => (long)c), CheckChannels);
        channels = tensor(chosen, dtype: ScalarType.Int64, device: weight.device).DetachFromDisposeScope();
        values = chosen.Length == 0 ? null : LinearOf.Owned(weight.index_select(1, channels));
        bias = start.bias is null ? null : LinearOf.Owned(start.bias.detach().clone());
        RegisterComponents();
    }

    /// <summary>What it was made with.</summary>
    public LostOptions Options { get; }

    /// <summary>A [r, in].</summary>
    public Parameter A => lora_A;

    /// <summary>B [out, r].</summary>
    public Parameter B => lora_B;

    /// <summary>V [out, n], the kept columns in the order of <see cref="Channels"/>; null where there are none.</summary>
    public Parameter? Values => values;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>C, the kept input channels, rising.</summary>
    /// <exception cref="InvalidDataException">A state was loaded whose channels are none of this layer, or not rising.</exception>
    public IReadOnlyList<long> Channels => [.. _loaded.Read(channels)];

    /// <inheritdoc/>
    public long ParameterCount => A.numel() + B.numel() + (Values?.numel() ?? 0) + (Bias?.numel() ?? 0);

    /// <summary>r (in + out) + n out.</summary>
    public long MacsPerToken => A.numel() + B.numel() + (Values?.numel() ?? 0);

    /// <summary>gamma B f(A x) + (1 - gamma) V x[C] + b.</summary>
    /// <param name="input">[..., in], of the parameters' type.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    /// <exception cref="InvalidDataException">On the CPU: a state was loaded whose channels are none of this layer, or not rising.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != A.shape[1]) throw new ArgumentException($"input must be [..., {A.shape[1]}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        if (input.dtype != A.dtype) throw new ArgumentException($"input is {input.dtype}; it must be {A.dtype}.", nameof(input));

        // Elsewhere a look at them would stop the device in every pass.
        if (channels.device_type == DeviceType.CPU) _loaded.Read(channels);
        using DisposeScope scope = NewDisposeScope();
        Tensor thin = nn.functional.linear(input, A);
        if (Options.Activation == InnerActivation.Silu) thin = nn.functional.silu(thin);
        Tensor result = nn.functional.linear(thin * Options.Gamma, B, Bias);
        if (Values is not null) result = result + nn.functional.linear(input.index_select(-1, channels) * (1 - Options.Gamma), Values);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>gamma B A + (1 - gamma) V E^T [out, in], where E^T picks the channels; its rank is r + n at most.</summary>
    /// <exception cref="InvalidOperationException">There is an activation between the factors, so that the layer has no weight.</exception>
    public Tensor EffectiveWeight()
    {
        if (Options.Activation != InnerActivation.None)
            throw new InvalidOperationException($"A layer with {Options.Activation} between its factors is no linear map: there is no weight that it could be merged into.");
        _loaded.Read(channels);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor weight = B.mm(A) * Options.Gamma;
        if (Values is not null) weight = weight.index_add(1, channels, Values * (1 - Options.Gamma), 1);
        return weight.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">There is an activation between the factors.</exception>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, Bias);
    }

    /// <inheritdoc/>
    public override string ToString() => $"LowRankChannelLinear([{B.shape[0]}, {A.shape[1]}], rank {A.shape[0]}, {channels.shape[0]} channels, {Options.Activation})";

    private void CheckChannels(ReadOnlySpan<long> now)
    {
        long kept = Values?.shape[1] ?? 0;
        if (now.Length != kept) throw new InvalidDataException($"{_name} was loaded with {now.Length} channels; it keeps {kept} columns.");
        LoadedIndices.Check(now, now.Length, A.shape[1], _name, "channel");
    }

    private static int[] Choose(Tensor s, Tensor vt, int inputs, LostOptions options)
    {
        int count = Math.Max(1, (int)(options.KeptShare * inputs));
        switch (options.Channels)
        {
            case ChannelChoice.None:
                return [];
            case ChannelChoice.Given:
                return [.. options.Given.Order()];
            case ChannelChoice.Random:
                var random = new SeededRandom(options.Seed);
                int[] order = random.Permutation<int>(inputs);
                return [.. order.Take(count).Order()];
            default:
                using (Tensor scores = ChannelScores.Of(s, vt, options.Rank, options.ResidualComponents, options.Tail))
                using (Tensor row = scores.unsqueeze(0))
                    return [.. Select.TopK(row, Budget.Global(count)).ColumnIndices];
        }
    }
}
