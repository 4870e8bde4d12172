using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>How sparsity is shared out within each block.</summary>
public sealed record GreedyBlockOptions
{
    /// <summary>
    /// By how much a raise lifts the sparsity of a block, in (0, 0.5]. Default 0.005. TEAL's step of 0.05 lifts a layer by 0.05 over its weights relative to those of the queries, so the block by
    /// 0.05 over the sum of these: 0.0056 where that sum is 9. With large steps a small layer goes from dense to nearly nothing at once.
    /// </summary>
    public double Step { get; init; } = 0.005;

    /// <summary>Share of the positions, the last ones, over which a block's change is measured, in (0, 1]. Default 0.25.</summary>
    public double LastShare { get; init; } = 0.25;

    /// <summary>What an input is worth. Default <see cref="WeightInformedScore"/>.</summary>
    public InputScore Score { get; init; } = new WeightInformedScore();

    /// <summary>Replaces activations, as that of a <see cref="RotatedModel"/> does. Default null.</summary>
    public IActivationHook? Hook { get; init; }

    /// <summary>Refuses options out of their range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Score);
        if (!(Step is > 0 and <= 0.5)) throw new ArgumentOutOfRangeException(nameof(Step), Step, "Step must lie in (0, 0.5].");
        if (!(LastShare is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(LastShare), LastShare, "LastShare must lie in (0, 1].");
    }
}

/// <summary>Which layer gets how much sparsity.</summary>
public static class SparsityAllocation
{
    /// <summary>The same for every layer.</summary>
    /// <param name="model">The dense decoder.</param>
    /// <param name="sparsity">In [0, 1).</param>
    /// <exception cref="ArgumentOutOfRangeException">It is outside.</exception>
    public static SparsityTable Uniform(LanguageModel model, double sparsity)
    {
        ActivationBudget.Checked(sparsity);
        SparsityTable dense = SparsityTable.Dense(model);
        return new([.. dense.Layers.Select(l => l with { Sparsity = sparsity })], []);
    }

    /// <summary>
    /// TEAL's greedy search (Liu et al. 2024, algorithm 1), which WINA uses too: each block alone begins dense; again and again the one of its layers is raised whose raise changes the block's output
    /// least, by so much that the block gains one step, until the block has its target.
    /// </summary>
    /// <remarks>Blocks see the inputs that the dense model gives them. A layer keeps at least one input, so its last raise may be a smaller one.</remarks>
    /// <param name="model">The dense decoder.</param>
    /// <param name="ids">Token ids [sequences, tokens], int64; at least 256 tokens.</param>
    /// <param name="target">Sparsity of each block, in [0, 1).</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="progress">Steps done; the message says the block and its error.</param>
    /// <param name="cancel">Checked before each run of a block.</param>
    /// <returns>Sparsity of each block in [target, target + step]; its path gives all lower targets (<see cref="SparsityTable.At"/>).</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or too few tokens.</exception>
    public static SparsityTable GreedyBlock(
        LanguageModel model, Tensor ids, double target, GreedyBlockOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ids);
        options ??= new();
        options.Validate();
        ActivationBudget.Checked(target, nameof(target));
        ScoreCalibration.RequireTokens(ids);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor[] inputs = InputsOf(model, ids, options.Hook);
        SparsityTable dense = SparsityTable.Dense(model);
        ILookup<int, LayerSparsity> blocks = dense.Layers.ToLookup(l => BlockOf(model, l.Layer));
        int steps = (int)Math.Ceiling((target / options.Step) - 1e-9);
        var path = new List<SparsityStep>();
        using SparseInputs sparse = SparseInputs.Apply(model, dense, new() { Score = options.Score });
        for (int block = 0; block < model.Layers; block++)
        {
            using DisposeScope each = NewDisposeScope();
            var search = new BlockSearch(model, block, inputs[block], [.. blocks[block]], sparse, options);
            for (int step = 0; search.Sparsity < target - 1e-9; step++)
            {
                path.Add(search.Raise(cancel));
                progress?.Report(new((block * steps) + Math.Min(step + 1, steps), model.Layers * steps, FormattableString.Invariant($"block {block}, error {path[^1].Error:G3}")));
            }
        }

