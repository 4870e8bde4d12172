using System.Numerics.Tensors;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Solvers;

/// <summary>What coordinate descent moves at a time: single coefficients or groups.</summary>
internal interface IBlocks
{
    /// <summary>How much each coordinate violates optimality, in units of the gradient. Returns the largest.</summary>
    double Violations(ReadOnlySpan<double> a, ReadOnlySpan<double> correlations, Span<double> violations);

    /// <summary>The largest |correlation| that leaves coordinate j at zero; NaN where that cannot be said.</summary>
    double ZeroUpTo(int j) => double.NaN;

    /// <summary>The coordinates with all others of their blocks.</summary>
    IReadOnlyList<int> Whole(int[] coordinates);

    /// <summary>One sweep over the working set. Returns the largest change times its curvature: a gradient again.</summary>
    double Sweep(WorkingSet set);
}

/// <summary>Single coefficients.</summary>
internal sealed class Coordinates<TPenalty>(DenseMap map, IPenalty penalty, TPenalty coordinate, double weight) : IBlocks
    where TPenalty : struct, ICoordinatePenalty
{
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveOptimization)]
    public double Violations(ReadOnlySpan<double> a, ReadOnlySpan<double> correlations, Span<double> violations)
    {
        // The fixed-point residual of each coordinate's own step; for convex penalties it vanishes where the subdifferential does.
        double worst = 0;
        for (int j = 0; j < a.Length; j++)
        {
            double norm = map.SquaredNorms[j], moved = coordinate.Prox(j, a[j] + correlations[j] / norm, 1 / (weight * norm));
            violations[j] = Math.Abs(moved - a[j]) * weight * norm;
            worst = Math.Max(worst, violations[j]);
        }

        return worst;
    }

    public double ZeroUpTo(int j) => coordinate.ZeroUpTo(j) / weight;

    public IReadOnlyList<int> Whole(int[] coordinates) => coordinates;

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveOptimization)]
    public double Sweep(WorkingSet set)
    {
        double largest = 0;
        for (int i = 0; i < set.Count; i++)
        {
            double norm = set.Gram(i, i), a = set.Coefficients[i];
            double delta = coordinate.Prox(set[i], a + set.Correlations[i] / norm, 1 / (weight * norm)) - a;
            if (delta == 0) continue;
            if (!double.IsFinite(delta)) throw new DivergenceException($"The {penalty.Name} took coefficient {set[i]} out of the finite numbers.");
            set.Move(i, delta);

            // Exact zeros stay exact: a + (0 - a) is 0 in floating point.
            largest = Math.Max(largest, Math.Abs(delta) * weight * norm);
        }

        return largest;
    }
}

/// <summary>Groups of coefficients; the step of a group is 1/(w lambda_max(G_gg)).</summary>
internal sealed class GroupBlocks(DenseMap map, IGroupPenalty groups, IPenalty penalty, double weight) : IBlocks
{
    private readonly int[] _groupOf = GroupOf(groups.Groups);
    private readonly Dictionary<int, double> _curvature = [];
    private readonly bool _positive = penalty is NonNegative;
    private readonly double[] _point = new double[Enumerable.Range(0, groups.Groups.Count).Max(g => groups.Groups.Members(g).Length)];

    public double Violations(ReadOnlySpan<double> a, ReadOnlySpan<double> correlations, Span<double> violations)
    {
        double[] gradient = new double[a.Length];
        TensorPrimitives.Multiply(correlations, -weight, gradient);
        penalty.SubdifferentialDistance<double>(a, gradient, violations);
        return TensorPrimitives.Max<double>(violations);
    }

    public IReadOnlyList<int> Whole(int[] coordinates)
    {
        var whole = new List<int>();
        foreach (int group in coordinates.Select(j => _groupOf[j]).Distinct()) whole.AddRange(groups.Groups.Members(group));
        return whole;
    }

    public double Sweep(WorkingSet set)
    {
        double largest = 0;

        // Members of a group stand one after another in the set, because they were added together.
        for (int first = 0, length; first < set.Count; first += length)
        {
            int group = _groupOf[set[first]];
            length = groups.Groups.Members(group).Length;
            double curvature = Curvature(group);
            Span<double> point = _point.AsSpan(0, length);
            for (int i = 0; i < length; i++)
            {
                point[i] = set.Coefficients[first + i] + weight * set.Correlations[first + i] / curvature;
                if (_positive && point[i] < 0) point[i] = 0;
            }

            groups.ProxGroup(group, point, 1 / curvature);
            for (int i = 0; i < length; i++)
            {
                double delta = point[i] - set.Coefficients[first + i];
                if (delta == 0) continue;
                set.Move(first + i, delta);
                largest = Math.Max(largest, Math.Abs(delta) * curvature);
            }
        }

        return largest;
    }

    private static int[] GroupOf(GroupPartition partition)
    {
        int[] groupOf = new int[partition.Length];
        for (int g = 0; g < partition.Count; g++)
        {
            foreach (int j in partition.Members(g)) groupOf[j] = g;
        }

        return groupOf;
    }

    private double Curvature(int group)
    {
        if (_curvature.TryGetValue(group, out double known)) return known;
        ReadOnlySpan<int> members = groups.Groups.Members(group);
        double[] gram = new double[members.Length * members.Length];
        for (int i = 0; i < members.Length; i++)
        {
            for (int j = 0; j < members.Length; j++) gram[i * members.Length + j] = map.Dot(members[i], members[j]);
        }

        using var scope = NewDisposeScope();
        Tensor values = linalg.eigvalsh(tensor(gram, [members.Length, members.Length]));
        return _curvature[group] = weight * values.max().item<double>();
    }
}
