using Sparseland.Models.Language;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Estimation;

/// <summary>How estimators learn from a model whose weights stay as they are.</summary>
public sealed record SeaTrainingOptions
{
    /// <summary>Sizes of the estimators; their table of positions is made at least as long as the windows. Default those of the record.</summary>
    public SeaOptions Estimator { get; init; } = new();

    /// <summary>Columns of a head and row on average, k. Default 16; the paper has 64.</summary>
    public int Columns { get; init; } = 16;

    /// <summary>Steps of each block. Default 150; the paper trains whole models for up to 10,000.</summary>
    public int Steps { get; init; } = 150;

    /// <summary>Windows a step. Default 4.</summary>
    public int Batch { get; init; } = 4;

    /// <summary>Tokens of a window. Default 256.</summary>
    public int Length { get; init; } = 256;

    /// <summary>Windows of the text that are used, over and over; the heads of all blocks over all windows are held in memory. Default 64.</summary>
    public int Windows { get; init; } = 64;

    /// <summary>Learning rate of the first step; it falls linearly to 0. Default 2e-3.</summary>
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>Decay of the weights. Default 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Weight of the divergence in the loss. Default 0.1.</summary>
    public double Divergence { get; init; } = 0.1;

    /// <summary>Steps after which features are drawn anew. Default 1,000.</summary>
    public int RedrawEvery { get; init; } = 1000;

    /// <summary>Blocks that get an estimator. Default null: all.</summary>
    public IReadOnlyList<int>? Blocks { get; init; }

    /// <summary>Seed of weights, features, windows and their order. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Estimator);
        Estimator.Validate();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Columns);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Steps);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Length);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Windows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(RedrawEvery);
        foreach ((string name, double value) in new[] { (nameof(LearningRate), LearningRate), (nameof(WeightDecay), WeightDecay), (nameof(Divergence), Divergence) })
        {
            Finite.NotNegative(value, name);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>The losses of one step.</summary>
/// <param name="Step">From 1.</param>
/// <param name="Loss">Weighted sum of the three.</param>
/// <param name="Divergence">KL(true attention || estimate), mean over rows, in nats.</param>
/// <param name="Map">Mean squared difference of both maps over the causal cells.</param>
/// <param name="Output">Mean squared difference of the outputs.</param>
public readonly record struct SeaStep(int Step, double Loss, double Divergence, double Map, double Output);

/// <summary>Estimators of a model's blocks, and how they learned. It owns them.</summary>
public sealed class SeaTrained : IDisposable
{
    internal SeaTrained(SeaEstimator?[] estimators, IReadOnlyList<SeaStep>[] curves, int columns) => (Estimators, Curves, Columns) = (estimators, curves, columns);

    /// <summary>Of each block of the model; null where none was asked for.</summary>
    public IReadOnlyList<SeaEstimator?> Estimators { get; }

    /// <summary>The steps of each block; none where there is no estimator.</summary>
    public IReadOnlyList<IReadOnlyList<SeaStep>> Curves { get; }

    /// <summary>Columns of a head and row on average in the training, k.</summary>
    public int Columns { get; }

    /// <summary>The method with these estimators: <c>model.Logits(ids, attention: trained.Attention())</c>.</summary>
    /// <param name="columns">k; null, the default, for that of the training.</param>
    /// <param name="scale">As in <see cref="SeaAttention"/>. Default true.</param>
    /// <param name="mix">As in <see cref="SeaAttention"/>. Default true.</param>
    public SeaAttention Attention(int? columns = null, bool scale = true, bool mix = true) => new(Estimators, columns ?? Columns, scale, mix);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SeaEstimator? estimator in Estimators) estimator?.Dispose();
    }
}

