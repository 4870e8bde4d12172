using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Synaptic flow without data (SynFlow, Tanaka et al. 2020): R is the sum of the outputs of the network with all parameters replaced by their absolute value, for an input
/// of ones and with batch norm in evaluation mode; the score of a weight is |w dR/dw|. It is made to be ranked in many rounds: in one, whole layers can go.
/// </summary>
public static class SynFlowScore
{
    /// <summary>Scores of all prunable weights of the network as it is, or under masks. The network stays as it was.</summary>
    /// <param name="model">The network.</param>
    /// <param name="sampleShape">Shape of one sample, without the batch dimension.</param>
    /// <param name="masks">What is kept so far; null, the default, for everything.</param>
    /// <exception cref="ArgumentException">Nothing to prune, a shape that is not positive, or a flow that overflows.</exception>
    public static ParameterScores Of(nn.Module<Tensor, Tensor> model, IReadOnlyList<long> sampleShape, MaskSet? masks = null)
    {
        ArgumentNullException.ThrowIfNull(sampleShape);
        if (sampleShape.Count == 0 || sampleShape.Any(size => size < 1)) throw new ArgumentException($"A sample's shape is not [{string.Join(", ", sampleShape)}]; it must be positive.", nameof(sampleShape));
        using DisposeScope scope = NewDisposeScope();
        using var probe = new ProbedNetwork(model, train: false);
        Parameter[] all = [.. model.parameters()];
        Tensor[] values = [.. all.Select(p => p.detach().clone())];
        try
        {
            using (no_grad())
            {
                if (masks is not null) masks.Apply();
                foreach (Parameter parameter in all) parameter.abs_();
            }

            Tensor flow = model.call(ones([1, .. sampleShape], dtype: probe.Weights[0].dtype, device: probe.Weights[0].device)).sum();
            IList<Tensor> gradients = autograd.grad([flow], probe.Weights);
            using IDisposable off = no_grad();
            Tensor[] scores = [.. probe.Weights.Select((weight, i) => weight.mul(gradients[i]).abs())];
            int broken = Array.FindIndex(scores, s => !TensorInput.IsFinite(s));
            return broken < 0 ? new("SynFlow", probe.Names.Select((name, i) => KeyValuePair.Create(name, scores[i])))
                : throw new ArgumentException($"The flow through {probe.Names[broken]} overflows; take the network in Float64.", nameof(model));
        }
        finally
        {
            using IDisposable off = no_grad();
            for (int i = 0; i < all.Length; i++) all[i].copy_(values[i]);
        }
    }

    /// <summary>Prunes in rounds: after round k of n the share d^(k/n) of all weights is left, ranked globally by the scores under the masks so far.</summary>
    /// <param name="model">The network; nothing in it changes.</param>
    /// <param name="sampleShape">Shape of one sample.</param>
    /// <param name="density">d, above 0 and at most 1.</param>
    /// <param name="rounds">n. Default 100.</param>
    /// <param name="progress">Reported after each round.</param>
    /// <param name="cancel">Checked before each round.</param>
    /// <exception cref="ArgumentException">As for the scores; a density out of its range; a layer that lost all its weights.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static MaskSet Prune(
        nn.Module<Tensor, Tensor> model, IReadOnlyList<long> sampleShape, double density, int rounds = 100, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "A density must lie above 0 and not above 1.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rounds);
        IReadOnlyDictionary<string, Parameter> weights = PrunableWeights.Of(model);
        long size = weights.Values.Sum(weight => weight.numel());
        MaskSet kept = MaskSet.Random(model, weights.ToDictionary(pair => pair.Key, _ => 1.0), 0);
        try
        {
            for (int round = 1; round <= rounds; round++)
            {
                cancel.ThrowIfCancellationRequested();
                using ParameterScores scores = Of(model, sampleShape, kept);
                long left = PruningPattern.Kept(size, 1 - Math.Pow(density, (double)round / rounds)), before = kept.Active;
                MaskSet next = MaskSet.FromScores(model, scores, PruningPattern.Global((double)(before - left) / before), kept);
                kept.Dispose();
                kept = next;
                progress?.Report(new(round, rounds, "pruned in rounds"));
            }

            return kept;
        }
        catch
        {
            kept.Dispose();
            throw;
        }
    }
}
