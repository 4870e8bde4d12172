using Sparseland.Models.Language;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>Weights that a decoder reads for one token. One token at a time is bound by reading them, so shares of reads say what speed can be had.</summary>
/// <param name="Dense">Weights of the linear layers of the blocks.</param>
/// <param name="Read">How many of them a token reads.</param>
/// <param name="Head">Weights of the head, which are always read; an embedding is one row and not counted.</param>
public sealed record WeightReads(long Dense, double Read, long Head)
{
    /// <summary>Share of the blocks' weights that is read.</summary>
    public double Share => Read / Dense;

    /// <summary>The same with the head, which stays dense.</summary>
    public double ShareWithHead => (Read + Head) / (Dense + Head);

    /// <summary>How much faster a token could be, before overheads, if reading were all.</summary>
    public double ExpectedSpeed => 1 / ShareWithHead;

    /// <summary>Reads of a decoder whose layers drop inputs; the numbers of kept inputs are those of <see cref="ActivationBudget.TopK"/>.</summary>
    /// <param name="model">The dense decoder.</param>
    /// <param name="table">Sparsities of its layers.</param>
    /// <exception cref="ArgumentException">The table is of another model.</exception>
    public static WeightReads Of(LanguageModel model, SparsityTable table)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(table);
        table.RequireFor(model);
        return new(table.Layers.Sum(l => l.Weights), table.Layers.Sum(l => (double)l.Outputs * ActivationBudget.Kept(l.Inputs, l.Sparsity)), HeadOf(model));
    }

    /// <summary>Reads of a decoder of gated MLPs whose hidden units are chosen: the gate is read whole where the choice needs it, up and down on the chosen units.</summary>
    /// <param name="model">The dense decoder.</param>
    /// <param name="density">Share of the hidden units that are used, in (0, 1].</param>
    /// <param name="wholeGate">Whether the choice needs the gate of every unit: it does token by token, and not where the prompt has chosen.</param>
    /// <exception cref="ArgumentOutOfRangeException">The density is outside.</exception>
    public static WeightReads OfNeurons(TinyLM model, double density, bool wholeGate)
    {
        ArgumentNullException.ThrowIfNull(model);
        int kept = NeuronSparsity.Kept(model.Config.MlpWidth, density);
        SparsityTable dense = SparsityTable.Dense(model);
        double saved = (double)model.Layers * model.Width * (model.Config.MlpWidth - kept) * (wholeGate ? 2 : 3);
        long all = dense.Layers.Sum(l => l.Weights);
        return new(all, all - saved, HeadOf(model));
    }

    private static long HeadOf(LanguageModel model) => (long)model.Vocabulary * model.Width;
}
