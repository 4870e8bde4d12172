using Sparseland.Models.Language;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>A block that is about to be compressed.</summary>
/// <param name="Model">The model; blocks before this one are compressed.</param>
/// <param name="Block">Block, from 0.</param>
/// <param name="Layers">Its linear layers, still dense.</param>
/// <param name="Statistics">What the layers see of the compressed blocks before, with second moments; gone when the block is done.</param>
public sealed record BlockContext(LanguageModel Model, int Block, IReadOnlyList<(string Name, Linear Layer)> Layers, StatisticsCollector Statistics)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>What is trained of a block.</summary>
/// <param name="Parameters">Parameters and their largest rates.</param>
/// <param name="Finish">Called after the training, before the block runs for the next one: fixes what was trained.</param>
public sealed record BlockTraining(IReadOnlyList<(IReadOnlyList<Parameter> Parameters, double Rate)> Parameters, Action Finish)
{
    /// <inheritdoc/>
    public override string ToString() => $"BlockTraining of {Parameters.Sum(set => set.Parameters.Count)} parameters";
}

/// <summary>What became of a block. Errors are ||y - target||^2 / ||target||^2 over all sequences.</summary>
/// <param name="Block">Block, from 0.</param>
/// <param name="Before">Error of the compressed block before training.</param>
/// <param name="After">Error after training, everything fixed.</param>
/// <param name="Curve">Error of each step's batch.</param>
public sealed record ReconstructedBlock(int Block, double Before, double After, IReadOnlyList<double> Curve)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>How blocks are trained.</summary>
public sealed record ReconstructionOptions
{
    /// <summary>Steps for each block; 0 for none. Default 150.</summary>
    public int Steps { get; init; } = 150;

    /// <summary>Sequences of a step. Default 8.</summary>
    public int Batch { get; init; } = 8;

    /// <summary>Seed of the order of the sequences. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(Steps);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Batch);
    }
}

/// <summary>
/// Compresses a decoder block by block, each trained so that its output on what the compressed blocks before give is that of the dense block on what the dense ones give
/// (the order of EfficientQAT's Block-AP and of GQSA's first stage): errors of earlier blocks are made up for, not handed on.
/// </summary>
public static class BlockwiseReconstruction
{
    /// <summary>Walks through the blocks. When it fails, the blocks stay as they are then: whoever replaced layers puts them back.</summary>
    /// <param name="model">The decoder, in place.</param>
    /// <param name="sequences">Calibration texts, token ids [sequences, tokens], int64.</param>
    /// <param name="compress">Compresses a block and says what of it is trained.</param>
    /// <param name="options">Steps; null for the defaults.</param>
    /// <param name="progress">Told after each step.</param>
    /// <param name="cancel">Checked before each step and batch.</param>
    /// <exception cref="ArgumentException">No texts, or a setting out of range.</exception>
    /// <exception cref="ArithmeticException">The error is no longer finite.</exception>
    public static IReadOnlyList<ReconstructedBlock> Run(
        LanguageModel model, Tensor sequences, Func<BlockContext, BlockTraining> compress, ReconstructionOptions? options = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sequences);
        ArgumentNullException.ThrowIfNull(compress);
        (options ??= new()).Validate();
        if (sequences.dim() != 2 || sequences.numel() == 0) throw new ArgumentException($"sequences must be [sequences, tokens] and not empty, but are [{string.Join(", ", sequences.shape)}].", nameof(sequences));
        bool training = model.training;
        model.eval();
        using DisposeScope scope = NewDisposeScope();
        try
        {
            var done = new List<ReconstructedBlock>();
            using BlockStates dense = BlockStates.Of(model, sequences, options.Batch, cancel), compressed = BlockStates.Of(model, sequences, options.Batch, cancel);
            for (int block = 0; block < model.Layers; block++)
            {
                (string Name, Linear Layer)[] layers = [.. BlockwisePruning.Linears(model, block)];
                BlockTraining plan;
                using (var statistics = new StatisticsCollector(layers, gram: true))
                {
                    using IDisposable off = no_grad();
                    compressed.Visit(model, block, keep: false, statistics, cancel);
                    statistics.StopWatching();

                    // From here on the dense states are those behind the block: the target.
                    dense.Visit(model, block, keep: true, null, cancel);
                    plan = compress(new(model, block, layers, statistics));
                }

                double before = Error(model, block, compressed, dense, cancel);
                double[] curve = Train(model, block, compressed, dense, plan, options, progress, cancel);
                plan.Finish();
                double after = Error(model, block, compressed, dense, cancel);
                if (!double.IsFinite(after)) throw new ArithmeticException($"The error of block {block} is {after}; take lower rates.");
                done.Add(new(block, before, after, curve));
                if (block + 1 == model.Layers) break;
                using IDisposable none = no_grad();
                compressed.Visit(model, block, keep: true, null, cancel);
            }

            return done;
        }
        finally
        {
            model.train(training);
        }
    }

    private static double Error(LanguageModel model, int block, BlockStates inputs, BlockStates targets, CancellationToken cancel)
    {
        using IDisposable off = no_grad();
        double error = 0, energy = 0;
        for (int i = 0; i < inputs.Batches.Count; i++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            Tensor target = targets.Batches[i];
            error += (model.RunBlock(block, inputs.Batches[i]) - target).square().sum(ScalarType.Float64).item<double>();
            energy += target.square().sum(ScalarType.Float64).item<double>();
        }

        return error / energy;
    }

    private static double[] Train(
        LanguageModel model, int block, BlockStates inputs, BlockStates targets, BlockTraining plan, ReconstructionOptions options, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        if (options.Steps == 0 || plan.Parameters.Count == 0) return [];
        Parameter[] trained = [.. plan.Parameters.SelectMany(p => p.Parameters)];
        using var only = new TrainedOnly(model, trained);
        using var steps = new RatedSteps(plan.Parameters, options.Steps);
        using Tensor x = cat([.. inputs.Batches], 0), y = cat([.. targets.Batches], 0);
        var order = new SequenceOrder((int)x.shape[0], options.Batch, options.Seed, 700 + block);
        double[] curve = new double[options.Steps];
        for (int step = 0; step < options.Steps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            Tensor some = tensor(order.Next()), target = y.index_select(0, some);
            Tensor loss = nn.functional.mse_loss(model.RunBlock(block, x.index_select(0, some)), target);
            curve[step] = loss.item<float>() / target.square().mean().item<float>();
            if (!double.IsFinite(curve[step])) throw new ArithmeticException($"The error of block {block} is {curve[step]} at step {step}; take lower rates.");
            steps.Step(loss, step);
            progress?.Report(new((block * options.Steps) + step + 1, (long)model.Layers * options.Steps, FormattableString.Invariant($"block {block + 1} of {model.Layers}, error {curve[step]:G3}")));
        }

        return curve;
    }
}