        Dictionary<string, double> last = path.GroupBy(s => s.Layer).ToDictionary(g => g.Key, g => g.Last().Sparsity);
        return new([.. dense.Layers.Select(l => l with { Sparsity = last.GetValueOrDefault(l.Layer) })], path);
    }

    private static Tensor[] InputsOf(LanguageModel model, Tensor ids, IActivationHook? hook)
    {
        var inputs = new Tensor[model.Layers];
        Tensor stream = model.EmbedTokens(ids);
        for (int block = 0; block < inputs.Length; block++)
        {
            inputs[block] = stream;
            if (block + 1 < inputs.Length) stream = model.RunBlock(block, stream, hook);
        }

        return inputs;
    }

    private static int BlockOf(LanguageModel model, string layer)
    {
        for (int block = 0; block < model.Layers; block++)
        {
            string[] own = [.. Models.LinearSlots.Of(model.BlockModule(block)).Select(slot => slot.Name)];
            if (Array.Exists(own, name => layer.EndsWith($".{block}.{name}", StringComparison.Ordinal))) return block;
        }

        throw new ArgumentException($"{layer} is in none of the blocks of the model.", nameof(layer));
    }

    /// <summary>The search in one block.</summary>
    private sealed class BlockSearch
    {
        private readonly LanguageModel _model;
        private readonly int _block;
        private readonly Tensor _input, _dense;
        private readonly LayerSparsity[] _layers;
        private readonly SparseInputs _sparse;
        private readonly GreedyBlockOptions _options;
        private readonly double[] _at;
        private readonly double _size;
        private double _error;

        public BlockSearch(LanguageModel model, int block, Tensor input, LayerSparsity[] layers, SparseInputs sparse, GreedyBlockOptions options)
        {
            (_model, _block, _input, _layers, _sparse, _options) = (model, block, input, layers, sparse, options);
            _at = new double[layers.Length];
            _dense = Last(model.RunBlock(block, input, options.Hook));
            _size = Squared(_dense);
        }

        public double Sparsity => _layers.Select((l, p) => l.Weights * _at[p]).Sum() / _layers.Sum(l => (double)l.Weights);

        /// <summary>Raises the layer whose raise changes the output least; where one is cut short, for each weight that it saves.</summary>
        public SparsityStep Raise(CancellationToken cancel)
        {
            (int best, double least, double bestError) = (-1, double.PositiveInfinity, 0);
            double all = _layers.Sum(l => (double)l.Weights);
            double Next(int p) => Math.Min(_at[p] + (_options.Step * all / _layers[p].Weights), 1 - (1.0 / _layers[p].Inputs));
            for (int p = 0; p < _layers.Length; p++)
            {
                cancel.ThrowIfCancellationRequested();
                if (Next(p) <= _at[p] + 1e-12) continue;
                using DisposeScope scope = NewDisposeScope();
                SparseInputLinear layer = _sparse[_layers[p].Layer];
                ActivationBudget before = layer.Budget;
                layer.Budget = ActivationBudget.TopK(Next(p));
                double error = Squared(Last(_model.RunBlock(_block, _input, _options.Hook)) - _dense);
                layer.Budget = before;
                double rate = (error - _error) / ((Next(p) - _at[p]) * _layers[p].Weights);
                if (rate < least) (best, least, bestError) = (p, rate, error);
            }

            if (best < 0) throw new InvalidOperationException($"No layer of block {_block} can be raised any further: every one is down to one input.");
            _at[best] = Next(best);
            _sparse[_layers[best].Layer].Budget = ActivationBudget.TopK(_at[best]);
            _error = bestError;
            return new(_block, _layers[best].Layer, _at[best], Sparsity, bestError / _size);
        }

        private static double Squared(Tensor t)
        {
            using DisposeScope scope = NewDisposeScope();
            return t.to(ScalarType.Float64).square().sum().item<double>();
        }

        private Tensor Last(Tensor output)
        {
            long tokens = output.shape[1], last = Math.Max(1, (long)Math.Ceiling(_options.LastShare * tokens));
            return output.narrow(1, tokens - last, last);
        }
    }
}
