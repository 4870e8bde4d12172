using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>
/// Dropped inputs are replaced by what they are on average: y = W (m x) + b with b = W E[(1 - m) x], measured on calibration tokens; or by one of k such vectors, that of the nearest mean (k-means over tokens).
/// It says how constant what is dropped is (Zhang et al. 2025, the first observation).
/// </summary>
public sealed class BiasRecovery : IDroppedInputs, IDisposable
{
    private const int Rounds = 25;
    private readonly Tensor _means, _biases;
    private readonly NativeSize _size;

    private BiasRecovery(Tensor means, Tensor biases) => (_means, _biases, _size) = (means, biases, NativeSize.Of(means, biases));

    /// <summary>Vectors to choose from.</summary>
    public int Count => (int)_means.shape[0];

    /// <inheritdoc/>
    public int Inputs => (int)_means.shape[1];

    /// <inheritdoc/>
    public int Outputs => (int)_biases.shape[1];

    /// <summary>One bias vector; to find the nearest of several also all means.</summary>
    public long Reads => Outputs + (Count > 1 ? (long)Count * Inputs : 0);

    /// <summary>Means of what calibration tokens drop.</summary>
    /// <param name="weight">W [out, in].</param>
    /// <param name="dropped">(1 - m) x of the tokens [tokens, in], of the type of W.</param>
    /// <param name="count">Vectors, from 1 to the number of tokens. Default 1.</param>
    /// <param name="seed">Seed of the first means of k-means (k-means++, Arthur and Vassilvitskii 2007). Default 1.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit, a number is out of its range, or is not finite.</exception>
    public static BiasRecovery Of(Tensor weight, Tensor dropped, int count = 1, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(dropped);
        if (weight.dim() != 2 || dropped.dim() != 2 || dropped.shape[1] != weight.shape[1] || dropped.dtype != weight.dtype)
            throw new ArgumentException($"weight must be [out, in] and dropped [tokens, in] of its type, but they are [{string.Join(", ", weight.shape)}] of {weight.dtype} and [{string.Join(", ", dropped.shape)}] of {dropped.dtype}.", nameof(dropped));
        if (count < 1 || count > dropped.shape[0]) throw new ArgumentOutOfRangeException(nameof(count), count, $"count must be from 1 to the {dropped.shape[0]} tokens.");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = dropped.detach().to(ScalarType.Float64);
        if (!TensorInput.IsFinite(rows)) throw new ArgumentException("dropped holds NaN or infinity.", nameof(dropped));
        Tensor means = count == 1 ? rows.mean([0L], keepdim: true) : Means(rows, count, seed), biases = means.mm(weight.detach().to(ScalarType.Float64).t());
        return new(means.to(weight.dtype).DetachFromDisposeScope(), biases.to(weight.dtype).DetachFromDisposeScope());
    }

    /// <summary>Means of what the layers of a decoder drop of some texts, when the model is dense before them.</summary>
    /// <param name="model">The dense decoder; it stays as it is.</param>
    /// <param name="ids">Token ids [sequences, tokens], int64; at least 256 tokens.</param>
    /// <param name="table">How much each layer drops.</param>
    /// <param name="score">What an input is worth.</param>
    /// <param name="count">Vectors for each layer. Default 1.</param>
    /// <param name="seed">Seed of k-means. Default 1.</param>
    /// <param name="cancel">Checked between layers.</param>
    /// <returns>By path of the layer; dispose them.</returns>
    /// <exception cref="ArgumentException">A table of another model, too few tokens, or a number out of its range.</exception>
    public static IReadOnlyDictionary<string, BiasRecovery> Of(
        LanguageModel model, Tensor ids, SparsityTable table, InputScore score, int count = 1, long seed = 1, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(score);
        ScoreCalibration.RequireTokens(ids);
        table.RequireFor(model);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        var inputs = new Dictionary<string, Tensor>();
        var stop = new List<Action>();
        try
        {
            foreach (LinearSlot slot in LinearSlots.Of(model))
            {
                string name = slot.Name;
                stop.Add(((Linear)slot.Module).register_forward_pre_hook((_, input) =>
                {
                    inputs[name] = input.detach().reshape(-1, input.shape[^1]).clone().DetachFromDisposeScope();
                    return input;
                }).remove);
            }

            model.Logits(ids, lastOnly: true);
        }
        finally
        {
            foreach (Action each in stop) each();
        }

        var made = new Dictionary<string, BiasRecovery>();
        foreach (LinearSlot slot in LinearSlots.Of(model))
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope one = NewDisposeScope();
            using Tensor x = inputs[slot.Name];
            Tensor weight = ((Linear)slot.Module).weight, scores = InputScore.Of(x, score.ScaleOf(slot.Name, weight));
            made[slot.Name] = Of(weight, x.masked_fill(ActivationBudget.TopK(table[slot.Name]).Choose(scores).ToMask(), 0), count, seed);
        }

        return made;
    }

    /// <inheritdoc/>
    public Tensor Outcome(Tensor dropped)
    {
        ArgumentNullException.ThrowIfNull(dropped);
        if (dropped.dim() != 2 || dropped.shape[1] != Inputs) throw new ArgumentException($"dropped must be [tokens, {Inputs}], but is [{string.Join(", ", dropped.shape)}].", nameof(dropped));
        if (dropped.dtype != _means.dtype || dropped.device_type != _means.device_type)
            throw new ArgumentException($"dropped is {dropped.dtype} on {dropped.device_type}; the means are {_means.dtype} on {_means.device_type}.", nameof(dropped));
        using DisposeScope scope = NewDisposeScope();
        Tensor result = Count == 1 ? _biases.expand(dropped.shape[0], Outputs).clone() : _biases.index_select(0, Nearest(dropped, _means));
        return result.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _means.Dispose();
        _biases.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"BiasRecovery of {Count} vectors for [{Outputs}, {Inputs}]";

    // The squared size of a row is the same for all means.
    private static Tensor Nearest(Tensor rows, Tensor means) => (means.square().sum([1L]) - (rows.mm(means.t()) * 2)).argmin(1);

    private static Tensor Means(Tensor rows, int count, long seed)
    {
        var random = new SeededRandom(seed, 510);
        Tensor means = rows[random.NextInt((int)rows.shape[0])].unsqueeze(0);
        while (means.shape[0] < count)
        {
            // A row is drawn with the square of its distance from the nearest mean.
            double[] far = cdist(rows, means).min(1).values.square().data<double>().ToArray();
            double draw = random.NextDouble() * far.Sum();
            int at = 0;
            while (at < far.Length - 1 && (draw -= far[at]) >= 0) at++;
            means = cat([means, rows[at].unsqueeze(0)], 0);
        }

        Tensor before = Nearest(rows, means);
        for (int round = 0; round < Rounds; round++)
        {
            Tensor member = nn.functional.one_hot(before, count).to(ScalarType.Float64), sizes = member.sum([0L]);

            // A mean that has lost all its rows stays where it was.
            means = where(sizes.unsqueeze(1) > 0, member.t().mm(rows) / sizes.clamp_min(1).unsqueeze(1), means);
            Tensor next = Nearest(rows, means);
            if (next.equal(before).all().item<bool>()) break;
            before = next;
        }

        return means;
    }
}
