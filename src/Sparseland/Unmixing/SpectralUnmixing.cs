using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>
/// Blind unmixing of a hyperspectral image, Y ~ M A with both factors not negative, after "Effective spectral unmixing via robust representation
/// and learning-based sparsity" (Zhu, Wang, Fan, Meng and Pan 2014, arXiv 1409.0685): an l_{2,1} loss over channels and a power of each
/// pixel's own in the penalty, learned on the way. The options turn it into plain NMF (squared loss, no penalty), l_{1/2}-NMF (squared loss, fixed
/// 1/2; Qian et al. 2011) or robust NMF (no penalty).
/// </summary>
/// <remarks>
/// The steps are those of <see cref="UnmixingSteps"/> and <see cref="GuidanceMap"/>, in one pass over the data; a sweep is weights, abundances, endmembers, O(channels *
/// endmembers * pixels). The abstract and introduction of the paper fix the loss and the penalty; the update of h and the treatment of the
/// sum-to-one constraint are our reading.
/// </remarks>
public static class SpectralUnmixing
{
    /// <summary>Learns endmembers and abundances.</summary>
    /// <param name="Y">[channels, pixels], float64, not negative, no channel or pixel all zero, at least 2 pixels.</param>
    /// <param name="endmembers">Number of materials, from 2 to min(channels, pixels).</param>
    /// <param name="options">Defaults: robust loss, learned guidance, start from <see cref="EndmemberInit.Spa"/>.</param>
    /// <param name="progress">Reported after each sweep.</param>
    /// <param name="cancel">Checked before each sweep.</param>
    /// <exception cref="ArgumentException">Data or options do not fit; the message names what.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; <see cref="UnmixingOptions.OnSweep"/> has seen the last state.</exception>
    public static UnmixingResult Fit(
        Tensor Y, int endmembers, UnmixingOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        UnmixingInput.CheckData(Y, options.ClipNegative);
        UnmixingInput.CheckCount(Y, endmembers, nameof(endmembers));
        using var scope = NewDisposeScope();
        (Tensor data, long clipped) = Clip(Y);
        Tensor M = options.InitialEndmembers ?? EndmemberInit.Spa(data, endmembers);
        return Run(data, M, endmembers, learnEndmembers: true, nameof(UnmixingOptions.InitialEndmembers), options, clipped, progress, cancel);
    }

    /// <summary>Learns abundances for known endmembers.</summary>
    /// <param name="Y">[channels, pixels], float64, not negative, no channel or pixel all zero, at least 2 pixels.</param>
    /// <param name="M">[channels, endmembers], float64, not negative, at least 2 endmembers.</param>
    /// <param name="options">Defaults: robust loss, learned guidance. <see cref="UnmixingOptions.InitialEndmembers"/> must be null.</param>
    /// <param name="progress">Reported after each sweep.</param>
    /// <param name="cancel">Checked before each sweep.</param>
    /// <exception cref="ArgumentException">Data or options do not fit; the message names what.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; <see cref="UnmixingOptions.OnSweep"/> has seen the last state.</exception>
    public static UnmixingResult FitAbundances(
        Tensor Y, Tensor M, UnmixingOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        UnmixingInput.CheckData(Y, options.ClipNegative);
        UnmixingInput.CheckShape(M, nameof(M), "[channels, endmembers]");
        UnmixingInput.CheckCount(Y, (int)M.shape[1], nameof(M));
        if (options.InitialEndmembers is not null)
            throw new ArgumentException("InitialEndmembers must be null where the endmembers are given.", nameof(options));
        using var scope = NewDisposeScope();
        (Tensor data, long clipped) = Clip(Y);
        return Run(data, M, (int)M.shape[1], learnEndmembers: false, nameof(M), options, clipped, progress, cancel);
    }

