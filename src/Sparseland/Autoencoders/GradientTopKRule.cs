using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Gradient autoencoder (Olmo et al. 2025): TopK on activation plus influence, s_i = relu(z_i) (1 + beta a_i) with a the <see cref="Influence"/> on the
/// model's loss. Values stay z, so only who is chosen changes, and with it who learns. Gradients are data: nothing flows back through them.
/// </summary>
/// <remarks>At inference it is TopK on z, unless gradients are given; those of the true labels then tell the code what the label is.</remarks>
public sealed class GradientTopKRule : CodeRule
{
    private readonly TopKRule _plain;
    [ComponentName(Name = "weight")]
    private readonly Tensor _weight;

    /// <summary>Sets k and the weight of the influence.</summary>
    /// <param name="k">Most active latents of a token, positive.</param>
    /// <param name="beta">Weight of the influence, not negative: with 1 a mean influence counts as much as the activation, with 0 it is TopK. Default 1.</param>
    /// <param name="rampFrom">Share of the steps up to which beta is zero. Default 0.</param>
    /// <param name="rampTo">Share of the steps from which it is whole, in between a straight line: influence stirs the choice while directions are still forming. Default 0, from the start.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public GradientTopKRule(int k, double beta = 1, double rampFrom = 0, double rampTo = 0)
        : base("gradient-topk")
    {
        Finite.NotNegative(beta);
        if (!(rampFrom is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(rampFrom), rampFrom, "rampFrom must lie from 0 to 1.");
        if (!(rampTo >= rampFrom && rampTo <= 1)) throw new ArgumentOutOfRangeException(nameof(rampTo), rampTo, "rampTo must lie from rampFrom to 1.");
        (_plain, Beta, RampFrom, RampTo) = (new(k), beta, rampFrom, rampTo);
        using IDisposable off = no_grad();
        _weight = tensor(new[] { WeightAt(0) }).DetachFromDisposeScope();
        register_buffer("weight", _weight);
    }

    /// <summary>Most active latents of a token.</summary>
    public int K => _plain.K;

    /// <summary>Weight of the influence when it is whole.</summary>
    public double Beta { get; }

    /// <summary>Share of the steps up to which the weight is zero.</summary>
    public double RampFrom { get; }

    /// <summary>Share of the steps from which the weight is whole.</summary>
    public double RampTo { get; }

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant($"{Architecture}, k = {K}, beta {Beta}{(RampTo > 0 ? FormattableString.Invariant($" from {RampFrom} to {RampTo}") : "")}");

    internal override bool NeedsGradients => Beta > 0;

    /// <inheritdoc/>
    public override void Check(int latents) => _plain.Check(latents);

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        if (Beta == 0 || (context.Gradients is null && !context.Training)) return _plain.Select(pre, context);

        // What is missing is missed at the first step, though a ramp needs it only later.
        Tensor gradients = context.Gradients
            ?? throw new InvalidOperationException($"{Architecture} needs gradients in training, and its activations come without: take a source that has them, such as {nameof(ModelActivations)} with gradients.");
        if (gradients.dim() != 2 || gradients.shape[0] != pre.shape[0])
            throw new ArgumentException($"The gradients are [{string.Join(", ", gradients.shape)}] for {pre.shape[0]} tokens; there must be one row for each, in their order.", nameof(context));
        double weight = _weight.ToDouble();
        if (weight == 0 || pre.shape[0] == 0) return _plain.Select(pre, context);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor sizes, double mean) = Influence.Sizes(gradients, context.Decoder);
        Tensor scores = sizes.mul_(weight / mean).add_(1).mul_(pre.relu());
        SparseCode code = Positive(Selection.Select.TopK(scores, Budget.PerRow(K)), pre);
        code.Values.MoveToOuterDisposeScope();
        return code;
    }

    // Gradients are seldom at hand at inference; what is left is a TopK of the trained weights.
    internal override CodeRule Frozen(int latents) => new TopKRule(K);

    internal override void Learn(IReadOnlyList<SparseCode> codes, TrainingProgress progress)
    {
        using IDisposable off = no_grad();
        _weight.fill_(WeightAt((double)progress.Step / progress.Steps));
    }

    private double WeightAt(double share) => share >= RampTo ? Beta : share <= RampFrom ? 0 : Beta * (share - RampFrom) / (RampTo - RampFrom);
}
