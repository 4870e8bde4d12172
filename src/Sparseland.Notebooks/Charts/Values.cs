using System.Collections;
using System.Globalization;
using System.Runtime.CompilerServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Notebooks.Charts;

/// <summary>
/// A sequence of numbers taken from whatever a notebook has at hand: arrays, lists and 1-D (or flattened) tensors convert by
/// themselves; for any other sequence there is <see cref="Of(IEnumerable{double})"/>. The numbers are copied once, so a chart
/// does not change afterwards.
/// </summary>
[CollectionBuilder(typeof(Values), nameof(FromSpan))]
public sealed class Values : IEnumerable<double>
{
    private readonly double[] items;

    private Values(double[] items) => this.items = items;

    /// <summary>How many numbers there are.</summary>
    public int Count => items.Length;

    /// <summary>The numbers.</summary>
    public IReadOnlyList<double> Items => items;

    internal double[] Array => items;

    /// <summary>What a collection expression such as [1, 2, 3] makes.</summary>
    public static Values FromSpan(ReadOnlySpan<double> values) => new(values.ToArray());

    /// <summary>Copies a sequence.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="values"/> is null.</exception>
    public static Values Of(IEnumerable<double> values) => new([.. values ?? throw new ArgumentNullException(nameof(values))]);

    /// <summary>Copies a sequence.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="values"/> is null.</exception>
    public static Values Of(IEnumerable<float> values) => new([.. (values ?? throw new ArgumentNullException(nameof(values))).Select(v => (double)v)]);

    /// <summary>Copies a sequence.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="values"/> is null.</exception>
    public static Values Of(IEnumerable<int> values) => new([.. (values ?? throw new ArgumentNullException(nameof(values))).Select(v => (double)v)]);

    /// <summary>Copies a tensor of any real type and device; more dimensions than one are flattened in row order.</summary>
    /// <remarks>Not an overload of <c>Of</c>: arrays convert to tensors too, and the call would be ambiguous.</remarks>
    /// <exception cref="ArgumentNullException"><paramref name="values"/> is null.</exception>
    /// <exception cref="ArgumentException">The tensor is complex.</exception>
    public static Values OfTensor(Tensor values) => new(TensorData.Doubles(values, nameof(values)));

    /// <summary>Takes an array.</summary>
    public static implicit operator Values(double[] values) => Of(values);

    /// <summary>Takes an array.</summary>
    public static implicit operator Values(float[] values) => Of(values);

    /// <summary>Takes an array.</summary>
    public static implicit operator Values(int[] values) => Of(values);

    /// <summary>Takes a list.</summary>
    public static implicit operator Values(List<double> values) => Of(values);

    /// <summary>Takes a list.</summary>
    public static implicit operator Values(List<float> values) => Of(values);

    /// <summary>Takes a list.</summary>
    public static implicit operator Values(List<int> values) => Of(values);

    /// <summary>Takes a tensor.</summary>
    public static implicit operator Values(Tensor values) => OfTensor(values);

    /// <inheritdoc/>
    public IEnumerator<double> GetEnumerator() => ((IEnumerable<double>)items).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => items.GetEnumerator();

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Count} values");
}

/// <summary>
/// The numbers of a tensor inside a pair or triple such as ("name", tensor). A type of its own because arrays convert to
/// tensors, so that a pair with an array could otherwise mean two things.
/// </summary>
/// <param name="Values">The numbers in row order; null where the tensor was null.</param>
/// <param name="Shape">The tensor's shape.</param>
public readonly record struct TensorValues(Values? Values, IReadOnlyList<long> Shape)
{
    /// <summary>Takes a tensor; null, such as an exercise not yet answered, stays null.</summary>
    public static implicit operator TensorValues(Tensor? tensor) => tensor is null ? default : new(Values.OfTensor(tensor), tensor.shape);
}

/// <summary>Tensors of any real type and device as doubles on the CPU.</summary>
internal static class TensorData
{
    public static double[] Doubles(Tensor tensor, string argument)
    {
        ArgumentNullException.ThrowIfNull(tensor, argument);
        if (tensor.is_complex())
            throw new ArgumentException("A complex tensor has no single number per place: take its abs(), real or imag first.", argument);
        using var scope = NewDisposeScope();
        return tensor.detach().to_type(ScalarType.Float64).cpu().contiguous().data<double>().ToArray();
    }
}
