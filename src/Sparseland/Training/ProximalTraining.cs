using System.Globalization;
using Sparseland.Coding;
using Sparseland.Data;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>What one epoch left behind.</summary>
/// <param name="Epoch">Epochs done.</param>
/// <param name="Loss">Mean cross entropy of the epoch's mini-batches, each before its step, penalty not included.</param>
/// <param name="LearningRate">eta of the epoch.</param>
/// <param name="Surviving">Groups that are not zero, one number per part.</param>
/// <param name="TestAccuracy">Share of the test samples that are right, or NaN without test samples.</param>
public sealed record EpochReport(int Epoch, double Loss, double LearningRate, IReadOnlyList<int> Surviving, double TestAccuracy);

/// <summary>
/// Trains a classifier by proximal SGD on the cross entropy with groups under penalties, epoch by epoch; can be stopped after an
/// epoch, saved, and gone on with elsewhere as if nothing had happened.
/// </summary>
/// <remarks>
/// The order of the samples depends on the seed and the epoch alone. A cancelled epoch leaves the network where its last whole
/// mini-batch put it; to go on from there bit by bit, load the last saved state.
/// </remarks>
public sealed class ProximalTraining : IDisposable
{
    private readonly nn.Module<Tensor, Tensor> _model;
    private readonly ProximalTrainingOptions _options;
    private readonly List<EpochReport> _history = [];

    /// <summary>Prepares the training.</summary>
    /// <param name="model">Classifier: [samples, ...] to logits [samples, classes].</param>
    /// <param name="parts">Groups and their penalties.</param>
    /// <param name="free">Parameters without a penalty; see <see cref="ProximalSgd"/>.</param>
    /// <param name="options">Epochs, batches, learning rate, seed.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or groups and parameters do not fit.</exception>
    public ProximalTraining(
        nn.Module<Tensor, Tensor> model, IReadOnlyList<RegularizedGroups> parts, IReadOnlyList<string> free, ProximalTrainingOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _options = options ?? new();
        _options.Validate();
        _model = model;
        Optimizer = new ProximalSgd(model, parts, free, _options.LearningRate, _options.Momentum);
    }

    /// <summary>The optimizer.</summary>
    public ProximalSgd Optimizer { get; }

    /// <summary>Epochs done.</summary>
    public int Epoch { get; private set; }

    /// <summary>Reports of the epochs done in this process.</summary>
    public IReadOnlyList<EpochReport> History => _history;

    /// <summary>Trains all remaining epochs.</summary>
    /// <param name="X">[samples, ...], the network's type.</param>
    /// <param name="labels">[samples], int64.</param>
    /// <param name="test">Samples and labels to look at after each epoch, or null.</param>
    /// <param name="progress">Reported after each epoch.</param>
    /// <param name="cancel">Checked before each mini-batch.</param>
    /// <returns>Reports of the epochs.</returns>
    /// <exception cref="ArgumentException">Samples and labels do not fit each other.</exception>
    /// <exception cref="DivergenceException">A loss or a parameter is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<EpochReport> Fit(
        Tensor X, Tensor labels, (Tensor X, Tensor Labels)? test = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        CheckSamples(X, labels);
        if (test is { } given) CheckSamples(given.X, given.Labels);
        while (Epoch < _options.Epochs)
        {
            EpochReport report = RunEpoch(X, labels, test, cancel);
            progress?.Report(new(Epoch, _options.Epochs, $"loss {report.Loss:G3}, groups {string.Join(" ", report.Surviving)}"));
        }

