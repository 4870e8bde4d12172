using System.Text.Json;
using Sparseland.IO;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>How an architecture's files name its tensors.</summary>
/// <param name="Prefix">Leading part of names that files of the body alone leave out.</param>
/// <param name="Turned">Names of matrices that files hold as [in, out].</param>
/// <param name="Ignored">Names in files that are no weights: masks, frequencies.</param>
internal sealed record WeightLayout(string Prefix, Func<string, bool> Turned, Func<string, bool> Ignored)
{
    /// <summary>From a parameter's name to its name in the files, where more than <see cref="Prefix"/> is different; null elsewhere.</summary>
    public Func<string, string>? Stored { get; init; }

    /// <summary>A parameter that files may hold twice or under the other name alone: tied embeddings.</summary>
    public (string Name, string Other)? Copy { get; init; }

    /// <summary>What stands before the number of a block in a name, and the field of the config that counts blocks.</summary>
    public required (string Before, string Field) Blocks { get; init; }

    /// <summary>Fields of the config on which it depends whether there is such a tensor.</summary>
    public required Func<string, string> Asks { get; init; }

    /// <summary>Fields of the config that give a tensor its shape.</summary>
    public required Func<string, string> Sizes { get; init; }

    /// <summary>The block of a tensor, or -1.</summary>
    public int Block(string name)
    {
        int at = ("." + name).IndexOf("." + Blocks.Before, StringComparison.Ordinal);
        string digits = at < 0 ? "" : new([.. name.Skip(at + Blocks.Before.Length).TakeWhile(char.IsAsciiDigit)]);
        return int.TryParse(digits, out int block) ? block : digits.Length > 0 ? int.MaxValue : -1;
    }
}

/// <summary>The safetensors files of a model's folder, one or several, open for reading.</summary>
internal sealed class WeightFolder : IDisposable
{
    private const string Single = "model.safetensors", Index = "model.safetensors.index.json";
    private readonly Dictionary<string, SafeTensorsFile> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SafeTensorsFile> _byTensor = new(StringComparer.Ordinal);
    private readonly string _folder;

    private WeightFolder(string folder) => _folder = folder;

    /// <summary>The folder.</summary>
    public string Folder => _folder;

    /// <summary>Names of the tensors in the files.</summary>
    public IReadOnlyCollection<string> Names => _byTensor.Keys;

