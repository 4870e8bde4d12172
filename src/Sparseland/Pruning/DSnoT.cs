using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Dynamic sparse no training (Zhang et al. 2024): improves the mask of a layer without a gradient and without a change of any weight. In each output unit it follows the
/// expected difference D of dense and sparse output over the calibration texts, and swaps weights, one in and one out, that bring it to zero.
/// </summary>
/// <remarks>
/// Contributions are c_ij = W_ij S_j with S_j the mean over sequences of the sum of input j, and D_i the sum of c over the removed weights of row i. What grows has the
/// largest sign(D) c / V^p, what goes is the kept weight with sign(D) c &lt; 0 of smallest Wanda score. A weight moves at most once.
/// </remarks>
public static class DSnoT
{
    private const double SmallestVariance = 1e-12;

    /// <summary>The expected difference of dense and sparse output of each row, summed over the tokens of a sequence: D.</summary>
    /// <param name="weight">Dense weight [out, in].</param>
    /// <param name="mask">True where a weight stays; Bool [out, in].</param>
    /// <param name="inputs">What is known of the inputs.</param>
    /// <returns>[out].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit.</exception>
    public static double[] ExpectedError(Tensor weight, Tensor mask, ActivationStatistics inputs)
    {
        Check(weight, mask, inputs);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return weight.to(ScalarType.Float64).mul(tensor(Sums(inputs))).masked_fill(mask, 0).sum(1).contiguous().data<double>().ToArray();
    }

    /// <summary>The bias that takes the expected error of each row away without a swap: D over the tokens of a sequence. A control: what swaps can at best do to the mean.</summary>
    /// <param name="weight">Dense weight [out, in].</param>
    /// <param name="mask">True where a weight stays; Bool [out, in].</param>
    /// <param name="inputs">What is known of the inputs.</param>
    /// <returns>[out], to be added to the outputs; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit.</exception>
    public static Tensor BiasCompensation(Tensor weight, Tensor mask, ActivationStatistics inputs)
    {
        double tokens = (double)inputs.Count / inputs.Sequences;
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(tensor(ExpectedError(weight, mask, inputs)).div(tokens).to(weight.dtype));
    }

    /// <summary>Improves a mask.</summary>
    /// <param name="weight">Dense weight [out, in], finite.</param>
    /// <param name="mask">True where a weight stays; Bool [out, in]. It does not change.</param>
    /// <param name="inputs">What is known of the inputs.</param>
    /// <param name="pattern">An N:M pattern that the mask keeps: swaps then stay within a run. Null, the default, and patterns of other kinds ask for nothing; blocks, which swaps would break, are refused.</param>
    /// <param name="options">Number of swaps and rules; null for the defaults.</param>
    /// <param name="cancel">Checked between rows. Never by default.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, a weight is not finite, sequences of one token, a mask that does not keep its pattern, or a pattern of blocks.</exception>
    public static DSnoTResult Refine(Tensor weight, Tensor mask, ActivationStatistics inputs, PruningPattern? pattern = null, DSnoTOptions? options = null, CancellationToken cancel = default)
    {
        Check(weight, mask, inputs);
        (options ??= new()).Validate();
        if (inputs.Count < 2 * inputs.Sequences) throw new ArgumentException("The sequences have one token each; a variance over tokens needs at least two.", nameof(inputs));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        int rows = (int)weight.shape[0], columns = (int)weight.shape[1], run = 0;
        if (pattern is BlocksPattern) throw new ArgumentException($"Weights are swapped one by one, which leaves no blocks whole; a mask can be improved per layer, per row or N:M, not {pattern}.", nameof(pattern));
        if (pattern is NofMPattern nm)
        {
            run = nm.M;
            if (columns % run != 0 || mask.reshape(-1, run).sum(1, type: ScalarType.Int64).ne(nm.N).any().item<bool>())
                throw new ArgumentException($"The mask does not keep {nm.N} of every {nm.M} inputs of a row.", nameof(mask));
        }

        double[] variance = options.VarianceWithinSequences ? inputs.VarianceWithinSequences() : inputs.Variance(), sums = Sums(inputs), norms = inputs.Norms(), divisor = new double[columns];
        for (int j = 0; j < columns; j++) divisor[j] = Math.Pow(Math.Max(variance[j], SmallestVariance), options.VariancePower);
        ScalarType type = weight.dtype == ScalarType.Float32 ? ScalarType.Float32 : ScalarType.Float64;
        Tensor W = weight.cpu().to(type).contiguous(), result = mask.cpu().contiguous().clone();
        nint w = TensorMemory.StartOf(W), m = TensorMemory.StartOf(result);
        double[] before = new double[rows], after = new double[rows];
        int[] swaps = new int[rows], removed = new int[rows];
        var trajectories = new IReadOnlyList<double>[options.KeepTrajectory ? rows : 0];
        var inputsOfRows = new SwapInputs(sums, norms, divisor, run, options.CyclesOf(columns), options.Threshold, options.Stop);
        const int Together = 16;
        IndependentWork.For((rows + Together - 1) / Together, chunk =>
        {
            using var search = new SwapRow(inputsOfRows, columns);
            for (int row = chunk * Together; row < Math.Min(rows, (chunk + 1) * Together); row++)
            {
                cancel.ThrowIfCancellationRequested();
                List<double>? trajectory = options.KeepTrajectory ? [] : null;
                Span<byte> maskOfRow = TensorMemory.Part<byte>(m, (long)row * columns, columns);
                (before[row], after[row], swaps[row], removed[row]) = type == ScalarType.Float32
                    ? search.Refine<float>(TensorMemory.Part<float>(w, (long)row * columns, columns), maskOfRow, trajectory)
                    : search.Refine<double>(TensorMemory.Part<double>(w, (long)row * columns, columns), maskOfRow, trajectory);
                if (trajectory is not null) trajectories[row] = trajectory;
            }
        }, cancel);
        GC.KeepAlive(W);
        if (pattern is PerRowPattern && Array.FindIndex(removed, count => count != removed[0]) is var other && other > 0)
            throw new ArgumentException($"The mask does not keep as many weights in every row: {columns - removed[0]} in row 0, {columns - removed[other]} in row {other}.", nameof(mask));
        return new(result.MoveToOuterDisposeScope(), before, after, swaps, trajectories, variance.Count(v => v < SmallestVariance));
    }

    private static double[] Sums(ActivationStatistics inputs)
    {
        double[] sums = inputs.Sum.ToArray();
        for (int j = 0; j < sums.Length; j++) sums[j] /= inputs.Sequences;
        return sums;
    }

    private static void Check(Tensor weight, Tensor mask, ActivationStatistics inputs)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(mask);
        ArgumentNullException.ThrowIfNull(inputs);
        inputs.RequireFor(weight, nameof(weight));
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(weight.shape))
            throw new ArgumentException($"The mask must be Bool [{string.Join(", ", weight.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
    }
}
