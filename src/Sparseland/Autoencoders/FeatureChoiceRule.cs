using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Feature choice (Ayonrinde 2024): latent i takes the m_i tokens of a batch on which its pre-activation is largest, of these the positive ones; the
/// counts m_i have the sum k B and follow a law of frequencies, so no latent dies. A training begins with mutual choice, for densities to form; then
/// ranks come from the running densities and are brought up to date now and then.
/// </summary>
/// <remarks>
/// At inference latent i is active above a threshold of its own, the running mean of its m_i-th largest positive pre-activation. Batches must be
/// mixtures of many texts (<see cref="ActivationBuffer"/>): a latent for one topic deserves more than m_i tokens of a batch on that topic. A floor of
/// one token takes M / (k B) of all entries; batches with k B of at least 20 M make that small.
/// </remarks>
public sealed class FeatureChoiceRule : CodeRule
{
    // In the place of a threshold of zero, which no factor can move when thresholds are calibrated. It must lie below every value that counts, whatever the unit of
    // the activations.
    private const double LeastThreshold = 1e-30;

    [ComponentName(Name = "ranking")]
    private readonly Tensor _ranking;

    [ComponentName(Name = "thresholds")]
    private readonly Tensor _thresholds;
    private (int Batch, double[] Ranking, int[] Counts) _known = (0, [], []);

