using Sparseland.IO;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Continual;

/// <summary>Which weights the tasks learned so far use, which task has which mask, and the value of every weight that somebody owns.</summary>
public sealed class TaskOwnership : IDisposable
{
    private const string FileKind = "sparseland.tasks.1";

    private readonly Dictionary<string, Tensor> _used = [];
    private readonly Dictionary<string, Tensor> _values = [];
    private readonly List<(string Name, Dictionary<string, Tensor> Masks)> _tasks = [];

    /// <summary>Nobody owns anything.</summary>
    /// <param name="shapes">Shape of each weight by name.</param>
    /// <param name="type">Type of the stored values, that of the weights: in another one they would not be what was learned. Default Float32.</param>
    /// <exception cref="ArgumentException">No weight, or a type that is no floating-point one.</exception>
    public TaskOwnership(IReadOnlyDictionary<string, long[]> shapes, ScalarType type = ScalarType.Float32)
    {
        ArgumentNullException.ThrowIfNull(shapes);
        if (!is_floating_point(type)) throw new ArgumentException($"type is {type}; weights are floating-point numbers.", nameof(type));
        if (shapes.Count == 0) throw new ArgumentException("There are no weights to own.", nameof(shapes));
        foreach ((string name, long[] shape) in shapes)
        {
            _used[name] = zeros(shape, dtype: ScalarType.Bool).DetachFromDisposeScope();
            _values[name] = zeros(shape, dtype: type).DetachFromDisposeScope();
        }

        Names = [.. shapes.Keys];
    }

    /// <summary>Names of the weights.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Names of the tasks, in the order of learning.</summary>
    public IReadOnlyList<string> Tasks => [.. _tasks.Select(t => t.Name)];

    /// <summary>Weights in all.</summary>
    public long Size => _used.Values.Sum(u => u.numel());

    /// <summary>Weights that no task uses, over all.</summary>
    public double FreeShare => 1 - ((double)_used.Values.Sum(MaskSet.TrueIn) / Size);

    /// <summary>Where a weight belongs to a task: Bool, of its shape; belongs to this.</summary>
    /// <param name="weight">Its name.</param>
    /// <exception cref="ArgumentException">There is no such weight.</exception>
    public Tensor UsedOf(string weight) => Find(_used, weight);

    /// <summary>Stored values, zero where nobody owns anything; belongs to this.</summary>
    /// <param name="weight">Name of the weight.</param>
    /// <exception cref="ArgumentException">There is no such weight.</exception>
    public Tensor ValuesOf(string weight) => Find(_values, weight);

    /// <summary>The mask of a task; belongs to this.</summary>
    /// <param name="task">Name of the task.</param>
    /// <param name="weight">Name of the weight.</param>
    /// <exception cref="ArgumentException">The task was not learned, or there is no such weight.</exception>
    public Tensor MaskOf(string task, string weight) => Find(_tasks[NumberOf(task)].Masks, weight);

    /// <summary>Number of a task, from 0.</summary>
    /// <param name="task">Its name.</param>
    /// <exception cref="ArgumentException">It was not learned.</exception>
    public int NumberOf(string task)
    {
        ArgumentNullException.ThrowIfNull(task);
        int at = _tasks.FindIndex(t => t.Name == task);
        return at >= 0 ? at : throw new ArgumentException($"The task \"{task}\" was not learned; there are {(_tasks.Count == 0 ? "none" : string.Join(", ", Tasks))}.", nameof(task));
    }

    /// <summary>How many weights of a mask belong to earlier tasks, and how many do not.</summary>
    /// <param name="masks">A mask of each weight.</param>
    /// <exception cref="ArgumentException">Masks of another network.</exception>
    public (long Shared, long Free) Count(MaskSet masks)
    {
        Check(masks);
        using DisposeScope scope = NewDisposeScope();
        long shared = masks.Names.Sum(name => MaskSet.TrueIn(masks[name].logical_and(_used[name])));
        return (shared, masks.Active - shared);
    }

    /// <summary>A task is learned: it owns the weights of its mask that nobody owned, with their present values.</summary>
    /// <param name="task">Its name, new.</param>
    /// <param name="masks">Its mask; the parameters behind it hold the values.</param>
    /// <param name="overwrite">Takes the values of weights that earlier tasks own too: no isolation. Default false.</param>
    /// <exception cref="ArgumentException">A name that stands already, or masks of another network.</exception>
    public void Add(string task, MaskSet masks, bool overwrite = false)
    {
        CheckNew(task);
        Check(masks);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var own = new Dictionary<string, Tensor>();
        foreach (string name in Names)
        {
            Tensor mine = overwrite ? masks[name] : masks[name].logical_and(_used[name].logical_not());
            _values[name].copy_(masks.ParameterOf(name).where(mine, _values[name]));
            _used[name].logical_or_(masks[name]);
            own[name] = masks[name].clone().DetachFromDisposeScope();
        }

        _tasks.Add((task, own));
    }

