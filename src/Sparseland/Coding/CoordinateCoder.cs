using Sparseland.Kernels;
using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>Options of <see cref="CoordinateCoder"/>.</summary>
public sealed record CoordinateCoderOptions
{
    /// <summary>
    /// Convex penalties: duality gap of each sample as a share of ||x||^2, scikit-learn's rule. Others: largest fixed-point residual as a
    /// share of the sample's largest correlation. Default 1e-6.
    /// </summary>
    public double Tolerance { get; init; } = 1e-6;

    /// <summary>Most sweeps per sample. Default 1000.</summary>
    public int MaxIterations { get; init; } = 1000;

    internal void Validate()
    {
        Finite.Positive(Tolerance);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxIterations);
    }
}

/// <summary>Codes and how good each is known to be.</summary>
/// <param name="Codes">[samples, atoms], with exact zeros, of the samples' type.</param>
/// <param name="Certificates">[samples]: duality gap over ||x||^2, or fixed-point residual over the largest correlation; at most the tolerance where converged.</param>
/// <param name="Sweeps">[samples]: sweeps over the working set.</param>
/// <param name="NotConverged">Samples that met the iteration limit first.</param>
public sealed record CoordinateCodes(Tensor Codes, double[] Certificates, int[] Sweeps, int NotConverged) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Codes);

    /// <summary>Whether every sample met the tolerance.</summary>
    public bool Converged => NotConverged == 0;

    /// <summary>Mean number of non-zero coefficients per sample.</summary>
    public double ActiveUnits
    {
        get
        {
            using Tensor count = Codes.count_nonzero();
            return (double)count.item<long>() / Codes.shape[0];
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Codes.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Codes of many samples by coordinate descent: minimizes 1/2 ||x - a D||^2 + pen(a) for each sample x, the objective of scikit-learn's
/// sparse_encode(algorithm="lasso_cd") for l1. Any penalty that separates into coordinates, with or without the constraint a >= 0.
/// </summary>
/// <remarks>
/// The Gram matrix D D^T is computed once and the correlations block by block. Each sample works on the few atoms that violate
/// optimality most, with their Gram matrix gathered into the cache, and looks at all atoms again when those are solved. Samples run
/// in parallel and each stops by its own certificate; the result does not depend on the number of threads. The work is done in
/// float64 whatever the type. Atoms need not have unit norm, and duplicated atoms are harmless: they share the weight as the order
/// of the sweep decides.
/// </remarks>
public sealed class CoordinateCoder : ISparseCoder
{
    private const int SamplesPerBlock = 4096;
    private const int SamplesPerChunk = 32;
    private readonly IBatch _batch;

    /// <summary>Creates the coder.</summary>
    /// <param name="penalty">pen, separable, with or without the constraint a >= 0.</param>
    /// <param name="options">Tolerance and limits; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the penalty couples coefficients.</exception>
    public CoordinateCoder(IPenalty penalty, CoordinateCoderOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(penalty);
        Options = options ?? new CoordinateCoderOptions();
        Options.Validate();
        Penalty = penalty;
        if (!CoordinatePenalties.TryRun(penalty, new Make(this), out IBatch? batch))
            throw new ArgumentException($"The {penalty.Name} couples its coefficients; use ThresholdCoder.", nameof(penalty));
        _batch = batch!;
    }

    private interface IBatch
    {
        CoordinateCodes Encode(Tensor X, Tensor dictionary, Tensor? initial, IProgress<ProgressReport>? progress, CancellationToken cancel);
    }

    /// <summary>pen.</summary>
    public IPenalty Penalty { get; }

    /// <summary>Tolerance and limits.</summary>
    public CoordinateCoderOptions Options { get; }

    /// <inheritdoc/>
    public string Name => $"{Penalty.Name}, coordinate descent";

    /// <summary>Codes of all samples.</summary>
    /// <param name="X">[samples, features], float32 or float64.</param>
    /// <param name="dictionary">D [atoms, features] of the same type, no atom zero.</param>
    /// <param name="initial">Codes to start from [samples, atoms]; zero by default.</param>
    /// <param name="progress">Samples done, of all.</param>
    /// <param name="cancel">Checked in every sweep of every sample.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit, or the penalty refuses the step 1/||d_j||^2.</exception>
    public CoordinateCodes Encode(
        Tensor X, Tensor dictionary, Tensor? initial = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        double largest = CodingInput.Check(X, dictionary);
        if (largest > 1e140) throw new ArgumentException($"X holds values up to {largest:G3}, whose squares leave the range of double; scale X, and the penalty with it.", nameof(X));
        if (Penalty.Length is int length && length != dictionary.shape[0])
            throw new ArgumentException($"The {Penalty.Name} is for {length} coefficients, but the dictionary has {dictionary.shape[0]} atoms.", nameof(dictionary));
        if (initial is not null)
        {
            TensorInput.CheckMatrix(initial, nameof(initial), "[samples, atoms]");
            if (initial.shape[0] != X.shape[0] || initial.shape[1] != dictionary.shape[0])
            {
                throw new ArgumentException(
                    $"initial must be [{X.shape[0]}, {dictionary.shape[0]}] (samples, atoms), but is [{string.Join(", ", initial.shape)}].", nameof(initial));
            }

            if (double.IsPositiveInfinity(Penalty.Value(initial))) throw new ArgumentException($"initial breaks the constraint of the {Penalty.Name}.", nameof(initial));
        }

        CheckStep(dictionary);
        try
        {
            return _batch.Encode(X, dictionary, initial, progress, cancel);
        }
        catch (AggregateException several) when (several.InnerException is ArgumentException first)
        {
            throw new ArgumentException(first.Message, nameof(X));
        }
        catch (AggregateException several) when (several.InnerException is DivergenceException first)
        {
            throw new DivergenceException(first.Message);
        }
        catch (AggregateException several) when (several.InnerExceptions.All(e => e is OperationCanceledException))
        {
            throw new OperationCanceledException(cancel);
        }
    }

    /// <inheritdoc/>
    public Tensor Codes(Tensor X, Tensor dictionary, Tensor? initial = null, CancellationToken cancel = default)
        => Encode(X, dictionary, initial, null, cancel).Codes;

    /// <inheritdoc/>
    public double PenaltyOf(Tensor codes) => Penalty.Value(codes);

    // The largest step belongs to the smallest atom; a penalty that refuses it should do so before any work.
    private void CheckStep(Tensor dictionary)
    {
        using var scope = NewDisposeScope();
        double norm = dictionary.to(ScalarType.Float64).norm(1).min().item<double>();
        double[] probe = new double[Penalty.Length ?? 1];
        Penalty.Prox<double>(probe, 1 / (norm * norm), probe);
    }

    private sealed class Make(CoordinateCoder coder) : ICoordinateWork<IBatch>
    {
        public IBatch Run<TPenalty>(TPenalty penalty)
            where TPenalty : struct, ICoordinatePenalty => new Batch<TPenalty>(coder, penalty);
    }

    private sealed unsafe class Batch<TPenalty>(CoordinateCoder coder, TPenalty penalty) : IBatch
        where TPenalty : struct, ICoordinatePenalty
    {
        public CoordinateCodes Encode(Tensor X, Tensor dictionary, Tensor? initial, IProgress<ProgressReport>? progress, CancellationToken cancel)
        {
            using var scope = NewDisposeScope();
            int samples = (int)X.shape[0], atoms = (int)dictionary.shape[0], width = (atoms + 7) / 8 * 8;
            Tensor padded = zeros([width, dictionary.shape[1]], dtype: ScalarType.Float64);
            padded.narrow(0, 0, atoms).copy_(dictionary);
            Tensor transposed = padded.t().contiguous(), gram = SmallProduct.Multiply(padded, transposed), codes = empty([samples, atoms], dtype: X.dtype);
            double[] certificates = new double[samples];
            int[] sweeps = new int[samples];
            int unfinished = 0;
            var settings = new SampleSettings(
                atoms, width, coder.Penalty.Strength, Ridge(coder.Penalty), Certificate.HasGap(coder.Penalty), coder.Penalty is NonNegative, coder.Options.Tolerance, coder.Options.MaxIterations);
            fixed (byte* g = gram.bytes)
            {
                var gp = (nint)g;
                for (int from = 0; from < samples; from += SamplesPerBlock)
                {
                    cancel.ThrowIfCancellationRequested();
                    using var block = NewDisposeScope();
                    int count = Math.Min(SamplesPerBlock, samples - from), start = from;
                    Tensor rows = X.narrow(0, from, count).to(ScalarType.Float64), norms = rows.mul(rows).sum(1);
                    Tensor correlations = SmallProduct.Multiply(rows, transposed);
                    Tensor found = X.dtype == ScalarType.Float64 ? codes.narrow(0, from, count) : empty([count, atoms], dtype: ScalarType.Float64);
                    if (initial is not null) found.copy_(initial.narrow(0, from, count));
                    fixed (byte* q = correlations.bytes, norm = norms.bytes, target = found.bytes)
                    {
                        (nint qp, nint np, nint tp) = ((nint)q, (nint)norm, (nint)target);
                        var stoppable = new ParallelOptions { CancellationToken = cancel };
                        Parallel.For(0, (count + SamplesPerChunk - 1) / SamplesPerChunk, stoppable, () => new CoordinateSample<TPenalty>(penalty, settings, (double*)gp), (c, _, work) =>
                        {
                            for (int s = c * SamplesPerChunk, to = Math.Min(count, s + SamplesPerChunk); s < to; s++)
                            {
                                bool done = work.Solve((double*)qp + (long)s * width, ((double*)np)[s], (double*)tp + (long)s * atoms, initial is not null, cancel);
                                certificates[start + s] = work.Certificate;
                                sweeps[start + s] = work.Sweeps;
                                if (!done) Interlocked.Increment(ref unfinished);
                            }

                            return work;
                        }, work => work.Dispose());
                    }

                    if (X.dtype != ScalarType.Float64) codes.narrow(0, from, count).copy_(found);
                    progress?.Report(new ProgressReport(from + count, samples, coder.Name));
                }
            }

            return new CoordinateCodes(codes.MoveToOuterDisposeScope(), certificates, sweeps, unfinished);
        }

        private static double Ridge(IPenalty penalty) => (penalty is NonNegative constrained ? constrained.Inner : penalty) is ElasticNet net ? net.Ridge : 0;
    }
}
