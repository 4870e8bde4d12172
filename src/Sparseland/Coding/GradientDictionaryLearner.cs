using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>How a rate falls with the batch number k = 0, 1, ...</summary>
/// <param name="initial">The rate at the start.</param>
/// <param name="batch">k.</param>
public delegate double RateSchedule(double initial, int batch);

/// <summary>The schedules of the V1 paper.</summary>
public static class RateSchedules
{
    /// <summary>The initial rate throughout.</summary>
    public static RateSchedule Constant { get; } = (initial, _) => initial;

    /// <summary>eta/(1 + (eta/50) k), which the paper uses for CEL0 with more than 500 units.</summary>
    public static RateSchedule Decay { get; } = (initial, batch) => initial / (1 + initial / 50 * batch);
}

/// <summary>Options of <see cref="GradientDictionaryLearner"/>.</summary>
public sealed record DictionaryLearnerOptions
{
    /// <summary>Number of atoms K. Default 100.</summary>
    public int Atoms { get; init; } = 100;

    /// <summary>Dictionary step eta_D, on the gradient summed over a batch. Default 5e-3.</summary>
    public double EtaDictionary { get; init; } = 5e-3;

    /// <summary>How both rates fall. Default <see cref="RateSchedules.Constant"/>.</summary>
    public RateSchedule Schedule { get; init; } = RateSchedules.Constant;

    /// <summary>Number of batches. Default 80.</summary>
    public int Batches { get; init; } = 80;

    /// <summary>Samples per batch, drawn with replacement. Default 200.</summary>
    public int BatchSize { get; init; } = 200;

    /// <summary>Seed of the first dictionary and of the batches. Default 0.</summary>
    public int Seed { get; init; }

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Atoms);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Batches);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BatchSize);
        Finite.Positive(EtaDictionary);
        ArgumentNullException.ThrowIfNull(Schedule);
    }
}

/// <summary>What happened in one batch.</summary>
/// <param name="Batch">k, from 0.</param>
/// <param name="Objective">1/2 ||X - R D||^2 + pen(R) per sample, before the dictionary step.</param>
/// <param name="ActiveUnits">Mean number of non-zero coefficients per sample.</param>
/// <param name="MeanSquaredError">Mean of (X - R D)^2 over all entries.</param>
/// <param name="Iterations">Iterations of the coder.</param>
/// <param name="StopReason">Why the coder ended.</param>
/// <param name="Step">Step the coder used.</param>
public sealed record BatchReport(
    int Batch, double Objective, double ActiveUnits, double MeanSquaredError, int Iterations, StopReason StopReason, double Step);

/// <summary>A dictionary on its way: all that is needed to go on. Copy the tensor and the number to keep a checkpoint.</summary>
public sealed class DictionaryState : IDisposable
{
    private readonly NativeSize _size;

    internal DictionaryState(Tensor dictionary, int batch) => (Dictionary, Batch, _size) = (dictionary, batch, NativeSize.Of(dictionary));

    /// <summary>D [atoms, features] as the last step left it, changed in place by the next one.</summary>
    public Tensor Dictionary { get; }

    /// <summary>Batches done.</summary>
    public int Batch { get; internal set; }

    /// <summary>Takes up again from a stored dictionary.</summary>
    /// <param name="dictionary">[atoms, features]; copied.</param>
    /// <param name="batch">Batches done so far. Default 0.</param>
    /// <exception cref="ArgumentException">Not a dictionary, or a negative number.</exception>
    public static DictionaryState From(Tensor dictionary, int batch = 0)
    {
        CodingInput.CheckDictionary(dictionary);
        ArgumentOutOfRangeException.ThrowIfNegative(batch);
        using var scope = NewDisposeScope();
        return new DictionaryState(dictionary.contiguous().clone().DetachFromDisposeScope(), batch);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dictionary.Dispose();
        _size.Dispose();
    }
}

/// <summary>A learned dictionary.</summary>
/// <param name="Dictionary">[atoms, features], unit rows. Owned by this record.</param>
/// <param name="Trace">One report per batch of this call.</param>
/// <param name="Seconds">Wall time.</param>
public sealed record DictionaryLearningResult(Tensor Dictionary, IReadOnlyList<BatchReport> Trace, double Seconds) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Dictionary);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dictionary.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Dictionary learning by alternating thresholded codes of a batch with one gradient step on the dictionary
/// (Olshausen and Field 1997; Rentzeperis et al. 2023): unit atoms, R = coder(X), D &lt;- D + eta_D R^T (X - R D).
/// </summary>
/// <param name="coder">Codes each batch; an eta of its own follows the schedule too. <see cref="ThresholdCoderOptions.V1"/> is the paper's.</param>
/// <param name="options">Sizes, rates, seed; null for the defaults of the record.</param>
/// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
public sealed class GradientDictionaryLearner(ThresholdCoder coder, DictionaryLearnerOptions? options = null)
{
    /// <summary>The coder.</summary>
    public ThresholdCoder Coder { get; } = coder ?? throw new ArgumentNullException(nameof(coder));

