using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>
/// Multiplications with an addition of one training step for one sample, from those of a forward pass: f_D of the dense network, f_S of what is active. A step is three products of the same size: forward, back to
/// the inputs, and to the weights. They are what the papers count; masked dense kernels do not run faster for it.
/// </summary>
public static partial class TrainingCost
{
    /// <summary>f_S: forward products of the active weights, with layers that have no mask counted whole.</summary>
    /// <param name="layers">The layers with how often each weight is used; see <see cref="LayerShape.Of"/>.</param>
    /// <param name="masks">The masks; null, the default, for the dense network.</param>
    /// <exception cref="ArgumentException">There are no layers.</exception>
    public static long Forward(IReadOnlyList<LayerShape> layers, MaskSet? masks = null)
    {
        ArgumentNullException.ThrowIfNull(layers);
        if (layers.Count == 0) throw new ArgumentException("There are no layers to count.", nameof(layers));
        return layers.Sum(layer => masks is not null && masks.Names.Contains(layer.Name) ? checked(masks.ActiveOf(layer.Name) * layer.Positions) : layer.MultiplyAdds);
    }

    /// <summary>3 f_S: static masks, SET and MEST, and with f_D a dense training.</summary>
    /// <param name="forward">f_S or f_D, not negative.</param>
    public static double Sparse(double forward) => 3 * Finite.NotNegative(forward);

    /// <summary>2 f_S + f_D: a step whose gradient is taken at all weights, as RigL's updates, every step of SNFS, and straight-through training.</summary>
    /// <param name="sparse">f_S.</param>
    /// <param name="dense">f_D, not below f_S.</param>
    public static double DenseGradient(double sparse, double dense)
    {
        Finite.NotNegative(sparse);
        if (!(dense >= sparse)) throw new ArgumentOutOfRangeException(nameof(dense), dense, $"The dense pass cannot cost less than the {sparse} of the sparse one.");
        return (2 * sparse) + dense;
    }

    /// <summary>RigL's mean over a period, (3 f_S T + 2 f_S + f_D) / (T + 1): its paper counts T steps and one update.</summary>
    /// <param name="sparse">f_S.</param>
    /// <param name="dense">f_D.</param>
    /// <param name="interval">T, steps between two updates; positive.</param>
    public static double RigL(double sparse, double dense, long interval)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(interval);
        return ((interval * Sparse(sparse)) + DenseGradient(sparse, dense)) / (interval + 1);
    }
}
