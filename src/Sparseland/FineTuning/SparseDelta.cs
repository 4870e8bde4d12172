using System.Globalization;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>
/// The trained entries of a network, in place (SaRA): of each weight a vector p of the entries in its mask is the leaf of the gradient, so that gradients, moments and steps have the size of the selection; everything else keeps its
/// value. It ends by <see cref="Merge"/>, which leaves the trained entries in the weights, or by <see cref="Dispose"/> alone, which brings the base back.
/// </summary>
public sealed class SparseDelta : IDisposable
{
    private readonly nn.Module _model;
    private readonly List<Layer> _layers = [];
    private readonly NativeSize _size;
    private TrainedOnly _only;
    private bool _ended;

    private SparseDelta(nn.Module model, MaskSet masks, double? threshold)
    {
        (_model, Threshold) = (model, threshold);
        string[] names = [.. masks.Names.Where(name => masks.ActiveOf(name) > 0)];
        if (names.Length == 0) throw new ArgumentException("The masks select nothing.", nameof(masks));
        HashSet<string> known = [.. LinearSlots.Of(model).Concat(LinearSlots.ConvolutionsOf(model)).Where(s => s.Module is Linear or Conv2d).Select(s => s.Name + ".weight")];
        if (names.FirstOrDefault(name => !known.Contains(name)) is { } strange) throw new ArgumentException($"{strange} is not the weight of a linear layer or convolution that can be trained in part.", nameof(masks));
        Dictionary<string, Parameter> own = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        if (names.FirstOrDefault(name => !own.TryGetValue(name, out Parameter? p) || TensorMemory.Identity(p) != TensorMemory.Identity(masks.ParameterOf(name))) is { } foreign)
            throw new ArgumentException($"The masks are of another network: their {foreign} is not this network's. MaskSet.For makes masks of this one.", nameof(masks));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Total = masks.Size;
        Dictionary<string, LeafWeight> rules = [];
        foreach (string name in names)
        {
            Parameter weight = masks.ParameterOf(name);
            long[] places = masks[name].reshape(-1).nonzero().view(-1).data<long>().ToArray();
            Tensor values = weight.detach().reshape(-1).index_select(0, tensor(places, device: weight.device));
            rules[name] = new(new Parameter(values.clone().DetachFromDisposeScope()), places);
            _layers.Add(new(name, weight, rules[name], places, values.DetachFromDisposeScope(), SparseUpdate.HashOf(weight)));
        }

        Dictionary<string, ReplacedLayer> replaced = EffectiveWeight.Attach(model, (name, _) => rules.GetValueOrDefault(name + ".weight")).ToDictionary(r => r.Slot.Name + ".weight");
        foreach (Layer layer in _layers)
        {
            (layer.Slot, layer.Before) = (replaced[layer.Name].Slot, replaced[layer.Name].Before);
            replaced[layer.Name].After.register_parameter("values", layer.Rule.Values);
        }

        _only = new(model, [.. _layers.Select(l => l.Rule.Values)]);
        _size = NativeSize.Of(_layers.Select(l => l.Base));
        Selected = Count;
    }

    /// <summary>theta; null where the masks were given.</summary>
    public double? Threshold { get; }

    /// <summary>Names of the weights with trained entries at the beginning, in the order of the network.</summary>
    public IReadOnlyList<string> Names => [.. _layers.Select(l => l.Name)];

    /// <summary>What the selection found that is to be known (<see cref="SaraChoice.Warning"/>); null for nothing.</summary>
    public string? Warning { get; private init; }

    /// <summary>Entries that are trained now.</summary>
    public long Count => _layers.Sum(l => (long)l.Rule.Places.Count);

    /// <summary>Entries that were selected at the beginning.</summary>
    public long Selected { get; }

    /// <summary>Entries of all weights that took part in the selection.</summary>
    public long Total { get; }

    /// <summary>Bytes of gradient and both moments of AdamW: of the trained entries alone.</summary>
    public long StateBytes => _layers.Sum(l => 3 * (long)l.Rule.Places.Count * l.Weight.element_size());

    /// <summary>Trains the small weights of a network.</summary>
    /// <param name="model">The network; every other parameter stays fixed until the end.</param>
    /// <param name="selection">Which.</param>
    /// <exception cref="ArgumentException">The selection is out of range or selects nothing, or a weight is no layer's that can be trained in part.</exception>
    public static SparseDelta Attach(nn.Module model, SaraSelection selection)
    {
        ArgumentNullException.ThrowIfNull(selection);
        using SaraChoice choice = selection.Of(model);
        return new(model, choice.Masks, choice.Threshold) { Warning = choice.Warning };
    }

