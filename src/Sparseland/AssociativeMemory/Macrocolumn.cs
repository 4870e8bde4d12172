using System.Buffers;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// Sparsey's macrocolumn (Rinkus 2010, 2014; Rinkus and Leveille 2017, arXiv 1710.07829): Q winner-take-all modules of K binary cells
/// that store an input in one trial as one winner per module. Winners are drawn with noise that shrinks as the input becomes more
/// familiar, so that a known input reactivates its code, a new one gets a new code, and similar ones get overlapping codes.
/// </summary>
/// <remarks>
/// Storing and recalling read the weights of the active inputs once: S Q K bits, whatever the number of stored items. Nothing is learned
/// at recall, so recalls may run on several threads; storing may not. A code depends on the seed and on the number of steps
/// learned before, never on recalls in between.
/// </remarks>
public sealed partial class Macrocolumn
{
    private Projection? horizontal;

    /// <summary>An empty memory.</summary>
    /// <param name="options">Shape and constants.</param>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    public Macrocolumn(MacOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        BottomUp = new(options.Inputs, options.Cells, options.FreezeFraction, options.Permanence);
        TopDown = options.TopDownCells == 0 ? null : new(options.TopDownCells, options.Cells, options.FreezeFraction, options.Permanence);
        Generative = new(options.Cells, options.Inputs, 1, options.Permanence);
    }

    /// <summary>Shape and constants.</summary>
    public MacOptions Options { get; }

    /// <summary>Times that <see cref="Learn"/> ran.</summary>
    public int Steps { get; private set; }

    /// <summary>U: weights from the inputs to the cells.</summary>
    public Projection BottomUp { get; }

    /// <summary>H: weights from the previous code to the cells; null until a step with a previous code is learned.</summary>
    public Projection? Horizontal => horizontal;

    /// <summary>D of a higher macrocolumn's cells to these cells; null without <see cref="MacOptions.TopDownCells"/>.</summary>
    public Projection? TopDown { get; }

    /// <summary>D of these cells to the inputs, by which a code is decoded. It never feeds a choice, so it never freezes.</summary>
    public Projection Generative { get; }

    /// <summary>Share of ones among the U weights: near 1 everything is connected to everything and all inputs look familiar.</summary>
    public double WeightDensity => BottomUp.Density;

    /// <summary>U_i = min(1, u_i / S) of every cell, u_i its active inputs with weight 1.</summary>
    /// <param name="active">Active inputs.</param>
    /// <returns>[cells].</returns>
    /// <exception cref="ArgumentException">Empty, or an input outside the field or named twice.</exception>
    public double[] BottomUpSupport(int[] active) => Support(new(active), MacSignals.U)!;

    /// <summary>H_i = min(1, h_i / Q) of every cell, h_i the previous winners with weight 1.</summary>
    /// <param name="previous">Winners of the previous step.</param>
    /// <param name="boost">Factor of the signal. Default 1.</param>
    /// <returns>[cells].</returns>
    /// <exception cref="ArgumentException">Empty, or a cell that is not there or named twice.</exception>
    public double[] HorizontalSupport(int[] previous, double boost = 1) => Support(new(null, previous, PreviousBoost: boost), MacSignals.H)!;

    /// <summary>D_i, the share of the active cells of the higher macrocolumn with weight 1.</summary>
    /// <param name="active">Active cells of the higher macrocolumn.</param>
    /// <returns>[cells].</returns>
    /// <exception cref="ArgumentException">Empty, a cell that is not there or named twice, or no top-down source.</exception>
    public double[] TopDownSupport(int[] active) => Support(new(null, TopDown: active), MacSignals.D)!;

    /// <summary>V of every cell: the product of the supports that are present and asked for.</summary>
    /// <param name="input">What reaches the macrocolumn.</param>
    /// <param name="signals">Signals to use. Default All.</param>
    /// <returns>[cells].</returns>
    /// <exception cref="ArgumentException">A signal is malformed, or none of those asked for is there.</exception>
    public double[] Evidence(MacInput input, MacSignals signals = MacSignals.All)
    {
        MacGuard.Check(input, Options);
        var v = new double[Options.Cells];
        FillEvidence(input, Present(input, signals), v);
        return v;
    }

    /// <summary>rho of every cell: with which probability it would win if the input were stored now.</summary>
    /// <param name="input">What reaches the macrocolumn.</param>
    /// <param name="signals">Signals to use. Default All.</param>
    /// <returns>[cells]; every module sums to 1.</returns>
    /// <exception cref="ArgumentException">A signal is malformed, or none of those asked for is there.</exception>
    public double[] WinProbabilities(MacInput input, MacSignals signals = MacSignals.All)
    {
        double[] v = Evidence(input, signals);
        double eta = Options.Noise == LearningNoise.Uniform ? 1 : CodeSelection.Expansivity(CodeSelection.Familiarity(v, Options.K), Options);
        return CodeSelection.Probabilities(CodeSelection.WinWeights(v, eta, Options.Sigmoid), Options.K);
    }

    /// <summary>Chooses a code as <see cref="Store"/> would, and learns nothing.</summary>
    /// <param name="input">What reaches the macrocolumn.</param>
    /// <param name="signals">Signals to use. Default All.</param>
    /// <param name="draw">Tells draws for the same state apart; null for the one that storing would use.</param>
    /// <exception cref="ArgumentException">A signal is malformed, or none of those asked for is there.</exception>
    public CodeResult Choose(MacInput input, MacSignals signals = MacSignals.All, long? draw = null)
    {
        MacGuard.Check(input, Options);
        signals = Present(input, signals);
        if (!InBand(input)) return CodeResult.Inactive(Steps == 0);
        double[] buffer = ArrayPool<double>.Shared.Rent(2 * Options.Cells);
        Span<double> v = buffer.AsSpan(0, Options.Cells), mu = buffer.AsSpan(Options.Cells, Options.Cells);
        FillEvidence(input, signals, v);
        double familiarity = CodeSelection.Familiarity(v, Options.K), eta = CodeSelection.Expansivity(familiarity, Options);

        // Draws on request and draws of storing come from different seeds, so they can never be the same by accident.
        long seed = draw is null ? Options.Seed : ~Options.Seed, stream = draw ?? Steps;
        int[] winners;
        if (Options.Noise == LearningNoise.None)
        {
            winners = CodeSelection.DrawMax(v, Options.K, seed, stream);
        }
        else
        {
            CodeSelection.WinWeights(v, Options.Noise == LearningNoise.Uniform ? 1 : eta, Options.Sigmoid, mu);
            CodeSelection.Normalize(mu, Options.K);
            winners = CodeSelection.Draw(mu, Options.K, seed, stream);
        }

        ArrayPool<double>.Shared.Return(buffer);
        return new(winners, familiarity, eta, signals, 1, 1, true, Steps == 0);
    }

    /// <summary>Sets the weights from every active source to every winner to 1, and from every winner to every active input.</summary>
    /// <param name="input">What reached the macrocolumn; a previous code and a higher code are learned where they are given.</param>
    /// <param name="winners">The code, [Q].</param>
    /// <exception cref="ArgumentException">A signal or the code is malformed.</exception>
    public void Learn(MacInput input, int[] winners)
    {
        MacGuard.Check(input, Options);
        MacGuard.CheckCode(winners, Options, nameof(winners));
        Steps++;
        if (input.Active is { } active)
        {
            BottomUp.Learn(active, winners, Steps);
            Generative.Learn(winners, active, Steps);
        }

        if (input.Previous is { } previous)
        {
            horizontal ??= NewHorizontal();
            horizontal.Learn(previous, winners, Steps);
        }

        if (input.TopDown is { } topDown) TopDown!.Learn(topDown, winners, Steps);
    }

    /// <summary>Chooses a code with noise and learns it, in one trial.</summary>
    /// <param name="input">What reaches the macrocolumn.</param>
    /// <param name="signals">Signals to choose by; all that are present are learned. Default All.</param>
    /// <returns>The code; not active, and nothing learned, when the number of active inputs is outside the band.</returns>
    /// <exception cref="ArgumentException">A signal is malformed, or none of those asked for is there.</exception>
    public CodeResult Store(MacInput input, MacSignals signals = MacSignals.All)
    {
        CodeResult code = Choose(input, signals);
        if (code.IsActive) Learn(input, code.Winners);
        return code;
    }

    /// <summary>Chooses the most supported code, without noise and without learning.</summary>
    /// <param name="input">What reaches the macrocolumn.</param>
    /// <param name="signals">Signals to use; with <see cref="MacOptions.Backoff"/>, those to start from. Default All.</param>
    /// <param name="tie">Ties are broken at random; same number, same choice. Default 0.</param>
    /// <returns>The code; flagged untrained, and random, before anything is learned.</returns>
    /// <exception cref="ArgumentException">A signal is malformed, or none of those asked for is there.</exception>
    public CodeResult Recall(MacInput input, MacSignals signals = MacSignals.All, long tie = 0)
    {
        MacGuard.Check(input, Options);
        signals = Present(input, signals);
        if (!InBand(input)) return CodeResult.Inactive(Steps == 0);
        double[] buffer = ArrayPool<double>.Shared.Rent(2 * Options.Cells);
        Span<double> v = buffer.AsSpan(0, Options.Cells), best = buffer.AsSpan(Options.Cells, Options.Cells);
        double familiarity = -1;
        MacSignals used = signals;
        foreach ((MacSignals[] level, double threshold) in Levels(signals))
        {
            familiarity = -1;
            foreach (MacSignals combination in level)
            {
                FillEvidence(input, combination, v);
                double g = CodeSelection.Familiarity(v, Options.K);
                if (g <= familiarity) continue;
                (familiarity, used) = (g, combination);
                v.CopyTo(best);
            }

            if (familiarity >= threshold) break;
        }

        int[] winners = CodeSelection.DrawMax(best, Options.K, Options.Seed, -1 - tie);
        int hypotheses = CodeSelection.Hypotheses(best, Options.K);
        ArrayPool<double>.Shared.Return(buffer);
        double boost = Options.Hypotheses is { } several && hypotheses > 1 && hypotheses <= several.Cap ? Math.Pow(hypotheses, several.Exponent) : 1;
        return new(winners, familiarity, CodeSelection.Expansivity(familiarity, Options), used, hypotheses, boost, true, Steps == 0);
    }

    /// <summary>How strongly a code supports each input: the share of its winners with a weight to it.</summary>
    /// <param name="winners">The code, [Q].</param>
    /// <returns>[inputs], 0 to 1.</returns>
    /// <exception cref="ArgumentException">The code is malformed.</exception>
    public double[] DecodeSupport(int[] winners)
    {
        MacGuard.CheckCode(winners, Options, nameof(winners));
        var support = new double[Options.Inputs];
        Generative.Support(winners, Options.Q, 1, support);
        return support;
    }

    /// <summary>The inputs that a code supports most.</summary>
    /// <param name="winners">The code, [Q].</param>
    /// <param name="count">How many, from 1 to the number of inputs.</param>
    /// <returns>[count], ascending; ties go to the lower input.</returns>
    /// <exception cref="ArgumentException">The code is malformed, or the count is out of range.</exception>
    public int[] Decode(int[] winners, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Options.Inputs);
        double[] support = DecodeSupport(winners);
        return [.. Enumerable.Range(0, support.Length).OrderByDescending(i => support[i]).Take(count).Order()];
    }

    private Projection NewHorizontal() => new(Options.Cells, Options.Cells, Options.FreezeFraction, Options.Permanence);

    private static MacSignals Present(MacInput input, MacSignals signals)
    {
        MacSignals present = input.Signals & signals;
        return present != MacSignals.None
            ? present
            : throw new ArgumentException($"The input has the signals {input.Signals}, and {signals} are asked for: none is left.", nameof(signals));
    }

    private bool InBand(MacInput input) =>
        input.Active is not { } active || (active.Length >= Options.MinActive && active.Length <= Options.MaxActive);

    private double[]? Support(MacInput input, MacSignals signal)
    {
        MacGuard.Check(input, Options);
        var support = new double[Options.Cells];
        FillSupport(input, Present(input, signal), support);
        return support;
    }

    private void FillEvidence(MacInput input, MacSignals signals, Span<double> v)
    {
        bool first = true;
        double[]? other = null;
        foreach ((MacSignals signal, double power) in
            new[] { (MacSignals.U, Options.Exponents.U), (MacSignals.H, Options.Exponents.H), (MacSignals.D, Options.Exponents.D) })
        {
            if ((signals & signal) == 0) continue;
            if (first && power == 1)
            {
                FillSupport(input, signal, v);
            }
            else
            {
                if (first) v.Fill(1);
                other ??= ArrayPool<double>.Shared.Rent(v.Length);
                FillSupport(input, signal, other.AsSpan(0, v.Length));
                CodeSelection.Multiply(v, other.AsSpan(0, v.Length), power);
            }

            first = false;
        }

        if (other is not null) ArrayPool<double>.Shared.Return(other);
    }

    private void FillSupport(MacInput input, MacSignals signal, Span<double> support)
    {
        switch (signal)
        {
            case MacSignals.U:
                int full = Options.Normalizer == InputNormalizer.Current ? input.Active!.Length : Options.MinActive;
                BottomUp.Support(input.Active, full, 1, support);
                break;
            case MacSignals.H when horizontal is not null:
                horizontal.Support(input.Previous, input.Previous!.Length, input.PreviousBoost, support);
                break;
            case MacSignals.D:
                TopDown!.Support(input.TopDown, input.TopDown!.Length, 1, support);
                break;
            default:
                support.Clear();
                break;
        }
    }

    private IEnumerable<(MacSignals[] Combinations, double Threshold)> Levels(MacSignals signals)
    {
        if (Options.Backoff is not { } backoff || (signals & MacSignals.U) == 0 || signals == MacSignals.U)
        {
            yield return ([signals], 0);
            yield break;
        }

        if (signals == MacSignals.All) yield return ([MacSignals.All], backoff.Full);
        yield return ([.. new[] { MacSignals.H, MacSignals.D }.Where(s => (signals & s) != 0).Select(s => s | MacSignals.U)], backoff.Pair);
        yield return ([MacSignals.U], 0);
    }
}
