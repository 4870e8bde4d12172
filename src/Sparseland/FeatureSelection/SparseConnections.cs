using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.FeatureSelection;

/// <summary>What an evolution changed.</summary>
/// <param name="Kept">Connections that stayed.</param>
/// <param name="Dropped">Connections that went; as many came.</param>
/// <param name="Grown">Where they came.</param>
public sealed record ConnectionChange(Support Kept, Support Dropped, Support Grown)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// The weights between two layers, of which only existing connections are held: value, momentum, place. Its products and the gradient at its connections never touch the others.
/// </summary>
public sealed class SparseConnections : IDisposable
{
    private Tensor _values;
    private Tensor _momentum;
    private TurnedSupport? _turned;
    private NativeSize _size;

    private SparseConnections(Support support, Tensor values)
    {
        Support = support;
        _values = values.DetachFromDisposeScope();
        _momentum = zeros_like(values).DetachFromDisposeScope();
        _size = NativeSize.Of(new[] { _values, _momentum });
    }

    /// <summary>Where connections are, [outputs, inputs].</summary>
    public Support Support { get; private set; }

    /// <summary>Their values [Count], row after row; they belong to this.</summary>
    public Tensor Values => _values;

    /// <summary>Their momentum, in the same order.</summary>
    public Tensor Momentum => _momentum;

    /// <summary>Bytes of values, momentum and places.</summary>
    public long Bytes => (12L * Support.Count) + (4L * (Support.Rows + 1));

    /// <summary>Draws epsilon (inputs + outputs) places with replacement, so that a few fall together, with normal values.</summary>
    /// <param name="outputs">Rows.</param>
    /// <param name="inputs">Columns.</param>
    /// <param name="epsilon">epsilon; where it asks for more than there are places, all are taken.</param>
    /// <param name="deviation">Of the values.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <param name="stream">Which of several matrices. Default 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive and finite, or epsilon asks for no place at all.</exception>
    public static SparseConnections Draw(int outputs, int inputs, double epsilon, double deviation, long seed, long stream = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        Finite.Positive(epsilon);
        Finite.Positive(deviation);
        long places = (long)outputs * inputs;
        double wanted = Math.Round(epsilon * ((double)outputs + inputs));
        if (wanted < 1) throw new ArgumentOutOfRangeException(nameof(epsilon), epsilon, $"epsilon times the {(long)outputs + inputs} inputs and outputs must be at least one place.");
        var random = new SeededRandom(seed, 5_100 + stream);
        long[] chosen;
        if (wanted >= places)
        {
            chosen = [.. Range(places)];
        }
        else
        {
            var set = new HashSet<long>();
            for (long i = 0; i < (long)wanted; i++) set.Add((long)(random.NextDouble() * places));
            chosen = [.. set.Order()];
        }

        using DisposeScope scope = NewDisposeScope();
        return new(SupportOf(outputs, inputs, chosen), Normal(chosen.Length, deviation, ref random).MoveToOuterDisposeScope());
    }

    /// <summary>W X.</summary>
    /// <param name="X">[inputs, batch].</param>
    public Tensor Multiply(Tensor X) => SparseProduct.Multiply(Support, _values, X);

    /// <summary>W^T Y.</summary>
    /// <param name="Y">[outputs, batch].</param>
    public Tensor MultiplyTransposed(Tensor Y)
    {
        _turned ??= new(Support);
        using Tensor values = _turned.Turn(_values);
        return SparseProduct.Multiply(_turned.Columns, values, Y);
    }

    /// <summary>The entries of left right^T at the connections: what a gradient is.</summary>
    /// <param name="left">[outputs, batch].</param>
    /// <param name="right">[inputs, batch].</param>
    public Tensor Sampled(Tensor left, Tensor right) => SparseProduct.Sampled(Support, left, right);

    /// <summary>V = momentum V - rate G; W = W + V - decay W.</summary>
    /// <param name="gradient">[Count].</param>
    /// <param name="options">Rate, momentum, decay.</param>
    public void Step(Tensor gradient, QuickSelectionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        using IDisposable off = no_grad();
        _momentum.mul_(options.Momentum).add_(gradient, alpha: -options.LearningRate);
        _values.mul_(1 - options.WeightDecay).add_(_momentum);
    }

