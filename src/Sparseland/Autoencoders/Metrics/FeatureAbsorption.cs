using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>
/// Absorption (Chanin et al. 2024): the main latents of a concept are silent although the concept is present, and another latent carries its direction.
/// With a unit probe direction p, c_i = cos(W_d[i], p), a_i = f_i c_i and P = &lt;x, p&gt; of a token:
/// full, if all main latents are silent and the largest a_i is of a latent with c_i &gt;= 0.025 and at least 0.4 P;
/// fractional, with S the sum of the at most 3 largest a_i among other latents with c_i &gt;= 0.1, and main the sum of a_i over the main latents:
/// 0 where S &lt; 0.4 P or main &gt;= P, 1 where main &lt;= 0, else m / (m + main) with m = min(S, P - main).
/// </summary>
/// <remarks>Decoder rows are meant to have norm one; fold other norms into the codes first.</remarks>
public sealed record FeatureAbsorption
{
    private FeatureAbsorption()
    {
    }

    /// <summary>Tokens judged: those with P &gt; 0.</summary>
    public required int Tokens { get; init; }

    /// <summary>Tokens left out because the probe does not see the concept, P &lt;= 0.</summary>
    public required int LeftOut { get; init; }

    /// <summary>Share of the tokens with full absorption.</summary>
    public required double Full { get; init; }

    /// <summary>Binomial standard error of <see cref="Full"/>, as if tokens were independent.</summary>
    public required double FullError { get; init; }

    /// <summary>Mean fraction absorbed.</summary>
    public required double Fraction { get; init; }

    /// <summary>Standard error of <see cref="Fraction"/>, as if tokens were independent; NaN for one token.</summary>
    public required double FractionError { get; init; }

    /// <summary>Share of the tokens on which some main latent is active.</summary>
    public required double Detected { get; init; }

    /// <summary>Latents that absorb fully, most often first.</summary>
    public required int[] Absorbing { get; init; }

    /// <summary>On how many tokens each of <see cref="Absorbing"/> does.</summary>
    public required int[] AbsorbingTokens { get; init; }

    /// <summary>Measures one concept.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="x">Activations of tokens that have the concept [tokens, d].</param>
    /// <param name="probe">Direction of the concept [d], not zero; its length does not matter.</param>
    /// <param name="mainLatents">The latents that stand for the concept, such as those of a <see cref="SparseProbe"/>.</param>
    /// <param name="options">Settings; null, the default, for their defaults.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">A width does not fit, a value is not finite, no token has P above 0, or a latent does not exist or is named twice.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static FeatureAbsorption Of(
        SparseAutoencoder autoencoder, Tensor x, Tensor probe, IReadOnlyList<int> mainLatents, FeatureAbsorptionOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        TensorInput.CheckMatrix(x, nameof(x), "[tokens, d]");
        CodeStream.CheckWidth(autoencoder, x.shape[1], nameof(x), nameof(x));
        bool[] main = Main(autoencoder, mainLatents);
        options ??= new();
        options.Check();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor direction = Unit(autoencoder, probe);
        Tensor decoder = autoencoder.Decoder.to(ScalarType.Float64), norms = decoder.norm(1);
        double[] cosines = (decoder.mv(direction) / where(norms.gt(0), norms, ones_like(norms))).data<double>().ToArray();
        var fractions = new List<double>();
        int full = 0, detected = 0;
        int[] absorbed = new int[autoencoder.Latents];
        CodeStream.Each(autoencoder, x, nameof(x), cancel, (rows, code, _) =>
        {
            double[] projections = rows.to(ScalarType.Float64).mv(direction).data<double>().ToArray(), values = code.Values.to(ScalarType.Float64).data<double>().ToArray();
            for (int row = 0; row < code.Tokens; row++)
            {
                if (!(projections[row] > 0)) continue;
                Token token = Judge(code.Support.Row(row), values.AsSpan(code.Support.RowOffsets[row]), cosines, main, projections[row], options);
                fractions.Add(token.Fraction);
                if (token.Detected) detected++;
                if (token.Absorbing < 0) continue;
                full++;
                absorbed[token.Absorbing]++;
            }
        });
        int n = fractions.Count, all = (int)x.shape[0];
        if (n == 0) throw new ArgumentException($"On none of the {all} tokens is the projection on the probe above 0; has it the wrong sign?", nameof(probe));
        int[] latents = [.. Enumerable.Range(0, absorbed.Length).Where(i => absorbed[i] > 0).OrderByDescending(i => absorbed[i])];
        double share = (double)full / n;
        WindowEstimate fraction = WindowEstimate.Mean(fractions);
        return new()
        {
            Tokens = n, LeftOut = all - n, Full = share, FullError = Math.Sqrt(share * (1 - share) / n), Fraction = fraction.Value, FractionError = fraction.StandardError,
            Detected = (double)detected / n, Absorbing = latents, AbsorbingTokens = [.. latents.Select(i => absorbed[i])],
        };
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private readonly record struct Token(bool Detected, int Absorbing, double Fraction);

    private static Token Judge(ReadOnlySpan<int> active, ReadOnlySpan<double> values, double[] cosines, bool[] main, double projection, FeatureAbsorptionOptions options)
    {
        double mainSum = 0, largest = double.NegativeInfinity;
        int largestLatent = -1;
        bool detected = false;
        var others = new List<double>();
        for (int n = 0; n < active.Length; n++)
        {
            int i = active[n];
            double contribution = values[n] * cosines[i];
            if (main[i])
            {
                (detected, mainSum) = (true, mainSum + contribution);
                continue;
            }

            if (contribution > largest) (largest, largestLatent) = (contribution, i);
            if (cosines[i] >= options.FractionCosine) others.Add(contribution);
        }

        bool full = !detected && largestLatent >= 0 && cosines[largestLatent] >= options.FullCosine && largest >= options.LeastShare * projection;
        double sum = others.OrderDescending().Take(options.MostAbsorbing).Sum(), least = Math.Min(sum, projection - mainSum);
        double fraction = sum < options.LeastShare * projection || mainSum >= projection ? 0 : mainSum <= 0 ? 1 : least / (least + mainSum);
        return new(detected, full ? largestLatent : -1, fraction);
    }

    private static bool[] Main(SparseAutoencoder autoencoder, IReadOnlyList<int> latents)
    {
        ArgumentNullException.ThrowIfNull(latents, "mainLatents");
        if (latents.Count == 0) throw new ArgumentException("No main latent is named.", "mainLatents");
        bool[] main = new bool[autoencoder.Latents];
        foreach (int i in latents)
        {
            if (i < 0 || i >= main.Length) throw new ArgumentException($"Latents run from 0 to {main.Length - 1}, but there is {i}.", "mainLatents");
            if (main[i]) throw new ArgumentException($"Latent {i} is named twice.", "mainLatents");
            main[i] = true;
        }

        return main;
    }

    private static Tensor Unit(SparseAutoencoder autoencoder, Tensor probe)
    {
        ArgumentNullException.ThrowIfNull(probe);
        if (probe.dim() != 1 || probe.shape[0] != autoencoder.Width)
            throw new ArgumentException($"probe must be [{autoencoder.Width}], the autoencoder's width, but is [{string.Join(", ", probe.shape)}].", nameof(probe));
        Tensor direction = probe.detach().to(CPU).to(ScalarType.Float64);
        double largest = direction.abs().max().item<double>();
        if (!(largest > 0) || !double.IsFinite(largest)) throw new ArgumentException($"probe has the largest magnitude {largest}; it must be finite and not zero.", nameof(probe));
        direction = direction / largest;
        return direction / direction.norm();
    }
}
