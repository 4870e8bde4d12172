using System.Globalization;
using Sparseland.IO;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>Settings of <see cref="RankMixtureLinear"/> (MoRA, Lu et al. 2025).</summary>
public sealed record RankMixtureOptions
{
    /// <summary>Ranks that each task adds. Default 16.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>k, the ranks that a token uses; null, the default, for <see cref="Rank"/>.</summary>
    public int? ActiveRanks { get; init; }

    /// <summary>tau, in units of the normalised activations, which lie in [-1, 1]: at 0.01 a difference of 0.05 is a factor e^5. Above 0. Default 0.01.</summary>
    public double Temperature { get; init; } = 0.01;

    /// <summary>delta: a rank whose activation is below this is silent, without the others being raised; from 0, which switches the gate off, to below 1. Default 0.2.</summary>
    public double Threshold { get; init; } = 0.2;

    /// <summary>Whether the gate counts in training too. Default false: in evaluation mode alone.</summary>
    public bool GateWhileTraining { get; init; }

    /// <summary>Constant before the update of the task that is learned; folded into its values when it ends. Default 1.</summary>
    public double Scale { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Rank);
        if (ActiveRanks is { } k && (k < 1 || k > Rank)) throw new ArgumentOutOfRangeException(nameof(ActiveRanks), k, $"ActiveRanks must be from 1 to the {Rank} ranks of the first task.");
        Finite.Positive(Temperature);
        if (!(Threshold is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Threshold), Threshold, "Threshold must be from 0 to below 1.");
        if (!(Scale != 0 && double.IsFinite(Scale))) throw new ArgumentOutOfRangeException(nameof(Scale), Scale, "Scale must be finite and not 0.");
    }
}

/// <summary>
/// MoRA's layer (Lu et al. 2025): a frozen W0 and the rank-one pieces B_i A_i of all tasks so far, each of which decides for itself whether it takes part. With z = A x and s = z / |z| the k largest signed s
/// are kept, w is their softmax at the temperature tau, pieces with s below delta fall silent (in evaluation; w is not normalised again), and y = W0 x + B (w z) + b.
/// </summary>
/// <remarks>Frozen weights are not a frozen function: new ranks enter the norm and compete in the selection, so that old outputs move even while the new values are 0. It cannot be merged: the update depends on the input.</remarks>
public sealed class RankMixtureLinear : nn.Module<Tensor, Tensor>, IContinualLayer
{
    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device. Those of tasks are asked for by name.
    private readonly Parameter weight;
    private readonly Parameter? bias;

    /// <summary>A layer without any task yet.</summary>
    /// <param name="linear">Gives W0 and the bias, which stay its own memory and are frozen here.</param>
    /// <param name="options">Ranks, temperature, gate; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public RankMixtureLinear(Linear linear, RankMixtureOptions? options = null)
        : base(nameof(RankMixtureLinear))
    {
        ArgumentNullException.ThrowIfNull(linear);
        Options = options ?? new();
        Options.Validate();
        weight = LinearOf.Shared(linear.weight!);
        bias = linear.bias is null ? null : LinearOf.Shared(linear.bias);
        register_parameter("weight", weight);
        if (bias is not null) register_parameter("bias", bias);
    }

    /// <summary>Settings.</summary>
    public RankMixtureOptions Options { get; }

    /// <summary>W0 [out, in].</summary>
    public Tensor Base => weight;

    /// <inheritdoc/>
    public nn.Module<Tensor, Tensor> Layer => this;

    /// <inheritdoc/>
    public int Tasks { get; private set; }

    /// <summary>Ranks of all tasks.</summary>
    public int Ranks => Tasks * Options.Rank;

    /// <summary>Whether a task has begun and not ended.</summary>
    public bool IsLearning { get; private set; }

    /// <summary>A [ranks, in] of all tasks, the present one last; the caller disposes it.</summary>
    public Tensor Keys() => Joined("keys", 0);

    /// <summary>B [out, ranks] of all tasks, the scale of the present one in it; the caller disposes it.</summary>
    public Tensor Values() => Joined("values", 1);

    /// <summary>Numbers that the layer holds.</summary>
    public long ParameterCount => weight.numel() + (bias?.numel() ?? 0) + ((long)Ranks * (weight.shape[0] + weight.shape[1]));

