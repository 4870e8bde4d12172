using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// Locality-sensitive hashing by random K-way projections: module q has K random Gaussian directions and the direction with the largest
/// product wins. Similar inputs get similar codes without learning, and without memory: a code says nothing of what was seen before.
/// </summary>
public sealed class KWayProjectionHash
{
    private readonly double[] directions;
    private readonly int k;

    /// <summary>Draws the directions.</summary>
    /// <param name="inputs">N, size of the field.</param>
    /// <param name="q">Modules, each with one winner.</param>
    /// <param name="k">Directions per module.</param>
    /// <param name="seed">Same seed, same codes.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is below 1.</exception>
    public KWayProjectionHash(int inputs, int q, int k, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(q, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        (Inputs, Cells, this.k) = (inputs, q * k, k);
        directions = new double[inputs * Cells];
        var random = new SeededRandom(seed);
        foreach (ref double value in directions.AsSpan()) value = random.NextGaussian();
    }

    /// <summary>Size of the field.</summary>
    public int Inputs { get; }

    /// <summary>Q K.</summary>
    public int Cells { get; }

    /// <summary>The code of an input.</summary>
    /// <param name="active">Active inputs.</param>
    /// <returns>[Q], cell numbers q K + k.</returns>
    /// <exception cref="ArgumentException">Empty, or an input outside the field or named twice.</exception>
    public int[] Code(int[] active)
    {
        MacGuard.CheckActive(active, Inputs, nameof(active), "input");
        var products = new double[Cells];
        foreach (int i in active) System.Numerics.Tensors.TensorPrimitives.Add(products, directions.AsSpan(i * Cells, Cells), products);
        return CodeSelection.DrawMax(products, k, 0);
    }
}
