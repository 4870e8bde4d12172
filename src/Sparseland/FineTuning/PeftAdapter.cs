using System.Runtime.CompilerServices;
using Sparseland.IO;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>
/// A LoRA adapter in the folder layout of the PEFT library: adapter_config.json and adapter_model.safetensors with base_model.model.NAME.lora_A.weight [r, in] and lora_B.weight [out, r]. It is attached to a
/// model, to train on, or merged into it; an adapter that fits a model only in part is refused, with what does not fit.
/// </summary>
public sealed class PeftAdapter : IDisposable
{
    /// <summary>Name of the file of the settings.</summary>
    public const string ConfigFile = "adapter_config.json";

    /// <summary>Name of the file of the tensors.</summary>
    public const string TensorFile = "adapter_model.safetensors";

    private const string Prefix = "base_model.model.";

    // Models that an adapter has been merged into, so that a second time is refused.
    private readonly ConditionalWeakTable<nn.Module, object> _merged = [];
    private readonly NativeSize _size;

    private PeftAdapter(PeftConfig config, IReadOnlyDictionary<string, (Tensor A, Tensor B)> factors, IReadOnlyDictionary<string, Tensor> saved)
    {
        (Config, Factors, SavedTensors) = (config, factors, saved);
        _size = NativeSize.Of(factors.Values.SelectMany(f => new[] { f.A, f.B }).Concat(saved.Values));
    }

    /// <summary>Settings.</summary>
    public PeftConfig Config { get; }

    /// <summary>A [r, in] and B [out, r] by the name of the module in the file. They belong to the adapter.</summary>
    public IReadOnlyDictionary<string, (Tensor A, Tensor B)> Factors { get; }

    /// <summary>Tensors of modules that were saved whole, by their names. They belong to the adapter.</summary>
    public IReadOnlyDictionary<string, Tensor> SavedTensors { get; }

    /// <summary>Reads an adapter.</summary>
    /// <param name="folder">With <see cref="ConfigFile"/> and <see cref="TensorFile"/>.</param>
    /// <exception cref="FileNotFoundException">A file is missing; it is named.</exception>
    /// <exception cref="InvalidDataException">The config is not understood, a tensor is no part of such an adapter, a factor is alone, or shapes are not those of the config; it is named.</exception>
    public static PeftAdapter Load(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        string config = Path.Combine(folder, ConfigFile), tensors = Path.Combine(folder, TensorFile);
        foreach (string path in (string[])[config, tensors])
        {
            if (!File.Exists(path)) throw new FileNotFoundException($"'{folder}' is no adapter: it has no {Path.GetFileName(path)}.", path);
        }

        PeftConfig settings = PeftConfig.Parse(File.ReadAllText(config));
        using DisposeScope scope = NewDisposeScope();
        Dictionary<string, Tensor> all = SafeTensors.Load(tensors);
        var a = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        var b = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        var saved = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        var strange = new List<string>();
        foreach ((string key, Tensor value) in all)
        {
            string name = key.StartsWith(Prefix, StringComparison.Ordinal) ? key[Prefix.Length..] : key;
            bool isNew = true;
            if (Cut(name, ".lora_A.weight") is { } left) isNew = a.TryAdd(left, value);
            else if (Cut(name, ".lora_B.weight") is { } right) isNew = b.TryAdd(right, value);
            else if (settings.ModulesToSave.Any(m => name.StartsWith(m + ".", StringComparison.Ordinal) || name.Contains("." + m + ".", StringComparison.Ordinal))) isNew = saved.TryAdd(name, value);
            else strange.Add(key);
            if (!isNew) throw new InvalidDataException($"'{tensors}' holds {name} twice, with the prefix {Prefix} and without.");
        }

        if (strange.Count > 0) throw new InvalidDataException($"'{tensors}' holds tensors that are no factors of an adapter and of no module in modules_to_save: {string.Join(", ", strange)}.");
        if (saved.FirstOrDefault(t => !TensorInput.IsFinite(t.Value)) is { Key: not null } broken) throw new InvalidDataException($"{broken.Key} of '{tensors}' holds NaN or infinity.");
        string[] alone = [.. a.Keys.Except(b.Keys).Select(n => n + ".lora_B"), .. b.Keys.Except(a.Keys).Select(n => n + ".lora_A")];
        if (alone.Length > 0) throw new InvalidDataException($"'{tensors}' has no {string.Join(", ", alone)}, though it has the other factor.");
        if (a.Count == 0) throw new InvalidDataException($"'{tensors}' holds no factors of an adapter.");
        foreach ((string name, Tensor A) in a)
        {
            Tensor B = b[name];
            int rank = settings.RankOf(name);
            if (A.dim() != 2 || B.dim() != 2 || A.shape[0] != rank || B.shape[1] != rank)
                throw new InvalidDataException($"{name} has lora_A [{string.Join(", ", A.shape)}] and lora_B [{string.Join(", ", B.shape)}]; the config says rank {rank}.");
            if (!TensorInput.IsFinite(A) || !TensorInput.IsFinite(B)) throw new InvalidDataException($"The factors of {name} hold NaN or infinity.");
        }

        return new(settings, a.ToDictionary(p => p.Key, p => (p.Value.DetachFromDisposeScope(), b[p.Key].DetachFromDisposeScope())), saved.ToDictionary(p => p.Key, p => p.Value.DetachFromDisposeScope()));
    }