    /// <summary>Trains the entries of given masks: random ones, large ones, those of another method.</summary>
    /// <param name="model">The network.</param>
    /// <param name="masks">Which entries; they stay the caller's.</param>
    /// <exception cref="ArgumentException">The masks select nothing, or a weight is no layer's that can be trained in part.</exception>
    public static SparseDelta Attach(nn.Module model, MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(masks);
        return new(model, masks, null);
    }

    /// <summary>p of a weight, what is trained now; it belongs to the delta.</summary>
    /// <param name="name">Name of the weight.</param>
    /// <exception cref="ArgumentException">There is no such weight.</exception>
    public Parameter ValuesOf(string name) => Find(name).Rule.Values;

    /// <summary>Where p stands in the row-major weight, ascending.</summary>
    /// <param name="name">Name of the weight.</param>
    /// <exception cref="ArgumentException">There is no such weight.</exception>
    public IReadOnlyList<long> PlacesOf(string name) => Find(name).Rule.Places;

    /// <summary>The weight as it is now, trained entries in it: a copy.</summary>
    /// <param name="name">Name of the weight.</param>
    /// <exception cref="ArgumentException">There is no such weight.</exception>
    public Tensor WeightOf(string name)
    {
        Layer layer = Find(name);
        using IDisposable off = no_grad();
        layer.Rule.Write(layer.Weight);
        Tensor own = layer.Weight.detach();
        return own.is_contiguous() ? own.clone() : own.contiguous();
    }

    /// <summary>What the training has added to a weight, with zeros outside of the selection.</summary>
    /// <param name="name">Name of the weight.</param>
    /// <exception cref="ArgumentException">There is no such weight.</exception>
    public Tensor UpdateOf(string name)
    {
        Layer layer = Find(name);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor update = zeros(layer.Weight.shape, dtype: layer.Weight.dtype, device: layer.Weight.device);
        Tensor places = tensor(layer.Selected, device: update.device);
        update.view(-1).index_copy_(0, places, WeightOf(name).view(-1).index_select(0, places).sub(layer.Base));
        return update.MoveToOuterDisposeScope();
    }

    /// <summary>The singular values of what the training has added to a weight, with all measures of rank; of a convolution those of [out, in kh kw].</summary>
    /// <param name="name">Name of the weight.</param>
    /// <exception cref="ArgumentException">There is no such weight.</exception>
    public SpectrumReport SpectrumOf(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor update = UpdateOf(name);
        return SpectrumReport.Of(update.view(update.shape[0], -1), name);
    }

    /// <summary>P * M: the trained entries at their values, zeros elsewhere.</summary>
    /// <param name="name">Name of the weight.</param>
    /// <exception cref="ArgumentException">There is no such weight.</exception>
    public Tensor TrainedPartOf(string name)
    {
        Layer layer = Find(name);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor part = zeros(layer.Weight.shape, dtype: layer.Weight.dtype, device: layer.Weight.device);
        layer.Rule.Write(part);
        return part.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The progressive step: of the trained entries only those stay trained whose magnitude is still below theta; the others become fixed at their trained values. The vectors p are new ones afterwards, and
    /// so must the optimizer be.
    /// </summary>
    /// <param name="threshold">theta, above 0.</param>
    /// <returns>Entries that are still trained.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not above 0.</exception>
    /// <exception cref="ObjectDisposedException">Merged or disposed.</exception>
    public long Narrow(double threshold)
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        if (!(threshold > 0)) throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "threshold must be above 0.");
        _only.Dispose();
        using (DisposeScope scope = NewDisposeScope())
        using (IDisposable off = no_grad())
        {
            foreach (Layer layer in _layers)
            {
                LeafWeight before = layer.Rule;
                before.Write(layer.Weight);
                long[] still = before.Values.detach().abs().to(ScalarType.Float64).lt(threshold).nonzero().view(-1).data<long>().ToArray();
                Tensor kept = before.Values.detach().index_select(0, tensor(still, device: before.Values.device));
                layer.Rule = new(new Parameter(kept.DetachFromDisposeScope()), [.. still.Select(i => before.Places[(int)i])]);
                nn.Module<Tensor, Tensor> old = layer.Slot.Module, next = layer.Before;
                if (still.Length > 0)
                {
                    next = layer.Before is Linear linear ? new EffectiveWeight(linear, layer.Rule) : new EffectiveWeight((Conv2d)layer.Before, layer.Rule);
                    next.register_parameter("values", layer.Rule.Values);
                }

                next.train(old.training);
                layer.Slot.Put(next);
                before.Values.Dispose();
                before.Dispose();
            }
        }

