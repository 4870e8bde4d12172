using Sparseland.IO;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// A decoder's folder of which only some parts are in memory at a time: embeddings, one block, or the head. The files are mapped; weights that are let go leave empty
/// places on the device "meta".
/// </summary>
internal sealed class StreamedFolder : IDisposable
{
    private readonly WeightFolder _weights;
    private readonly (string Name, Parameter Parameter, SafeTensorInfo Info)[] _plan;
    private readonly WeightLayout _layout;

    private StreamedFolder(LanguageModel model, WeightFolder weights)
    {
        (Model, _weights, _layout) = (model, weights, model.Layout);
        _plan = weights.Plan(model, _layout, model.Layers);
        Unused = [.. weights.Others(_plan)];
    }

    /// <summary>The model; only the parts that were filled hold weights.</summary>
    public LanguageModel Model { get; }

    /// <summary>Tensors of the files that belong to no part.</summary>
    public IReadOnlyList<string> Unused { get; }

    /// <summary>Bytes of the weights in the files.</summary>
    public long Bytes => _plan.Sum(p => p.Info.ByteLength);

    /// <summary>Tells this folder's weights from those of another: the config, and of each tensor its name, type, shape and the bytes at both ends. A model trained further has others.</summary>
    public uint Fingerprint() => Crc32C.Of(System.Text.Encoding.UTF8.GetBytes(string.Join('\n', [Model.ConfigJson, .. _plan.Select(p => $"{p.Info} {Ends(p.Info.Name):x8}")])));

    /// <summary>Opens a folder; nothing but headers and norms is read.</summary>
    public static StreamedFolder Open(string path)
    {
        LanguageModel model = LanguageModelFolder.Empty(path);
        WeightFolder? weights = null;
        try
        {
            if (SparseLayers.AreIn(model.ReadConfig))
                throw new InvalidDataException($"'{path}' holds compressed layers (sparse_layers of its config), which are read with LanguageModelFolder alone; make them linear again (LinearSlots.MergeAll) and save the model.");
            weights = WeightFolder.Open(path);
            model.eval();
            return new(model, weights);
        }
        catch
        {
            weights?.Dispose();
            model.Dispose();
            throw;
        }
    }

    /// <summary>Reads the weights of a block, or with -1 all that belong to none.</summary>
    public void Fill(int block, CancellationToken cancel) => _weights.Fill(Model, _layout, [.. _plan.Where(p => _layout.Block(p.Name) == block)], null, cancel);

    /// <summary>Lets go of the weights of a block, or with -1 of all that belong to none. Norms are small and stay.</summary>
    public void Release(int block)
    {
        Dictionary<string, Action<Parameter>> places = WeightFolder.Places(Model);
        Dictionary<string, Parameter> now = Model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        using IDisposable off = no_grad();
        foreach ((string name, _, _) in _plan.Where(p => _layout.Block(p.Name) == block && places.ContainsKey(p.Name)))
        {
            Parameter full = now[name];
            if (full.device_type == DeviceType.META) continue;
            places[name](new Parameter(empty(full.shape, device: META).DetachFromDisposeScope()));
            full.Dispose();
        }
    }

    /// <summary>The tensors of a block, or with -1 all that belong to none, under the names and in the types and orientations of the files, with the model's values where it holds them.</summary>
    /// <param name="block">The block, or -1.</param>
    /// <param name="changed">Names of parameters that are taken from the model; all others are as they were stored. A number that the model holds as it was read keeps its bits, also where a file has more of them than a float32.</param>
    /// <exception cref="ArgumentException">A number of the model is past the range of the file's type.</exception>
    public Dictionary<string, Tensor> Tensors(int block, IReadOnlySet<string> changed)
    {
        var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        Dictionary<string, Parameter> now = Model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        foreach ((string name, _, SafeTensorInfo info) in _plan.Where(p => _layout.Block(p.Name) == block))
        {
            Tensor stored = _weights.Stored(info.Name);
            if (changed.Contains(name))
            {
                Tensor value = _layout.Turned(name) ? now[name].t().contiguous() : now[name];
                Tensor changedTo = value.to(stored.dtype);
                if (changedTo.isfinite().logical_not().any().item<bool>()) throw new ArgumentException($"{name}: a changed weight is past the range of {stored.dtype}, the type of the file; store the model as float32 or bfloat16 first.");
                stored = stored.dtype == ScalarType.Float64 ? where(stored.to(value.dtype).eq(value), stored, changedTo) : changedTo;
            }

            tensors[info.Name] = stored;
        }

        if (block < 0)
        {
            foreach (string name in Unused) tensors[name] = _weights.Stored(name);
        }

        return tensors;
    }

    /// <summary>The name under which the files hold a parameter.</summary>
    public string StoredName(string parameter) => _plan.First(p => p.Name == parameter).Info.Name;

    /// <summary>Checksum of the first and last numbers of a tensor as it is stored.</summary>
    private uint Ends(string name)
    {
        using Tensor stored = _weights.Stored(name), flat = stored.view(-1), head = flat.narrow(0, 0, Math.Min(1024, flat.numel())), tail = flat.narrow(0, flat.numel() - head.numel(), head.numel());
        using Tensor ends = cat([head, tail]);
        return Crc32C.Of(ends.bytes);
    }

    public void Dispose()
    {
        _weights.Dispose();
        Model.Dispose();
    }
}
