using System.Globalization;
using Sparseland.IO;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>A dense-sparse factorisation: bases, and of every row in every block the atoms it takes and by how much. It owns its tensors.</summary>
public sealed class DenseSparseFactors : IDisposable
{
    private const string Kind = "sparseland.densesparse.1";
    private readonly NativeSize _size;

    internal DenseSparseFactors(DenseSparseShape shape, Tensor basis, Tensor indices, Tensor values, double[] errors)
    {
        (Shape, Basis, Indices, Values, ErrorBySweep) = (shape, basis.DetachFromDisposeScope(), indices.DetachFromDisposeScope(), values.DetachFromDisposeScope(), errors);
        _size = NativeSize.Of(Basis, Indices, Values);
    }

    /// <summary>Sizes.</summary>
    public DenseSparseShape Shape { get; }

    /// <summary>D [K, r, b], the rows of unit length where they were fitted here.</summary>
    public Tensor Basis { get; }

    /// <summary>Atoms [K, out, s], Int64, ascending in each row and all different.</summary>
    public Tensor Indices { get; }

    /// <summary>Coefficients [K, out, s] of those atoms; 0 where a row needed fewer.</summary>
    public Tensor Values { get; }

    /// <summary>Squared error over the squares of W, in float64, after each coding: one more than sweeps. A step alone (<see cref="DenseSparse.Refit"/>) leaves one; factors that were given have none.</summary>
    public IReadOnlyList<double> ErrorBySweep { get; }

    /// <summary>The last of them; NaN where there is none.</summary>
    public double RelativeError => ErrorBySweep.Count == 0 ? double.NaN : ErrorBySweep[^1];

    /// <summary>Factors that were made elsewhere; they are copied.</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="basis">D [K, r, b], Float32, Float64 or a half type, which becomes Float32.</param>
    /// <param name="indices">Atoms [K, out, s], of a whole type, of a row all different.</param>
    /// <param name="values">Coefficients [K, out, s], of the type of the basis.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit, an index is outside or repeated, or a number is not finite.</exception>
    public static DenseSparseFactors Of(DenseSparseShape shape, Tensor basis, Tensor indices, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(basis);
        ArgumentNullException.ThrowIfNull(indices);
        ArgumentNullException.ThrowIfNull(values);
        CheckSize(basis, [shape.Blocks, shape.Atoms, shape.Block], nameof(basis));
        CheckSize(indices, [shape.Blocks, shape.Outputs, shape.NonZeros], nameof(indices));
        CheckSize(values, [shape.Blocks, shape.Outputs, shape.NonZeros], nameof(values));
        if (basis.dtype is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.Float16 or ScalarType.BFloat16) || values.dtype != basis.dtype)
            throw new ArgumentException($"basis is {basis.dtype} and values are {values.dtype}; both must be of one floating type.", nameof(values));
        if (indices.dtype is not (ScalarType.Byte or ScalarType.Int16 or ScalarType.Int32 or ScalarType.Int64)) throw new ArgumentException($"indices are {indices.dtype}; they must be whole numbers.", nameof(indices));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((Tensor numbers, string name) in new[] { (basis, nameof(basis)), (values, nameof(values)) })
        {
            if (!TensorInput.IsFinite(numbers)) throw new ArgumentException($"{name} holds NaN or infinity.", name);
        }

        (Tensor sorted, Tensor order) = indices.detach().cpu().to(ScalarType.Int64).sort(2);
        if (sorted.lt(0).any().item<bool>() || sorted.ge(shape.Atoms).any().item<bool>()) throw new ArgumentException($"An index is outside 0 to {shape.Atoms - 1}, the atoms of a basis.", nameof(indices));
        if (shape.NonZeros > 1 && sorted.diff(dim: 2).eq(0).any().item<bool>()) throw new ArgumentException("A row takes an atom twice in one block; its indices must be all different.", nameof(indices));
        ScalarType type = basis.dtype is ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        return new(shape, basis.detach().cpu().to(type, copy: true), sorted.contiguous(), values.detach().cpu().gather(2, order).to(type).contiguous(), []);
    }

    /// <summary>What = S D [out, in]; the caller disposes it.</summary>
    public Tensor Product()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return DenseSparse.Form(Shape, Basis, Indices, Values).MoveToOuterDisposeScope();
    }

    /// <summary>Writes a safetensors file: basis, values, and indices as bytes where there are at most 256 atoms, else as Int32; the shape as a note.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        using DisposeScope scope = NewDisposeScope();
        SafeTensors.Save(
            path, new Dictionary<string, Tensor> { ["basis"] = Basis, ["values"] = Values, ["indices"] = Indices.to(Shape.Atoms <= 256 ? ScalarType.Byte : ScalarType.Int32) },
            new Dictionary<string, string>
            {
                ["kind"] = Kind, ["shape"] = string.Create(CultureInfo.InvariantCulture, $"{Shape.Outputs} {Shape.Inputs} {Shape.Block} {Shape.Atoms} {Shape.NonZeros}"),
            });
    }

    /// <summary>Reads a file of <see cref="Save"/>.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no such file, or its parts do not fit each other; the message says which.</exception>
    public static DenseSparseFactors Load(string path)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        using DisposeScope scope = NewDisposeScope();
        if (!file.Metadata.TryGetValue("kind", out string? kind) || kind != Kind) throw new InvalidDataException($"'{path}' is of the kind '{kind ?? "none"}'; known is '{Kind}'.");
        int[] sizes = [.. (file.Metadata.TryGetValue("shape", out string? text) ? text : "").Split(' ').Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int size) ? size : -1)];
        Dictionary<string, Tensor> all = file.LoadAll();
        if (sizes.Length != 5 || new[] { "basis", "indices", "values" }.FirstOrDefault(name => !all.ContainsKey(name)) is not null)
            throw new InvalidDataException($"'{path}' must have a shape of five sizes, basis, indices and values; it has the shape '{text}' and {string.Join(", ", all.Keys)}.");
        try
        {
            return Of(new(sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]), all["basis"], all["indices"], all["values"]);
        }
        catch (ArgumentException error)
        {
            throw new InvalidDataException($"'{path}' does not fit together. {error.Message}", error);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Basis.Dispose();
        Indices.Dispose();
        Values.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"DenseSparseFactors {Shape}, squared error {RelativeError:G4}");

    private static void CheckSize(Tensor tensor, long[] size, string name)
    {
        if (!tensor.shape.SequenceEqual(size)) throw new ArgumentException($"{name} must be [{string.Join(", ", size)}], but is [{string.Join(", ", tensor.shape)}].", name);
    }
}
