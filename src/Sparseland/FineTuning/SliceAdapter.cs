using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>
/// A finished S2FT update, apart from the network: of each layer the rows or columns S and what is added to them. It is stored, applied, removed, fused with others, and served beside them
/// (<see cref="ServedAdapters"/>).
/// </summary>
public sealed class SliceAdapter : IDisposable
{
    private readonly SparseAdapterFile _file;
    private readonly Dictionary<nn.Module, Tensor[]> _kept = new(ReferenceEqualityComparer.Instance);
    private NativeSize? _size;

    internal SliceAdapter(SparseAdapterFile file) => _file = file;

    /// <summary>The updates, by parameter; they belong to the adapter.</summary>
    public IReadOnlyList<SparseUpdate> Updates => _file.Updates;

    /// <summary>Numbers in it.</summary>
    public long ParameterCount => Updates.Sum(u => u.Values.numel());

    /// <summary>Reads one.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">It is no adapter of this kind.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static SliceAdapter Load(string path)
    {
        SparseAdapterFile file = SparseAdapterFile.Load(path);
        if (file.Meaning == AdapterMeaning.Added && file.Updates.All(u => u.Form != UpdateForm.Entries)) return new(file);
        file.Dispose();
        throw new InvalidDataException($"{path} is an adapter of {file.Method} that holds single entries or replaces weights; slices that are added were expected.");
    }

    /// <summary>Writes it; see <see cref="SparseAdapterFile"/>.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => _file.Save(path);

    /// <summary>Adds the update to a network's weights, and keeps the slices that it changes: adding and subtracting would not bring back the last bits.</summary>
    /// <param name="model">The network, as it was before the fine-tuning.</param>
    /// <exception cref="ArgumentException">The network is not the base, or the adapter is applied to it already; nothing has changed.</exception>
    public void Apply(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (_kept.ContainsKey(model)) throw new ArgumentException("The adapter is applied to this network already; remove it first.", nameof(model));
        IReadOnlyList<Parameter> parameters = _file.ParametersIn(model);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var kept = new Tensor[parameters.Count];
        for (int i = 0; i < kept.Length; i++)
        {
            (SparseUpdate update, Tensor index) = (Updates[i], tensor((long[])[.. Updates[i].Indices], device: parameters[i].device));
            kept[i] = parameters[i].index_select(Dimension(update.Form), index).DetachFromDisposeScope();
            Add(parameters[i], update.Form == UpdateForm.Columns ? SliceSide.Input : SliceSide.Output, index, update.Values.to(parameters[i].device));
        }

        _kept.Add(model, kept);
        Resize();
    }

    /// <summary>Puts the network's own slices back, bit for bit.</summary>
    /// <param name="model">A network that it is applied to.</param>
    /// <exception cref="ArgumentException">It is not applied to this network.</exception>
    public void Remove(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!_kept.TryGetValue(model, out Tensor[]? kept)) throw new ArgumentException("The adapter is not applied to this network.", nameof(model));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Dictionary<string, Parameter> all = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        for (int i = 0; i < kept.Length; i++)
        {
            SparseUpdate update = Updates[i];
            if (!all.TryGetValue(update.Parameter, out Parameter? now) || !now.shape.SequenceEqual(update.Shape) || now.dtype != kept[i].dtype)
                throw new ArgumentException($"The network has changed since: it has no {update.Parameter} of {kept[i].dtype} [{string.Join(", ", update.Shape)}] any more. Nothing has been put back.", nameof(model));
        }

        _kept.Remove(model);
        for (int i = 0; i < kept.Length; i++)
        {
            Parameter parameter = all[Updates[i].Parameter];
            parameter.index_copy_(Dimension(Updates[i].Form), tensor((long[])[.. Updates[i].Indices], device: parameter.device), kept[i]);
            kept[i].Dispose();
        }

