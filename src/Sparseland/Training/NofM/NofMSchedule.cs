using System.Globalization;

namespace Sparseland.Training.NofM;

/// <summary>How the factor of pruned weights falls.</summary>
public enum DecayCurve
{
    /// <summary>By the same ratio in each step.</summary>
    Exponential,

    /// <summary>By the same amount in each step, to 0.</summary>
    Linear,
}

/// <summary>
/// What a training with N:M patterns does in which step: STE, SR-STE (Zhou et al. 2021), and the progressive recipes MDGF and SDGF (Bambhaniya et al. 2025). A stage depends on the step alone,
/// never on what was done before, so a training that is resumed goes on as if it had not been stopped.
/// </summary>
/// <remarks>
/// Of T steps, counted from 0, a progressive recipe is dense before a T, decays while t is in [a T, (1 - h) T) with u = (t - a T) / ((1 - h - a) T), and has its last, binary pattern from
/// (1 - h) T on: a is the dense share, h the hardening share.
/// </remarks>
public abstract record NofMSchedule
{
    private protected NofMSchedule(int n, int m)
    {
        _ = PruningPattern.NofM(n, m);
        (N, M) = (n, m);
    }

    /// <summary>N of the last pattern.</summary>
    public int N { get; }

    /// <summary>M of the last pattern.</summary>
    public int M { get; }

    /// <summary>The stage that is left in the end: binary masks of N:M.</summary>
    public abstract NofMStage Final { get; }

    /// <summary>All patterns that occur, the last one included.</summary>
    public virtual IReadOnlyList<(int N, int M)> Patterns => [(N, M)];

    /// <summary>A training of the same steps without masks: N = M.</summary>
    /// <param name="m">M: what the report's masks would be of. Default 1.</param>
    public static NofMSchedule Dense(int m = 1) => new ConstantSchedule("dense", m, m, GradientFlow.StraightThrough, 0);

    /// <summary>Straight-through training (STE): the masked weight forward, the whole gradient backward.</summary>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static NofMSchedule Ste(int n, int m) => new ConstantSchedule("STE", n, m, GradientFlow.StraightThrough, 0);

    /// <summary>SR-STE: as <see cref="Ste"/>, and pruned weights are pulled to zero.</summary>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <param name="lambda">The pull. Default 2e-4, found for stochastic gradient descent with momentum at rate 0.1; Adam divides it by the root of its second moment.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static NofMSchedule SrSte(int n, int m, double lambda = MaskedWeight.UsualPull) => lambda >= 0 && double.IsFinite(lambda)
        ? new ConstantSchedule("SR-STE", n, m, GradientFlow.StraightThrough, lambda)
        : throw new ArgumentOutOfRangeException(nameof(lambda), lambda, "lambda must be finite and not negative.");

    /// <summary>The control: masked forward and masked backward, so that pruned weights never move by the loss.</summary>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static NofMSchedule Hard(int n, int m) => new ConstantSchedule("hard mask", n, m, GradientFlow.Masked, 0);