    /// <summary>Writes the adapters of a model.</summary>
    /// <param name="folder">Made where it is not there; the two files replace older ones.</param>
    /// <param name="model">With <see cref="LoraLinear"/> layers.</param>
    /// <param name="baseModel">Name of the model that it belongs to, for the reader. Default none.</param>
    /// <param name="modulesToSave">Modules that are stored whole, by name; null, the default, for none.</param>
    /// <exception cref="ArgumentException">The model has no adapter, or no module of such a name.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public static void Save(string folder, nn.Module model, string baseModel = "", IReadOnlyList<string>? modulesToSave = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        ArgumentNullException.ThrowIfNull(model);
        (string Name, LoraLinear Layer)[] layers = [.. LinearSlots.Of(model).Where(s => s.Module is LoraLinear).Select(s => (s.Name, (LoraLinear)s.Module))];
        if (layers.Length == 0) throw new ArgumentException("The model has no LoraLinear; there is no adapter to write.", nameof(model));
        var tensors = new Dictionary<string, Tensor>();
        foreach ((string name, LoraLinear layer) in layers) (tensors[$"{Prefix}{name}.lora_A.weight"], tensors[$"{Prefix}{name}.lora_B.weight"]) = (layer.A, layer.B);
        foreach (string module in modulesToSave ?? [])
        {
            (string name, Parameter parameter)[] own = [.. model.named_parameters().Where(p => p.name.StartsWith(module + ".", StringComparison.Ordinal))];
            if (own.Length == 0) throw new ArgumentException($"The model has no module {module} with parameters.", nameof(modulesToSave));
            foreach ((string name, Parameter parameter) in own) tensors[Prefix + name] = parameter;
        }

        // The most frequent rank and alpha are the config's, the others go by pattern.
        int rank = layers.GroupBy(l => l.Layer.Rank).MaxBy(g => g.Count())!.Key;
        double alpha = layers.GroupBy(l => l.Layer.Scale * l.Layer.Rank).MaxBy(g => g.Count())!.Key;
        var config = new PeftConfig
        {
            Rank = rank, Alpha = alpha, BaseModel = baseModel, ModulesToSave = modulesToSave ?? [], TargetModules = [.. layers.Select(l => l.Name)],
            RankPattern = layers.Where(l => l.Layer.Rank != rank).ToDictionary(l => System.Text.RegularExpressions.Regex.Escape(l.Name), l => l.Layer.Rank),
            AlphaPattern = layers.Where(l => l.Layer.Scale * l.Layer.Rank != alpha).ToDictionary(l => System.Text.RegularExpressions.Regex.Escape(l.Name), l => l.Layer.Scale * l.Layer.Rank),
        };
        Directory.CreateDirectory(folder);
        SafeTensors.Save(Path.Combine(folder, TensorFile), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        File.WriteAllText(Path.Combine(folder, ConfigFile), config.ToJson());
    }

    /// <summary>Puts the adapter around the layers of a model, where it can be trained on; all else of the model is frozen, and modules that were saved whole take its values.</summary>
    /// <param name="model">The model that it was trained on.</param>
    /// <returns>What was replaced, for <see cref="LinearSlots.Restore"/>.</returns>
    /// <exception cref="InvalidOperationException">It has been merged into this model before.</exception>
    /// <exception cref="ArgumentException">A tensor of the adapter fits no layer, or a layer that the config targets has none; all are listed, and nothing has changed.</exception>
    public IReadOnlyList<ReplacedLayer> Attach(nn.Module model)
    {
        Dictionary<string, string> places = Places(model);
        if (_merged.TryGetValue(model, out _)) throw new InvalidOperationException("This adapter has been merged into this model before; attached too it would add its update again.");
        foreach (Parameter parameter in model.parameters()) parameter.requires_grad = false;
        TakeSaved(model);
        using IDisposable off = no_grad();
        return LinearSlots.Replace(model, (name, linear) =>
        {
            if (!places.TryGetValue(name, out string? own)) return null;
            (Tensor A, Tensor B) = Factors[own];
            var layer = new LoraLinear(linear, (int)A.shape[0], 0, Config.ScaleOf(own));
            layer.A.copy_(A);
            layer.B.copy_(B);
            return layer;
        });
    }

