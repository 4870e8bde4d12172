using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>Which end of a ranking is taken.</summary>
public enum ScoreEnd
{
    /// <summary>The smallest scores: units that the pretrained network hardly uses.</summary>
    Smallest,

    /// <summary>The largest scores.</summary>
    Largest,
}

/// <summary>Which units (channels or heads) of one matrix of each block are trained.</summary>
/// <param name="Matrix">The matrix.</param>
/// <param name="Units">[layers, units]: what is trained; a layer may have none.</param>
public sealed record StructureSelection(SlicedMatrix Matrix, Support Units)
{
    /// <summary>Units drawn over all layers together without replacement, the paper's default: layers get different counts.</summary>
    /// <param name="config">Sizes of the decoder.</param>
    /// <param name="matrix">The matrix.</param>
    /// <param name="share">Share of the units of all layers, above 0 to 1; rounded to whole units.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <exception cref="ArgumentException">A share out of its range, or one that selects nothing.</exception>
    public static StructureSelection Random(LlamaConfig config, SlicedMatrix matrix, double share, long seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        matrix.Check(nameof(matrix));
        if (!(share is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "share must lie above 0 and not above 1.");
        int units = matrix.Units(config), all = checked(config.Layers * units), count = (int)Math.Round(share * all, MidpointRounding.AwayFromZero);
        if (count == 0) throw new ArgumentOutOfRangeException(nameof(share), share, $"share selects none of the {all} units; take at least {1.0 / all:G3}.");
        var random = new SeededRandom(seed, 0x52F7);
        var scores = new double[all];
        for (int i = 0; i < all; i++) scores[i] = random.NextDouble();
        return new(matrix, Select.TopK(scores, config.Layers, units, Budget.Global(count)));
    }

    /// <summary>Units by a score; see <see cref="StructureScores"/>.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="scores">[layers, units], finite.</param>
    /// <param name="end">Smallest or largest.</param>
    /// <param name="budget">Over all layers together (<see cref="Budget.Global"/>), or as many in each (<see cref="Budget.PerRow(int)"/>).</param>
    /// <exception cref="ArgumentException">Scores of another shape or not finite, or a budget that does not fit or selects nothing.</exception>
    public static StructureSelection ByScore(SlicedMatrix matrix, Tensor scores, ScoreEnd end, Budget budget)
    {
        matrix.Check(nameof(matrix));
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(budget);
        if (!Enum.IsDefined(end)) throw new ArgumentOutOfRangeException(nameof(end), end, "end is Smallest or Largest.");
        using DisposeScope scope = NewDisposeScope();
        Tensor plain = scores.detach();
        TensorInput.CheckMatrix(plain, nameof(scores), "[layers, units]");
        Support units = Select.TopK(end == ScoreEnd.Largest ? plain : plain.neg(), budget);
        return units.Count > 0 ? new(matrix, units) : throw new ArgumentException("The budget selects no unit.", nameof(budget));
    }

    /// <summary>Rows or columns of the matrix of one layer that are trained, ascending.</summary>
    /// <param name="layer">The layer, from 0.</param>
    /// <param name="config">Sizes of the decoder.</param>
    /// <exception cref="ArgumentException">The selection is for other sizes.</exception>
    public int[] IndicesOf(int layer, LlamaConfig config)
    {
        CheckFor(config, nameof(config));
        int width = Matrix.UnitWidth(config);
        return [.. Units.Row(layer).ToArray().SelectMany(unit => Enumerable.Range(unit * width, width))];
    }

    /// <summary>Numbers that are trained.</summary>
    /// <param name="config">Sizes of the decoder.</param>
    /// <exception cref="ArgumentException">The selection is for other sizes.</exception>
    public long ParametersIn(LlamaConfig config)
    {
        CheckFor(config, nameof(config));
        return (long)Units.Count * Matrix.UnitWidth(config) * Matrix.UnitLength(config);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Units.Count} of {(long)Units.Rows * Units.Columns} units of {Matrix}, by layer {string.Join(", ", Units.CountsPerRow())}";

    internal void CheckFor(LlamaConfig config, string argument)
    {
        ArgumentNullException.ThrowIfNull(config, argument);
        int units = Matrix.Units(config);
        if (Units.Rows != config.Layers || Units.Columns != units)
            throw new ArgumentException($"The selection is for {Units.Rows} layers of {Units.Columns} units of {Matrix}; the decoder has {config.Layers} layers of {units}.", argument);
    }
}