    /// <summary>
    /// One evolution: drops the share of each sign nearest to zero (<see cref="DropSignWise"/>), adds as many at free places drawn uniformly without replacement, those just dropped among them, with normal values and no
    /// momentum. The momentum of what stays is kept.
    /// </summary>
    /// <param name="share">zeta, from 0 to below 1.</param>
    /// <param name="deviation">Of new values.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <param name="stream">Which evolution of which matrix.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share or the deviation is out of its range.</exception>
    public ConnectionChange Evolve(double share, double deviation, long seed, long stream)
    {
        if (!(share is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "The share must be from 0 to below 1.");
        Finite.Positive(deviation);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long[] before = Places(Support);
        Tensor kept = Stays(share);
        bool[] stays = TensorMemory.Read<bool>(kept).ToArray();
        long[] left = [.. before.Where((_, i) => stays[i])], dropped = [.. before.Where((_, i) => !stays[i])];
        var random = new SeededRandom(seed, 5_200 + stream);
        long[] grown = FreePlaces.Draw((long)Support.Rows * Support.Columns, left, dropped.Length, ref random);

        // Both ascend; where each of the two ends up among all is its rank.
        long[] all = [.. left.Concat(grown).Order()];
        Tensor at = tensor(left.Select(place => (long)Array.BinarySearch(all, place)).ToArray(), dtype: ScalarType.Int64);
        Tensor fresh = tensor(grown.Select(place => (long)Array.BinarySearch(all, place)).ToArray(), dtype: ScalarType.Int64);
        Tensor values = zeros(all.Length), momentum = zeros(all.Length);
        values.index_copy_(0, at, _values.masked_select(kept));
        momentum.index_copy_(0, at, _momentum.masked_select(kept));
        if (grown.Length > 0) values.index_copy_(0, fresh, Normal(grown.Length, deviation, ref random));
        ConnectionChange change = new(SupportOf(Support.Rows, Support.Columns, left), SupportOf(Support.Rows, Support.Columns, dropped), SupportOf(Support.Rows, Support.Columns, grown));
        Replace(SupportOf(Support.Rows, Support.Columns, all), values, momentum);
        return change;
    }

    /// <summary>Which connections an evolution would keep: Bool [Count].</summary>
    /// <param name="share">zeta.</param>
    public Tensor Stays(double share)
    {
        using DisposeScope scope = NewDisposeScope();
        TopologyContext layer = new() { Layer = "connections", Weight = _values, Mask = ones_like(_values, dtype: ScalarType.Bool), Fraction = share };
        return new DropSignWise().Of(layer).eq(1).MoveToOuterDisposeScope();
    }

    /// <summary>Values and places as a matrix that others read.</summary>
    public CsrMatrix ToCsr() => CsrMatrix.From(Support, _values);

    /// <summary>Frees values and momentum.</summary>
    public void Dispose()
    {
        _values.Dispose();
        _momentum.Dispose();
        _size.Dispose();
    }

    private static IEnumerable<long> Range(long count)
    {
        for (long i = 0; i < count; i++) yield return i;
    }

    private static Tensor Normal(int count, double deviation, ref SeededRandom random)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) values[i] = (float)(deviation * random.NextGaussian());
        return tensor(values);
    }

    private static long[] Places(Support support)
    {
        long[] places = new long[support.Count];
        ReadOnlySpan<int> columns = support.ColumnIndices, offsets = support.RowOffsets;
        for (int row = 0; row < support.Rows; row++)
            for (int i = offsets[row]; i < offsets[row + 1]; i++) places[i] = ((long)row * support.Columns) + columns[i];
        return places;
    }

    private static Support SupportOf(int rows, int columns, long[] places)
    {
        int[] offsets = new int[rows + 1], indices = new int[places.Length];
        for (int i = 0; i < places.Length; i++)
        {
            offsets[(int)(places[i] / columns) + 1]++;
            indices[i] = (int)(places[i] % columns);
        }

        for (int row = 0; row < rows; row++) offsets[row + 1] += offsets[row];
        return new(rows, columns, offsets, indices);
    }

    private void Replace(Support support, Tensor values, Tensor momentum)
    {
        Dispose();
        (Support, _values, _momentum, _turned) = (support, values.DetachFromDisposeScope(), momentum.DetachFromDisposeScope(), null);
        _size = NativeSize.Of(new[] { _values, _momentum });
    }
}