    /// <summary>Refuses a name that is empty or stands already.</summary>
    internal void CheckNew(string task)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(task);
        if (Tasks.Contains(task)) throw new ArgumentException($"The task \"{task}\" was learned already.", nameof(task));
    }

    /// <summary>Writes masks, used bits and values as safetensors.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        var tensors = new Dictionary<string, Tensor>();
        foreach (string name in Names)
        {
            (tensors["used." + name], tensors["value." + name]) = (_used[name], _values[name]);
            for (int t = 0; t < _tasks.Count; t++) tensors[$"mask.{t}.{name}"] = _tasks[t].Masks[name];
        }

        var metadata = new Dictionary<string, string> { ["kind"] = FileKind, ["tasks"] = System.Text.Json.JsonSerializer.Serialize(Tasks) };
        SafeTensors.Save(path, tensors, metadata);
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">It is no such file, something is missing in it, or its parts contradict each other.</exception>
    public static TaskOwnership Load(string path)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        if (!file.Metadata.TryGetValue("kind", out string? kind) || kind != FileKind) throw new InvalidDataException($"'{path}' is no file of tasks: its kind is '{kind}'.");
        using DisposeScope scope = NewDisposeScope();
        string[] tasks;
        try
        {
            tasks = System.Text.Json.JsonSerializer.Deserialize<string[]>(file.Metadata.GetValueOrDefault("tasks") ?? "null") ?? throw new InvalidDataException($"'{path}' names no tasks.");
        }
        catch (System.Text.Json.JsonException e)
        {
            throw new InvalidDataException($"'{path}' has a list of tasks that cannot be read.", e);
        }

        IReadOnlyDictionary<string, Tensor> all = file.LoadAll();
        string[] names = [.. all.Keys.Where(k => k.StartsWith("used.", StringComparison.Ordinal)).Select(k => k[5..])];
        if (names.Length == 0) throw new InvalidDataException($"'{path}' has no weights.");
        Tensor Part(string key, long[] shape, ScalarType type) => all.TryGetValue(key, out Tensor? value) && value.shape.SequenceEqual(shape) && value.dtype == type
            ? value : throw new InvalidDataException($"'{path}' has no {key} of {type} [{string.Join(", ", shape)}].");
        if (tasks.Any(string.IsNullOrWhiteSpace) || tasks.Distinct().Count() != tasks.Length) throw new InvalidDataException($"'{path}' names the tasks {string.Join(", ", tasks)}; each has a name of its own.");
        ScalarType type = all.TryGetValue("value." + names[0], out Tensor? first) && is_floating_point(first.dtype) ? first.dtype : ScalarType.Float32;
        var ownership = new TaskOwnership(names.ToDictionary(name => name, name => all["used." + name].shape), type);
        try
        {
            using IDisposable off = no_grad();
            foreach (string name in names)
            {
                long[] shape = all["used." + name].shape;
                ownership._used[name].copy_(Part("used." + name, shape, ScalarType.Bool));
                ownership._values[name].copy_(Part("value." + name, shape, type));
            }

            for (int t = 0; t < tasks.Length; t++)
                ownership._tasks.Add((tasks[t], names.ToDictionary(name => name, name => Part($"mask.{t}.{name}", all["used." + name].shape, ScalarType.Bool).clone().DetachFromDisposeScope())));
            foreach (string name in names)
            {
                Tensor free = ownership._used[name].logical_not();
                if (ownership._tasks.FirstOrDefault(task => task.Masks[name].logical_and(free).any().item<bool>()).Name is { } strange)
                    throw new InvalidDataException($"'{path}': the mask of \"{strange}\" has weights of {name} that no task is said to use; masks and used weights are not of one moment.");
            }

            return ownership;
        }
        catch
        {
            ownership.Dispose();
            throw;
        }
    }

    /// <summary>Frees everything.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in _used.Values.Concat(_values.Values).Concat(_tasks.SelectMany(t => t.Masks.Values))) tensor.Dispose();
        _tasks.Clear();
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{_tasks.Count} tasks, {FreeShare:0.0%} of {Size} weights free");

    private Tensor Find(Dictionary<string, Tensor> all, string weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return all.TryGetValue(weight, out Tensor? found) ? found : throw new ArgumentException($"There is no weight \"{weight}\"; there are {string.Join(", ", Names)}.", nameof(weight));
    }

    private void Check(MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(masks);
        if (!masks.Names.Order(StringComparer.Ordinal).SequenceEqual(Names.Order(StringComparer.Ordinal)))
            throw new ArgumentException($"The masks are of {string.Join(", ", masks.Names)}, the weights are {string.Join(", ", Names)}: another network's.", nameof(masks));
        if (Names.FirstOrDefault(name => !masks[name].shape.SequenceEqual(_used[name].shape)) is { } other)
            throw new ArgumentException($"The mask of {other} is [{string.Join(", ", masks[other].shape)}], the weight [{string.Join(", ", _used[other].shape)}]: another network's.", nameof(masks));
    }
}
