using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>The budget of one layer and its split.</summary>
/// <param name="Layer">Path of the layer.</param>
/// <param name="Inputs">Inputs.</param>
/// <param name="Outputs">Outputs.</param>
/// <param name="Sparsity">Share of its weights that is not read, in [0, 1).</param>
/// <param name="Alpha">Share of the budget for channels, in [0, 1]; the rest goes to rank.</param>
public sealed record LayerSplit(string Layer, int Inputs, int Outputs, double Sparsity, double Alpha)
{
    /// <summary>Weights of the layer.</summary>
    public long Weights => (long)Inputs * Outputs;

    /// <summary>Channels and rank.</summary>
    /// <exception cref="ArgumentException">The budget buys neither.</exception>
    public RankSplit Split => RankSplit.Budget(Inputs, Outputs, Sparsity, Alpha);
}

/// <summary>A sparsity and a split between channels and rank for each layer of a decoder (Zhang et al. 2025, arXiv 2504.19449), and the operations of the search for one.</summary>
/// <param name="Layers">The layers in the order of the network.</param>
public sealed record RankAllocation(IReadOnlyList<LayerSplit> Layers)
{
    // So much of each layer is read at least, so that every budget buys something.
    private const double MostSparsity = 0.95;

    /// <summary>Sparsity of the model: the mean over layers, weighed by their number of weights.</summary>
    public double Sparsity => Layers.Sum(l => l.Weights * l.Sparsity) / Layers.Sum(l => (double)l.Weights);

    /// <summary>Share of the layers' weights that a token reads, counted in whole channels and ranks: at most 1 - <see cref="Sparsity"/>.</summary>
    public double ReadShare => Layers.Sum(l => (double)l.Split.Reads(l.Inputs, l.Outputs)) / Layers.Sum(l => (double)l.Weights);

    /// <summary>The same for every layer.</summary>
    /// <param name="model">The dense decoder.</param>
    /// <param name="sparsity">In [0, 1).</param>
    /// <param name="alpha">In [0, 1].</param>
    /// <exception cref="ArgumentException">A number is out of its range, or a budget that buys nothing.</exception>
    public static RankAllocation Uniform(LanguageModel model, double sparsity, double alpha)
    {
        RankAllocation all = new([.. SparsityTable.Dense(model).Layers.Select(l => new LayerSplit(l.Layer, l.Inputs, l.Outputs, sparsity, alpha))]);
        foreach (LayerSplit layer in all.Layers) _ = layer.Split;
        return all;
    }

    /// <summary>Factors of all linear layers of a decoder.</summary>
    /// <param name="model">The dense decoder.</param>
    /// <param name="cancel">Checked between layers.</param>
    /// <returns>By path of the layer; dispose them.</returns>
    public static IReadOnlyDictionary<string, LowRankFactors> Factors(LanguageModel model, CancellationToken cancel = default)
    {
        _ = SparsityTable.Dense(model);
        var factors = new Dictionary<string, LowRankFactors>();
        foreach (LinearSlot slot in LinearSlots.Of(model))
        {
            cancel.ThrowIfCancellationRequested();
            factors[slot.Name] = LowRankFactors.Of(((Linear)slot.Module).weight);
        }

        return factors;
    }

    /// <summary>Makes the layers of a decoder keep their channels and send the other inputs through their ranks.</summary>
    /// <param name="model">The decoder; its layers come back when the result is disposed.</param>
    /// <param name="factors">Factors of its layers; borrowed, and needed only where a rank is above zero.</param>
    /// <param name="score">What an input is worth. Null, the default, for <see cref="WeightInformedScore"/>.</param>
    /// <param name="sparseFrom">First position that drops inputs. Default 0.</param>
    /// <exception cref="ArgumentException">An allocation or factors of another model.</exception>
    public SparseInputs Apply(LanguageModel model, IReadOnlyDictionary<string, LowRankFactors> factors, InputScore? score = null, int sparseFrom = 0)
    {
        ArgumentNullException.ThrowIfNull(factors);
        Dictionary<string, (LayerSplit Layer, RankSplit Split)> splits = Layers.ToDictionary(l => l.Layer, l => (l, l.Split));
        IDroppedInputs? Rank(string layer)
        {
            if (splits[layer].Split.Rank == 0) return null;
            if (!factors.TryGetValue(layer, out LowRankFactors? own)) throw new ArgumentException($"There are no factors of \"{layer}\".", nameof(factors));
            return new RankAwareInputs(own, splits[layer].Split.Rank);
        }

        return SparseInputs.Apply(model, new([.. Layers.Select(l => new LayerSparsity(l.Layer, l.Inputs, l.Outputs, l.Sparsity))], []), new()
        {
            Score = score ?? new WeightInformedScore(),
            SparseFrom = sparseFrom,
            Budgets = layer => ActivationBudget.Channels(splits[layer].Split.Channels),
            Dropped = Rank,
        });
    }

