using Sparseland.Evaluation;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>What a search makes small.</summary>
public interface ISearchObjective
{
    /// <summary>Short name.</summary>
    string Name { get; }

    /// <summary>Gradient steps that judging one candidate costs, which a comparison must charge.</summary>
    long StepsPerCandidate { get; }

    /// <summary>The value of each candidate.</summary>
    /// <param name="parent">The parent whose weights they inherit; it stays.</param>
    /// <param name="candidates">The candidates.</param>
    /// <param name="progress">Reported on the way.</param>
    /// <param name="cancel">Checked between candidates.</param>
    double[] Of(Sequential parent, IReadOnlyList<SparseCandidate> candidates, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default);
}

/// <summary>Cross entropy of a fixed batch before any training: no gradient is taken.</summary>
/// <remarks>The first layer is multiplied once for the whole parent, and node masks of equal sizes go through the later layers many at a time.</remarks>
public sealed class UntrainedLoss : ISearchObjective
{
    private const int Together = 16;
    private readonly Tensor _X;
    private readonly Tensor _labels;

    /// <summary>On a batch.</summary>
    /// <param name="X">[samples, inputs]; stays the caller's.</param>
    /// <param name="labels">[samples], int64; stays the caller's.</param>
    /// <exception cref="ArgumentException">They do not fit each other.</exception>
    public UntrainedLoss(Tensor X, Tensor labels)
    {
        Accuracy.CheckSamples(X, labels);
        (_X, _labels) = (X, labels);
    }

    /// <inheritdoc/>
    public string Name => "loss before training";

    /// <inheritdoc/>
    public long StepsPerCandidate => 0;

    /// <inheritdoc/>
    public double[] Of(Sequential parent, IReadOnlyList<SparseCandidate> candidates, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(candidates);
        (string Name, Linear Layer)[] layers = SparseCandidate.LayersOf(parent);
        double[] losses = new double[candidates.Count];
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        bool nodes = candidates.Count > 0 && _X.dim() == 2 && candidates[0] is NodeMask first && candidates.All(c => c is NodeMask mask && mask.Kept.Select(k => k.Count).SequenceEqual(first.Kept.Select(k => k.Count)));
        Tensor? hidden = nodes ? nn.functional.relu(nn.functional.linear(_X, layers[0].Layer.weight!, layers[0].Layer.bias)) : null;
        for (int from = 0; from < candidates.Count;)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            int count = nodes ? Math.Min(Together, candidates.Count - from) : 1;
            if (nodes)
            {
                Side(layers, hidden!, [.. candidates.Skip(from).Take(count).Cast<NodeMask>()]).CopyTo(losses, from);
            }
            else
            {
                using Sequential built = candidates[from].Build(parent);
                losses[from] = nn.functional.cross_entropy(built.call(_X), _labels).to(ScalarType.Float64).item<double>();
            }

            from += count;
            progress?.Report(new(from, candidates.Count, Name));
        }

        return losses;
    }

    private double[] Side((string Name, Linear Layer)[] layers, Tensor hidden, NodeMask[] masks)
    {
        Tensor[] places = [.. Enumerable.Range(0, layers.Length - 1).Select(l => stack([.. masks.Select(mask => tensor(mask.Kept[l].Select(i => (long)i).ToArray()))]))];

        // [masks, samples, kept], then the rows and columns of each mask out of every weight.
        Tensor x = hidden.t().index_select(0, places[0].flatten()).view(masks.Length, places[0].shape[1], -1).transpose(1, 2);
        for (int l = 1; l < layers.Length; l++)
        {
            Tensor weight = layers[l].Layer.weight!;
            long outputs = weight.shape[0];
            Tensor rows = l < places.Length ? places[l] : arange(outputs, dtype: ScalarType.Int64).expand(masks.Length, outputs);
            Tensor flat = (rows.unsqueeze(2) * weight.shape[1]) + places[l - 1].unsqueeze(1);
            Tensor part = weight.flatten().index_select(0, flat.flatten()).view(flat.shape);
            x = x.bmm(part.transpose(1, 2));
            if (layers[l].Layer.bias is { } bias) x = x + bias.index_select(0, rows.flatten()).view(masks.Length, 1, -1);
            if (l + 1 < layers.Length) x = nn.functional.relu(x);
        }

        Tensor log = nn.functional.log_softmax(x, 2), chosen = log.gather(2, _labels.view(1, -1, 1).expand(masks.Length, -1, 1));
        return chosen.squeeze(2).mean([1]).neg().to(ScalarType.Float64).data<double>().ToArray();
    }
}

/// <summary>Loss on held-out samples after a few steps of training: the search then pays for gradients.</summary>
/// <param name="X">Training samples; stay the caller's.</param>
/// <param name="labels">Their labels.</param>
/// <param name="heldOut">Samples that judge; stay the caller's.</param>
/// <param name="heldOutLabels">Their labels.</param>
/// <param name="epochs">Epochs of each candidate. Default 1.</param>
/// <param name="options">Settings of the training but for the epochs; null, the default, for half a cosine from 0.1 to 0.</param>
public sealed class ShortTraining(Tensor X, Tensor labels, Tensor heldOut, Tensor heldOutLabels, int epochs = 1, MaskedSgdOptions? options = null) : ISearchObjective
{
    private readonly MaskedSgdOptions _options = (options ?? new() { Schedule = new(RetrainRate.Cosine, 0.1) }) with { Epochs = epochs };

    /// <inheritdoc/>
    public string Name => $"loss after {_options.Epochs} epochs";

    /// <inheritdoc/>
    public long StepsPerCandidate => _options.Epochs * ((X.shape[0] + _options.BatchSize - 1) / _options.BatchSize);

    /// <inheritdoc/>
    public double[] Of(Sequential parent, IReadOnlyList<SparseCandidate> candidates, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(candidates);
        double[] losses = new double[candidates.Count];
        for (int i = 0; i < candidates.Count; i++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            using Sequential network = candidates[i].Build(parent);
            using MaskSet? masks = candidates[i] is EdgeMask ? candidates[i].Apply(network) : null;
            MaskedSgd.Run(network, masks, X, labels, _options, cancel: cancel);
            using Tensor logits = Logits.Of(network, heldOut);
            losses[i] = Calibration.Of(logits, heldOutLabels).Nll;
            progress?.Report(new(i + 1, candidates.Count, Name));
        }

        return losses;
    }
}
