using System.Diagnostics;
using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>
/// Iterative thresholding: R &lt;- prox(R + eta (X - R D) D^T) from R = 0, for any penalty (Rentzeperis et al. 2023, PLoS Comput.
/// Biol. 19(9) e1011459, methods; Daubechies, Defrise and De Mol 2004 for l1). Minimizes 1/2 ||X - R D||^2 + pen(R).
/// </summary>
/// <remarks>
/// With eta &lt; 1/||D||_2^2 the objective never rises, for every penalty of the library. Starting from zero, a penalty whose prox
/// jumps activates a unit only where eta |d^T x| passes its threshold, so its useful lambdas depend on eta.
/// </remarks>
/// <param name="penalty">pen, applied to each sample's code.</param>
/// <param name="options">Step, stopping rule, trace; null goes to the optimum with the longest safe step.</param>
/// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
public sealed class ThresholdCoder(IPenalty penalty, ThresholdCoderOptions? options = null) : ISparseCoder
{
    /// <summary>pen.</summary>
    public IPenalty Penalty { get; } = penalty ?? throw new ArgumentNullException(nameof(penalty));

    /// <summary>The options in use.</summary>
    public ThresholdCoderOptions Options { get; } = Validated(options ?? new ThresholdCoderOptions());

    /// <summary>One gradient step on 1/2 ||X - R D||^2: R + step (X - R D) D^T, a new tensor [samples, atoms].</summary>
    /// <param name="codes">R [samples, atoms].</param>
    /// <param name="X">[samples, features].</param>
    /// <param name="dictionary">D [atoms, features].</param>
    /// <param name="step">eta.</param>
    public static Tensor GradientStep(Tensor codes, Tensor X, Tensor dictionary, double step)
    {
        using var scope = NewDisposeScope();
        Tensor residual = X.sub(codes.mm(dictionary));
        return codes.add(residual.mm(dictionary.t()).mul(step)).MoveToOuterDisposeScope();
    }

    /// <summary>One thresholding step, a new tensor.</summary>
    /// <param name="z">[samples, atoms].</param>
    /// <param name="step">The step of the gradient step before it.</param>
    public Tensor ProxStep(Tensor z, double step) => Penalty.Prox(z, step);

    /// <summary>1/2 ||X - R D||^2 + pen(R), summed over the batch.</summary>
    /// <param name="X">[samples, features].</param>
    /// <param name="dictionary">D [atoms, features].</param>
    /// <param name="codes">R [samples, atoms].</param>
    public double Objective(Tensor X, Tensor dictionary, Tensor codes)
    {
        using var scope = NewDisposeScope();
        Tensor residual = X.sub(codes.mm(dictionary));
        return residual.mul_(residual).sum(ScalarType.Float64).item<double>() / 2 + Penalty.Value(codes);
    }

    /// <summary>The step that is used with a dictionary: min(eta, 0.95/||D||_2^2), or eta where the guard is off.</summary>
    /// <param name="normSquared">||D||_2^2 or an upper bound.</param>
    public double StepFor(double normSquared) => Options.GuardStep ? Math.Min(Options.Eta ?? double.PositiveInfinity, 0.95 / normSquared) : Options.Eta!.Value;

    /// <summary>Codes of a batch. The whole batch stops together, as in the paper.</summary>
    /// <param name="X">[samples, features], float32 or float64.</param>
    /// <param name="dictionary">D [atoms, features] of the same type, no atom zero.</param>
    /// <param name="initial">Codes to start from [samples, atoms]; zero by default.</param>
    /// <param name="progress">Iterations done, of the limit.</param>
    /// <param name="cancel">Checked before every iteration.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit, or the penalty refuses the step.</exception>
    /// <exception cref="DivergenceException">A code is no longer finite, or the objective ended above its start; names eta and ||D||_2^2.</exception>
    public CodingResult Encode(
        Tensor X,
        Tensor dictionary,
        Tensor? initial = null,
        IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default)
    {
        CodingInput.CheckSquares(X, CodingInput.Check(X, dictionary));
        CheckInitial(X, dictionary, initial);
        double normSquared = SpectralNorm.SquaredBound(dictionary), step = StepFor(normSquared);
        CheckStep(step);
        return X.dtype == ScalarType.Float64
            ? Run<double>(X, dictionary, initial, normSquared, step, progress, cancel)
            : Run<float>(X, dictionary, initial, normSquared, step, progress, cancel);
    }

