using System.Numerics.Tensors;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Pruning;

/// <summary>
/// SparseGPT (Frantar and Alistarh 2023): goes through the columns of a weight once, from left to right, and lets the columns still to come make up for each weight that is
/// removed, as the second moments of the inputs say. Which weights go is chosen block by block with the weights as they are by then.
/// </summary>
/// <remarks>
/// A share per layer is met in each block of columns over all rows together, a share per row in each row of each block. Within a block the rows do not
/// depend on each other, and a kept weight changes nothing: only removed ones cost time. Products and updates are float32.
/// </remarks>
public static class SparseGpt
{
    // Rows that one thread takes at once.
    private const int RowsTogether = 16;

    /// <summary>Prunes a weight.</summary>
    /// <param name="weight">[out, in], finite.</param>
    /// <param name="factor">The factor of its inputs.</param>
    /// <param name="pattern">A share per layer or per row, or N:M.</param>
    /// <param name="options">Block size; null for the defaults. Damping is the factor's matter.</param>
    /// <param name="cancel">Checked between blocks of columns and, within one, between rows.</param>
    /// <returns>Mask and new values; the caller disposes them.</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, a weight is not finite, or another kind of pattern.</exception>
    public static PrunedWeight Prune(Tensor weight, ObsFactor factor, PruningPattern pattern, SparseGptOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(factor);
        ArgumentNullException.ThrowIfNull(pattern);
        (options ??= new()).Validate();
        int columns = factor.Diagonal.Count;
        if (weight.dim() != 2 || weight.shape[1] != columns) throw new ArgumentException($"weight must be [out, {columns}], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        if (pattern is not (PerLayerPattern or PerRowPattern or NofMPattern)) throw new ArgumentException($"SparseGPT prunes per layer, per row or N:M, not {pattern}.", nameof(pattern));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (!TensorInput.IsFinite(weight)) throw new ArgumentException("A weight is not finite.", nameof(weight));
        int rows = checked((int)weight.shape[0]), run = pattern is NofMPattern p ? p.M : 1, width = (options.BlockSize + run - 1) / run * run;
        _ = pattern.For(rows, columns).CountFor(rows, columns);

        Tensor W = weight.detach().cpu().to(ScalarType.Float32).clone(), mask = ones(rows, columns, dtype: ScalarType.Bool);
        foreach (int j in factor.Dead) W.select(1, j).zero_();
        Tensor U = factor.Upper.to(ScalarType.Float32);
        for (int first = 0; first < columns; first += width)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            int count = Math.Min(width, columns - first);
            Tensor block = W.narrow(1, first, count).contiguous(), errors = zeros(rows, count), kept = ones(rows, count, dtype: ScalarType.Bool);
            Tensor upper = U.narrow(0, first, count).narrow(1, first, count).contiguous();
            Sweep(block, errors, kept, upper, factor, first, pattern, run, cancel);
            W.narrow(1, first, count).copy_(block);
            mask.narrow(1, first, count).copy_(kept);
            int left = columns - first - count;
            if (left > 0) W.narrow(1, first + count, left).sub_(errors.mm(U.narrow(0, first, count).narrow(1, first + count, left)));
        }

        W.masked_fill_(mask.logical_not(), 0);
        if (!TensorInput.IsFinite(W)) throw new ArgumentException("The updates overflow: the second moments are too badly conditioned; take more damping.", nameof(factor));
        return new(scope.MoveToOuter(mask), scope.MoveToOuter(W.to(weight.dtype)));
    }

    /// <summary>One block of columns: chooses and updates, for an N:M pattern run by run.</summary>
    private static void Sweep(Tensor block, Tensor errors, Tensor kept, Tensor upper, ObsFactor factor, int first, PruningPattern pattern, int run, CancellationToken cancel)
    {
        int rows = (int)block.shape[0], width = (int)block.shape[1], step = pattern is NofMPattern ? run : width;
        float[] inverse = [.. Enumerable.Range(first, width).Select(j => (float)(1 / factor.Diagonal[j]))];
        for (int from = 0; from < width; from += step)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor scores = block.narrow(1, from, step).mul(tensor(inverse.AsSpan(from, step).ToArray()));
            Tensor chosen = Select.TopK(scores.mul(scores), pattern.For(rows, step)).ToMask();
            kept.narrow(1, from, step).copy_(chosen);
            Update(block, errors, chosen, upper, inverse, from, step, cancel);
        }
    }

    /// <summary>Removes what is not chosen in some columns of the block, row by row, and updates the columns of the block behind it.</summary>
    private static void Update(Tensor block, Tensor errors, Tensor chosen, Tensor upper, float[] inverse, int from, int step, CancellationToken cancel)
    {
        int rows = (int)block.shape[0], width = (int)block.shape[1];
        nint w = TensorMemory.StartOf(block), e = TensorMemory.StartOf(errors), m = TensorMemory.StartOf(chosen), u = TensorMemory.StartOf(upper);
        IndependentWork.For((rows + RowsTogether - 1) / RowsTogether, chunk =>
        {
            for (int row = chunk * RowsTogether; row < Math.Min(rows, (chunk + 1) * RowsTogether); row++)
            {
                Span<float> weights = TensorMemory.Part<float>(w, (long)row * width, width), error = TensorMemory.Part<float>(e, (long)row * width, width);
                ReadOnlySpan<byte> stays = TensorMemory.Part<byte>(m, (long)row * step, step);
                for (int j = 0; j < step; j++)
                {
                    if (stays[j] != 0) continue;
                    int column = from + j;
                    float size = weights[column] * inverse[column];
                    error[column] = size;
                    weights[column] = 0;
                    if (size == 0 || column + 1 == width) continue;
                    Span<float> rest = weights[(column + 1)..];
                    TensorPrimitives.MultiplyAdd(TensorMemory.Part<float>(u, ((long)column * width) + column + 1, width - column - 1), -size, rest, rest);
                }
            }
        }, cancel);
        GC.KeepAlive(block);
        GC.KeepAlive(errors);
        GC.KeepAlive(chosen);
        GC.KeepAlive(upper);
    }
}

/// <summary><see cref="SparseGpt"/> as a method for layers.</summary>
/// <param name="options">Settings; null for the defaults.</param>
public sealed class SparseGptPruner(SparseGptOptions? options = null) : ILayerPruner
{
    private readonly SparseGptOptions _options = options ?? new();

    /// <inheritdoc/>
    public string Name => "sparsegpt";

    /// <summary>Name and settings.</summary>
    public override string ToString() => $"{Name}, {Readable.Of(_options)}";

    /// <inheritdoc/>
    public InputKnowledge Needs => InputKnowledge.Gram;

    /// <inheritdoc/>
    public PruningPattern PatternOf(double sparsity) => PruningPattern.PerLayer(sparsity);

    /// <inheritdoc/>
    public PrunedWeight Prune(LayerContext layer, PruningPattern pattern, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ActivationStatistics inputs = layer.InputsFor(Name);
        inputs.RequireFor(layer.Weight, layer.Name);
        try
        {
            return SparseGpt.Prune(layer.Weight, inputs.Factor(_options.Damping), pattern, _options, cancel);
        }
        catch (ArgumentException error)
        {
            throw new ArgumentException($"{layer.Name}: {error.Message}", nameof(layer), error);
        }
    }
}
