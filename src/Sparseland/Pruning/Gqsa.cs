using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// GQSA (Zeng et al., IJCNLP-AACL 2025, arXiv 2412.17560): groups of consecutive weights of a row go whole, those that stay are quantised, and accuracy is won back in two
/// stages: weights and parameters of the quantiser block by block (BQPO), then the scales alone end to end (E2E-OQP).
/// </summary>
/// <remarks>
/// No reference code is public. Our readings: the saliency of a weight is that of optimal brain surgery, w^2 / [H^-1]_jj with SparseGPT's damped H, and a group's the mean over its
/// weights (not w^2 / U_jj^2, SparseGPT's score while it goes from left to right: it favours the last inputs, which nothing makes up for here); both stages follow EfficientQAT, on which the paper builds, with AdamW without decay along half a cosine. A block's saliency is computed when its turn comes, from
/// the inputs that the compressed blocks before give.
/// </remarks>
public static class Gqsa
{
    /// <summary>Saliency of the groups: the mean over a group's weights of w^2 / [H^-1]_jj. It does not depend on the order of the inputs.</summary>
    /// <param name="weight">[out, in].</param>
    /// <param name="factor">The factor of the layer's inputs.</param>
    /// <param name="groupSize">G; it divides the inputs.</param>
    /// <returns>Float64 [out, in / G]; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">G does not divide the inputs, or the shapes do not fit.</exception>
    public static Tensor Saliency(Tensor weight, ObsFactor factor, int groupSize)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(factor);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(groupSize);
        if (weight.dim() != 2 || weight.shape[1] % groupSize != 0) throw new ArgumentException($"Groups of {groupSize} do not divide the inputs of a weight [{string.Join(", ", weight.shape)}].", nameof(groupSize));
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(Scores(weight, factor).view(weight.shape[0], -1, groupSize).mean([2L]));
    }

    /// <summary>Which weights of a layer stay: the groups of highest saliency under a pattern of groups, weight by weight under another.</summary>
    /// <param name="name">Name of the layer, for messages.</param>
    /// <param name="weight">[out, in], finite.</param>
    /// <param name="factor">The factor of the layer's inputs.</param>
    /// <param name="pattern">How sparse, and who competes with whom.</param>
    /// <returns>Bool [out, in]; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">The pattern does not fit, or a weight is not finite; the layer is named.</exception>
    public static Tensor Prune(string name, Tensor weight, ObsFactor factor, PruningPattern pattern)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(factor);
        ArgumentNullException.ThrowIfNull(pattern);
        using DisposeScope scope = NewDisposeScope();
        if (pattern is not BlocksPattern { BlockRows: 1 } groups) return scope.MoveToOuter(MaskSet.Keep(name, Scores(weight, factor), pattern));
        if (weight.dim() != 2 || weight.shape[1] % groups.BlockColumns != 0)
            throw new ArgumentException($"{name}: groups of {groups.BlockColumns} do not divide the inputs of a weight [{string.Join(", ", weight.shape)}].", nameof(pattern));

        // Ranked as one score per group, so that the sum over weights that a pattern of blocks takes is that of one.
        Tensor kept = MaskSet.Keep(name, Saliency(weight, factor, groups.BlockColumns), new BlocksPattern(1, 1, groups.Sparsity, groups.WithinRows));
        return scope.MoveToOuter(kept.repeat_interleave(groups.BlockColumns, 1));
    }

    /// <summary>Stage 1: prunes and quantises block after block, each trained to give what the dense one gave, and fixes its integers. With no steps it is one shot.</summary>
    /// <param name="model">The decoder; its layers are replaced, and put back when it is stopped or fails.</param>
    /// <param name="sequences">Calibration texts, token ids [sequences, tokens], int64.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <param name="progress">Told after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <returns>The model's quantised layers; disposing it puts the dense ones back.</returns>
    /// <exception cref="ArgumentException">Groups do not divide a layer's inputs, weights or activations are not finite, or a setting is out of range; the layer is named.</exception>
    /// <exception cref="ArithmeticException">A block's error is no longer finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static GqsaModel Bqpo(LanguageModel model, Tensor sequences, GqsaOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        GqsaOptions o = options ?? new();
        o.Validate();
        foreach (LinearSlot slot in LinearSlots.Of(model))
        {
            if (slot.Module is not Linear linear) throw new ArgumentException($"{slot.Name} is a {slot.Module.GetType().Name}; GQSA begins with dense layers.", nameof(model));
            if (linear.weight.shape[1] % o.Quantizer.GroupSize != 0) throw new ArgumentException($"Groups of {o.Quantizer.GroupSize} do not divide the {linear.weight.shape[1]} inputs of {slot.Name}.", nameof(options));
            if (!TensorInput.IsFinite(linear.weight)) throw new ArgumentException($"A weight of {slot.Name} is not finite.", nameof(model));
        }

        var replaced = new List<ReplacedLayer>();
        try
        {
            IReadOnlyList<ReconstructedBlock> blocks = BlockwiseReconstruction.Run(
                model, sequences, block => Compress(block, o, replaced), new() { Steps = o.BlockSteps, Batch = o.Batch, Seed = o.Seed }, progress, cancel);
            return new(model, replaced, blocks, o);
        }
        catch
        {
            LinearSlots.Restore(replaced);
            foreach (ReplacedLayer layer in replaced) layer.After.Dispose();
            throw;
        }
    }

    /// <summary>Stage 2: trains the scales of all layers on the loss of the language model over the sequences; integers, zero points and masks stay.</summary>
    /// <param name="quantized">What stage 1 left.</param>
    /// <param name="sequences">Texts, token ids [sequences, tokens], int64, at least two tokens each.</param>
    /// <param name="progress">Told after each step.</param>
    /// <param name="cancel">Checked before each step; a cancelled training leaves the scales where they are then.</param>
    /// <returns>Loss of each step's batch, nats per token.</returns>
    /// <exception cref="ArgumentException">No texts, or texts of fewer than two tokens.</exception>
    /// <exception cref="ArithmeticException">The loss is no longer finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<double> E2eOqp(GqsaModel quantized, Tensor sequences, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(quantized);
        ArgumentNullException.ThrowIfNull(sequences);
        if (sequences.dim() != 2 || sequences.numel() == 0 || sequences.shape[1] < 2)
            throw new ArgumentException($"sequences must be [sequences, tokens] with at least two tokens each, but are [{string.Join(", ", sequences.shape)}].", nameof(sequences));
        GqsaOptions o = quantized.Options;
        LanguageModel model = quantized.Model;
        if (quantized.Layers.FirstOrDefault(l => !ReferenceEquals(LinearSlots.Find(model, l.Name).Module, l.Layer)) is { } other)
            throw new ArgumentException($"{other.Name} is no longer the layer of fixed integers that stage 1 left; stage 2 trains no other.", nameof(quantized));
        Parameter[] scales = [.. quantized.Layers.Select(l => l.Layer.Scales)];
        bool training = model.training;
        model.eval();
        using var only = new TrainedOnly(model, scales);
        using var steps = new RatedSteps([(scales, o.EndToEndRate)], o.EndToEndSteps);
        var order = new SequenceOrder((int)sequences.shape[0], o.Batch, o.Seed, 900);
        try
        {
            double[] curve = new double[o.EndToEndSteps];
            for (int step = 0; step < curve.Length; step++)
            {
                cancel.ThrowIfCancellationRequested();
                using DisposeScope scope = NewDisposeScope();
                Tensor ids = sequences.index_select(0, tensor(order.Next()));
                Tensor logits = model.Logits(ids.narrow(1, 0, ids.shape[1] - 1)), next = ids.narrow(1, 1, ids.shape[1] - 1);
                Tensor loss = nn.functional.cross_entropy(logits.flatten(0, 1), next.flatten());
                curve[step] = loss.item<float>();
                if (!double.IsFinite(curve[step])) throw new ArithmeticException($"The loss of step {step} is {curve[step]}; take a lower rate.");
                steps.Step(loss, step);
                progress?.Report(new(step + 1, curve.Length, FormattableString.Invariant($"loss {curve[step]:F3}")));
            }

            return curve;
        }
        finally
        {
            foreach (GqsaLayer layer in quantized.Layers) layer.Layer.RoundScales();
            model.train(training);
        }
    }

    /// <summary>w^2 / [H^-1]_jj, zero for dead inputs; H^-1 = U^T U, so that its diagonal is the squares of U summed over rows.</summary>
    private static Tensor Scores(Tensor weight, ObsFactor factor)
    {
        if (weight.shape[1] != factor.Diagonal.Count) throw new ArgumentException($"weight must be [out, {factor.Diagonal.Count}], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        Tensor inverse = factor.Upper.square().sum([0L]), scores = weight.detach().to(ScalarType.Float64).square() / inverse;
        foreach (int dead in factor.Dead) scores.select(1, dead).zero_();
        return scores;
    }

    /// <summary>Masks and quantised layers of a block, in place of its dense ones.</summary>
    private static BlockTraining Compress(BlockContext block, GqsaOptions options, List<ReplacedLayer> replaced)
    {
        var layers = new List<GroupQuantLinear>();
        int first = replaced.Count;
        foreach ((string name, Linear linear) in block.Layers)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor mask = Prune(name, linear.weight.detach(), block.Statistics[name].Factor(options.Damping), options.Pattern);
            GroupQuantLinear layer;
            try
            {
                layer = new(linear.weight, linear.bias, mask, options.Quantizer);
            }
            catch (ArgumentException error)
            {
                throw new ArgumentException($"{name}: {error.Message}", nameof(block), error);
            }

            layers.Add(layer);
            LinearSlot slot = LinearSlots.Find(block.Model, name);
            replaced.Add(new(slot, linear, layer));
            slot.Put(layer);
        }

        return new(
            [([.. layers.Select(l => l.Weight)], options.WeightRate), ([.. layers.SelectMany(l => new[] { l.Scales, l.Zeros })], options.ParameterRate)],
            () =>
            {
                for (int i = first; i < replaced.Count; i++)
                {
                    GroupScaleLinear layer = ((GroupQuantLinear)replaced[i].After).Fix();
                    replaced[i].Slot.Put(layer);
                    replaced[i].After.Dispose();
                    replaced[i] = replaced[i] with { After = layer };
                }
            });
    }
}
