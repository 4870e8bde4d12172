using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>A table in which few features matter.</summary>
/// <param name="X">[samples, features], as drawn; the caller's.</param>
/// <param name="Labels">Class of each sample, 0 or 1; the caller's.</param>
/// <param name="Relevant">True for the features that are not pure noise.</param>
public sealed record MadelonSet(Tensor X, Tensor Labels, IReadOnlyList<bool> Relevant) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(X, Labels);

    /// <summary>Frees table and labels.</summary>
    public void Dispose()
    {
        X.Dispose();
        Labels.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Tables made as the one of the feature selection challenge of 2003 (Guyon et al. 2005): clusters on the vertices of a cube, half of them of each class, redundant mixtures of the informative features, and many
/// features of pure noise, in an order drawn at random.
/// </summary>
public static class MadelonData
{
    /// <summary>Makes a table.</summary>
    /// <param name="samples">Samples, at least one for each vertex of the cube.</param>
    /// <param name="features">Features in all, at least those that are not noise. Default 500.</param>
    /// <param name="seed">Seed of the table. Default 1.</param>
    /// <param name="informative">Dimensions of the cube, from 1 to 10. Default 5.</param>
    /// <param name="redundant">Mixtures of the informative ones. Default 15.</param>
    /// <param name="noise">Share of the labels that are drawn anew. Default 0.01.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static MadelonSet Generate(int samples, int features = 500, long seed = 1, int informative = 5, int redundant = 15, double noise = 0.01)
    {
        if (informative is < 1 or > 10) throw new ArgumentOutOfRangeException(nameof(informative), informative, "A cube has from 1 to 10 dimensions here.");
        ArgumentOutOfRangeException.ThrowIfNegative(redundant);
        int vertices = 1 << informative;
        if (samples < vertices) throw new ArgumentOutOfRangeException(nameof(samples), samples, $"There must be a sample for each of the {vertices} vertices.");
        if (features < informative + redundant) throw new ArgumentOutOfRangeException(nameof(features), features, $"{informative + redundant} features are not noise; there must be as many.");
        if (!(noise is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(noise), noise, "noise is a share from 0 to 1.");
        var random = new SeededRandom(seed, 6_300);
        int[] classes = [.. Enumerable.Range(0, vertices).Select(v => v % 2)];
        random.Shuffle(classes.AsSpan());
        double[,] mixture = Uniform(informative, redundant, ref random);
        int[] order = random.Permutation<int>(features);
        float[] table = new float[(long)samples * features];
        long[] labels = new long[samples];
        double[][,] within = new double[vertices][,];
        for (int v = 0; v < vertices; v++) within[v] = Uniform(informative, informative, ref random);
        double[] values = new double[features], draw = new double[informative];
        for (int s = 0; s < samples; s++)
        {
            int vertex = s % vertices;
            for (int i = 0; i < informative; i++) draw[i] = random.NextGaussian();
            for (int j = 0; j < informative; j++)
            {
                // The cube has side 4 and its centre at 0.
                values[j] = ((vertex >> j) & 1) == 1 ? 2 : -2;
                for (int i = 0; i < informative; i++) values[j] += draw[i] * within[vertex][i, j];
            }

            for (int j = 0; j < redundant; j++)
            {
                values[informative + j] = 0;
                for (int i = 0; i < informative; i++) values[informative + j] += values[i] * mixture[i, j];
            }

            for (int j = informative + redundant; j < features; j++) values[j] = random.NextGaussian();
            for (int j = 0; j < features; j++) table[((long)s * features) + order[j]] = (float)values[j];
            double again = random.NextDouble(), other = random.NextDouble();
            labels[s] = again < noise ? (other < 0.5 ? 0 : 1) : classes[vertex];
        }

        bool[] relevant = new bool[features];
        for (int j = 0; j < informative + redundant; j++) relevant[order[j]] = true;
        return new(tensor(table, [samples, features]), tensor(labels), relevant);
    }

    private static double[,] Uniform(int rows, int columns, ref SeededRandom random)
    {
        double[,] matrix = new double[rows, columns];
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) matrix[i, j] = random.NextDouble(-1, 1);
        return matrix;
    }
}