    /// <inheritdoc/>
    public string Name => $"{Penalty.Name}, iterative thresholding";

    /// <inheritdoc/>
    public Tensor Codes(Tensor X, Tensor dictionary, Tensor? initial = null, CancellationToken cancel = default)
        => Encode(X, dictionary, initial, cancel: cancel).Codes;

    /// <inheritdoc/>
    public double PenaltyOf(Tensor codes) => Penalty.Value(codes);

    private CodingResult Run<T>(
        Tensor X, Tensor dictionary, Tensor? initial, double normSquared, double step, IProgress<ProgressReport>? progress, CancellationToken cancel)
        where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        var clock = Stopwatch.StartNew();
        using var scope = NewDisposeScope();
        using var loop = new ThresholdLoop<T>(Penalty, X, dictionary, initial, step, Options.StoppingRule == StoppingRule.RelativeChange);
        var objective = new List<double>();
        if (Options.TraceObjective) objective.Add(Objective(X, dictionary, loop.Codes()));
        double first = Objective(X, dictionary, loop.Codes());
        StopReason reason = StopReason.IterationLimit;
        int iteration = 0;
        while (iteration < Options.MaxIterations)
        {
            cancel.ThrowIfCancellationRequested();
            loop.Iterate();
            iteration++;
            if (!loop.IsFinite) throw Diverged("The codes are no longer finite", iteration);
            if (Options.TraceObjective) objective.Add(Objective(X, dictionary, loop.Codes()));
            if (progress is not null && iteration % 50 == 0) progress.Report(new ProgressReport(iteration, Options.MaxIterations, $"change {loop.MaxChange:E1}, {loop.Open} samples open"));
            bool done;
            if (Options.StoppingRule == StoppingRule.RelativeChange) done = loop.RelativeChangeBelow(Options.Tolerance);
            else
            {
                loop.Rest(Options.Tolerance);
                done = loop.Open == 0;
            }

            if (!done) continue;
            reason = Options.StoppingRule == StoppingRule.RelativeChange ? StopReason.RelativeChange : StopReason.Converged;
            break;
        }

        Tensor codes = loop.Codes();

        // With a safe step the objective never rises, so an end above the start is a divergence that has not yet reached infinity.
        double last = Objective(X, dictionary, codes);
        if (!(last <= first * (1 + 1e-5))) throw Diverged($"The objective rose from {first:G6} to {last:G6}", iteration);
        return new CodingResult(codes.MoveToOuterDisposeScope(), objective, iteration, reason, step, normSquared, clock.Elapsed.TotalSeconds);

        DivergenceException Diverged(string what, int after) => new(
            $"{what} after {after} iterations with eta = {step:G6} and ||D||^2 = {normSquared:G6}: eta must be below {1 / normSquared:G6}.");
    }

    private static ThresholdCoderOptions Validated(ThresholdCoderOptions options)
    {
        options.Validate();
        return options;
    }

    private void CheckStep(double step)
    {
        IPenalty inner = Penalty is NonNegative constrained ? constrained.Inner : Penalty;
        if (inner is Cel0 cel0 && step * cel0.AtomNorm * cel0.AtomNorm >= 1)
        {
            throw new ArgumentException(
                $"CEL0 needs eta c^2 < 1, but eta is {step:G6} and the atom norm c {cel0.AtomNorm:G6}: the iteration would be hard thresholding. " +
                "Take a smaller eta.", nameof(step));
        }
    }

    private void CheckInitial(Tensor X, Tensor dictionary, Tensor? initial)
    {
        long samples = X.shape[0], atoms = dictionary.shape[0];
        if (Penalty.Length is int length && length != atoms)
            throw new ArgumentException($"The {Penalty.Name} is for {length} coefficients, but the dictionary has {atoms} atoms.", nameof(dictionary));
        if (initial is null) return;
        TensorInput.CheckMatrix(initial, nameof(initial), "[samples, atoms]");
        if (initial.shape[0] != samples || initial.shape[1] != atoms || initial.dtype != X.dtype)
        {
            throw new ArgumentException(
                $"initial must be [{samples}, {atoms}] {X.dtype} (samples, atoms), but is [{string.Join(", ", initial.shape)}] {initial.dtype}.", nameof(initial));
        }
    }
}
