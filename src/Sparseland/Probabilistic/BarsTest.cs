using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>
/// The bars test (Földiák 1990): components are the rows and columns of a square picture. A model that works finds each bar; draw data with
/// <see cref="TruncatedSparseCoder.Sample"/> of a model that has them as its dictionary.
/// </summary>
public static class BarsTest
{
    /// <summary>The bars: first the rows, then the columns.</summary>
    /// <param name="components">Bars, even and at least 4; the picture has components / 2 pixels in a row. Default 10.</param>
    /// <param name="height">Weight of a pixel on its bar. Default 10.</param>
    /// <param name="background">Weight of the others; <see cref="MaximalCauses"/> needs it positive. Default 0.</param>
    /// <param name="signed">Whether each bar is negative with probability 1/2. Default false.</param>
    /// <param name="seed">Seed of the signs. Default 0.</param>
    /// <returns>float64 [components, (components / 2)^2].</returns>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static Tensor Dictionary(int components = 10, double height = 10, double background = 0, bool signed = false, int seed = 0)
    {
        if (components < 4 || components % 2 != 0)
            throw new ArgumentOutOfRangeException(nameof(components), components, "The number of bars must be even and at least 4.");
        Finite.Positive(height);
        if (!double.IsFinite(background)) throw new ArgumentOutOfRangeException(nameof(background), background, "background must be finite.");
        int side = components / 2;
        var random = new SeededRandom(seed, 302);
        double[] bars = new double[components * side * side];
        Array.Fill(bars, background);
        for (int h = 0; h < components; h++)
        {
            double value = signed && random.NextDouble() < 0.5 ? -height : height;
            for (int i = 0; i < side; i++) bars[(h * side * side) + (h < side ? (h * side) + i : (i * side) + h - side)] = value;
        }

        return tensor(bars, [components, side * side]);
    }
}
