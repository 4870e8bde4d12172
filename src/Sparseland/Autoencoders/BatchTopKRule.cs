using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// BatchTopK (Bussmann et al. 2024), the same choice as mutual choice (Ayonrinde 2024): the k B largest positive pre-activations of a batch of B
/// tokens, wherever they are. At inference a latent is active above one threshold, the running mean of the smallest value that was chosen in
/// training: a token's code then does not depend on its neighbours.
/// </summary>
public class BatchTopKRule : CodeRule
{
    // Asked for by name: a module that changes its type gives its buffers new tensors, and fills only the fields of the derived class.
    private Tensor Held => get_buffer("threshold")!;

    /// <summary>Sets k.</summary>
    /// <param name="k">Mean number of active latents of a token, positive; need not be whole.</param>
    /// <param name="thresholdWeight">Weight of a new batch in the running threshold, above 0 and at most 1. Default 0.02.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public BatchTopKRule(double k, double thresholdWeight = 0.02)
        : this("batch-topk", k, thresholdWeight)
    {
    }

    private protected BatchTopKRule(string name, double k, double thresholdWeight)
        : base(name)
    {
        Finite.Positive(k);
        if (!(thresholdWeight is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(thresholdWeight), thresholdWeight, "thresholdWeight must lie above 0 and not above 1.");
        (K, ThresholdWeight) = (k, thresholdWeight);
        using IDisposable off = no_grad();

        // Below zero: not learned.
        register_buffer("threshold", tensor(new[] { -1.0 }).DetachFromDisposeScope());
    }

    /// <summary>Mean number of active latents of a token.</summary>
    public double K { get; }

    /// <summary>Weight of a new batch in the running threshold.</summary>
    public double ThresholdWeight { get; }

    /// <summary>A latent is active above it at inference; null before training.</summary>
    public double? Threshold => Held.ToDouble() is >= 0 and var t ? t : null;

    /// <inheritdoc/>
    public override bool ChoosesAcrossBatch => true;

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant($"{Architecture}, k = {K}, threshold weight {ThresholdWeight}");

    /// <inheritdoc/>
    public override void Check(int latents)
    {
        if (K > latents) throw new ArgumentException($"k is {K}, but there are {latents} latents.", "rule");
    }

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        if (context.Training) return Choose(pre, K);
        using Tensor t = tensor(new[] { Learned() });
        return Above(pre, t);
    }

    internal override CodeRule Frozen(int latents) => new ThresholdRule(latents, Learned());

    internal override Tensor? AtInference() => tensor(new[] { Threshold ?? 1 });

    internal override void ScaleThresholds(double factor) => Held.fill_((Threshold ?? 1) * factor);

    internal override void Learn(IReadOnlyList<SparseCode> codes, TrainingProgress progress)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (SparseCode code in codes.Where(code => code.Support.Count > 0))
        {
            double least = code.Values.min().to(ScalarType.Float64).item<double>(), before = Held.ToDouble();
            Held.fill_(before < 0 ? least : before + (ThresholdWeight * (least - before)));
        }
    }

    /// <summary>The k B largest positive pre-activations of a batch.</summary>
    internal static SparseCode Choose(Tensor pre, double k) => Positive(Selection.Select.TopK(pre, Budget.Global(CountFor(k, pre))), pre);

    /// <summary>k B, rounded: how many entries a batch has in all.</summary>
    /// <exception cref="ArgumentException">It rounds to none, so that every code would be empty.</exception>
    internal static int CountFor(double k, Tensor pre)
    {
        double count = Math.Min(Math.Round(k * pre.shape[0]), pre.numel());
        return count >= 1 || pre.shape[0] == 0 ? (int)count : throw new ArgumentException(
            FormattableString.Invariant($"k is {k}, so a batch of {pre.shape[0]} tokens has no entry to give away; a batch of {Math.Ceiling(0.51 / k)} tokens would do, or a larger k."), nameof(pre));
    }

    private double Learned() =>
        Threshold ?? throw new InvalidOperationException($"{Architecture} has no threshold yet: it chooses across a batch in training and needs one at inference. Train it, or calibrate one.");
}
