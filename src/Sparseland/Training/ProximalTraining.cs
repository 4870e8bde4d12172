using Sparseland.Evaluation;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>What one epoch left behind.</summary>
/// <param name="Epoch">Epochs done.</param>
/// <param name="Loss">Mean cross entropy of the epoch's mini-batches, each before its step, penalty not included.</param>
/// <param name="LearningRate">eta of the epoch.</param>
/// <param name="Surviving">Groups that are not zero, one number per part.</param>
/// <param name="TestAccuracy">Share of the test samples that are right, or NaN without test samples.</param>
public sealed record EpochReport(int Epoch, double Loss, double LearningRate, IReadOnlyList<int> Surviving, double TestAccuracy)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Trains a classifier by proximal SGD on the cross entropy with groups under penalties: <see cref="TrainingLoop"/> with
/// <see cref="ProximalSgd"/>, epoch by epoch, with the number of surviving groups after each.
/// </summary>
public sealed class ProximalTraining : IDisposable
{
    private readonly nn.Module<Tensor, Tensor> _model;
    private readonly ProximalTrainingOptions _options;
    private readonly List<EpochReport> _history = [];
    private readonly int _perEpoch;

    /// <summary>Prepares the training.</summary>
    /// <param name="model">Classifier: [samples, ...] to logits [samples, classes].</param>
    /// <param name="X">Samples [samples, ...], the network's type; they stay the caller's.</param>
    /// <param name="labels">[samples], int64; they stay the caller's.</param>
    /// <param name="parts">Groups and their penalties.</param>
    /// <param name="free">Parameters without a penalty; see <see cref="ProximalSgd"/>.</param>
    /// <param name="options">Epochs, batches, learning rate, seed; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">An option is out of its range, samples and labels do not fit each other, or groups and parameters do not.</exception>
    public ProximalTraining(
        nn.Module<Tensor, Tensor> model, Tensor X, Tensor labels, IReadOnlyList<RegularizedGroups> parts, IReadOnlyList<string> free, ProximalTrainingOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _options = options ?? new();
        Accuracy.CheckSamples(X, labels);
        _model = model;
        var batches = new SampleBatches(X, labels, _options.BatchSize, _options.Seed);
        _perEpoch = checked((int)batches.PerEpoch);
        _options = _options.Over(_perEpoch);
        _options.Validate();
        Optimizer = new ProximalSgd(model, parts, free, _options.Momentum);
        Loop = new TrainingLoop(model, batches, Losses.CrossEntropy(model), _options, optimizer: Optimizer);
    }

    /// <summary>The optimizer.</summary>
    public ProximalSgd Optimizer { get; }

    /// <summary>The loop below; its <see cref="TrainingLoop.Save"/> and <see cref="TrainingLoop.Load"/> keep and take up the training.</summary>
    public TrainingLoop Loop { get; }

    /// <summary>Whole epochs done.</summary>
    public int Epoch => (int)(Loop.Done / _perEpoch);

    /// <summary>Reports of the epochs that ended in this process.</summary>
    public IReadOnlyList<EpochReport> History => _history;

    /// <summary>Trains all remaining epochs.</summary>
    /// <param name="test">Samples and labels to look at after each epoch, or null.</param>
    /// <param name="progress">Reported after each epoch.</param>
    /// <param name="cancel">Checked before each mini-batch.</param>
    /// <returns>Reports of the epochs.</returns>
    /// <exception cref="ArgumentException">Samples and labels do not fit each other.</exception>
    /// <exception cref="DivergenceException">A loss, a gradient or a parameter is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the network is where its last whole mini-batch put it.</exception>
    public IReadOnlyList<EpochReport> Fit((Tensor X, Tensor Labels)? test = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        while (Epoch < _options.Epochs)
        {
            EpochReport report = RunEpoch(test, cancel);
            progress?.Report(new(Epoch, _options.Epochs, $"loss {report.Loss:G3}, groups {string.Join(" ", report.Surviving)}"));
        }

        return History;
    }

    /// <summary>Trains to the end of the epoch, also beyond the planned ones (at the last learning rate).</summary>
    /// <param name="test">Samples and labels to look at afterwards, or null.</param>
    /// <param name="cancel">Checked before each mini-batch.</param>
    /// <exception cref="DivergenceException">A loss, a gradient or a parameter is not finite.</exception>
    public EpochReport RunEpoch((Tensor X, Tensor Labels)? test = null, CancellationToken cancel = default)
    {
        if (test is { } given) Accuracy.CheckSamples(given.X, given.Labels);
        do
        {
            Loop.Step(cancel);
        }
        while (Loop.Done % _perEpoch != 0);
        double accuracy = test is { } t ? Accuracy.Of(_model, t.X, t.Labels) : double.NaN;
        var report = new EpochReport(
            Epoch, Loop.History.TakeLast(_perEpoch).Average(step => step.Loss), Loop.History[^1].LearningRate, [.. Optimizer.Parts.Select(p => p.Groups.Surviving())], accuracy);
        _history.Add(report);
        return report;
    }

    /// <summary>Frees the optimizer's memory; the network stays.</summary>
    public void Dispose()
    {
        Loop.Dispose();
        Optimizer.Dispose();
    }
}
