using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>What is done with an autoencoder after training: the rule of inference, thresholds for a wanted L0, scales folded into the weights.</summary>
public sealed partial class SparseAutoencoder
{
    // A count may miss the wanted one by so much.
    private const double CalibrationTolerance = 0.005;

    /// <summary>
    /// The autoencoder with the rule of inference: one that chooses across a batch gives a copy with a <see cref="ThresholdRule"/>; any other is its own
    /// and gives this same object.
    /// </summary>
    /// <exception cref="InvalidOperationException">No threshold has been learned.</exception>
    public SparseAutoencoder Freeze()
    {
        CodeRule frozen = Rule.Frozen(Latents);
        return ReferenceEquals(frozen, Rule) ? this : Copy(frozen, Encoder.detach().clone(), EncoderBias.detach().clone());
    }

    /// <summary>The same weights under another rule: fewer latents for each token, gradients at inference, thresholds for a model that was trained without.</summary>
    /// <param name="rule">The rule; taken over.</param>
    /// <returns>A new autoencoder with weights of its own.</returns>
    /// <exception cref="ArgumentException">The rule does not fit the number of latents.</exception>
    /// <exception cref="InvalidOperationException">This one is gated, whose biases mean something else; see <see cref="ToJumpRelu"/>.</exception>
    public SparseAutoencoder With(CodeRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        if (Rule is GatedRule && rule is not GatedRule)
            throw new InvalidOperationException($"The biases of a gated autoencoder are those of its gate, so another rule would not read it right; {nameof(ToJumpRelu)} first.");
        return Copy(rule, Encoder.detach().clone(), EncoderBias.detach().clone());
    }

    /// <summary>
    /// A gated autoencoder as the JumpReLU that it is (Rajamanoharan et al. 2024, 2404.16014): encoder rows e^{r_i} W_e,i, biases b_mag, thresholds
    /// b_mag,i - e^{r_i} b_gate,i. Codes are the same up to rounding. Where such a threshold is not positive the value alone decides, and the
    /// threshold is one that no number of float32 falls below.
    /// </summary>
    /// <param name="bandwidth">eps of the rule, positive. Default 0.05.</param>
    /// <returns>A new autoencoder.</returns>
    /// <exception cref="InvalidOperationException">The rule is not gated.</exception>
    public SparseAutoencoder ToJumpRelu(double bandwidth = 0.05)
    {
        if (Rule is not GatedRule gated) throw new InvalidOperationException($"The rule is {Rule.Architecture}; a {nameof(GatedRule)} can be written as a JumpReLU.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor scale = gated.LogScale.to(ScalarType.Float64).exp();
        Tensor thresholds = (gated.MagnitudeBias.to(ScalarType.Float64) - (scale * EncoderBias.to(ScalarType.Float64))).clamp_min(1e-37);
        var rule = new JumpReluRule([.. thresholds.data<double>()], bandwidth, Encoder.dtype);
        return Copy(rule, Encoder * scale.to(Encoder.dtype).unsqueeze(1), gated.MagnitudeBias.to(Encoder.dtype, copy: true));
    }

    /// <summary>
    /// Multiplies the thresholds with one factor so that the mean L0 on some activations is a wanted one, to 0.5 % or one entry. A rule without
    /// a learned threshold, such as a new <see cref="BatchTopKRule"/>, gets its first.
    /// </summary>
    /// <param name="activations">[tokens, d]; take some that were not trained on: L0 on them is what a user will see.</param>
    /// <param name="l0">Wanted mean number of active latents of a token.</param>
    /// <param name="cancel">Looked at between tiles of tokens. Never by default.</param>
    /// <returns>The factor.</returns>
    /// <exception cref="ArgumentException">The activations do not fit or are none, or no factor gives this L0; the message says how far it can go.</exception>
    /// <exception cref="InvalidOperationException">The rule has no thresholds.</exception>
    public double CalibrateThreshold(Tensor activations, double l0, CancellationToken cancel = default)
    {
        CheckActivations(activations);
        if (activations.shape[0] == 0) throw new ArgumentException("There are no activations to calibrate on.", nameof(activations));
        if (!(l0 > 0) || l0 > Latents) throw new ArgumentOutOfRangeException(nameof(l0), l0, $"l0 must lie above 0 and not above the {Latents} latents.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor thresholds = Rule.AtInference() ?? throw new InvalidOperationException($"{Rule.Architecture} has no thresholds to calibrate.{(Rule is GatedRule ? $" {nameof(ToJumpRelu)} gives the same codes with thresholds." : "")}");
        long wanted = Math.Max(1, (long)Math.Round(l0 * activations.shape[0]));

        // The factor lies just below the wanted-th largest ratio z / t. Two passes find it without keeping the ratios: positive numbers are in the
        // order of their bits, of which the first pass counts the upper half and the second the lower half.
        long[] upper = Bits(activations, thresholds, null, cancel);
        long above = 0;
        int bin = Find(upper, wanted, ref above);
        if (bin < 0)
            throw new ArgumentException(FormattableString.Invariant($"l0 is {l0}, but only {(double)above / activations.shape[0]:0.##} pre-activations of a token are positive in the mean."), nameof(l0));
        long[] lower = Bits(activations, thresholds, (uint)bin, cancel);
        float ratio = BitConverter.UInt32BitsToSingle(((uint)bin << 16) | (uint)Find(lower, wanted, ref above));
        double factor = ratio * (1 - 4e-7);
        long count = Count(activations, thresholds * factor, cancel);
        if (!double.IsFinite(factor) || Math.Abs(count - wanted) > Math.Max(1, CalibrationTolerance * wanted))
            throw new ArgumentException(FormattableString.Invariant($"No factor of the thresholds gives an L0 of {l0}: the nearest gives {(double)count / activations.shape[0]:0.###}. Thresholds of zero, or many equal pre-activations, cannot be told apart by it."), nameof(l0));
        Rule.ScaleThresholds(factor);
        return factor;
    }

    /// <summary>
    /// Writes the scaling s into the weights, for a file that knows none: W_e *= s, W_d /= s, b_d /= s, s = 1. Codes and reconstructions stay. Rows of
    /// the decoder then have norm 1/s, so a training goes on only with a free decoder.
    /// </summary>
    public void FoldScaling()
    {
        using IDisposable off = no_grad();
        double s = Scaling.Factor;
        if (s == 1) return;
        Encoder.mul_(s);
        Decoder.div_(s);
        DecoderBias.div_(s);
        Scaling.Set(1);
    }

    /// <summary>
    /// Divides the decoder by one number and multiplies the encoder with it, for rules that only compare latents with one another: whoever was chosen is chosen still.
    /// </summary>
    internal void FoldOneNorm(double norm)
    {
        if (Rule is not (TopKRule or GroupMaxRule)) throw new InvalidOperationException($"{Rule.Architecture} does more than compare latents.");
        using IDisposable off = no_grad();
        Decoder.div_(norm);
        Encoder.mul_(norm);
        EncoderBias.mul_(norm);
    }

    /// <summary>
    /// Gives the decoder rows of norm one: with n_i = ||W_d[i]||, W_d[i] /= n_i, and W_e[i], b_e,i and thresholds *= n_i. Reconstructions stay, codes are
    /// multiplied with n_i. A row of zeros stays.
    /// </summary>
    /// <exception cref="InvalidOperationException">The rule compares latents with one another (TopK), so that others would be active; nothing has changed.</exception>
    public void FoldDecoderNorms()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor norms = RowNorms(Decoder).to(Decoder.dtype);
        norms.masked_fill_(norms.eq(0), 1);
        Rule.ScaleLatents(norms);
        Decoder.div_(norms.unsqueeze(1));
        Encoder.mul_(norms.unsqueeze(1));
        EncoderBias.mul_(norms);
    }

    /// <summary>What one latent adds to the reconstruction of each token, its value times its decoder row, on the scale of the activations as they came.</summary>
    /// <param name="code">A code that <see cref="Encode"/> made.</param>
    /// <param name="latents">The latent of each token.</param>
    /// <returns>[tokens, d]; zeros where the latent is not active.</returns>
    internal Tensor PartOf(SparseCode code, ReadOnlySpan<int> latents)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long[] entries = new long[code.Tokens], rows = new long[code.Tokens];
        bool[] active = new bool[code.Tokens];
        for (int row = 0; row < code.Tokens; row++)
        {
            int at = code.Support.Row(row).BinarySearch(latents[row]);
            (rows[row], active[row], entries[row]) = (latents[row], at >= 0, at >= 0 ? code.Support.RowOffsets[row] + at : 0);
        }

        if (code.Support.Count == 0) return zeros(code.Tokens, Width, dtype: Decoder.dtype).MoveToOuterDisposeScope();
        Tensor values = code.Values.index_select(0, tensor(entries)) * tensor(active);
        Tensor part = Scaling.Undo(values.unsqueeze(1) * Decoder.index_select(0, tensor(rows)));
        return (code.Frame is null ? part : part * code.Frame.Factor).MoveToOuterDisposeScope();
    }