    /// <summary>Adds scale B A to the weights of a model, in place: it computes as with the adapter, and needs no more than before.</summary>
    /// <param name="model">The model that it was trained on.</param>
    /// <exception cref="ArgumentException">A tensor of the adapter fits no layer, or a layer that the config targets has none; all are listed, and nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">It has been merged into this model before, or every update is zero: nothing would change.</exception>
    public void MergeInto(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (_merged.TryGetValue(model, out _)) throw new InvalidOperationException("This adapter has been merged into this model before; a second time would add its update again.");
        Dictionary<string, string> places = Places(model);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        if (SavedTensors.Count == 0 && Factors.Values.All(f => f.B.count_nonzero().item<long>() == 0 || f.A.count_nonzero().item<long>() == 0))
            throw new InvalidOperationException("Every update of the adapter is zero (it has not been trained); merging it would change nothing.");
        TakeSaved(model);
        foreach (LinearSlot slot in LinearSlots.Of(model))
        {
            if (!places.TryGetValue(slot.Name, out string? own)) continue;
            (Tensor A, Tensor B) = Factors[own];
            Parameter weight = ((Linear)slot.Module).weight!;
            ScalarType type = weight.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
            weight.add_(B.to(type).mm(A.to(type)).mul_(Config.ScaleOf(own)).to(weight.dtype).to(weight.device));
        }

        _merged.Add(model, true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((Tensor A, Tensor B) in Factors.Values)
        {
            A.Dispose();
            B.Dispose();
        }

        foreach (Tensor value in SavedTensors.Values) value.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"LoRA adapter of {Factors.Count} layers, rank {Config.Rank}, alpha {Config.Alpha}";

    private static string? Cut(string name, string end) => name.EndsWith(end, StringComparison.Ordinal) ? name[..^end.Length] : null;

    /// <summary>From the name of a layer of the model to that of the adapter's module, after everything has been checked.</summary>
    private Dictionary<string, string> Places(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var places = new Dictionary<string, string>(StringComparer.Ordinal);
        IReadOnlyList<LinearSlot> slots = LinearSlots.Of(model);
        var wrong = new List<string>();
        foreach ((string module, (Tensor A, Tensor B)) in Factors)
        {
            LinearSlot[] fitting = [.. slots.Where(s => s.Name == module)];
            if (fitting.Length == 0) fitting = [.. slots.Where(s => s.Name.EndsWith("." + module, StringComparison.Ordinal) || module.EndsWith("." + s.Name, StringComparison.Ordinal))];
            if (fitting.Length != 1) wrong.Add(fitting.Length == 0 ? $"{module} (no such layer)" : $"{module} (fits {string.Join(" and ", fitting.Select(f => f.Name))})");
            else if (fitting[0].Module is not Linear linear) wrong.Add($"{module} (a {fitting[0].Module.GetType().Name} stands there)");
            else if (linear.weight!.shape[0] != B.shape[0] || linear.weight.shape[1] != A.shape[1]) wrong.Add($"{module} ([{B.shape[0]}, {A.shape[1]}], the layer is [{string.Join(", ", linear.weight.shape)}])");
            else if (A.shape[0] > Math.Min(B.shape[0], A.shape[1])) wrong.Add($"{module} (rank {A.shape[0]} of a layer [{B.shape[0]}, {A.shape[1]}])");
            else if (!places.TryAdd(fitting[0].Name, module)) wrong.Add($"{module} (the layer {fitting[0].Name} has an adapter already)");
        }

        if (wrong.Count > 0) throw new ArgumentException($"The adapter is of another model; of its {Factors.Count} modules these do not fit: {string.Join(", ", wrong)}.", nameof(model));
        string[] bare = Config.TargetModules is null && Config.TargetExpression is null ? [] : [.. slots.Where(s => Config.Targets(s.Name) && !places.ContainsKey(s.Name)).Select(s => s.Name)];
        if (bare.Length > 0) throw new ArgumentException($"The adapter's config targets layers that it has no factors of: {string.Join(", ", bare)}.", nameof(model));
        Dictionary<string, Parameter> parameters = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        string[] saved = [.. SavedTensors.Where(t => !parameters.TryGetValue(t.Key, out Parameter? p) || !p.shape.SequenceEqual(t.Value.shape)).Select(t => $"{t.Key} [{string.Join(", ", t.Value.shape)}]")];
        return saved.Length == 0 ? places : throw new ArgumentException($"The adapter saved modules whole that the model does not have in this shape: {string.Join(", ", saved)}.", nameof(model));
    }

    private void TakeSaved(nn.Module model)
    {
        using IDisposable off = no_grad();
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            if (SavedTensors.TryGetValue(name, out Tensor? value)) parameter.copy_(value);
        }
    }
}