/// <summary>
/// Distils the attention of a frozen model into estimators, block by block. Loss of a block: 0.1 KL(true || estimate) + squared difference of both maps + squared difference of the outputs. No
/// gradient passes through the choice of cells: the estimate learns from the maps, scale and mix from the outputs.
/// </summary>
/// <remarks>
/// The true maps are computed once, which is quadratic in the length of a window; steps and the use of the estimators are linear. The paper fine-tunes the whole model beside it; here its weights stay. On the CPU only:
/// other devices are refused.
/// </remarks>
public static class SeaTraining
{
    /// <summary>Trains an estimator for each block of a model.</summary>
    /// <param name="model">A causal decoder; it stays as it is.</param>
    /// <param name="text">What the windows are taken from.</param>
    /// <param name="options">Sizes and rates; null, the default, for those of the record.</param>
    /// <param name="progress">Steps done, of all blocks; null, the default, for none.</param>
    /// <param name="cancel">Looked at before each block of the model and in each step. Default none.</param>
    /// <exception cref="ArgumentException">A value is out of its range, windows longer than the context or the text, a block that does not exist, or a model that is not on the CPU.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static SeaTrained Run(LanguageModel model, TokenText text, SeaTrainingOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        options ??= new();
        options.Validate();
        if (model.Embeddings.device_type != DeviceType.CPU) throw new ArgumentException($"The model is on {model.Embeddings.device_type}; estimators are trained on the CPU only.", nameof(model));
        int[] blocks = options.Blocks is null ? [.. Enumerable.Range(0, model.Layers)] : [.. options.Blocks.Distinct().Order()];
        if (blocks.Length == 0) throw new ArgumentException("Blocks names no block.", nameof(options));
        foreach (int block in blocks)
        {
            if (block < 0 || block >= model.Layers) throw new ArgumentOutOfRangeException(nameof(options), block, $"Blocks has {block}; the model has blocks 0 to {model.Layers - 1}.");
        }

        if (options.Length > model.Context) throw new ArgumentException($"Windows of {options.Length} tokens are longer than the model's context of {model.Context}.", nameof(options));
        int[] starts = [.. text.EpochStarts(options.Length, options.Seed, 0).Take(options.Windows)];
        SeaEstimator?[] estimators = new SeaEstimator?[model.Layers];
        IReadOnlyList<SeaStep>[] curves = [.. Enumerable.Repeat<IReadOnlyList<SeaStep>>([], model.Layers)];
        using DisposeScope scope = NewDisposeScope();
        try
        {
            SeaOptions sizes = options.Estimator with { MaxTokens = Math.Max(options.Estimator.MaxTokens, options.Length) };
            long done = 0, all = (long)blocks.Length * options.Steps;

            var heads = Recorded(model, text, starts, options.Length, blocks, cancel);
            foreach ((int block, (Tensor q, Tensor k, Tensor v, double scale)) in blocks.Zip(heads))
            {
                SeaEstimator estimator = estimators[block] = new((int)q.shape[1], (int)q.shape[3], sizes, options.Seed + (1000 * block));
                curves[block] = Block(estimator, q, k, v, options, scale, progress is null ? null : new Shifted(progress, done, all, block), cancel);
                done += options.Steps;
            }
        }
        catch
        {
            foreach (SeaEstimator? estimator in estimators) estimator?.Dispose();
            throw;
        }

