using Sparseland.Models;
using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>Scores of the inputs of all linear layers of a decoder over calibration tokens: what thresholds are read from.</summary>
public sealed class ScoreCalibration
{
    /// <summary>Tokens that a calibration needs at least.</summary>
    public const int FewestTokens = 256;

    private readonly Dictionary<string, ScoreHistogram> _layers;

    private ScoreCalibration(Dictionary<string, ScoreHistogram> layers, InputScore score, long tokens) => (_layers, Score, Tokens) = (layers, score, tokens);

    /// <summary>The score that was calibrated.</summary>
    public InputScore Score { get; }

    /// <summary>Tokens seen.</summary>
    public long Tokens { get; }

    /// <summary>The scores of a layer.</summary>
    /// <param name="layer">Path of the layer.</param>
    /// <exception cref="ArgumentException">There is no such layer.</exception>
    public ScoreHistogram this[string layer] => _layers.TryGetValue(layer, out ScoreHistogram? histogram) ? histogram
        : throw new ArgumentException($"No scores of \"{layer}\" were calibrated; there are {string.Join(", ", _layers.Keys)}.", nameof(layer));

    /// <summary>Runs the dense model over texts and gathers the scores.</summary>
    /// <param name="model">The decoder, with its linear layers; it stays as it is.</param>
    /// <param name="ids">Token ids [sequences, tokens], int64; at least <see cref="FewestTokens"/> in all.</param>
    /// <param name="score">The score.</param>
    /// <param name="hook">Replaces activations, as that of a <see cref="RotatedModel"/> does. Null, the default, for none.</param>
    /// <param name="cancel">Checked between sequences.</param>
    /// <exception cref="ArgumentException">Too few tokens, or scores that are not finite, whose layer is named.</exception>
    public static ScoreCalibration Gather(LanguageModel model, Tensor ids, InputScore score, IActivationHook? hook = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(score);
        RequireTokens(ids);
        using DisposeScope outer = NewDisposeScope();
        using IDisposable off = no_grad();
        var layers = new Dictionary<string, ScoreHistogram>();
        var stop = new List<Action>();
        try
        {
            foreach (LinearSlot slot in LinearSlots.Of(model))
            {
                if (slot.Module is not Linear linear) throw new ArgumentException($"{slot} is not linear; calibrate the dense model.", nameof(model));
                (string name, Tensor? scale) = (slot.Name, score.ScaleOf(slot.Name, linear.weight));
                layers[name] = new();
                stop.Add(linear.register_forward_pre_hook((_, input) =>
                {
                    Add(layers[name], name, input, scale);
                    return input;
                }).remove);
            }

            for (long i = 0; i < ids.shape[0]; i++)
            {
                cancel.ThrowIfCancellationRequested();
                using DisposeScope scope = NewDisposeScope();
                model.Logits(ids.narrow(0, i, 1), hook, lastOnly: true);
            }
        }
        finally
        {
            foreach (Action each in stop) each();
        }

        return new(layers, score, ids.numel());
    }

    /// <inheritdoc/>
    public override string ToString() => $"ScoreCalibration of {_layers.Count} layers over {Tokens} tokens, {Score.GetType().Name}";

    internal static void RequireTokens(Tensor ids)
    {
        if (ids.dim() != 2 || ids.numel() < FewestTokens)
            throw new ArgumentException($"ids must be [sequences, tokens] with at least {FewestTokens} tokens to calibrate with, but are [{string.Join(", ", ids.shape)}].", nameof(ids));
    }

    private static void Add(ScoreHistogram histogram, string layer, Tensor input, Tensor? scale)
    {
        using DisposeScope scope = NewDisposeScope();
        try
        {
            histogram.Add(InputScore.Of(input, scale));
        }
        catch (ArgumentException error)
        {
            throw new ArgumentException($"{layer}: {error.Message}", nameof(input), error);
        }
    }
}
