using Sparseland.Models;
using Sparseland.Models.Language;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>How the layers of a decoder drop inputs.</summary>
public sealed record SparseInputsOptions
{
    /// <summary>What an input is worth. Default <see cref="WeightInformedScore"/> with the norms of all layers.</summary>
    public InputScore Score { get; init; } = new WeightInformedScore();

    /// <summary>First position of a sequence that drops inputs; those before are dense. Beyond the sequence nothing is sparse, and the counters say so. Default 0.</summary>
    public int SparseFrom { get; init; }

    /// <summary>Scores to read thresholds from, one for each layer; then the number of kept inputs varies from token to token. Default null: every token keeps the same number.</summary>
    public ScoreCalibration? Thresholds { get; init; }

    /// <summary>Other budgets than those of the table, by path of the layer. Default null: the table's.</summary>
    public Func<string, ActivationBudget>? Budgets { get; init; }

    /// <summary>What is made of dropped inputs, by path of the layer; null for nothing. What it gives is borrowed. Default null.</summary>
    public Func<string, IDroppedInputs?>? Dropped { get; init; }

    /// <summary>Refuses options out of their range.</summary>
    /// <exception cref="ArgumentException">An option is out of its range, or thresholds of another score.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Score);
        ArgumentOutOfRangeException.ThrowIfNegative(SparseFrom);
        if (Thresholds is not null && Budgets is not null) throw new ArgumentException("Thresholds and Budgets both say how many inputs are kept; give one.", nameof(Thresholds));
        if (Thresholds is not null && Thresholds.Score != Score) throw new ArgumentException($"Thresholds are of {Thresholds.Score}, but the score is {Score}.", nameof(Thresholds));
    }
}

/// <summary>
/// A decoder whose linear layers drop inputs, until this is disposed. Any decoder here: the layers are put into its slots (<see cref="LinearSlots"/>), so losses, hooks and generation work
/// as before. Texts given at once are multiplied with zeros in place; tokens that come one at a time, as from <see cref="TextGenerator"/>, read the kept columns only.
/// </summary>
/// <remarks>One call of the model at a time: the layers count what they do. The fast path keeps a transposed copy of each matrix, made at the first single token.</remarks>
public sealed class SparseInputs : IDisposable
{
    private readonly IReadOnlyList<ReplacedLayer> _replaced;
    private bool _done;

    private SparseInputs(LanguageModel model, SparsityTable table, IReadOnlyList<ReplacedLayer> replaced)
    {
        (Model, Table, _replaced) = (model, table, replaced);
        model.Begins += Begin;
    }

    /// <summary>The model.</summary>
    public LanguageModel Model { get; }

    /// <summary>Sparsities that were asked for.</summary>
    public SparsityTable Table { get; }

    /// <summary>What each layer has done since the counters were set to zero: its realised sparsity and its reads.</summary>
    public IReadOnlyList<LayerReads> Reads => [.. Layers.Select(layer => layer.Reads)];

    /// <summary>Sparsity realised by the whole model, layers weighed by their weights; tokens that were dense are not counted.</summary>
    public double Realised => Reads.Sum(r => (double)r.Inputs * r.Outputs * r.Realised) / Reads.Sum(r => (double)r.Inputs * r.Outputs);

    /// <summary>Share of the layers' weights that the tokens so far needed; 1 where nothing was dropped.</summary>
    public double ShareNeeded => Reads.Sum(r => (double)r.WeightsNeeded) / Reads.Sum(r => (double)r.Inputs * r.Outputs * Math.Max(1, r.Tokens));

    private IEnumerable<SparseInputLinear> Layers => _replaced.Select(r => (SparseInputLinear)r.After);

    /// <summary>Makes the layers of a decoder drop inputs.</summary>
    /// <param name="model">The decoder; its layers come back when the result is disposed.</param>
    /// <param name="table">A sparsity for each layer; 0 leaves it dense.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <exception cref="ArgumentException">A table of another model, or an option out of its range; nothing has been changed.</exception>
    public static SparseInputs Apply(LanguageModel model, SparsityTable table, SparseInputsOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(table);
        options ??= new();
        options.Validate();
        table.RequireFor(model);
        ActivationBudget BudgetOf(LayerSparsity layer) => options.Budgets?.Invoke(layer.Layer)
            ?? (options.Thresholds is { } thresholds ? ActivationBudget.Threshold(thresholds[layer.Layer], layer.Sparsity) : ActivationBudget.TopK(layer.Sparsity));
        Dictionary<string, SparseInputLinear> layers = [];
        try
        {
            foreach ((LayerSparsity layer, LinearSlot slot) in table.Layers.Zip(LinearSlots.Of(model)))
                layers[layer.Layer] = new((Linear)slot.Module, layer.Layer, options.Score, BudgetOf(layer), options.SparseFrom, options.Dropped?.Invoke(layer.Layer));
        }
        catch
        {
            foreach (SparseInputLinear made in layers.Values) made.Dispose();
            throw;
        }

        return new(model, table, LinearSlots.Replace(model, (name, _) => layers[name]));
    }

    /// <summary>Sets all counters to zero.</summary>
    public void ResetReads()
    {
        foreach (SparseInputLinear layer in Layers) layer.ResetReads();
    }

    /// <summary>Puts the model's own layers back.</summary>
    public void Dispose()
    {
        if (_done) return;
        _done = true;
        Model.Begins -= Begin;
        LinearSlots.Restore(_replaced);
        foreach (ReplacedLayer layer in _replaced) layer.After.Dispose();
    }

    private void Begin(int position)
    {
        foreach (SparseInputLinear layer in Layers) layer.Begin(position);
    }

    /// <summary>The sparse layer of a path.</summary>
    internal SparseInputLinear this[string layer] => Layers.First(l => l.Layer == layer);
}