    /// <summary>Multiply-adds for one token, out in + ranks (in + out): they grow with the tasks, though k ranks alone take part.</summary>
    public long MacsPerToken => weight.numel() + ((long)Ranks * (weight.shape[0] + weight.shape[1]));

    /// <summary>Appends ranks of a new task: keys uniform in +-1/sqrt(in), values 0.</summary>
    /// <param name="seed">Seed of the keys.</param>
    /// <exception cref="InvalidOperationException">The task before has not ended: there would be two groups that train.</exception>
    public void BeginTask(long seed)
    {
        if (IsLearning) throw new InvalidOperationException($"Task {Tasks} has not ended; freeze it before ranks are appended.");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed) ^ 0x304a));
        Tensor keys = Factors.Uniform(weight.shape[1], [Options.Rank, weight.shape[1]], generator).to(weight.dtype).to(weight.device);
        Add(keys, zeros([weight.shape[0], Options.Rank], dtype: weight.dtype, device: weight.device), trained: true);
        IsLearning = true;
    }

    /// <summary>Freezes the present task, its scale folded into its values: the function stays the same.</summary>
    /// <exception cref="InvalidOperationException">No task has begun.</exception>
    public void EndTask()
    {
        if (!IsLearning) throw new InvalidOperationException("No task has begun that could be frozen.");
        using IDisposable off = no_grad();
        Parameter keys = Named($"keys{Tasks - 1}"), values = Named($"values{Tasks - 1}");
        if (Options.Scale != 1) values.mul_(Options.Scale);
        (keys.requires_grad, values.requires_grad, IsLearning) = (false, false, false);
    }

    /// <summary>w, what each rank counts for each token, under the gate as in evaluation.</summary>
    /// <param name="x">[..., in], of the parameters' type.</param>
    /// <returns>[tokens, ranks].</returns>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    /// <exception cref="InvalidOperationException">There is no task yet.</exception>
    public Tensor Weights(Tensor x)
    {
        LayerInput.Check(x, weight, nameof(x));
        if (Ranks == 0) throw new InvalidOperationException("There is no task yet, so no rank.");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return Mixed(nn.functional.linear(x.reshape(-1, weight.shape[1]), Keys()), gated: true).MoveToOuterDisposeScope();
    }

    /// <summary>W0 x + B (w z) + b.</summary>
    /// <param name="input">[..., in], of the parameters' type.</param>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    public override Tensor forward(Tensor input)
    {
        LayerInput.Check(input, weight);
        using DisposeScope scope = NewDisposeScope();
        Tensor y = nn.functional.linear(input, weight, bias);
        if (Ranks == 0) return y.MoveToOuterDisposeScope();
        Tensor z = nn.functional.linear(input.reshape(-1, weight.shape[1]), Keys()), w = Mixed(z, !training || Options.GateWhileTraining);
        return y.add(nn.functional.linear(w * z, Values()).reshape(y.shape)).MoveToOuterDisposeScope();
    }

    /// <summary>It cannot be merged.</summary>
    /// <exception cref="NotSupportedException">Always: which ranks take part depends on the input, so no one matrix does what the layer does.</exception>
    public Linear Merge() => throw new NotSupportedException("A mixture of ranks cannot be merged: which ranks take part depends on the input, so no one matrix does what the layer does.");

    /// <summary>Writes keys and values of all tasks, which must have ended.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidOperationException">A task has not ended, or there is none.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        if (IsLearning || Tasks == 0) throw new InvalidOperationException("Only tasks that have ended are written; end the present one, or learn one first.");
        using IDisposable off = no_grad();
        using Tensor keys = Keys(), values = Values();
        SafeTensors.Save(path, new Dictionary<string, Tensor> { ["keys"] = keys, ["values"] = values }, new Dictionary<string, string>
        {
            ["kind"] = "sparseland.rankmixture.1", ["tasks"] = Tasks.ToString(CultureInfo.InvariantCulture), ["rank"] = Options.Rank.ToString(CultureInfo.InvariantCulture),
        });
    }

    /// <summary>Reads tasks into a layer that has none yet.</summary>
    /// <param name="path">From <see cref="Save"/>.</param>
    /// <param name="tasks">How many tasks the file must have; null, the default, for any number.</param>
    /// <exception cref="InvalidOperationException">The layer has a task.</exception>
    /// <exception cref="InvalidDataException">Another kind of file, number of tasks, rank or shape; it is named.</exception>
    public void Load(string path, int? tasks = null)
    {
        if (Ranks > 0) throw new InvalidOperationException($"The layer has {Tasks} tasks; a file is read into one that has none.");
        using SafeTensorsFile file = SafeTensors.Open(path);
        using DisposeScope scope = NewDisposeScope();
        string Note(string key) => file.Metadata.TryGetValue(key, out string? text) ? text : throw new InvalidDataException($"'{path}' holds no mixture of ranks: its notes have no '{key}'.");
        if (Note("kind") != "sparseland.rankmixture.1") throw new InvalidDataException($"'{path}' is of the kind '{Note("kind")}'; known is 'sparseland.rankmixture.1'.");
        if (!int.TryParse(Note("tasks"), NumberStyles.None, CultureInfo.InvariantCulture, out int count) || count < 1) throw new InvalidDataException($"'{path}' says '{Note("tasks")}' tasks.");
        if (tasks is { } wanted && wanted != count) throw new InvalidDataException($"'{path}' holds {count} tasks, not {wanted}.");
        if (Note("rank") != Options.Rank.ToString(CultureInfo.InvariantCulture)) throw new InvalidDataException($"'{path}' has {Note("rank")} ranks a task; this layer has {Options.Rank}.");
        Dictionary<string, Tensor> all = file.LoadAll();
        Tensor Part(string name, long rows, long columns) => all.TryGetValue(name, out Tensor? value) && value.shape.SequenceEqual([rows, columns]) && value.dtype == weight.dtype
            ? value : throw new InvalidDataException($"'{path}' has no {name} [{rows}, {columns}] of {weight.dtype}.");
        if (all.Values.Any(t => !TensorInput.IsFinite(t))) throw new InvalidDataException($"'{path}' holds NaN or infinity.");
        long ranks = (long)count * Options.Rank;
        Tensor allKeys = Part("keys", ranks, weight.shape[1]), allValues = Part("values", weight.shape[0], ranks);
        for (int t = 0; t < count; t++) Add(allKeys.narrow(0, t * Options.Rank, Options.Rank).clone(), allValues.narrow(1, t * Options.Rank, Options.Rank).clone(), trained: false);
    }

    /// <inheritdoc/>
    public override string ToString() => $"RankMixtureLinear([{weight.shape[0]}, {weight.shape[1]}], {Tasks} tasks of {Options.Rank} ranks)";

    private void Add(Tensor keys, Tensor values, bool trained)
    {
        register_parameter($"keys{Tasks}", LinearOf.Owned(keys, trained));
        register_parameter($"values{Tasks}", LinearOf.Owned(values, trained));
        Tasks++;
    }

    /// <summary>Keys or values of all tasks; of the present one the values with its scale, which the others have in them.</summary>
    private Tensor Joined(string name, long dimension)
    {
        if (Tasks == 0) throw new InvalidOperationException("There is no task yet, so no rank.");
        using DisposeScope scope = NewDisposeScope();
        Tensor[] all = [.. Enumerable.Range(0, Tasks).Select(t => (Tensor)Named(name + t))];
        if (IsLearning && name == "values" && Options.Scale != 1) all[^1] = all[^1] * Options.Scale;
        return cat(all, dimension).MoveToOuterDisposeScope();
    }

    private Tensor Mixed(Tensor z, bool gated)
    {
        int k = Math.Min(Options.ActiveRanks ?? Options.Rank, Ranks);

        // s is the same for any multiple of z: where squares would leave the range of the type, z comes to 1 first. A half type has too few digits and too small a range for either.
        ScalarType type = z.dtype;
        if (type is ScalarType.Float16 or ScalarType.BFloat16) z = z.to(ScalarType.Float32);
        Tensor size = z.detach().abs().amax([-1], keepdim: true);
        z = z / where(size.gt(1e15).logical_or(size.gt(0).logical_and(size.lt(1e-12))), size, 1);
        Tensor s = z / z.square().sum(-1, keepdim: true).clamp_min(1e-30).sqrt();
        Tensor kept = Select.Mask(s.detach(), Budget.PerRow(k));
        Tensor w = (s / Options.Temperature).masked_fill(kept.logical_not(), double.NegativeInfinity).softmax(-1);
        return (gated && Options.Threshold > 0 ? w * s.detach().ge(Options.Threshold) : w).to(type);
    }

    private Parameter Named(string name) => get_parameter(name) ?? throw new InvalidOperationException($"The layer has no {name}.");
}
