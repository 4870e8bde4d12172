using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>How far networks of one make are from each other, over all parameters (batch norm's statistics are none), in float64.</summary>
public static class ModelDistance
{
    /// <summary>Euclidean distance.</summary>
    /// <param name="a">One network.</param>
    /// <param name="b">Another of the same make.</param>
    /// <exception cref="ArgumentException">Networks of different make.</exception>
    public static double L2(SparseSnapshot a, SparseSnapshot b)
    {
        SparseSnapshot.CheckAlike([a, b], nameof(b));
        using DisposeScope scope = NewDisposeScope();
        return (Vector(a) - Vector(b)).norm().item<double>();
    }

    /// <summary>Angle between two networks in degrees, as vectors from zero or from a third one.</summary>
    /// <param name="a">One network.</param>
    /// <param name="b">Another of the same make.</param>
    /// <param name="origin">Where both vectors begin, such as their parent; null, the default, for zero.</param>
    /// <exception cref="ArgumentException">Networks of different make, or one is at the origin.</exception>
    public static double Angle(SparseSnapshot a, SparseSnapshot b, SparseSnapshot? origin = null)
    {
        SparseSnapshot.CheckAlike(origin is null ? [a, b] : [a, b, origin], nameof(b));
        using DisposeScope scope = NewDisposeScope();
        Tensor from = origin is null ? tensor(0.0) : Vector(origin), one = Vector(a) - from, two = Vector(b) - from;
        double product = (one.norm() * two.norm()).item<double>();
        if (product == 0) throw new ArgumentException("A network that is at the origin has no direction.", nameof(a));
        return Math.Acos(Math.Clamp((one * two).sum().item<double>() / product, -1, 1)) * 180 / Math.PI;
    }

    /// <summary>Mean distance of networks from their mean, over the length of the mean.</summary>
    /// <param name="networks">At least two, of one make.</param>
    /// <exception cref="ArgumentException">Fewer than two, networks of different make, or a mean of zero.</exception>
    public static double RelativeBarycentre(IReadOnlyList<SparseSnapshot> networks)
    {
        ArgumentNullException.ThrowIfNull(networks);
        if (networks.Count < 2) throw new ArgumentException($"There is {networks.Count} network; two are needed.", nameof(networks));
        SparseSnapshot.CheckAlike(networks, nameof(networks));
        using DisposeScope scope = NewDisposeScope();
        Tensor all = stack([.. networks.Select(Vector)]), mean = all.mean([0]);
        double length = mean.norm().item<double>();
        if (length == 0) throw new ArgumentException("The mean of the networks is zero.", nameof(networks));
        return (all - mean).norm(1).mean().item<double>() / length;
    }

    internal static Tensor Vector(SparseSnapshot network) => cat([.. network.Parameters.Select(name => network.State[name].flatten().to(ScalarType.Float64))]);
}
