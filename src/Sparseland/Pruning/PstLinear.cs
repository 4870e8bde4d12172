using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Parameter-efficient sparsity (PST; Li et al., IJCAI 2022): a frozen weight W [n, k] with a trained change of low rank, W' = W + beta U V, and the importance
/// S = |W'| + alpha1 A B + alpha2 (R 1^T + 1 C^T): magnitude, which knows no task, and a task's importance in a matrix of low rank and in one number per row and column.
/// U [n, r1], V [r1, k], A [n, r2], B [r2, k], R [n] and C [k] are trained; V, B, R and C begin at zero, so that at first W' = W and S is the magnitude.
/// </summary>
public sealed class PstLinear : LearnedMaskLinear
{
    [ComponentName(Name = "weight")]
    private readonly Tensor _weight;

    /// <summary>A layer around a weight.</summary>
    /// <param name="weight">W [n, k], Float32 or Float64, finite; copied and not trained.</param>
    /// <param name="bias">b [n]; copied and not trained. Null, the default, for none.</param>
    /// <param name="options">Ranks and factors; null for the defaults of the record.</param>
    /// <param name="name">What messages call the layer. Default "layer".</param>
    /// <exception cref="ArgumentException">A weight of another kind or not finite, a bias that does not fit, a rank above the smaller side, or an option out of its range.</exception>
    public PstLinear(Tensor weight, Tensor? bias = null, PstOptions? options = null, string name = "layer")
        : this(weight, bias, options ?? new(), name, 0)
    {
    }

    internal PstLinear(Tensor weight, Tensor? bias, PstOptions options, string name, long stream)
        : base(nameof(PstLinear), name, CheckedWeight(weight, options, name), bias, options.MaskEvery)
    {
        Options = options;
        using DisposeScope scope = NewDisposeScope();
        _weight = weight.detach().clone().DetachFromDisposeScope();
        register_buffer("weight", _weight);
        ulong seed = SeededRandom.Mix(unchecked((ulong)options.Seed) ^ SeededRandom.Mix((ulong)stream + 1));
        using var generator = new Generator(seed);
        Parameter Normal(long rows, long columns) => new(randn([rows, columns], generator: generator).to(weight.dtype).to(weight.device).DetachFromDisposeScope());
        Parameter Zero(params long[] shape) => new(zeros(shape, dtype: weight.dtype, device: weight.device).DetachFromDisposeScope());
        (U, V) = (Normal(Outputs, options.WeightRank), Zero(options.WeightRank, Inputs));
        register_parameter("u", U);
        register_parameter("v", V);
        if (options.AlphaLowRank != 0)
        {
            (A, B) = (Normal(Outputs, options.ScoreRank), Zero(options.ScoreRank, Inputs));
            register_parameter("a", A);
            register_parameter("b", B);
        }

        if (options.AlphaStructured == 0) return;
        (R, C) = (Zero(Outputs), Zero(Inputs));
        register_parameter("r", R);
        register_parameter("c", C);
    }

    /// <summary>The settings.</summary>
    public PstOptions Options { get; }

    /// <summary>W [n, k], frozen; it belongs to the layer.</summary>
    public Tensor Weight => _weight;

    /// <summary>U [n, r1].</summary>
    [field: ComponentName(Name = "u")]
    public Parameter U { get; }

    /// <summary>V [r1, k].</summary>
    [field: ComponentName(Name = "v")]
    public Parameter V { get; }

    /// <summary>A [n, r2]; null where alpha1 is 0.</summary>
    [field: ComponentName(Name = "a")]
    public Parameter? A { get; }

    /// <summary>B [r2, k]; null where alpha1 is 0.</summary>
    [field: ComponentName(Name = "b")]
    public Parameter? B { get; }

    /// <summary>R [n]; null where alpha2 is 0.</summary>
    [field: ComponentName(Name = "r")]
    public Parameter? R { get; }

    /// <summary>C [k]; null where alpha2 is 0.</summary>
    [field: ComponentName(Name = "c")]
    public Parameter? C { get; }

    /// <summary>W' = W + beta U V.</summary>
    public override Tensor EffectiveWeight()
    {
        using DisposeScope scope = NewDisposeScope();
        return _weight.add(U.mm(V), alpha: Options.Beta).MoveToOuterDisposeScope();
    }

    private protected override Tensor Importance(Tensor effective)
    {
        Tensor importance = (Options.MagnitudeGradient ? effective : effective.detach()).abs();
        if (A is not null && B is not null) importance = importance.add(A.mm(B), alpha: Options.AlphaLowRank);
        if (R is not null && C is not null) importance = importance.add(R.unsqueeze(1) + C.unsqueeze(0), alpha: Options.AlphaStructured);
        return importance;
    }

    private static Tensor CheckedWeight(Tensor weight, PstOptions options, string name)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        CheckWeight(weight, name);
        long least = Math.Min(weight.shape[0], weight.shape[1]);
        if (options.WeightRank > least) throw TooHigh(nameof(PstOptions.WeightRank), options.WeightRank);
        if (options.AlphaLowRank != 0 && options.ScoreRank > least) throw TooHigh(nameof(PstOptions.ScoreRank), options.ScoreRank);
        return weight;

        ArgumentOutOfRangeException TooHigh(string option, int rank) =>
            new(option, rank, $"{name} is [{weight.shape[0]}, {weight.shape[1]}]; a rank is from 1 to {least}, its smaller side.");
    }
}
