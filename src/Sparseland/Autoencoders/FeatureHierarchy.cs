using Sparseland.Tensors;

namespace Sparseland.Autoencoders;

/// <summary>
/// Planted parents and children: each parent is present with probability 0.15, and then one of its three children with probability 0.2 each, or none. A
/// child never comes without its parent, so an autoencoder can save a latent by letting the child's carry both: absorption. Strengths are uniform from
/// 0.8 to 1.2, directions orthonormal, without noise.
/// </summary>
/// <remarks>Features 0 to parents - 1 are the parents, then come the three children of each (Chanin et al. 2024; Bussmann et al. 2025).</remarks>
public sealed class FeatureHierarchy : PlantedFeatures
{
    private const double ParentProbability = 0.15, ChildProbability = 0.2, Weakest = 0.8, Strongest = 1.2;

    /// <summary>Children of a parent.</summary>
    public const int ChildrenEach = 3;

    /// <summary>A world with orthonormal features.</summary>
    /// <param name="seed">Seed of features and tokens. Default 1.</param>
    /// <param name="parents">Number of parents; features are four times as many. Default 8.</param>
    /// <param name="width">d, at least the number of features. Default 48.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the width too small.</exception>
    public FeatureHierarchy(long seed = 1, int parents = 8, int width = 48)
        : base(Directions(FeaturesOf(parents), width, orthonormal: true, seed), noise: 0, seed) => Parents = parents;

    /// <summary>Number of parents.</summary>
    public int Parents { get; }

    /// <inheritdoc/>
    public override string Description => $"hierarchy, {Parents} parents with {ChildrenEach} children each in {Width} dimensions";

    /// <summary>The feature of a child.</summary>
    /// <param name="parent">From 0.</param>
    /// <param name="child">From 0 to 2.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such child.</exception>
    public int ChildOf(int parent, int child)
    {
        if (parent < 0 || parent >= Parents) throw new ArgumentOutOfRangeException(nameof(parent), parent, $"parent must be from 0 to {Parents - 1}.");
        if (child is < 0 or >= ChildrenEach) throw new ArgumentOutOfRangeException(nameof(child), child, $"child must be from 0 to {ChildrenEach - 1}.");
        return Parents + (ChildrenEach * parent) + child;
    }

    private protected override void DrawToken(ref SeededRandom random, Span<float> strengths)
    {
        for (int p = 0; p < Parents; p++)
        {
            if (random.NextDouble() >= ParentProbability) continue;
            strengths[p] = (float)random.NextDouble(Weakest, Strongest);
            int child = (int)(random.NextDouble() / ChildProbability);
            if (child < ChildrenEach) strengths[ChildOf(p, child)] = (float)random.NextDouble(Weakest, Strongest);
        }
    }

    private static int FeaturesOf(int parents)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(parents);
        return parents * (1 + ChildrenEach);
    }
}
