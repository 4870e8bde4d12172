using System.Numerics;
using System.Numerics.Tensors;

namespace Sparseland.Penalties;

/// <summary>sum_g w_g |x_g|_2 and what the two group penalties need of it.</summary>
internal sealed class GroupNorm
{
    private readonly double[] _weights;

    public GroupNorm(GroupPartition groups, IReadOnlyList<double>? weights)
    {
        ArgumentNullException.ThrowIfNull(groups);
        Groups = groups;
        if (weights is not null && weights.Count != groups.Count)
            throw new ArgumentException($"There are {weights.Count} weights for {groups.Count} groups.", nameof(weights));
        _weights = new double[groups.Count];
        for (int g = 0; g < _weights.Length; g++)
        {
            double weight = weights?[g] ?? Math.Sqrt(groups.Members(g).Length);
            if (!(weight > 0) || !double.IsFinite(weight))
                throw new ArgumentOutOfRangeException(nameof(weights), weight, $"weights[{g}] must be positive and finite.");
            _weights[g] = weight;
        }
    }

    public GroupPartition Groups { get; }

    /// <summary>strength sum_g w_g |x_g|.</summary>
    public double Value<T>(ReadOnlySpan<T> x, double strength)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckLength(x.Length, nameof(x));
        double sum = 0;
        for (int g = 0; g < _weights.Length; g++) sum += Scaled.Product(strength, _weights[g], SumOfSquares.Norm(x, Groups.Members(g)));
        return sum;
    }

    public void Shrink<T>(ReadOnlySpan<T> z, double amount, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckLength(z.Length, nameof(z));
        Guard.SameLength(z.Length, result.Length, nameof(z), nameof(result));
        for (int g = 0; g < _weights.Length; g++)
        {
            ReadOnlySpan<int> members = Groups.Members(g);
            double norm = SumOfSquares.Norm(z, members), cut = amount * _weights[g];
            bool isZero = norm <= cut;
            T scale = Guard.To<T>(1 - cut / norm);
            foreach (int i in members) result[i] = isZero ? T.Zero : z[i] * scale;
        }
    }

    /// <summary>Shrinks the coefficients of one group in place.</summary>
    public void ShrinkGroup(int group, Span<double> z, double amount)
    {
        double norm = SumOfSquares.Norm<double>(z), cut = amount * _weights[group];
        if (norm <= cut) z.Clear();
        else TensorPrimitives.Multiply(z, 1 - cut / norm, z);
    }

    /// <summary>Distance for l1 lambda |x|_1 + l2 sum w_g |x_g|; l1 may be 0.</summary>
    public void Distance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, double l1, double l2, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckLength(x.Length, nameof(x));
        Guard.SameLength(x.Length, gradient.Length, nameof(x), nameof(gradient));
        Guard.SameLength(x.Length, result.Length, nameof(x), nameof(result));
        for (int g = 0; g < _weights.Length; g++)
        {
            ReadOnlySpan<int> members = Groups.Members(g);
            double norm = SumOfSquares.Norm(x, members), cut = l2 * _weights[g];
            var rest = default(EuclideanNorm);
            foreach (int i in members)
            {
                double xi = double.CreateTruncating(x[i]), gi = double.CreateTruncating(gradient[i]);
                double distance = Separable.Distance(xi, norm == 0 ? gi : gi + cut * (xi / norm), l1);
                rest.Add(distance);
                result[i] = Guard.To<T>(distance);
            }

            // A zero group may also use the whole ball of radius l2 w_g.
            if (norm != 0) continue;
            double length = rest.Value, scale = length <= cut ? 0 : 1 - cut / length;
            foreach (int i in members) result[i] *= Guard.To<T>(scale);
        }
    }

    /// <summary>max_g |x_g|/w_g.</summary>
    public double LargestRatio(ReadOnlySpan<double> x)
    {
        CheckLength(x.Length, nameof(x));
        double max = 0;
        for (int g = 0; g < _weights.Length; g++) max = Math.Max(max, SumOfSquares.Norm(x, Groups.Members(g)) / _weights[g]);
        return max;
    }

    private void CheckLength(int length, string name)
    {
        if (length != Groups.Length)
            throw new ArgumentException($"{name} holds {length} coefficients, but the groups partition {Groups.Length}.", name);
    }
}

/// <summary>A penalty that is a sum over the groups of a partition, for solvers that go group by group.</summary>
internal interface IGroupPenalty : IPenalty
{
    GroupPartition Groups { get; }

    /// <summary>The proximal operator of one group, in place.</summary>
    void ProxGroup(int group, Span<double> z, double step);
}