    /// <summary>Opens model.safetensors, or the files that model.safetensors.index.json names, and checks their headers.</summary>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">A file or the index is broken, or they contradict each other.</exception>
    public static WeightFolder Open(string folder)
    {
        var weights = new WeightFolder(folder);
        try
        {
            string index = Path.Combine(folder, Index);
            if (File.Exists(Path.Combine(folder, Single)))
            {
                SafeTensorsFile file = weights.File_(Single);
                foreach (string name in file.Names) weights._byTensor.Add(name, file);
            }
            else if (File.Exists(index))
            {
                weights.ReadIndex(index);
            }
            else
            {
                string hint = Directory.EnumerateFiles(folder, "*.bin").Any() ? " It holds .bin files, which are pickles that could run code; convert them to safetensors." : "";
                throw new FileNotFoundException($"'{folder}' holds neither {Single} nor {Index}.{hint}", Path.Combine(folder, Single));
            }

            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>The names of the files' tensors that no parameter is filled from: copies of tied embeddings, masks, frequencies.</summary>
    /// <param name="plan">The plan.</param>
    public IEnumerable<string> Others(IEnumerable<(string Name, Parameter Parameter, SafeTensorInfo Info)> plan) => _byTensor.Keys.Except(plan.Select(p => p.Info.Name)).Order(StringComparer.Ordinal);

    /// <summary>A tensor of the files as it is stored.</summary>
    public Tensor Stored(string name) => _byTensor[name].Load(name);

    /// <summary>A tensor of the files in float32; null where they have none of this name.</summary>
    public Tensor? Find(string name)
    {
        if (!_byTensor.TryGetValue(name, out SafeTensorsFile? file)) return null;
        using Tensor read = file.Load(name);
        return read.to(ScalarType.Float32, copy: true);
    }

    /// <summary>A weight of the files in float32.</summary>
    /// <exception cref="InvalidDataException">There is none of this name, or it has another shape or a type that no weight has.</exception>
    public Tensor Weight(string name, long[] shape, string sizes)
    {
        _ = Checked(Holder(name), name, shape, sizes);
        return Find(name)!;
    }

    /// <summary>The file that holds a tensor.</summary>
    /// <exception cref="InvalidDataException">None does.</exception>
    public SafeTensorsFile Holder(string name) => _byTensor.TryGetValue(name, out SafeTensorsFile? file) ? file : throw new InvalidDataException($"'{_folder}' has no tensor '{name}', which the config asks for.");

    /// <summary>Puts every weight into a model that was made on the device "meta": each is read once, straight into its tensor, and becomes float32.</summary>
    /// <exception cref="InvalidDataException">
    /// A tensor is missing, of a wrong shape or type, or not one of this architecture, and then nothing has been read; or tied embeddings are
    /// held twice and differ.
    /// </exception>
    public void Fill(nn.Module model, WeightLayout layout, int blocks, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        Fill(model, layout, Plan(model, layout, blocks), progress, cancel);
    }

    /// <summary>Puts some weights of a <see cref="Plan"/> into a model.</summary>
    public void Fill(nn.Module model, WeightLayout layout, (string Name, Parameter Parameter, SafeTensorInfo Info)[] plan, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        Dictionary<string, Action<Parameter>> places = Places(model);

        // Not those of the plan: who fills a part, lets go of it and fills it again has other parameters by then, and a linear layer has disposed the first.
        Dictionary<string, Parameter> now = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        long done = 0, total = plan.Sum(p => p.Info.ByteLength);
        using IDisposable off = no_grad();
        foreach ((string name, _, SafeTensorInfo info) in plan)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            Parameter parameter = now[name];
            Tensor read = _byTensor[info.Name].Load(info.Name);
            if (layout.Copy is { } copy && copy.Name == name && info.Name != copy.Other && _byTensor.TryGetValue(copy.Other, out SafeTensorsFile? holder))
                CheckCopy(read, holder, copy.Other, info.Name, layout);
            if (layout.Turned(name)) read = read.t();
            if (parameter.device_type == DeviceType.META) places[name](new Parameter(read.to(ScalarType.Float32).contiguous().DetachFromDisposeScope()));
            else parameter.copy_(read);
            done += info.ByteLength;
            progress?.Report(new(done, total, name));
        }
    }

    public void Dispose()
    {
        foreach (SafeTensorsFile file in _files.Values) file.Dispose();
    }

    /// <summary>Which tensor of the files each parameter is; everything is checked here, before anything is read.</summary>
    public (string Name, Parameter Parameter, SafeTensorInfo Info)[] Plan(nn.Module model, WeightLayout layout, int blocks)
    {
        var left = _byTensor.Keys.Where(name => !layout.Ignored(name)).ToHashSet(StringComparer.Ordinal);
        if (layout.Copy is { } copy) left.Remove(copy.Other);
        var plan = new List<(string, Parameter, SafeTensorInfo)>();
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            string stored = layout.Stored is { } named ? named(name) : Stored(name, layout);
            if (!_byTensor.TryGetValue(stored, out SafeTensorsFile? file)) throw new InvalidDataException($"'{_folder}' has no tensor '{name}', which the config asks for ({Asks(name, blocks, layout)}).");
            long[] expected = layout.Turned(name) ? [.. parameter.shape.Reverse()] : parameter.shape;
            plan.Add((name, parameter, Checked(file, stored, expected, layout.Sizes(name))));
            left.Remove(stored);
        }

        if (left.Count > 0)
        {
            string first = left.Order(StringComparer.Ordinal).First();
            throw new InvalidDataException($"'{_folder}' holds {left.Count} tensors that a model of this config does not have, the first of them '{first}' ({Asks(first, blocks, layout)}).");
        }

        // In the order of the files, so that the disk is read in one go.
        return [.. plan.OrderBy(p => _byTensor[p.Item3.Name].Path, StringComparer.Ordinal).ThenBy(p => p.Item3.Offset)];
    }