        Resize();
    }

    /// <summary>One adapter in place of two of the same base: their sum. Of disjoint slices it is exact and has no order; where they overlap the values add.</summary>
    /// <param name="first">One.</param>
    /// <param name="second">The other.</param>
    /// <exception cref="ArgumentException">They belong to different bases, or one has rows where the other has columns.</exception>
    public static SliceAdapter Fuse(SliceAdapter first, SliceAdapter second)
    {
        CheckPair(first, second);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Dictionary<string, SparseUpdate> others = second.Updates.ToDictionary(u => u.Parameter);
        var fused = new List<SparseUpdate>();
        foreach (SparseUpdate one in first.Updates)
        {
            if (others.Remove(one.Parameter, out SparseUpdate? other)) fused.Add(Sum(one, other));
            else fused.Add(Copy(one));
        }

        fused.AddRange(others.Values.Select(Copy));
        return new(new(first._file.Method, AdapterMeaning.Added, [.. fused.OrderBy(u => u.Parameter, StringComparer.Ordinal)]));
    }

    /// <summary>Rows and columns that both adapters change, over those that at least one changes; 0 for disjoint ones.</summary>
    /// <param name="first">One.</param>
    /// <param name="second">The other.</param>
    /// <exception cref="ArgumentException">They belong to different bases, or one has rows where the other has columns.</exception>
    public static double Overlap(SliceAdapter first, SliceAdapter second)
    {
        CheckPair(first, second);
        HashSet<(string, long)> one = Places(first), other = Places(second);
        int both = one.Count(other.Contains);
        int either = one.Count + other.Count - both;
        return either == 0 ? 0 : (double)both / either;

        static HashSet<(string, long)> Places(SliceAdapter adapter) => [.. adapter.Updates.SelectMany(u => u.Indices.Select(i => (u.Parameter, i)))];
    }

    /// <summary>Frees values and kept slices; networks stay as they are.</summary>
    public void Dispose()
    {
        _file.Dispose();
        foreach (Tensor slice in _kept.Values.SelectMany(k => k)) slice.Dispose();
        _kept.Clear();
        _size?.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"SliceAdapter of {Updates.Count} matrices, {ParameterCount} numbers";

    /// <summary>weight[S] += delta.</summary>
    internal static void Add(Tensor weight, SliceSide side, Tensor index, Tensor delta) => weight.index_add_(side == SliceSide.Input ? 1 : 0, index, delta, 1);

    internal SparseAdapterFile File => _file;

    private void Resize()
    {
        _size?.Dispose();
        _size = NativeSize.Of(_kept.Values.SelectMany(k => k));
    }

    private static int Dimension(UpdateForm form) => form == UpdateForm.Columns ? 1 : 0;

    private static SparseUpdate Copy(SparseUpdate update) => new(update.Parameter, update.Shape, update.Form, update.Indices, update.Values, update.BaseHash);

    private static SparseUpdate Sum(SparseUpdate one, SparseUpdate other)
    {
        long[] union = [.. one.Indices.Union(other.Indices).Order()];
        int side = Dimension(one.Form);
        long[] shape = one.Form == UpdateForm.Columns ? [one.Shape[0], union.Length] : [union.Length, one.Shape[1]];
        Tensor values = zeros(shape, dtype: one.Values.dtype);
        foreach (SparseUpdate part in (SparseUpdate[])[one, other])
            values.index_add_(side, tensor((long[])[.. part.Indices.Select(i => (long)Array.BinarySearch(union, i))]), part.Values, 1);
        return new(one.Parameter, one.Shape, one.Form, union, values, one.BaseHash);
    }

    private static void CheckPair(SliceAdapter first, SliceAdapter second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        foreach ((SparseUpdate one, SparseUpdate other) in first.Updates.Join(second.Updates, u => u.Parameter, u => u.Parameter, (a, b) => (a, b)))
        {
            if (one.BaseHash != other.BaseHash) throw new ArgumentException($"The adapters belong to different bases: {one.Parameter} has two hashes.", nameof(second));
            if (one.Form != other.Form) throw new ArgumentException($"{one.Parameter}: one adapter has {one.Form}, the other {other.Form}.", nameof(second));
        }
    }
}