    /// <summary>The allocation with its sparsities scaled so that the model has a sparsity: those that reach the most there may be stay there, and the others go on.</summary>
    /// <param name="sparsity">Sparsity of the model, in [0, 0.95].</param>
    /// <exception cref="ArgumentOutOfRangeException">It is outside.</exception>
    public RankAllocation Project(double sparsity)
    {
        if (!(sparsity is >= 0 and <= MostSparsity)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, $"sparsity must lie in [0, {MostSparsity}].");
        double all = Layers.Sum(l => (double)l.Weights), wanted = sparsity * all;
        double[] s = [.. Layers.Select(l => Math.Clamp(l.Sparsity, 1e-3, MostSparsity))];
        bool[] locked = new bool[s.Length];
        for (int round = 0; round <= s.Length; round++)
        {
            double free = 0, taken = 0;
            for (int i = 0; i < s.Length; i++) (free, taken) = locked[i] ? (free, taken + (Layers[i].Weights * s[i])) : (free + (Layers[i].Weights * s[i]), taken);
            double factor = free == 0 ? 1 : (wanted - taken) / free;
            bool over = false;
            for (int i = 0; i < s.Length; i++)
            {
                if (locked[i] || s[i] * factor <= MostSparsity) continue;
                (s[i], locked[i], over) = (MostSparsity, true, true);
            }

            if (over) continue;
            for (int i = 0; i < s.Length; i++) s[i] = locked[i] ? s[i] : s[i] * factor;
            break;
        }

        return new([.. Layers.Select((l, i) => l with { Sparsity = s[i] })]);
    }

    /// <summary>Moves some sparsity from one layer to another and changes the split of a third.</summary>
    /// <param name="random">Source of chance.</param>
    /// <param name="step">Largest change of a sparsity and of an alpha, finite and not negative. Default 0.05.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step is neither.</exception>
    public RankAllocation Mutate(Random random, double step = 0.05)
    {
        ArgumentNullException.ThrowIfNull(random);
        Finite.NotNegative(step);
        LayerSplit[] layers = [.. Layers];
        (int a, int b, int c) = (random.Next(layers.Length), random.Next(layers.Length), random.Next(layers.Length));
        double moved = step * random.NextDouble(), alpha = layers[c].Alpha + (step * ((2 * random.NextDouble()) - 1));
        layers[a] = layers[a] with { Sparsity = Math.Clamp(layers[a].Sparsity + (moved * layers[b].Weights / Math.Max(layers[a].Weights, layers[b].Weights)), 0, MostSparsity) };
        layers[b] = layers[b] with { Sparsity = Math.Clamp(layers[b].Sparsity - (moved * layers[a].Weights / Math.Max(layers[a].Weights, layers[b].Weights)), 0, MostSparsity) };
        layers[c] = layers[c] with { Alpha = Math.Clamp(alpha, 0, 1) };
        return new(layers);
    }

    /// <summary>Each layer from one of two parents.</summary>
    /// <param name="other">The other parent, of the same layers.</param>
    /// <param name="random">Source of chance.</param>
    /// <exception cref="ArgumentException">The parents have other layers, or in another order.</exception>
    public RankAllocation Cross(RankAllocation other, Random random)
    {
        ArgumentNullException.ThrowIfNull(other);
        ArgumentNullException.ThrowIfNull(random);
        if (!Layers.Select(l => (l.Layer, l.Inputs, l.Outputs)).SequenceEqual(other.Layers.Select(l => (l.Layer, l.Inputs, l.Outputs))))
            throw new ArgumentException("The other parent has other layers, or in another order: it is of another model.", nameof(other));
        return new([.. Layers.Zip(other.Layers, (a, b) => random.Next(2) == 0 ? a : b)]);
    }

    /// <summary>Searches for the allocation of the smallest loss on a text, at one sparsity of the model.</summary>
    /// <param name="model">The dense decoder; it is as it was when this ends.</param>
    /// <param name="factors">Factors of its layers.</param>
    /// <param name="text">Text to judge by, at least 256 tokens and not the one to report.</param>
    /// <param name="sparsity">Sparsity of the model, in [0, 0.95].</param>
    /// <param name="length">Tokens of a window of the text.</param>
    /// <param name="options">Null for the defaults of <see cref="EvolutionOptions"/>.</param>
    /// <param name="resume">A state to go on from; null, the default, begins anew with uniform allocations of several alphas.</param>
    /// <param name="progress">Generations done.</param>
    /// <param name="cancel">Checked before each candidate.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or too short a text.</exception>
    public static EvolutionState<RankAllocation> Search(
        LanguageModel model, IReadOnlyDictionary<string, LowRankFactors> factors, TokenText text, double sparsity, int length, EvolutionOptions? options = null,
        EvolutionState<RankAllocation>? resume = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        if (text.Count <= ScoreCalibration.FewestTokens) throw new ArgumentException($"The text has {text.Count} tokens; at least {ScoreCalibration.FewestTokens} and one to predict are needed to calibrate with.", nameof(text));
        RankAllocation pure = Uniform(model, sparsity, 1).Project(sparsity);
        RankAllocation Drawn(Random random)
        {
            RankAllocation drawn = new([.. pure.Layers.Select(l => l with { Alpha = 1 - (0.3 * random.NextDouble()) })]);
            for (int i = 0; i < drawn.Layers.Count; i++) drawn = drawn.Mutate(random, 0.2);
            return drawn;
        }

        double Loss(RankAllocation candidate)
        {
            using SparseInputs sparse = candidate.Apply(model, factors);
            return WindowedLoss.Of(model, text, length, cancel: cancel).Loss;
        }

        return EvolutionarySearch.Run(Drawn, Loss, (c, random) => c.Mutate(random), (a, b, random) => a.Cross(b, random), c => c.Project(sparsity), options, [pure], resume, progress: progress, cancel: cancel);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
