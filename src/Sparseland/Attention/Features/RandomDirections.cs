using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>Gaussian directions, independent or orthogonal in blocks.</summary>
internal static class RandomDirections
{
    /// <summary>[rows * width], row-major.</summary>
    public static double[] Draw(int rows, int width, long seed, bool orthogonal)
    {
        var random = new SeededRandom(seed, 8_000);
        double[] all = new double[rows * width];
        for (int first = 0; first < rows; first += width)
        {
            int count = Math.Min(width, rows - first);
            double[] block = new double[(orthogonal ? width : count) * width];
            for (int i = 0; i < block.Length; i++) block[i] = random.NextGaussian();
            if (orthogonal) Orthogonal(block, width, count, ref random);
            block.AsSpan(0, count * width).CopyTo(all.AsSpan(first * width));
        }

        return all;
    }

    /// <summary>A square of Gaussian numbers becomes a uniformly random rotation, its rows stretched to the lengths of Gaussian vectors.</summary>
    private static void Orthogonal(double[] block, int width, int count, ref SeededRandom random)
    {
        using var scope = NewDisposeScope();
        (Tensor Q, Tensor R) = linalg.qr(tensor(block, [width, width]));
        // Without the signs of R the rotation would not be uniform (Mezzadri 2007).
        Tensor rotation = Q.mul(R.diag().sign()).t().contiguous();
        ReadOnlySpan<double> rows = TensorMemory.Read<double>(rotation);
        for (int r = 0; r < count; r++)
        {
            double square = 0;
            for (int i = 0; i < width; i++)
            {
                double length = random.NextGaussian();
                square += length * length;
            }

            for (int i = 0; i < width; i++) block[(r * width) + i] = rows[(r * width) + i] * Math.Sqrt(square);
        }
    }
}
