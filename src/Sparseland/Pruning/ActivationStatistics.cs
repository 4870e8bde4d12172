using System.Globalization;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// What layer-wise pruning knows of a layer's inputs, gathered from batch to batch: how many, their sums, sums of squares and, where asked for, their second
/// moments X^T X. Sums are float64; products of a batch are made in the type of the batch and added in float64.
/// </summary>
/// <remarks>What is gathered does not depend on how sequences are put into batches (to the last bits), and two halves merge to the whole.</remarks>
public sealed class ActivationStatistics : IDisposable
{
    private readonly double[] _sum, _squares, _within;
    private readonly NativeSize? _size;
    private (double Damping, ObsFactor Factor)? _factor;

    /// <summary>Nothing seen yet.</summary>
    /// <param name="width">Inputs of the layer.</param>
    /// <param name="gram">Whether X^T X is gathered, of width x width numbers. Default false.</param>
    public ActivationStatistics(int width, bool gram = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        Width = width;
        (_sum, _squares, _within) = (new double[width], new double[width], new double[width]);
        if (!gram) return;
        Gram = zeros(width, width, dtype: ScalarType.Float64).DetachFromDisposeScope();
        _size = NativeSize.Of(Gram);
    }

    /// <summary>Inputs of the layer.</summary>
    public int Width { get; }

    /// <summary>Tokens seen: rows of X.</summary>
    public long Count { get; private set; }

    /// <summary>Sequences seen.</summary>
    public long Sequences { get; private set; }

    /// <summary>Sums over tokens [width].</summary>
    public ReadOnlySpan<double> Sum => _sum;

    /// <summary>Sums of squares over tokens [width].</summary>
    public ReadOnlySpan<double> SumSquares => _squares;

    /// <summary>X^T X [width, width], float64; null where it was not asked for. It belongs to the statistics.</summary>
    public Tensor? Gram { get; }

    /// <summary>The factor that <see cref="ObsFactor.Of"/> makes of the second moments, made once for all layers of this input. It belongs to the statistics, and lasts until they see more.</summary>
    /// <param name="damping">Share of the mean diagonal that is added to it. Default 0.01.</param>
    /// <exception cref="ArgumentException">As for <see cref="ObsFactor.Of"/>.</exception>
    public ObsFactor Factor(double damping = 0.01)
    {
        if (_factor is { } made && made.Damping == damping) return made.Factor;
        ObsFactor factor = ObsFactor.Of(this, damping);
        _factor?.Factor.Dispose();
        _factor = (damping, factor);
        return factor;
    }

    /// <summary>Means [width]; zeros where nothing was seen.</summary>
    public double[] Mean() => Each(i => Count == 0 ? 0 : _sum[i] / Count);

    /// <summary>Population variances over all tokens [width].</summary>
    public double[] Variance() => Each(i =>
    {
        if (Count == 0) return 0;
        double mean = _sum[i] / Count;
        return Math.Max(0, (_squares[i] / Count) - (mean * mean));
    });

    /// <summary>Averages over the sequences of the population variance within each [width]: what the published code of DSnoT calls the variance.</summary>
    public double[] VarianceWithinSequences() => Each(i => Sequences == 0 ? 0 : _within[i] / Sequences);

    /// <summary>Euclidean norms sqrt(sum of squares) [width]: Wanda's.</summary>
    public double[] Norms() => Each(i => Math.Sqrt(_squares[i]));

