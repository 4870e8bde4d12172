using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Continual;

/// <summary>A task with its data.</summary>
/// <param name="Name">Its name.</param>
/// <param name="X">Training samples [samples, ...].</param>
/// <param name="Labels">Their classes [samples], Int64.</param>
/// <param name="TestX">Test samples.</param>
/// <param name="TestLabels">Their classes.</param>
public sealed record ContinualTask(string Name, Tensor X, Tensor Labels, Tensor TestX, Tensor TestLabels) : IDisposable
{
    private readonly Sparseland.Tensors.NativeSize _size = Sparseland.Tensors.NativeSize.Of(X, Labels, TestX, TestLabels);

    /// <summary>Frees the data.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in new[] { X, Labels, TestX, TestLabels }) tensor.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {X.shape[0]} samples, {TestX.shape[0]} to test";
}

/// <summary>What a sequence of tasks left behind.</summary>
/// <param name="Reports">One for each task.</param>
/// <param name="Accuracy">Accuracies after each task.</param>
/// <param name="LargestChange">Largest change of a logit of a task's test samples, from the trained network to what is stored after all tasks; 0 where nothing was forgotten.</param>
public sealed record SequenceResult(IReadOnlyList<TaskReport> Reports, AccuracyMatrix Accuracy, double LargestChange)
{
    /// <inheritdoc/>
    public override string ToString() => Sparseland.Tensors.Readable.Of(this);
}

/// <summary>Learns tasks one after another and tests all tasks so far after each.</summary>
public static class ContinualSequence
{
    /// <summary>Learns all tasks.</summary>
    /// <param name="learner">Without any task yet.</param>
    /// <param name="tasks">The tasks, with different names.</param>
    /// <param name="batch">Samples of a mini-batch. Default 50.</param>
    /// <param name="seed">Seed of the order of samples. Default 1.</param>
    /// <param name="network">The learner's network.</param>
    /// <param name="progress">Tasks learned.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">No task, or a learner that has tasks already.</exception>
    public static SequenceResult Run(
        ContinualSparse learner, nn.Module<Tensor, Tensor> network, IReadOnlyList<ContinualTask> tasks, int batch = 50, long seed = 1,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(learner);
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(tasks);
        if (tasks.Count == 0) throw new ArgumentException("tasks is empty.", nameof(tasks));
        if (learner.Tasks.Count > 0) throw new ArgumentException("The learner has tasks already.", nameof(learner));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var reports = new List<TaskReport>();
        var rows = new List<IReadOnlyList<double>>();
        var trained = new List<Tensor>();
        for (int t = 0; t < tasks.Count; t++)
        {
            using (enable_grad()) reports.Add(learner.LearnTask(tasks[t].Name, new SampleBatches(tasks[t].X, tasks[t].Labels, batch, (seed * 100) + t), cancel: cancel));

            // The network that was trained, before anything is stored or set.
            trained.Add(network.call(tasks[t].TestX));
            rows.Add([.. tasks.Take(t + 1).Select(task => learner.Evaluate(task.Name, task.TestX, task.TestLabels))]);
            progress?.Report(new(t + 1, tasks.Count, tasks[t].Name));
        }

        double change = Enumerable.Range(0, tasks.Count).Max(t => learner.Logits(tasks[t].Name, tasks[t].TestX).sub(trained[t]).abs().max().to(ScalarType.Float64).item<double>());
        return new(reports, new(rows), change);
    }
}