    /// <summary>MDGF: pruned weights are multiplied with beta, which falls from 1.</summary>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run.</param>
    /// <param name="decay">Exponential: beta = finalDecay^u. Linear: beta = 1 - u. Default exponential.</param>
    /// <param name="finalDecay">beta at the end of the decay, between 0 and 1; of the exponential form only. Default e^-6. A rate eta for each step is e^(-eta (1 - h - a) T).</param>
    /// <param name="dense">a, from 0. Default 0.</param>
    /// <param name="hardening">h, from 0; a + h is below 1. Default 0.1.</param>
    /// <param name="flow">What reaches pruned weights. Default as the paper says; the published code has <see cref="GradientFlow.StraightThrough"/>.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static NofMSchedule MaskDecay(
        int n, int m, DecayCurve decay = DecayCurve.Exponential, double? finalDecay = null, double dense = 0, double hardening = 0.1, GradientFlow flow = GradientFlow.Restricted)
    {
        double last = finalDecay ?? Math.Exp(-6);
        if (!(last is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(finalDecay), finalDecay, "finalDecay must lie between 0 and 1.");
        if (!Enum.IsDefined(decay)) throw new ArgumentOutOfRangeException(nameof(decay), decay, "There is no such decay.");
        CheckShares(dense, hardening);
        return new MaskDecaySchedule(n, m, decay, last, new(dense, hardening), flow);
    }

    /// <summary>SDGF: binary masks whose pattern tightens in equal stages.</summary>
    /// <param name="n">Kept of a run in the end.</param>
    /// <param name="m">Length of a run in the end.</param>
    /// <param name="path">The patterns.</param>
    /// <param name="dense">a, from 0. Default 0.</param>
    /// <param name="hardening">h, from 0; a + h is below 1. Default 0.1.</param>
    /// <param name="flow">What reaches pruned weights. Default <see cref="GradientFlow.StraightThrough"/>: with masked gradients the geometric path cannot move from stage to stage.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the path does not lead to N:M.</exception>
    public static NofMSchedule StructureDecay(int n, int m, StructurePath path, double dense = 0, double hardening = 0.1, GradientFlow flow = GradientFlow.StraightThrough)
    {
        ArgumentNullException.ThrowIfNull(path);
        CheckShares(dense, hardening);
        return new StructureDecaySchedule(n, m, path, new(dense, hardening), flow);
    }

    /// <summary>The stage of a step.</summary>
    /// <param name="step">The step about to be done, from 0; beyond the last one it is the final stage.</param>
    /// <param name="steps">T, all steps.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative step, or no steps.</exception>
    public NofMStage At(long step, long steps)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        return step >= steps ? Final : During(step, steps);
    }

    /// <summary>Mean density of the effective weights over all steps: what the forward and the input gradient's products cost.</summary>
    /// <param name="steps">T.</param>
    /// <exception cref="ArgumentOutOfRangeException">No steps.</exception>
    public double MeanDensity(long steps)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        double sum = 0;
        for (long t = 0; t < steps; t++) sum += At(t, steps).Density;
        return sum / steps;
    }

    private protected abstract NofMStage During(long step, long steps);

    private static void CheckShares(double dense, double hardening)
    {
        if (!(dense is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(dense), dense, "dense must be from 0 to below 1.");
        if (!(hardening is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(hardening), hardening, "hardening must be from 0 to below 1.");
        if (dense + hardening >= 1) throw new ArgumentException($"dense and hardening are {dense} and {hardening}; together they must leave steps to decay in.", nameof(hardening));
    }

    /// <summary>The shares of a training that are dense and final.</summary>
    private protected sealed record Phases(double Dense, double Hardening)
    {
        /// <summary>u in [0, 1) while a recipe decays; below 0 while it is dense and 1 from the hardening on.</summary>
        public double At(long step, long steps)
        {
            // Shares of the steps are rarely exact in floating point: a boundary may not slip by a step.
            double from = Dense * steps, to = (1 - Hardening) * steps;
            if (step < from - 1e-9 * steps) return -1;
            return step >= to - 1e-9 * steps ? 1 : Math.Max(0, (step - from) / (to - from));
        }

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"dense {Dense:R}, hardening {Hardening:R}");
    }

    private sealed record ConstantSchedule : NofMSchedule
    {
        private readonly string _name;

        public ConstantSchedule(string name, int n, int m, GradientFlow flow, double pull)
            : base(n, m) => (_name, Final) = (name, new(n, m, 0, flow, pull));

        public override NofMStage Final { get; }

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{_name} {N}:{M}{(Final.Pull == 0 ? "" : $", lambda {Final.Pull:R}")}");

        private protected override NofMStage During(long step, long steps) => Final;
    }

    private sealed record MaskDecaySchedule : NofMSchedule
    {
        private readonly DecayCurve _decay;
        private readonly double _last;
        private readonly Phases _phases;

        public MaskDecaySchedule(int n, int m, DecayCurve decay, double last, Phases phases, GradientFlow flow)
            : base(n, m) => (_decay, _last, _phases, Final) = (decay, last, phases, new(n, m, 0, flow, 0));

        public override NofMStage Final { get; }

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"MDGF {_decay} {N}:{M}, {Final.Flow}{(_decay == DecayCurve.Linear ? "" : $", last {_last:R}")}, {_phases}");

        private protected override NofMStage During(long step, long steps)
        {
            double u = _phases.At(step, steps);
            if (u >= 1) return Final;
            if (u < 0) return Final with { PrunedFactor = 1, Flow = GradientFlow.StraightThrough };
            return Final with { PrunedFactor = _decay == DecayCurve.Linear ? 1 - u : Math.Pow(_last, u) };
        }
    }

    private sealed record StructureDecaySchedule : NofMSchedule
    {
        private readonly StructurePath _path;
        private readonly Phases _phases;

        public StructureDecaySchedule(int n, int m, StructurePath path, Phases phases, GradientFlow flow)
            : base(n, m) => (_path, _phases, Final, Patterns) = (path, phases, new(n, m, 0, flow, 0), path.To(n, m));

        public override NofMStage Final { get; }

        public override IReadOnlyList<(int N, int M)> Patterns { get; }

        public override string ToString() => $"SDGF {_path} {N}:{M}, {Final.Flow}, {_phases}";

        private protected override NofMStage During(long step, long steps)
        {
            double u = _phases.At(step, steps);
            if (u >= 1) return Final;
            if (u < 0) return new(M, M, 0, GradientFlow.StraightThrough, 0);
            (int n, int m) = Patterns[Math.Min(Patterns.Count - 1, (int)((Patterns.Count * u) + 1e-9))];
            return Final with { N = n, M = m };
        }
    }
}