    /// <summary>The options in use.</summary>
    public DictionaryLearnerOptions Options { get; } = Validated(options ?? new DictionaryLearnerOptions());

    /// <summary>A first dictionary: entries N(0, 1/K), rows then scaled to unit norm by the first step.</summary>
    /// <param name="features">Number of features.</param>
    /// <param name="type">float64 or float32. Default Float64.</param>
    public DictionaryState Start(long features, ScalarType type = ScalarType.Float64)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)Options.Seed);
        Tensor dictionary = randn([Options.Atoms, features], dtype: ScalarType.Float64, generator: generator).div_(Math.Sqrt(Options.Atoms));
        return new DictionaryState(dictionary.to(type).DetachFromDisposeScope(), 0);
    }

    /// <summary>The batch that belongs to a batch number: the same for the same seed, whatever ran before.</summary>
    /// <param name="X">All samples [samples, features].</param>
    /// <param name="batch">k.</param>
    public Tensor Batch(Tensor X, int batch)
    {
        var random = new Random(unchecked(Options.Seed * 1_000_003 + batch + 1));
        long[] rows = new long[Options.BatchSize];
        for (int i = 0; i < rows.Length; i++) rows[i] = random.NextInt64(X.shape[0]);
        using var scope = NewDisposeScope();
        return X.index_select(0, tensor(rows)).MoveToOuterDisposeScope();
    }

    /// <summary>One batch: normalize the atoms, code, step the dictionary. Changes the state.</summary>
    /// <param name="state">Where it stands.</param>
    /// <param name="X">The batch [samples, features].</param>
    /// <param name="cancel">Leaves the state as it was, but for the atoms' norms.</param>
    /// <exception cref="DivergenceException">The codes or the dictionary are no longer finite.</exception>
    public BatchReport Step(DictionaryState state, Tensor X, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(state);
        using var scope = NewDisposeScope();
        Normalize(state.Dictionary);
        using CodingResult codes = CoderAt(state.Batch).Encode(X, state.Dictionary, cancel: cancel);
        double rate = Options.Schedule(Options.EtaDictionary, state.Batch);
        Tensor residual = X.sub(codes.Codes.mm(state.Dictionary));
        Tensor change = codes.Codes.t().mm(residual).mul_(rate);
        double error = residual.mul(residual).sum(ScalarType.Float64).item<double>(), samples = X.shape[0];
        if (!TensorInput.IsFinite(change))
            throw new DivergenceException($"The dictionary is no longer finite after batch {state.Batch} with eta_D = {rate:G6}; take a smaller one.");
        state.Dictionary.add_(change);
        double objective = (error / 2 + Coder.Penalty.Value(codes.Codes)) / samples;
        return new BatchReport(state.Batch++, objective, codes.ActiveUnits, error / X.numel(), codes.Iterations, codes.StopReason, codes.Step);
    }

    /// <summary>All batches, from a new dictionary or from where a state stands.</summary>
    /// <param name="X">All samples [samples, features].</param>
    /// <param name="state">Goes on from here and moves it along, so that a cancelled call can be taken up again; new by default.</param>
    /// <param name="progress">Batches done.</param>
    /// <param name="cancel">Checked in every iteration of the coder.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit.</exception>
    /// <exception cref="DivergenceException">The codes or the dictionary are no longer finite.</exception>
    public DictionaryLearningResult Fit(
        Tensor X, DictionaryState? state = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        TensorInput.CheckMatrix(X, nameof(X), "[samples, features]");
        var clock = System.Diagnostics.Stopwatch.StartNew();
        using var scope = NewDisposeScope();
        using DictionaryState? own = state is null ? Start(X.shape[1], X.dtype) : null;
        state ??= own!;
        var trace = new List<BatchReport>();
        while (state.Batch < Options.Batches)
        {
            cancel.ThrowIfCancellationRequested();
            using Tensor batch = Batch(X, state.Batch);
            BatchReport report = Step(state, batch, cancel);
            trace.Add(report);
            progress?.Report(new ProgressReport(state.Batch, Options.Batches, $"mse {report.MeanSquaredError:G3}, {report.ActiveUnits:F1} active"));
        }

        Tensor dictionary = CodingInput.UnitRows(state.Dictionary).MoveToOuterDisposeScope();
        return new DictionaryLearningResult(dictionary, trace, clock.Elapsed.TotalSeconds);
    }

    private static DictionaryLearnerOptions Validated(DictionaryLearnerOptions options)
    {
        options.Validate();
        return options;
    }

    private static void Normalize(Tensor dictionary)
    {
        CodingInput.CheckDictionary(dictionary);
        using var scope = NewDisposeScope();
        dictionary.div_(dictionary.norm(1, keepdim: true));
    }

    private ThresholdCoder CoderAt(int batch)
    {
        if (Coder.Options.Eta is not { } initial) return Coder;
        double eta = Options.Schedule(initial, batch);
        return eta == initial ? Coder : new ThresholdCoder(Coder.Penalty, Coder.Options with { Eta = eta });
    }
}
