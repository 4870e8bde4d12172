using System.Globalization;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>The file that a training goes on from: safetensors with model.*, the optimizer's state under its name, history and notes of what training it was.</summary>
internal static class TrainingCheckpoint
{
    private const string Kind = "sparseland.training.1";

    /// <summary>Writes the state; an older file stays until the new one is whole.</summary>
    public static void Write(string path, TrainingLoop loop, string data)
    {
        using DisposeScope scope = NewDisposeScope();
        var tensors = new Dictionary<string, Tensor> { ["history"] = Table(loop.History) };
        foreach ((string name, Tensor value) in ModelState(loop.Model)) tensors["model." + name] = value;
        foreach ((string name, Tensor value) in loop.Optimizer.State) tensors[$"{loop.Optimizer.Name}.{name}"] = value;
        var notes = new Dictionary<string, string>(loop.Identity().Select(p => KeyValuePair.Create("option." + p.Key, p.Value)))
        {
            ["kind"] = Kind, ["data"] = data, ["step"] = loop.Done.ToString(CultureInfo.InvariantCulture), ["seconds"] = loop.Seconds.ToString("R", CultureInfo.InvariantCulture),
        };
        SafeTensors.Save(path, tensors, notes);
    }

    /// <summary>Checks a file in full, then takes its state over.</summary>
    public static (IReadOnlyList<StepReport> History, double Seconds) Read(string path, TrainingLoop loop, string data)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        long step = CheckNotes(file, loop, data);
        using DisposeScope scope = NewDisposeScope();
        Dictionary<string, Tensor> all = file.LoadAll();
        (string Name, Tensor Value)[] model = [.. ModelState(loop.Model)];
        IReadOnlyDictionary<string, Tensor> moments = loop.Optimizer.State;
        foreach ((string name, Tensor value) in model.Select(s => ("model." + s.Name, s.Value)).Concat(moments.Select(s => ($"{loop.Optimizer.Name}.{s.Key}", s.Value))))
        {
            if (!all.TryGetValue(name, out Tensor? saved) || !saved.shape.SequenceEqual(value.shape) || saved.dtype != value.dtype)
                throw Other(path, $"it has no {name} of type {value.dtype} and shape [{string.Join(", ", value.shape)}]");
        }

        if (!all.TryGetValue("history", out Tensor? table) || table.dtype != ScalarType.Float64 || table.dim() != 2 || table.shape[1] != 5)
            throw Other(path, "it has no history [steps, 5]");
        List<StepReport> history = Reports(table);
        foreach (StepReport old in history)
        {
            if (old.LearningRate != loop.Options.RateOf(old.Step - 1))
                throw Other(path, FormattableString.Invariant($"its step {old.Step} had the learning rate {old.LearningRate:G6}, where this schedule has {loop.Options.RateOf(old.Step - 1):G6}"));
        }

        using IDisposable off = no_grad();
        Tensor[] before = [.. model.Select(m => m.Value.detach().clone())];
        foreach ((string name, Tensor value) in model) value.copy_(all["model." + name]);
        try
        {
            loop.Optimizer.Load(moments.Keys.ToDictionary(name => name, name => all[$"{loop.Optimizer.Name}.{name}"]), step);
        }
        catch (Exception error) when (error is ArgumentException or InvalidDataException)
        {
            // An optimizer may look at the weights that belong to its state (masks do), so they are there before it is asked; a refusal takes them back.
            foreach (((_, Tensor value), Tensor old) in model.Zip(before)) value.copy_(old);
            throw new InvalidDataException($"'{path}' cannot be taken up: {error.Message}", error);
        }

        return (history, double.Parse(file.Metadata["seconds"], CultureInfo.InvariantCulture));
    }

    private static long CheckNotes(SafeTensorsFile file, TrainingLoop loop, string data)
    {
        string Note(string key) => file.Metadata.TryGetValue(key, out string? text) ? text : throw new InvalidDataException($"'{file.Path}' is no checkpoint of a training: its notes have no '{key}'.");
        if (Note("kind") != Kind) throw new InvalidDataException($"'{file.Path}' is of the kind '{Note("kind")}'; known is '{Kind}'.");
        if (!file.HasChecksums) throw new InvalidDataException($"'{file.Path}' has no checksums, which every checkpoint of a training carries: it is damaged or was written by something else.");
        if (Note("data") != data) throw Other(file.Path, $"its data were '{Note("data")}', not '{data}'");
        foreach ((string name, string value) in loop.Identity())
        {
            if (Note("option." + name) != value) throw Other(file.Path, $"{name} was {Note("option." + name)}, not {value}");
        }

        if (!long.TryParse(Note("step"), NumberStyles.None, CultureInfo.InvariantCulture, out long step) || !double.TryParse(Note("seconds"), CultureInfo.InvariantCulture, out _))
            throw new InvalidDataException($"'{file.Path}' says step '{Note("step")}' and seconds '{Note("seconds")}', which are no numbers.");
        return step;
    }

    private static InvalidDataException Other(string path, string what) => new($"'{path}' is of another training: {what}.");

    private static IEnumerable<(string Name, Tensor Value)> ModelState(nn.Module model) =>
        model.named_parameters().Select(p => (p.name, (Tensor)p.parameter)).Concat(model.named_buffers().Select(b => (b.name, b.buffer)));

    private static Tensor Table(IReadOnlyList<StepReport> history) =>
        tensor(history.SelectMany(s => new[] { s.Step, s.Loss, s.LearningRate, s.GradientNorm, s.Evaluation ?? double.NaN }).ToArray(), [history.Count, 5]);

    private static List<StepReport> Reports(Tensor table)
    {
        double[] values = [.. table.data<double>()];
        return [.. Enumerable.Range(0, values.Length / 5).Select(i => new StepReport(
            (long)values[5 * i], values[(5 * i) + 1], values[(5 * i) + 2], values[(5 * i) + 3], double.IsNaN(values[(5 * i) + 4]) ? null : values[(5 * i) + 4]))];
    }
}