    /// <summary>Sets the budget.</summary>
    /// <param name="latents">M.</param>
    /// <param name="k">Mean number of active latents of a token, positive; need not be whole.</param>
    /// <param name="law">Law of the counts; null for the same count for each latent (the ablation).</param>
    /// <param name="switchAt">Share of the steps that choose mutually, from 0 to below 1; at least the first step does. Default 0.3.</param>
    /// <param name="refreshEvery">Steps after which ranks are taken anew from the running densities. Default 20.</param>
    /// <param name="floor">Tokens of each batch that each latent takes at least. Default 1.</param>
    /// <param name="thresholdWeight">Weight of a new batch in the running thresholds, above 0 and at most 1. Default 0.05.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public FeatureChoiceRule(int latents, double k, ZipfLaw? law, double switchAt = 0.3, int refreshEvery = 20, int floor = 1, double thresholdWeight = 0.05)
        : base("feature-choice")
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latents);
        Finite.Positive(k);
        if (k > latents) throw new ArgumentException($"k is {k}, but there are {latents} latents.", nameof(k));
        if (!(switchAt is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(switchAt), switchAt, "switchAt must lie from 0 to below 1.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(refreshEvery);
        ArgumentOutOfRangeException.ThrowIfNegative(floor);
        if (!(thresholdWeight is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(thresholdWeight), thresholdWeight, "thresholdWeight must lie above 0 and not above 1.");
        (Latents, K, Law, SwitchAt, RefreshEvery, Floor, ThresholdWeight) = (latents, k, law, switchAt, refreshEvery, floor, thresholdWeight);
        using IDisposable off = no_grad();

        // Below zero: not there yet.
        _ranking = full(latents, -1.0, dtype: ScalarType.Float64).DetachFromDisposeScope();
        _thresholds = full(latents, -1.0, dtype: ScalarType.Float64).DetachFromDisposeScope();
        register_buffer("ranking", _ranking);
        register_buffer("thresholds", _thresholds);
    }

    /// <summary>M.</summary>
    public int Latents { get; }

    /// <summary>Mean number of active latents of a token.</summary>
    public double K { get; }

    /// <summary>Law of the counts; null where all are equal.</summary>
    public ZipfLaw? Law { get; }

    /// <summary>Share of the steps that choose mutually.</summary>
    public double SwitchAt { get; }

    /// <summary>Steps after which ranks are taken anew.</summary>
    public int RefreshEvery { get; }

    /// <summary>Tokens of each batch that each latent takes at least.</summary>
    public int Floor { get; }

    /// <summary>Weight of a new batch in the running thresholds.</summary>
    public double ThresholdWeight { get; }

    /// <summary>Whether latents choose their tokens; before, the choice is mutual.</summary>
    public bool LatentsChoose => Buffers.Doubles(_ranking)[0] >= 0;

    /// <summary>Thresholds at inference [latents], infinite for a latent that has taken no token yet; null before latents choose.</summary>
    public double[]? Thresholds
    {
        get
        {
            double[] all = Buffers.Doubles(_thresholds);
            return Array.Exists(all, t => t >= 0) ? Array.ConvertAll(all, t => t < 0 ? double.PositiveInfinity : Math.Max(t, LeastThreshold)) : null;
        }
    }

    /// <inheritdoc/>
    public override bool ChoosesAcrossBatch => true;

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant(
        $"{Architecture}, k = {K}, {(Law is null ? "equal counts" : FormattableString.Invariant($"counts (r + {Law.Offset})^-{Law.Exponent}"))}, at least {Floor}, from {SwitchAt} on, every {RefreshEvery} steps, threshold weight {ThresholdWeight}");

    /// <inheritdoc/>
    public override void Check(int latents)
    {
        if (latents != Latents) throw new ArgumentException($"The rule is made for {Latents} latents, the autoencoder has {latents}.", "rule");
    }

    /// <summary>Tokens that each latent takes of a batch.</summary>
    /// <param name="batch">B, tokens of the batch.</param>
    /// <returns>[latents], of the sum k B (rounded).</returns>
    /// <exception cref="InvalidOperationException">The choice is still mutual: there are no ranks yet.</exception>
    /// <exception cref="ArgumentException">The floor takes more than the batch has; the message says which batch would do.</exception>
    public int[] CountsFor(int batch)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        if (!LatentsChoose) throw new InvalidOperationException($"Latents do not choose yet: the first {SwitchAt:P0} of a training choose mutually, and ranks come from its densities.");
        int total = (int)Math.Min(Math.Round(K * batch), (long)Latents * batch);
        if (Law is null)
        {
            FeatureCounts.CheckFloor(Latents, total, batch, Floor);
            return FeatureCounts.Uniform(Latents, total, batch);
        }

        // Ranks stay for many steps. A checkpoint may change them unseen, so it is they that are compared.
        double[] ranking = Buffers.Doubles(_ranking);
        if (_known.Batch != batch || !ranking.SequenceEqual(_known.Ranking))
            _known = (batch, ranking, FeatureCounts.Zipf(ranking, total, batch, Law.Exponent, Law.Offset, Floor));
        return [.. _known.Counts];
    }

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        if (!context.Training) return AboveThresholds(pre);

        // What cannot be met later is refused at the first step.
        int batch = (int)pre.shape[0];
        if (batch > 0) FeatureCounts.CheckFloor(Latents, BatchTopKRule.CountFor(K, pre), batch, Floor);
        return LatentsChoose && batch > 0 ? Positive(Selection.Select.TopK(pre, Budget.PerColumn(CountsFor(batch))), pre) : BatchTopKRule.Choose(pre, K);
    }

    internal override bool NeedsMixtures => true;

    internal override void Learn(IReadOnlyList<SparseCode> codes, TrainingProgress progress)
    {
        if (LatentsChoose)
        {
            foreach (SparseCode code in codes) LearnThresholds(code);
        }

        long since = progress.Step - Training.WholeSteps.From(SwitchAt, progress.Steps);
        if (since < 0 || (LatentsChoose && since % RefreshEvery != 0)) return;
        using IDisposable off = no_grad();
        using Tensor density = tensor(progress.Statistics.Density);
        _ranking.copy_(density);
    }

    internal override CodeRule Frozen(int latents) => new ThresholdRule(Capped(Learned()));

    internal override Tensor? AtInference() => tensor(Thresholds is { } learned ? Capped(learned) : [.. Enumerable.Repeat(1.0, Latents)]);

    internal override void ScaleThresholds(double factor)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (Thresholds is null) _thresholds.fill_(factor);
        else _thresholds.copy_(where(_thresholds.lt(0), _thresholds, _thresholds.clamp_min(LeastThreshold).mul(factor)));
    }

    // A latent that has taken no token is out of reach of every float32.
    private static double[] Capped(double[] thresholds) => Array.ConvertAll(thresholds, t => Math.Min(t, float.MaxValue));

    private double[] Learned() => Thresholds
        ?? throw new InvalidOperationException($"{Architecture} has no thresholds yet: latents choose across a batch in training and need thresholds at inference. Train it beyond {SwitchAt:P0} of its steps.");

    /// <summary>Moves each threshold towards the m_i-th largest positive value of its latent, 0 where there were fewer.</summary>
    private void LearnThresholds(SparseCode code)
    {
        using DisposeScope scope = NewDisposeScope();
        using Tensor wide = code.Values.to(ScalarType.Float64).contiguous();
        ReadOnlySpan<double> values = TensorMemory.Read<double>(wide);
        ReadOnlySpan<int> columns = code.Support.ColumnIndices;
        int[] wanted = CountsFor(code.Tokens), found = new int[Latents];
        double[] least = new double[Latents];
        for (int e = 0; e < values.Length; e++)
        {
            int i = columns[e];
            least[i] = found[i]++ == 0 ? values[e] : Math.Min(least[i], values[e]);
        }

        double[] thresholds = Buffers.Doubles(_thresholds);
        for (int i = 0; i < Latents; i++)
        {
            if (wanted[i] == 0) continue;
            double t = found[i] < wanted[i] ? 0 : least[i];
            thresholds[i] = thresholds[i] < 0 ? t : thresholds[i] + (ThresholdWeight * (t - thresholds[i]));
        }

        Buffers.Fill(_thresholds, thresholds);
    }

    private SparseCode AboveThresholds(Tensor pre)
    {
        using Tensor least = tensor(Learned(), pre.dtype);
        return Above(pre, least);
    }
}
