using System.Globalization;
using Sparseland.IO;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

// The layer as a file.
public sealed partial class LowRankSparseLinear
{
    /// <summary>Writes factors, values and places as a safetensors file: lora_A, lora_B, values, indices (flat positions, Int32) and bias, with scale, shape and a hash of the places as notes.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="InvalidDataException">A state was loaded whose values are those of another support.</exception>
    public void Save(string path)
    {
        CheckMark();
        using DisposeScope scope = NewDisposeScope();
        int[] flat = new int[Support.Count];
        for (int row = 0, at = 0; row < Support.Rows; row++)
        {
            foreach (int column in Support.Row(row)) flat[at++] = (row * Support.Columns) + column;
        }

        var tensors = new Dictionary<string, Tensor> { ["values"] = Values, ["indices"] = tensor(flat, dtype: ScalarType.Int32) };
        if (A is not null) (tensors["lora_A"], tensors["lora_B"]) = (A, B!);
        if (Bias is not null) tensors["bias"] = Bias;
        SafeTensors.Save(path, tensors, new Dictionary<string, string>
        {
            ["kind"] = "sparseland.lowranksparse.1", ["scale"] = Scale.ToString("R", CultureInfo.InvariantCulture), ["shape"] = FormattableString.Invariant($"{Support.Rows} {Support.Columns}"), ["support"] = Support.Hash(),
        });
    }

    /// <summary>Reads a file of <see cref="Save"/> into this layer, whose places must be those of the file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is of another kind, shape, rank, scale or support; the message says which. Nothing has changed. <see cref="Load"/> takes the file's own support.</exception>
    public void LoadInto(string path)
    {
        using LowRankSparseLinear other = Load(path);
        void Same(bool same, string what, object own, object others)
        {
            if (!same) throw new InvalidDataException($"'{path}' holds a layer with {what} {others}; this one has {own}.");
        }

        Same(other.Support.Rows == Support.Rows && other.Support.Columns == Support.Columns, "the shape", $"[{Support.Rows}, {Support.Columns}]", $"[{other.Support.Rows}, {other.Support.Columns}]");
        Same(other.Rank == Rank, "the rank", Rank, other.Rank);
        Same(other.Values.dtype == Values.dtype, "the type", Values.dtype, other.Values.dtype);
        Same(other.Scale == Scale, "the scale", Scale, other.Scale);
        Same((other.Bias is null) == (Bias is null), "a bias", Bias is not null, other.Bias is not null);
        Same(other.Support.Equals(Support), "the support", Support.Hash()[..12], other.Support.Hash()[..12]);
        using IDisposable off = no_grad();
        support.fill_(_mark);
        Values.copy_(other.Values);
        A?.copy_(other.A!);
        B?.copy_(other.B!);
        Bias?.copy_(other.Bias!);
    }

    /// <summary>A layer of a file of <see cref="Save"/>.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no such file, or its parts do not fit each other.</exception>
    public static LowRankSparseLinear Load(string path)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        using DisposeScope scope = NewDisposeScope();
        string Note(string key) => file.Metadata.TryGetValue(key, out string? text) ? text : throw new InvalidDataException($"'{path}' holds no low-rank and sparse layer: its notes have no '{key}'.");
        if (Note("kind") != "sparseland.lowranksparse.1") throw new InvalidDataException($"'{path}' is of the kind '{Note("kind")}'; known is 'sparseland.lowranksparse.1'.");
        string[] shape = Note("shape").Split(' ');
        if (shape.Length != 2 || !int.TryParse(shape[0], NumberStyles.None, CultureInfo.InvariantCulture, out int rows) || !int.TryParse(shape[1], NumberStyles.None, CultureInfo.InvariantCulture, out int columns)
            || !double.TryParse(Note("scale"), CultureInfo.InvariantCulture, out double scale) || scale == 0 || !double.IsFinite(scale) || rows < 1 || columns < 1)
            throw new InvalidDataException($"'{path}' says shape '{Note("shape")}' and scale '{Note("scale")}', which are no sizes and no scale.");
        Dictionary<string, Tensor> all = file.LoadAll();
        Tensor Part(string name, params long[] sizes)
        {
            if (!all.TryGetValue(name, out Tensor? value) || !value.shape.SequenceEqual(sizes)) throw new InvalidDataException($"'{path}' has no {name} [{string.Join(", ", sizes)}].");
            return value;
        }

        if (all.FirstOrDefault(t => t.Value.is_floating_point() && !TensorInput.IsFinite(t.Value)) is { Key: not null } broken) throw new InvalidDataException($"{broken.Key} of '{path}' holds NaN or infinity.");
        long count = all.TryGetValue("values", out Tensor? values) && values.dim() == 1 ? values.shape[0] : throw new InvalidDataException($"'{path}' has no values.");
        Support support = Places(Part("indices", count), rows, columns, path);
        if (support.Hash() != Note("support")) throw new InvalidDataException($"The indices of '{path}' are not those that its values were trained at: their hash differs from the note.");
        if (all.ContainsKey("lora_A") != all.ContainsKey("lora_B") || (all.TryGetValue("lora_A", out Tensor? a) && a.dim() != 2)) throw new InvalidDataException($"'{path}' does not have both factors, lora_A and lora_B, as matrices.");
        long rank = a?.shape[0] ?? 0;
        if (values.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new InvalidDataException($"The values of '{path}' are {values.dtype}; they must be Float32 or Float64.");
        if (rank > Math.Min(rows, columns)) throw new InvalidDataException($"'{path}' has the rank {rank} of a matrix [{rows}, {columns}].");
        var layer = new LowRankSparseLinear(support, new() { Rank = (int)rank, Alpha = rank == 0 ? null : scale * rank }, all.ContainsKey("bias") ? Part("bias", rows) : null, values.dtype);
        using IDisposable off = no_grad();
        layer.Values.copy_(values);
        if (rank > 0)
        {
            layer.A!.copy_(Part("lora_A", rank, columns));
            layer.B!.copy_(Part("lora_B", rows, rank));
        }

        return layer;
    }

    private static Support Places(Tensor indices, int rows, int columns, string path)
    {
        long[] flat = [.. indices.to(ScalarType.Int64).data<long>()];
        int[] offsets = new int[rows + 1], found = new int[flat.Length];
        for (int i = 0; i < flat.Length; i++)
        {
            if (flat[i] < 0 || flat[i] >= (long)rows * columns || (i > 0 && flat[i] <= flat[i - 1]))
                throw new InvalidDataException($"Index {i} of '{path}' is {flat[i]}; they must ascend from 0 to below {(long)rows * columns}, each once.");
            offsets[(flat[i] / columns) + 1]++;
            found[i] = (int)(flat[i] % columns);
        }

        for (int row = 0; row < rows; row++) offsets[row + 1] += offsets[row];
        return new(rows, columns, offsets, found);
    }
}