    /// <summary>A tensor of a file, of the shape that the config makes it and of a type that weights have.</summary>
    private static SafeTensorInfo Checked(SafeTensorsFile file, string stored, long[] expected, string sizes)
    {
        SafeTensorInfo info = file.Info(stored);
        if (!info.Shape.SequenceEqual(expected))
            throw new InvalidDataException($"{file.Path}: tensor '{stored}' is [{string.Join(", ", info.Shape)}]; the config makes it [{string.Join(", ", expected)}] ({sizes}).");
        return info.Type is SafeTensorType.F16 or SafeTensorType.BF16 or SafeTensorType.F32 or SafeTensorType.F64
            ? info : throw new InvalidDataException($"{file.Path}: {info} is of a type that weights cannot have here; float32, float16, bfloat16 and float64 are known.");
    }

    /// <summary>Embeddings that the config ties and the files hold twice must be the same: else one of config and files is wrong, and no logits would say so.</summary>
    private static void CheckCopy(Tensor read, SafeTensorsFile holder, string other, string name, WeightLayout layout)
    {
        Tensor second = holder.Load(other);
        if (!second.shape.SequenceEqual(read.shape) || second.to(ScalarType.Float32).ne(read.to(ScalarType.Float32)).any().item<bool>())
            throw new InvalidDataException($"{holder.Path}: '{other}' differs from '{name}', but the config ties them ({layout.Asks(other)}).");
    }

    /// <summary>Fields of the config that contradict the files about a tensor: the number of blocks, where one side lacks the whole block.</summary>
    private string Asks(string name, int blocks, WeightLayout layout)
    {
        int block = layout.Block(name);
        bool whole = block >= blocks || (block >= 0 && !_byTensor.Keys.Any(other => layout.Block(other) == block));
        return whole ? layout.Blocks.Field : layout.Asks(name);
    }

    /// <summary>Under which name the files hold a parameter.</summary>
    private string Stored(string name, WeightLayout layout)
    {
        if (_byTensor.ContainsKey(name)) return name;
        string bare = name.StartsWith(layout.Prefix, StringComparison.Ordinal) ? name[layout.Prefix.Length..] : name;
        return layout.Copy is { } copy && copy.Name == name && !_byTensor.ContainsKey(bare) && _byTensor.ContainsKey(copy.Other) ? copy.Other : bare;
    }

    /// <summary>How a module takes a parameter in place of the empty one it has.</summary>
    public static Dictionary<string, Action<Parameter>> Places(nn.Module model)
    {
        var places = new Dictionary<string, Action<Parameter>>(StringComparer.Ordinal);
        foreach ((string name, nn.Module module) in model.named_modules())
        {
            switch (module)
            {
                case Linear linear:
                    places[$"{name}.weight"] = p => linear.weight = p;
                    places[$"{name}.bias"] = p => linear.bias = p;
                    break;
                case Embedding embedding:
                    places[$"{name}.weight"] = p => embedding.weight = p;
                    break;
            }
        }

        return places;
    }

    private void ReadIndex(string path)
    {
        JsonElement map;
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
            map = document.RootElement.GetProperty("weight_map").Clone();
            foreach (JsonProperty entry in map.EnumerateObject())
            {
                string name = entry.Value.GetString()!;
                if (name.Length == 0 || name != Path.GetFileName(name) || name.Contains('\\', StringComparison.Ordinal)) throw new InvalidDataException($"{path}: '{name}' is no file beside the index.");
                SafeTensorsFile file = File_(name);
                if (!file.Names.Contains(entry.Name)) throw new InvalidDataException($"{path} says that '{entry.Name}' is in {name}, but it is not.");
                _byTensor[entry.Name] = file;
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException or NullReferenceException)
        {
            throw new InvalidDataException($"{path} is no index of safetensors files: {error.Message}", error);
        }
    }

    private SafeTensorsFile File_(string name)
    {
        if (_files.TryGetValue(name, out SafeTensorsFile? open)) return open;
        string path = Path.Combine(_folder, name);
        if (!File.Exists(path)) throw new FileNotFoundException($"'{_folder}' lacks {name}, which its index names.", path);
        return _files[name] = SafeTensorsFile.Open(path);
    }
}