        return new(estimators, curves, options.Columns);
    }

    /// <summary>Queries, keys and values of a block over windows of a text.</summary>
    /// <param name="model">A causal decoder.</param>
    /// <param name="text">The text.</param>
    /// <param name="starts">First tokens of the windows.</param>
    /// <param name="length">Tokens of a window.</param>
    /// <param name="block">Block, from 0.</param>
    /// <param name="cancel">Looked at before each block of the model. Default none.</param>
    /// <returns>Queries [windows, heads, length, headDim], keys and values [windows, keyValueHeads, length, headDim], and the factor of their products.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or the model no causal one.</exception>
    public static (Tensor Q, Tensor K, Tensor V, double Scale) Record(LanguageModel model, TokenText text, IReadOnlyList<int> starts, int length, int block, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(starts);
        if (starts.Count == 0) throw new ArgumentException("There is no window.", nameof(starts));
        if (block < 0 || block >= model.Layers) throw new ArgumentOutOfRangeException(nameof(block), block, $"The model has blocks 0 to {model.Layers - 1}.");
        return Recorded(model, text, starts, length, [block], cancel)[0];
    }

    /// <summary><see cref="Record"/> of several blocks in one pass.</summary>
    private static (Tensor Q, Tensor K, Tensor V, double Scale)[] Recorded(LanguageModel model, TokenText text, IReadOnlyList<int> starts, int length, int[] blocks, CancellationToken cancel)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        bool training = model.training;
        model.eval();
        try
        {
            Heads heads = new(blocks, cancel);

            // Few windows at once, so that a cancellation is seen soon.
            for (int from = 0; from < starts.Count; from += 2)
            {
                using DisposeScope some = NewDisposeScope();
                try
                {
                    model.Logits(text.Windows([.. starts.Skip(from).Take(2)], length).Ids, lastOnly: true, attention: heads);
                    throw new ArgumentException("The model asked for no attention in its blocks.", nameof(model));
                }
                catch (Heads.EnoughException)
                {
                    // The blocks above are of no interest.
                }
                finally
                {
                    foreach (Tensor part in heads.Fresh) scope.Attach(part);
                    heads.Fresh.Clear();
                }
            }

            Tensor Together(int block, int what) => scope.MoveToOuter(cat([.. heads.Parts[block].Select(p => what switch { 0 => p.Q, 1 => p.K, _ => p.V })]));
            return [.. blocks.Select(b => (Together(b, 0), Together(b, 1), Together(b, 2), heads.Scales[b]))];
        }
        finally
        {
            model.train(training);
        }
    }

    /// <summary>Trains the estimator of one block on its recorded heads.</summary>
    /// <param name="estimator">Changed in place.</param>
    /// <param name="q">Queries [windows, heads, tokens, headDim].</param>
    /// <param name="k">Keys [windows, keyValueHeads, tokens, headDim].</param>
    /// <param name="v">Values [windows, keyValueHeads, tokens, headDim].</param>
    /// <param name="options">Columns, steps, batch, rates, seed; the rest is not looked at. Null, the default, for those of the record.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <param name="progress">Steps done; null, the default, for none.</param>
    /// <param name="cancel">Looked at in each step, before and after the loss. Default none.</param>
    /// <returns>The losses of each step.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit the estimator, another device than the CPU, or an option out of its range.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static IReadOnlyList<SeaStep> Block(
        SeaEstimator estimator, Tensor q, Tensor k, Tensor v, SeaTrainingOptions? options = null, double? scale = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(estimator);
        options ??= new();
        options.Validate();
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        HeadInput.OnCpu(q, nameof(SeaTraining));
        double factor = shape.Scale(scale, q.dtype);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable on = enable_grad();
        using AdamWOptimizer optimizer = new(estimator, weightDecay: options.WeightDecay);
        SeededRandom random = new(options.Seed);
        Targets targets = Targets.Of(q, k, v, estimator.Cells, factor, cancel);
        List<SeaStep> steps = new(options.Steps);
        List<long> order = [];
        for (int step = 0; step < options.Steps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            if (step > 0 && step % options.RedrawEvery == 0) estimator.Redraw(options.Seed + step);
            while (order.Count < options.Batch)
            {
                long[] epoch = random.Permutation<long>(shape.Batch);
                order.AddRange(epoch);
            }

            using DisposeScope one = NewDisposeScope();
            Tensor batch = tensor(order.Take(options.Batch).ToArray());
            order.RemoveRange(0, options.Batch);
            (Tensor loss, Tensor divergence, Tensor map, Tensor output) = Losses(estimator, q.index_select(0, batch), k.index_select(0, batch), v.index_select(0, batch), targets.At(batch), options.Columns, factor, options.Divergence);
            cancel.ThrowIfCancellationRequested();
            estimator.zero_grad();
            GradientPass.Run(loss);
            optimizer.Step(options.LearningRate * (1 - ((double)step / options.Steps)));
            using Tensor figures = stack([loss.detach(), divergence.detach(), map.detach(), output.detach()]);
            float[] seen = figures.data<float>().ToArray();
            steps.Add(new(step + 1, seen[0], seen[1], seen[2], seen[3]));
            progress?.Report(new(step + 1, options.Steps, FormattableString.Invariant($"KL {seen[1]:F3}")));
        }

        estimator.zero_grad();
        return steps;
    }

    /// <summary>The loss of one block on some windows and its parts, with gradients.</summary>
    /// <param name="estimator">The estimator.</param>
    /// <param name="q">Queries [windows, heads, tokens, headDim].</param>
    /// <param name="k">Keys [windows, keyValueHeads, tokens, headDim].</param>
    /// <param name="v">Values [windows, keyValueHeads, tokens, headDim].</param>
    /// <param name="columns">Columns of a head and row on average, k. Default 16.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <param name="divergence">Weight of the divergence. Default 0.1.</param>
    /// <returns>The loss; KL(true || estimate) over rows; the mean squared difference of the maps over causal cells; that of the outputs. Scalars.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit the estimator, another device than the CPU, or a number out of its range.</exception>
    public static (Tensor Loss, Tensor Divergence, Tensor Map, Tensor Output) Loss(SeaEstimator estimator, Tensor q, Tensor k, Tensor v, int columns = 16, double? scale = null, double divergence = 0.1)
    {
        ArgumentNullException.ThrowIfNull(estimator);
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        HeadInput.OnCpu(q, nameof(SeaTraining));
        double factor = shape.Scale(scale, q.dtype);
        new SeaTrainingOptions { Columns = columns, Divergence = divergence }.Validate();
        using DisposeScope scope = NewDisposeScope();
        (Tensor loss, Tensor kl, Tensor map, Tensor output) = Losses(estimator, q, k, v, Targets.Of(q, k, v, estimator.Cells, factor, CancellationToken.None), columns, factor, divergence);
        return (scope.MoveToOuter(loss), scope.MoveToOuter(kl), scope.MoveToOuter(map), scope.MoveToOuter(output));
    }

    private static (Tensor Loss, Tensor Divergence, Tensor Map, Tensor Output) Losses(SeaEstimator estimator, Tensor q, Tensor k, Tensor v, Targets targets, int columns, double scale, double weight)
    {
        (Tensor scores, Tensor s0, Tensor s1) = estimator.Estimated(q, k, v);
        Tensor sparse, mean;
        using (no_grad())
        {
            // Teacher and student have the same scores, so the sparse rows need no gradient.
            sparse = SparseAttention.Attend(q, k, v, SeaMask.FromCells(scores.softmax(-1), columns), scale, emptyRows: true).Output.to(ScalarType.Float32);
            mean = HeadInput.Shared(RunningMean.Of(v), (int)(q.shape[1] / k.shape[1])).to(ScalarType.Float32);
        }

        // A stretched estimate is the same in all n columns of a cell: its logarithm there is score - ln(sum of n e^score), and sums over columns are sums over cells. Nothing here is quadratic.
        Tensor logEstimate = scores.sub(scores.add(targets.Widths.log()).logsumexp(-1, keepdim: true)), estimate = logEstimate.masked_fill(targets.Widths.eq(0), 0).exp();
        double rows = (double)q.shape[0] * q.shape[1] * q.shape[2], cells = rows * (q.shape[2] + 1) / 2;
        Tensor divergence = targets.LogSum.sum().sub(targets.Mass.mul(logEstimate).sum()).div(rows);
        Tensor map = targets.Square.sum().add(estimate.mul(targets.Widths).sub(targets.Mass.mul(2)).mul(estimate).sum()).div(cells);
        Tensor output = SeaAttention.Together(sparse, mean, s0, s1, scale: true, mix: true).sub(targets.Output).square().mean();
        return (divergence.mul(weight).add(map).add(output), divergence, map, output);
    }

    /// <summary>What the losses need of the true maps, window by window; in the current scope.</summary>
    /// <param name="Mass">Sums of P over the columns of each cell [windows, heads, tokens, cells].</param>
    /// <param name="LogSum">sum of P ln P of each row [windows, heads, tokens].</param>
    /// <param name="Square">sum of P^2 of each row [windows, heads, tokens].</param>
    /// <param name="Output">P V [windows, heads, tokens, headDim].</param>
    /// <param name="Widths">Columns of each cell [tokens, cells].</param>
    private readonly record struct Targets(Tensor Mass, Tensor LogSum, Tensor Square, Tensor Output, Tensor Widths)
    {
        private const int Together = 4;

        public static Targets Of(Tensor q, Tensor k, Tensor v, int cells, double scale, CancellationToken cancel)
        {
            using IDisposable off = no_grad();
            (long windows, int tokens, int group) = (q.shape[0], (int)q.shape[2], (int)(q.shape[1] / k.shape[1]));
            Tensor of = CellGrid.CellOf(tokens, cells), later = of.lt(0);
            of = of.clamp_min(0);
            Tensor widths = zeros(tokens, cells).scatter_add(1, of, later.logical_not().to(ScalarType.Float32));
            List<Tensor>[] parts = [[], [], [], []];
            for (long from = 0; from < windows; from += Together)
            {
                cancel.ThrowIfCancellationRequested();
                using DisposeScope some = NewDisposeScope();
                long count = Math.Min(Together, windows - from);
                Tensor Some(Tensor x, int share) => HeadInput.Shared(x.narrow(0, from, count).to(ScalarType.Float32), share);
                Tensor log = Some(q, 1).mul(scale).MatMul(Some(k, group).transpose(2, 3)).masked_fill(later, double.NegativeInfinity).log_softmax(-1), pattern = log.exp();
                Tensor mass = zeros(count, q.shape[1], tokens, cells).scatter_add(3, of.expand(pattern.shape), pattern);
                Tensor[] four = [mass, log.masked_fill(later, 0).mul(pattern).sum(-1), pattern.square().sum(-1), pattern.MatMul(Some(v, group))];
                for (int i = 0; i < 4; i++) parts[i].Add(some.MoveToOuter(four[i]));
            }

            return new(cat(parts[0]), cat(parts[1]), cat(parts[2]), cat(parts[3]), widths);
        }

        public Targets At(Tensor windows) =>
            this with { Mass = Mass.index_select(0, windows), LogSum = LogSum.index_select(0, windows), Square = Square.index_select(0, windows), Output = Output.index_select(0, windows) };
    }

    /// <summary>Keeps the heads of some blocks as the model computes them, and stops it behind the last one.</summary>
    private sealed class Heads(int[] blocks, CancellationToken cancel) : IAttentionMethod
    {
        public Dictionary<int, List<(Tensor Q, Tensor K, Tensor V)>> Parts { get; } = blocks.ToDictionary(b => b, _ => new List<(Tensor, Tensor, Tensor)>());

        public Dictionary<int, double> Scales { get; } = [];

        /// <summary>Tensors that no scope has yet.</summary>
        public List<Tensor> Fresh { get; } = [];

        public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
        {
            cancel.ThrowIfCancellationRequested();
            if (!call.Causal || call.Stands is not null) throw new ArgumentException("Estimators are for causal models without padding.", "model");
            if (!Parts.TryGetValue(call.Layer, out var kept)) return null;
            kept.Add((q.clone().DetachFromDisposeScope(), k.clone().DetachFromDisposeScope(), v.clone().DetachFromDisposeScope()));
            Fresh.AddRange([kept[^1].Q, kept[^1].K, kept[^1].V]);
            Scales[call.Layer] = call.Scale;
            return call.Layer == blocks[^1] ? throw new EnoughException() : null;
        }

        public sealed class EnoughException : Exception;
    }

    private sealed class Shifted(IProgress<ProgressReport> to, long before, long all, int block) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => to.Report(new(before + value.Done, all, FormattableString.Invariant($"block {block + 1}: {value.Message}")));
    }
}