        _only = new(_model, [.. _layers.Select(l => l.Rule.Values)]);
        return Count;
    }

    /// <summary>Writes the update; see <see cref="SparseAdapterFile"/>. Its values take the weights' place.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="ObjectDisposedException">Merged or disposed.</exception>
    public void Save(string path)
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        using DisposeScope scope = NewDisposeScope();
        using SparseAdapterFile file = new("sara", AdapterMeaning.Replacing,
        [
            .. _layers.Select(l => new SparseUpdate(l.Name, l.Weight.shape, UpdateForm.Entries, l.Selected, WeightOf(l.Name).view(-1).index_select(0, tensor(l.Selected, device: l.Weight.device)), l.BaseHash)),
        ]);
        file.Save(path);
    }

    /// <summary>Writes a saved update into a network.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">The base that it was trained on.</param>
    /// <exception cref="InvalidDataException">The file is no adapter of this kind.</exception>
    /// <exception cref="ArgumentException">The network is not the base; a parameter is named. The usual cause is a base that was fine-tuned already.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static void Load(string path, nn.Module model)
    {
        using SparseAdapterFile file = SparseAdapterFile.Load(path);
        if (file.Meaning != AdapterMeaning.Replacing || file.Updates.Any(u => u.Form != UpdateForm.Entries))
            throw new InvalidDataException($"{path} is an adapter of {file.Method} that holds slices or is added; entries that replace weights were expected.");
        IReadOnlyList<Parameter> parameters = file.ParametersIn(model);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        for (int i = 0; i < parameters.Count; i++)
        {
            SparseUpdate update = file.Updates[i];
            Tensor flat = parameters[i].detach().contiguous().view(-1);
            flat.index_copy_(0, tensor((long[])[.. update.Indices], device: parameters[i].device), update.Values.to(parameters[i].device));
            parameters[i].copy_(flat.view(parameters[i].shape));
        }
    }

    /// <summary>Leaves the trained entries in the weights and puts the ordinary layers back.</summary>
    /// <exception cref="ObjectDisposedException">Merged or disposed before.</exception>
    public void Merge()
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        foreach (Layer layer in _layers) layer.Rule.Write(layer.Weight);
        End();
    }

    /// <summary>Brings the base back, bit for bit, unless the update was merged.</summary>
    public void Dispose()
    {
        if (_ended) return;
        using (DisposeScope scope = NewDisposeScope())
        using (IDisposable off = no_grad())
            foreach (Layer layer in _layers) LeafWeight.Restore(layer.Weight, tensor(layer.Selected, device: layer.Weight.device), layer.Base);
        End();
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"SparseDelta of {_layers.Count} weights: {Count} of {Total} entries trained ({(double)Count / Total:0.###%})");

    /// <summary>Throws where the delta has ended or is another network's.</summary>
    internal void CheckAttached(nn.Module model)
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        if (!ReferenceEquals(model, _model)) throw new ArgumentException("The entries are attached to another network.", nameof(model));
    }

    internal Tensor GatherFrom(string name, Tensor full) => Find(name).Rule.Gather(full);

    private void End()
    {
        _ended = true;
        _only.Dispose();
        foreach (Layer layer in _layers)
        {
            layer.Slot.Put(layer.Before);
            layer.Rule.Values.Dispose();
            layer.Rule.Dispose();
            layer.Base.Dispose();
        }

        _size.Dispose();
    }

    private Layer Find(string name)
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        return _layers.FirstOrDefault(l => l.Name == name) ?? throw new ArgumentException($"No entries of \"{name}\" are trained; there are {string.Join(", ", Names)}.", nameof(name));
    }

    private sealed class Layer(string name, Parameter weight, LeafWeight rule, long[] selected, Tensor first, string baseHash)
    {
        public string Name { get; } = name;

        public Parameter Weight { get; } = weight;

        public LeafWeight Rule { get; set; } = rule;

        public long[] Selected { get; } = selected;

        public Tensor Base { get; } = first;

        public string BaseHash { get; } = baseHash;

        public LinearSlot Slot { get; set; } = null!;

        public nn.Module<Tensor, Tensor> Before { get; set; } = null!;
    }
}