    private static UnmixingResult Run(
        Tensor Y, Tensor startM, int endmembers, bool learnEndmembers, string nameOfM, UnmixingOptions options, long clipped,
        IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        int pixels = (int)Y.shape[1];
        Tensor startA = options.InitialAbundances ?? EndmemberInit.EvenAbundances(endmembers, pixels, options.Seed);
        CheckStart(startM, [Y.shape[0], endmembers], nameOfM);
        CheckStart(startA, [endmembers, pixels], nameof(UnmixingOptions.InitialAbundances));
        var learned = options.Sparsity as LearnedPower;
        if (learned?.SmoothOver is var (height, width) && (height < 1 || width < 1 || (long)height * width != pixels))
            throw new ArgumentException($"SmoothOver is {height} x {width}, but Y has {pixels} pixels.", nameof(options));

        double lambda = options.Sparsity.Lambda, delta = options.SumToOneWeight;
        double[] guidance = [.. Enumerable.Repeat(options.Sparsity.InitialGuidance, pixels)];
        Tensor M = startM.clamp_min(UnmixingSteps.Floor).contiguous(), A = startA.clamp_min(UnmixingSteps.Floor).contiguous(), h = tensor(guidance);
        using var fused = new FusedSweep(Y, endmembers);
        double[] residuals = UnmixingSteps.SquaredResiduals(Y, M, A), weights = Weights(residuals, options);
        double Cost() => UnmixingSteps.Misfit(residuals, options.Loss, options.Epsilon) + UnmixingSteps.Penalties(A, h, lambda, delta);
        var trace = new List<double> { Cost() };
        var relearned = new List<int>();
        StopReason reason = StopReason.IterationLimit;
        int sweep = 0;
        while (sweep < options.MaxSweeps)
        {
            cancel.ThrowIfCancellationRequested();
            double before = trace[^1];
            if (learned is not null && learned.IsDue(sweep, options.MaxSweeps))
            {
                guidance = GuidanceMap.Of(A, learned.Measure, learned.Cap);
                if (learned.SmoothOver is var (rows, columns)) guidance = GuidanceMap.Smooth(guidance, rows, columns);
                h.Dispose();
                h = tensor(guidance);
                relearned.Add(sweep + 1);
            }

            using (Tensor? penalty = lambda > 0 ? UnmixingSteps.PenaltySlope(A, h, lambda) : null)
                residuals = fused.Run(M, A, weights, penalty, delta, learnEndmembers);
            weights = Weights(residuals, options);
            trace.Add(Cost());
            sweep++;
            options.OnSweep?.Invoke(new(sweep, trace[^1], M, A, weights, guidance));
            progress?.Report(new(sweep, options.MaxSweeps, $"objective {trace[^1]:G6}"));

            // A change of the map is no progress of the fit: the rule waits until the map stays.
            if ((learned is null || learned.IsFrozen(sweep - 1, options.MaxSweeps)) && Math.Abs(before - trace[^1]) < options.Tolerance * Math.Abs(before))
            {
                reason = StopReason.RelativeChange;
                break;
            }
        }

        Tensor normalised = UnmixingSteps.Normalize(A);
        return new(
            M.MoveToOuterDisposeScope(), normalised.MoveToOuterDisposeScope(), guidance, weights, trace, relearned, sweep, reason, clipped);
    }

    private static double[] Weights(double[] residuals, UnmixingOptions options)
    {
        if (options.Loss == UnmixingLoss.RobustL21) return UnmixingSteps.Weights(residuals, options.Epsilon);
        double[] ones = new double[residuals.Length];
        Array.Fill(ones, 1.0);
        return ones;
    }

    /// <summary>Data without values below zero, contiguous, and how many there were.</summary>
    private static (Tensor Data, long Clipped) Clip(Tensor Y)
    {
        using var scope = NewDisposeScope();
        long negative = Y.lt(0).sum().item<long>();
        return ((negative > 0 ? Y.clamp_min(0).contiguous() : Y.contiguous()).MoveToOuterDisposeScope(), negative);
    }

    private static void CheckStart(Tensor start, long[] shape, string name)
    {
        UnmixingInput.CheckMatrix(start, name, $"[{string.Join(", ", shape)}]");
        if (!start.shape.SequenceEqual(shape))
            throw new ArgumentException($"{name} is [{string.Join(", ", start.shape)}]; it must be [{string.Join(", ", shape)}].", name);
    }
}
