using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>Settings of <see cref="PlantedAssociations"/>.</summary>
public sealed record PlantedAssociationsOptions
{
    /// <summary>Width of inputs and outputs. Default 64.</summary>
    public int Width { get; init; } = 64;

    /// <summary>Tasks. Default 5.</summary>
    public int Tasks { get; init; } = 5;

    /// <summary>Directions in which a task's inputs vary. Default 6.</summary>
    public int Subspace { get; init; } = 6;

    /// <summary>Norm of a task's mean input; 0 leaves subspaces alone to tell tasks apart. Default 3.</summary>
    public double MeanNorm { get; init; } = 3;

    /// <summary>Deviation of the inputs' noise. Default 0.1.</summary>
    public double Noise { get; init; } = 0.1;

    /// <summary>Training points of a task. Default 512.</summary>
    public int Training { get; init; } = 512;

    /// <summary>Test points of a task. Default 256.</summary>
    public int Test { get; init; } = 256;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Tasks);
        if (Subspace < 1 || Subspace > Width) throw new ArgumentOutOfRangeException(nameof(Subspace), Subspace, $"Subspace must be from 1 to the width of {Width}.");
        Finite.NotNegative(MeanNorm);
        Finite.NotNegative(Noise);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Training);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Test);
    }
}

/// <summary>
/// Tasks for one layer, one after another: inputs mu_t + c S_t + noise around a mean and in a few directions of their own, targets W0 x + D_t c, something to add to what the frozen layer says. A planted
/// associative memory, on which an adapter's ranks can be watched.
/// </summary>
public sealed class PlantedAssociations : IDisposable
{
    private readonly NativeSize _size;

    private PlantedAssociations(Linear layer, IReadOnlyList<(Batch Training, Batch Test)> tasks)
    {
        (Layer, Tasks) = (layer, tasks);
        _size = NativeSize.Of(tasks.SelectMany(t => new[] { t.Training.Input, t.Training.Target, t.Test.Input, t.Test.Target }));
    }

    /// <summary>W0 [width, width], normal with deviation 1/8, no bias. It belongs to this.</summary>
    public Linear Layer { get; }

    /// <summary>Training and test points of each task, [points, width]. They belong to this.</summary>
    public IReadOnlyList<(Batch Training, Batch Test)> Tasks { get; }

    /// <summary>Draws them.</summary>
    /// <param name="seed">Seed.</param>
    /// <param name="options">Sizes; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public static PlantedAssociations Generate(long seed, PlantedAssociationsOptions? options = null)
    {
        options ??= new();
        options.Validate();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed) ^ 0xa550));
        Tensor Normal(long rows, long columns) => randn([rows, columns], generator: generator);
        Linear layer = LinearOf.Weight(Normal(options.Width, options.Width) / 8, null);
        var tasks = new List<(Batch, Batch)>();
        for (int t = 0; t < options.Tasks; t++)
        {
            Tensor mean = Normal(1, options.Width);
            mean = mean * (options.MeanNorm / mean.norm().item<float>());
            Tensor S = linalg.qr(Normal(options.Width, options.Subspace)).Q.t(), D = Normal(options.Width, options.Subspace) / Math.Sqrt(options.Subspace);
            Batch Points(int count)
            {
                Tensor c = Normal(count, options.Subspace), x = mean + c.mm(S) + (Normal(count, options.Width) * options.Noise);
                return new(x.DetachFromDisposeScope(), (x.mm(layer.weight!.t()) + c.mm(D.t())).detach().DetachFromDisposeScope());
            }

            tasks.Add((Points(options.Training), Points(options.Test)));
        }

        return new(layer, tasks);
    }

    /// <summary>Learns the tasks in their order, Adam over all points of a task in each step, and looks at all of them after each.</summary>
    /// <param name="adapter">A new layer around <see cref="Layer"/>.</param>
    /// <param name="steps">Steps of a task. Default 200.</param>
    /// <param name="rate">Learning rate. Default 0.01.</param>
    /// <param name="seed">Seed of what the adapter draws. Default 0.</param>
    /// <param name="progress">Tasks done.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <returns>Squared errors of the test points over those of W0 alone: 1 where nothing was learned.</returns>
    /// <exception cref="ArgumentException">The adapter has learned before, or a number is out of its range.</exception>
    public TaskMatrix Run(IContinualLayer adapter, int steps = 200, double rate = 0.01, long seed = 0, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(adapter);
        if (adapter.Tasks != 0) throw new ArgumentException($"The adapter has learned {adapter.Tasks} tasks; it must be new.", nameof(adapter));
        var rows = new List<double[]>();
        for (int t = 0; t < Tasks.Count; t++)
        {
            adapter.BeginTask(unchecked((seed * 1000) + t));
            using (var loop = new TrainingLoop(adapter.Layer, new Whole(Tasks[t].Training), Losses.SquaredError(adapter.Layer), new()
            {
                Steps = steps, LearningRate = rate, FinalRate = 1, WeightDecay = 0, Beta2 = 0.999, ClipNorm = double.PositiveInfinity,
            })) loop.Run(cancel: cancel);
            adapter.EndTask();
            rows.Add([.. Tasks.Select(task => Error(adapter.Layer, task.Test))]);
            progress?.Report(new(t + 1, Tasks.Count));
        }

        return new(rows);
    }

    /// <summary>Squared error of a layer over that of W0 alone.</summary>
    /// <param name="layer">The layer; looked at in evaluation mode.</param>
    /// <param name="points">Points.</param>
    public double Error(nn.Module<Tensor, Tensor> layer, Batch points)
    {
        ArgumentNullException.ThrowIfNull(layer);
        bool training = layer.training;
        layer.eval();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        double error = (layer.call(points.Input) - points.Target).square().sum().item<float>(), none = (Layer.call(points.Input) - points.Target).square().sum().item<float>();
        layer.train(training);
        return error / none;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((Batch training, Batch test) in Tasks)
        {
            foreach (Tensor one in new[] { training.Input, training.Target, test.Input, test.Target }) one.Dispose();
        }

        Layer.Dispose();
        _size.Dispose();
    }

    /// <summary>All points in every step; copies, since the loop disposes a batch.</summary>
    private sealed class Whole(Batch points) : IBatchSource
    {
        public string Description => $"all {points.Input.shape[0]} points in each step";

        public Batch At(long index) => new(points.Input.alias(), points.Target.alias());
    }
}
