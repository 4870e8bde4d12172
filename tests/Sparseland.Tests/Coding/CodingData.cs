using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

/// <summary>Small problems that the tests share.</summary>
internal static class CodingData
{
    public static Tensor Random(long rows, long columns, int seed, ScalarType type = ScalarType.Float64)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)seed);
        return randn([rows, columns], dtype: ScalarType.Float64, generator: generator).to(type).MoveToOuterDisposeScope();
    }

    public static Tensor Dictionary(long atoms, long features, int seed, ScalarType type = ScalarType.Float64)
    {
        using var scope = NewDisposeScope();
        Tensor raw = Random(atoms, features, seed);
        return raw.div(raw.norm(1, keepdim: true)).to(type).MoveToOuterDisposeScope();
    }

    /// <summary>Samples that are sums of a few atoms, with a little noise.</summary>
    public static Tensor Planted(Tensor dictionary, int samples, int active, int seed)
    {
        using var scope = NewDisposeScope();
        var random = new Random(seed);
        double[,] codes = new double[samples, dictionary.shape[0]];
        for (int s = 0; s < samples; s++)
        {
            for (int k = 0; k < active; k++) codes[s, random.Next((int)dictionary.shape[0])] = 1 + random.NextDouble();
        }

        Tensor noise = Random(samples, dictionary.shape[1], seed).mul(0.02).to(dictionary.dtype);
        return tensor(codes, dtype: dictionary.dtype).mm(dictionary).add(noise).MoveToOuterDisposeScope();
    }

    // The formulas of the scikit-learn run that the expected values come from.
    public static Tensor PeerX() => tensor(
        Table(3, 6, (i, j) => Math.Sin(1 + 1.7 * i + 0.9 * j + 0.31 * i * j)), dtype: ScalarType.Float64);

    public static Tensor PeerDictionary()
    {
        using var scope = NewDisposeScope();
        Tensor raw = tensor(Table(8, 6, (k, j) => Math.Cos(0.5 + 2.3 * k + 1.1 * j + 0.17 * k * k * j)), dtype: ScalarType.Float64);
        return raw.div(raw.norm(1, keepdim: true)).MoveToOuterDisposeScope();
    }

    public static double MaxDifference(Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        return a.to(ScalarType.Float64).sub(b.to(ScalarType.Float64)).abs().max().item<double>();
    }

    private static double[,] Table(int rows, int columns, Func<int, int, double> entry)
    {
        double[,] table = new double[rows, columns];
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++) table[i, j] = entry(i, j);
        }

        return table;
    }
}
