using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// The associative memory of Willshaw, Buneman and Longuet-Higgins (1969): each item is bound to a code drawn at random, whatever the
/// item is, by binary weights. Recall is the best supported cells. A baseline: it stores as the macrocolumn does, but similar items get
/// unrelated codes.
/// </summary>
public sealed class WillshawMemory
{
    private readonly Projection weights;
    private readonly long seed;

    /// <summary>An empty memory.</summary>
    /// <param name="inputs">N, size of the field.</param>
    /// <param name="q">Modules, each with one winner.</param>
    /// <param name="k">Cells per module.</param>
    /// <param name="seed">Of the codes.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is below 1.</exception>
    public WillshawMemory(int inputs, int q, int k, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(q, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        weights = new(inputs, q * k, 1, null);
        (Q, K, this.seed) = (q, k, seed);
    }

    /// <summary>Modules.</summary>
    public int Q { get; }

    /// <summary>Cells per module.</summary>
    public int K { get; }

    /// <summary>Items stored.</summary>
    public int Count { get; private set; }

    /// <summary>Share of ones among the weights.</summary>
    public double WeightDensity => weights.Density;

    /// <summary>Binds an item to a random code.</summary>
    /// <param name="active">Active inputs.</param>
    /// <returns>The code, [Q] cell numbers.</returns>
    /// <exception cref="ArgumentException">Empty, or an input outside the field or named twice.</exception>
    public int[] Store(int[] active)
    {
        MacGuard.CheckActive(active, weights.Sources, nameof(active), "input");
        var random = new SeededRandom(seed, Count);
        var code = new int[Q];
        for (int q = 0; q < Q; q++) code[q] = (q * K) + random.NextInt(K);
        weights.Learn(active, code, ++Count);
        return code;
    }

    /// <summary>The best supported cell of each module, ties at random.</summary>
    /// <param name="active">Active inputs.</param>
    /// <param name="tie">Same number, same choice among ties. Default 0.</param>
    /// <returns>The code, [Q] cell numbers.</returns>
    /// <exception cref="ArgumentException">Empty, or an input outside the field or named twice.</exception>
    public int[] Recall(int[] active, long tie = 0)
    {
        MacGuard.CheckActive(active, weights.Sources, nameof(active), "input");
        var support = new double[Q * K];
        weights.Support(active, active.Length, 1, support);
        return CodeSelection.DrawMax(support, K, seed, -1 - tie);
    }
}