    /// <summary>Sees a batch.</summary>
    /// <param name="X">[batch, tokens, width], or [tokens, width] for one sequence; finite, Float32 or Float64.</param>
    /// <exception cref="ArgumentException">Another shape or type, or a value that is not finite; nothing has been added.</exception>
    public void Add(Tensor X)
    {
        ArgumentNullException.ThrowIfNull(X);
        if (X.dim() is not (2 or 3) || X.shape[^1] != Width || X.numel() == 0)
            throw new ArgumentException($"X must be [batch, tokens, {Width}] or [tokens, {Width}] and not empty, but is [{string.Join(", ", X.shape)}].", nameof(X));
        if (X.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"X is {X.dtype}; it must be Float32 or Float64.", nameof(X));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor batch = X.detach().cpu().reshape(X.dim() == 2 ? 1 : X.shape[0], -1, Width);
        double[] sum = new double[Width], square = new double[Width], within = new double[Width];

        // One sequence at a time: a whole batch in float64 takes several times the memory of the block that is watched.
        for (long i = 0; i < batch.shape[0]; i++)
        {
            using DisposeScope one = NewDisposeScope();
            Tensor wide = batch[i].to(ScalarType.Float64), sums = wide.sum(0L), squares = wide.square().sum(0L), mean = sums / wide.shape[0];
            Add(sum, sums.data<double>().ToArray());
            Add(square, squares.data<double>().ToArray());
            Add(within, ((squares / wide.shape[0]) - mean.square()).clamp_min(0).data<double>().ToArray());
        }

        int broken = Array.FindIndex(square, value => !double.IsFinite(value));
        if (broken >= 0)
            throw new ArgumentException($"Input {broken} of {Width} is not finite somewhere in the batch: the model's activations have overflowed or hold a NaN.", nameof(X));
        if (Gram is not null)
        {
            Tensor rows = batch.reshape(-1, Width), product = rows.t().mm(rows).to(ScalarType.Float64);
            if (!TensorInput.IsFinite(product))
            {
                Tensor wide = rows.to(ScalarType.Float64);
                product = wide.t().mm(wide);
            }

            Gram.add_(product);
        }

        Accumulate(sum, square, within);
        Count += batch.shape[0] * batch.shape[1];
        Sequences += batch.shape[0];
    }

    /// <summary>Takes in what others have seen.</summary>
    /// <param name="other">Statistics of the same layer over other sequences.</param>
    /// <exception cref="ArgumentException">Another width, or only one of both has second moments.</exception>
    public void Merge(ActivationStatistics other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other.Width != Width || (other.Gram is null) != (Gram is null))
            throw new ArgumentException($"Statistics of {Width} inputs{(Gram is null ? "" : " with second moments")} do not take in those of {other.Width}{(other.Gram is null ? " without" : "")}.", nameof(other));
        Accumulate(other._sum, other._squares, other._within);
        if (Gram is not null) Gram.add_(other.Gram!);
        Count += other.Count;
        Sequences += other.Sequences;
    }

    /// <summary>Frees the second moments.</summary>
    public void Dispose()
    {
        Gram?.Dispose();
        _factor?.Factor.Dispose();
        _size?.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"ActivationStatistics of {Width} inputs{(Gram is null ? "" : " with second moments")}: {Count} tokens in {Sequences} sequences");

    /// <summary>Refuses statistics that do not belong to a weight or have seen nothing.</summary>
    internal void RequireFor(Tensor weight, string name)
    {
        if (weight.dim() != 2 || weight.shape[1] != Width) throw new ArgumentException($"{name} is [{string.Join(", ", weight.shape)}], but the statistics are of {Width} inputs.", nameof(weight));
        if (Count == 0) throw new ArgumentException($"The statistics for {name} have seen no tokens.", nameof(weight));
    }

    private static void Add(double[] to, ReadOnlySpan<double> values) => System.Numerics.Tensors.TensorPrimitives.Add(to, values, to);

    private void Accumulate(double[] sum, double[] squares, double[] within)
    {
        _factor?.Factor.Dispose();
        _factor = null;
        Add(_sum, sum);
        Add(_squares, squares);
        Add(_within, within);
    }

    private double[] Each(Func<int, double> value)
    {
        double[] values = new double[Width];
        for (int i = 0; i < Width; i++) values[i] = value(i);
        return values;
    }
}