    /// <summary>Norms of rows in Float64: squares of large and small numbers leave the range of Float32 where the norms do not.</summary>
    internal static Tensor RowNorms(Tensor rows) => rows.to(ScalarType.Float64).norm(1);

    private SparseAutoencoder Copy(CodeRule rule, Tensor encoder, Tensor encoderBias) =>
        new(Decoder.detach().clone(), encoder, encoderBias, DecoderBias.detach().clone(), rule, CentreInput, Scaling.Factor) { TokenScaling = TokenScaling };

    /// <summary>The bin that holds the wanted-th largest, with how many lie above it; -1 where there are fewer in all.</summary>
    private static int Find(long[] counts, long wanted, ref long above)
    {
        for (int i = counts.Length - 1; i >= 0; above += counts[i--])
        {
            if (above + counts[i] >= wanted) return i;
        }

        return -1;
    }

    /// <summary>Counts positive ratios z / t by the upper half of their bits, or, of those with this upper half, by the lower.</summary>
    private long[] Bits(Tensor activations, Tensor thresholds, uint? within, CancellationToken cancel)
    {
        long[] counts = new long[1 << 16];
        EachTile(activations, cancel, pre =>
        {
            Tensor ratios = pre.div(thresholds.to(pre.dtype)).to(ScalarType.Float32).contiguous();
            foreach (float ratio in TensorMemory.Read<float>(ratios))
            {
                if (!(ratio > 0)) continue;
                uint bits = BitConverter.SingleToUInt32Bits(ratio);
                if (within is null) counts[bits >> 16]++;
                else if (bits >> 16 == within) counts[bits & 0xFFFF]++;
            }
        });
        return counts;
    }

    private long Count(Tensor activations, Tensor thresholds, CancellationToken cancel)
    {
        long count = 0;
        EachTile(activations, cancel, pre => count += pre.gt(thresholds.to(pre.dtype)).sum().item<long>());
        return count;
    }

    private void EachTile(Tensor activations, CancellationToken cancel, Action<Tensor> work)
    {
        long tokens = activations.shape[0], tile = Math.Clamp((1L << 29) / ((long)Width * Latents), 16, 1 << 14);
        for (long from = 0; from < tokens; from += tile)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            work(PreOf(TokenFrame.Apply(TokenScaling, activations.narrow(0, from, Math.Min(tile, tokens - from))).X));
        }
    }
}
