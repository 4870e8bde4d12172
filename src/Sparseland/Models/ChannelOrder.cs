using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Models;

/// <summary>Orders of a matrix's rows in which blocks of N neighbours are all strong or all weak, so that pruning whole blocks keeps more. An order lists old rows: order[i] comes to place i.</summary>
public static class ChannelOrder
{
    /// <summary>A random order.</summary>
    /// <param name="channels">Rows.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than none.</exception>
    public static int[] Random(int channels, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(channels);
        int[] order = [.. Enumerable.Range(0, channels)];
        var random = new SeededRandom(seed, channels);
        for (int i = channels - 1; i > 0; i--)
        {
            int j = random.NextInt(i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }

        return order;
    }

    /// <summary>Descending sum of absolute values (Lin et al., arXiv 2105.14713); of equal rows the lower stays first.</summary>
    /// <param name="weight">[rows, ...], finite floating point numbers.</param>
    /// <exception cref="ArgumentException">No dimension, or a number that is not finite.</exception>
    public static int[] ByNorm(Tensor weight)
    {
        double[] norms = Norms(Sizes(weight, out int rows, out int columns), rows, columns);
        return [.. Enumerable.Range(0, rows).OrderByDescending(row => norms[row])];
    }

    /// <summary>
    /// Blocks built one after the other: the strongest row that is left, then N - 1 times the row left whose absolute weights agree most with the sum of the block's (largest inner product).
    /// </summary>
    /// <param name="weight">[rows, ...], finite floating point numbers.</param>
    /// <param name="block">N.</param>
    /// <exception cref="ArgumentException">No dimension, a number that is not finite, or N not positive.</exception>
    public static int[] Greedy(Tensor weight, int block)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        float[] sizes = Sizes(weight, out int rows, out int columns);
        double[] norms = Norms(sizes, rows, columns);
        List<int> left = [.. Enumerable.Range(0, rows).OrderByDescending(row => norms[row])];
        var order = new List<int>(rows);
        double[] agreement = new double[rows];
        while (left.Count > 0)
        {
            int next = left[0];
            float[] together = new float[columns];
            for (int n = 0; n < block && left.Count > 0; n++)
            {
                if (n > 0)
                {
                    foreach (int row in left) agreement[row] = TensorPrimitives.Dot(sizes.AsSpan(row * columns, columns), together);
                    next = left.MaxBy(row => agreement[row]);
                }

                TensorPrimitives.Add(together, sizes.AsSpan(next * columns, columns), together);
                order.Add(next);
                left.Remove(next);
            }
        }

        return [.. order];
    }

    private static double[] Norms(float[] sizes, int rows, int columns) => [.. Enumerable.Range(0, rows).Select(row => sizes.AsSpan(row * columns, columns).ToArray().Sum(v => (double)v))];

    private static float[] Sizes(Tensor weight, out int rows, out int columns)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (weight.dim() == 0 || weight.numel() == 0) throw new ArgumentException($"weight is [{string.Join(", ", weight.shape)}]; it needs rows and numbers.", nameof(weight));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor sizes = weight.detach().to(ScalarType.Float32).cpu().abs().contiguous();
        if (!TensorInput.IsFinite(sizes)) throw new ArgumentException("weight has numbers that are not finite.", nameof(weight));
        rows = (int)weight.shape[0];
        columns = (int)(weight.numel() / rows);
        return TensorMemory.Read<float>(sizes).ToArray();
    }
}