        return History;
    }

    /// <summary>Trains one epoch, also beyond the planned ones (at the last learning rate).</summary>
    /// <param name="X">[samples, ...], the network's type.</param>
    /// <param name="labels">[samples], int64.</param>
    /// <param name="test">Samples and labels to look at afterwards, or null.</param>
    /// <param name="cancel">Checked before each mini-batch.</param>
    /// <exception cref="DivergenceException">A loss or a parameter is not finite.</exception>
    public EpochReport RunEpoch(Tensor X, Tensor labels, (Tensor X, Tensor Labels)? test = null, CancellationToken cancel = default)
    {
        CheckSamples(X, labels);
        int samples = (int)X.shape[0], batches = 0;
        long[] order = [.. Enumerable.Range(0, samples).Select(i => (long)i)];
        var random = new SeededRandom(_options.Seed, 700 + Epoch);
        random.Shuffle(order.AsSpan());
        Optimizer.LearningRate = _options.RateOf(Epoch);
        double loss = 0;
        _model.train();
        for (int from = 0; from < samples; from += _options.BatchSize, batches++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            Tensor rows = tensor(order[from..Math.Min(samples, from + _options.BatchSize)]);
            double batchLoss = Backward(X.index_select(0, rows), labels.index_select(0, rows));
            if (!double.IsFinite(batchLoss))
                throw new DivergenceException($"The loss is {batchLoss} in epoch {Epoch + 1}; take a learning rate below {Optimizer.LearningRate:G3}.");
            Optimizer.Step();
            loss += batchLoss;
        }

        Epoch++;
        double accuracy = test is { } t ? Accuracy(_model, t.X, t.Labels) : double.NaN;
        var report = new EpochReport(Epoch, loss / batches, Optimizer.LearningRate, [.. Optimizer.Parts.Select(p => p.Groups.Surviving())], accuracy);
        _history.Add(report);
        return report;
    }

    /// <summary>Clears the gradients and computes those of the mean cross entropy of a mini-batch.</summary>
    /// <param name="X">[batch, ...].</param>
    /// <param name="labels">[batch], int64.</param>
    /// <returns>The loss.</returns>
    public double Backward(Tensor X, Tensor labels)
    {
        using DisposeScope scope = NewDisposeScope();
        _model.zero_grad();
        Tensor loss = nn.functional.cross_entropy(_model.call(X), labels);
        loss.backward();
        return loss.to(ScalarType.Float64).item<double>();
    }

    /// <summary>Share of samples whose largest logit is at the label; the model is left in evaluation mode.</summary>
    /// <param name="model">Classifier.</param>
    /// <param name="X">[samples, ...].</param>
    /// <param name="labels">[samples], int64.</param>
    public static double Accuracy(nn.Module<Tensor, Tensor> model, Tensor X, Tensor labels)
    {
        ArgumentNullException.ThrowIfNull(model);
        CheckSamples(X, labels);
        model.eval();
        long right = 0, samples = X.shape[0];
        const long batch = 500;
        using IDisposable off = no_grad();
        for (long from = 0; from < samples; from += batch)
        {
            using DisposeScope scope = NewDisposeScope();
            long count = Math.Min(batch, samples - from);
            right += model.call(X.narrow(0, from, count)).argmax(1).eq(labels.narrow(0, from, count)).sum().item<long>();
        }

        return (double)right / samples;
    }

    /// <summary>Writes parameters, buffers, momenta and the number of epochs to a safetensors file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        var tensors = new Dictionary<string, Tensor>();
        foreach ((string name, Tensor value) in ModelState()) tensors["model." + name] = value;
        foreach ((string name, Tensor value) in Optimizer.State) tensors["momentum." + name] = value;
        SafeTensors.Save(path, tensors, new Dictionary<string, string> { ["epoch"] = Epoch.ToString(CultureInfo.InvariantCulture) });
    }

    /// <summary>Takes over what <see cref="Save"/> wrote of an equal training.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">The file is of another network or no training's state.</exception>
    public void Load(string path)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        if (!file.Metadata.TryGetValue("epoch", out string? text) || !int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int epoch))
            throw new InvalidDataException($"{path} holds no training: its metadata have no epoch.");
        using DisposeScope scope = NewDisposeScope();
        Dictionary<string, Tensor> all = file.LoadAll();
        (string Name, Tensor Value)[] state = [.. ModelState()];
        foreach ((string name, Tensor value) in state.Select(s => ("model." + s.Name, s.Value)).Concat(Optimizer.State.Select(s => ("momentum." + s.Key, s.Value))))
        {
            if (!all.TryGetValue(name, out Tensor? saved) || !saved.shape.SequenceEqual(value.shape) || saved.dtype != value.dtype)
                throw new InvalidDataException($"{path} has no {name} of type {value.dtype} and shape [{string.Join(", ", value.shape)}]; it is of another network.");
        }

        using (no_grad())
        {
            foreach ((string name, Tensor value) in state) value.copy_(all["model." + name]);
        }

        Optimizer.Load(Optimizer.State.Keys.ToDictionary(name => name, name => all["momentum." + name]));
        Epoch = epoch;
        _history.Clear();
    }

    /// <summary>Frees the optimizer's memory; the network stays.</summary>
    public void Dispose() => Optimizer.Dispose();

    private IEnumerable<(string Name, Tensor Value)> ModelState()
        => _model.named_parameters().Select(p => (p.name, (Tensor)p.parameter)).Concat(_model.named_buffers().Select(b => (b.name, b.buffer)));

    private static void CheckSamples(Tensor X, Tensor labels)
    {
        ArgumentNullException.ThrowIfNull(X);
        ArgumentNullException.ThrowIfNull(labels);
        if (X.dim() < 2 || X.numel() == 0) throw new ArgumentException($"X must be [samples, ...] and not empty, but is [{string.Join(", ", X.shape)}].", nameof(X));
        if (labels.dtype != ScalarType.Int64) throw new ArgumentException($"labels are {labels.dtype}; class numbers are Int64.", nameof(labels));
        if (labels.dim() != 1 || labels.shape[0] != X.shape[0])
            throw new ArgumentException($"labels are [{string.Join(", ", labels.shape)}]; they must be [{X.shape[0]}], one per sample.", nameof(labels));
    }
}
