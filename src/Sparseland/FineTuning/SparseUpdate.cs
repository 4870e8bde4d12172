using Sparseland.IO;
using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>Which numbers of a parameter an update is about.</summary>
public enum UpdateForm
{
    /// <summary>Columns of a matrix.</summary>
    Columns,

    /// <summary>Rows of a matrix.</summary>
    Rows,

    /// <summary>Single entries, by their place in the row-major parameter.</summary>
    Entries,
}

/// <summary>What a fine-tuning has to say about one parameter: places and values, and the hash of the parameter that they belong to.</summary>
public sealed class SparseUpdate : IDisposable
{
    private readonly long[] _shape;
    private readonly long[] _indices;
    private readonly NativeSize _size;

    /// <summary>An update; the values are copied.</summary>
    /// <param name="parameter">Name of the parameter in the network.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="form">Columns, rows or entries.</param>
    /// <param name="indices">Their numbers, strictly ascending.</param>
    /// <param name="values">[rows, k] of columns, [k, columns] of rows, [k] of entries.</param>
    /// <param name="baseHash">Hash of the parameter before any fine-tuning; see <see cref="HashOf"/>.</param>
    /// <exception cref="ArgumentException">Indices out of range or not ascending, or values of another shape.</exception>
    public SparseUpdate(string parameter, IReadOnlyList<long> shape, UpdateForm form, IReadOnlyList<long> indices, Tensor values, string baseHash)
    {
        ArgumentException.ThrowIfNullOrEmpty(parameter);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(indices);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentException.ThrowIfNullOrEmpty(baseHash);
        if (!Enum.IsDefined(form)) throw new ArgumentOutOfRangeException(nameof(form), form, "form is Columns, Rows or Entries.");
        (Parameter, Form, BaseHash, _shape, _indices) = (parameter, form, baseHash, [.. shape], [.. indices]);
        if (form != UpdateForm.Entries && _shape.Length != 2) throw new ArgumentException($"{parameter} is [{string.Join(", ", _shape)}]; only a matrix has rows and columns.", nameof(shape));
        long size = 1;
        foreach (long length in _shape) size *= length;
        long limit = form switch { UpdateForm.Columns => _shape[1], UpdateForm.Rows => _shape[0], _ => size };
        for (int i = 0; i < _indices.Length; i++)
        {
            if (_indices[i] < 0 || _indices[i] >= limit) throw new ArgumentException($"{parameter}: index {_indices[i]} is outside 0 to {limit - 1}.", nameof(indices));
            if (i > 0 && _indices[i] <= _indices[i - 1]) throw new ArgumentException($"{parameter}: indices must ascend, but {_indices[i]} follows {_indices[i - 1]}.", nameof(indices));
        }

        long[] wanted = form switch { UpdateForm.Columns => [_shape[0], _indices.Length], UpdateForm.Rows => [_indices.Length, _shape[1]], _ => [_indices.Length] };
        if (!values.shape.SequenceEqual(wanted)) throw new ArgumentException($"{parameter}: values must be [{string.Join(", ", wanted)}], but are [{string.Join(", ", values.shape)}].", nameof(values));
        if (values.dtype is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.Float16 or ScalarType.BFloat16)) throw new ArgumentException($"{parameter}: values are {values.dtype}; they must be of floating point.", nameof(values));
        using IDisposable off = no_grad();
        if (!TensorInput.IsFinite(values)) throw new ArgumentException($"{parameter}: values hold NaN or infinity.", nameof(values));
        Values = values.detach().cpu().clone().DetachFromDisposeScope();
        _size = NativeSize.Of(Values);
    }

    /// <summary>Name of the parameter in the network.</summary>
    public string Parameter { get; }

    /// <summary>Shape of the parameter.</summary>
    public IReadOnlyList<long> Shape => _shape;

    /// <summary>Columns, rows or entries.</summary>
    public UpdateForm Form { get; }

    /// <summary>Their numbers, ascending.</summary>
    public IReadOnlyList<long> Indices => _indices;

    /// <summary>[rows, k] of columns, [k, columns] of rows, [k] of entries; it belongs to the update.</summary>
    public Tensor Values { get; }

    /// <summary>Hash of the parameter before any fine-tuning.</summary>
    public string BaseHash { get; }

    /// <summary>SHA-256 of a parameter's type, shape and numbers.</summary>
    /// <param name="parameter">The parameter.</param>
    public static string HashOf(Tensor parameter)
    {
        ArgumentNullException.ThrowIfNull(parameter);
        return TensorHash.Of(parameter);
    }

    /// <summary>Frees the values.</summary>
    public void Dispose()
    {
        Values.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Parameter} [{string.Join(", ", _shape)}]: {_indices.Length} {Form.ToString().ToLowerInvariant()}";
}
