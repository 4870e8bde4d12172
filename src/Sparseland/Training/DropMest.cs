using System.Globalization;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Drops where weight and gradient are small together, |w| + lambda |g|: MEST (Yuan et al. 2021).</summary>
public sealed class DropMest : IDropScore
{
    /// <summary>Makes the rule.</summary>
    /// <param name="lambda">Weight of the gradient of this mini-batch, finite and not negative. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">Out of its range.</exception>
    public DropMest(double lambda = 1)
    {
        Finite.NotNegative(lambda);
        Lambda = lambda;
    }

    /// <summary>lambda.</summary>
    public double Lambda { get; }

    /// <inheritdoc/>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"mest {Lambda:R}");

    /// <inheritdoc/>
    public bool NeedsGradient => true;

    /// <inheritdoc/>
    public Tensor Of(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return layer.Weight.abs().add_(layer.GradientFor(Name).abs(), alpha: Lambda).MoveToOuterDisposeScope();
    }
}
