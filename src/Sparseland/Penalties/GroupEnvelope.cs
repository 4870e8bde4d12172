using System.Buffers;
using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// Weighted group sparse envelope, lambda GS_k (Refael, Arbel and Huleihel, arXiv 2212.12921): the largest convex function below
/// lambda/2 sum_j d_j |x_j|^2 with at most k groups not zero. k says how many groups are wanted, lambda how hard. With single
/// coefficients and d = 1 it is lambda/2 times the squared k-support norm (Argyriou, Foygel and Srebro 2012).
/// </summary>
/// <remarks>
/// The prox is not hard top-k: groups may stay in a middle band. With d = 1, exactly the k largest survive when
/// |z|_(k)/|z|_(k+1) >= (1 + t lambda)/(t lambda). The groups are coupled, so coordinate descent refuses it; proximal gradient takes it.
/// </remarks>
public sealed record GroupEnvelope : IPenalty
{
    private readonly GroupPartition _groups;
    private readonly double[] _weights;

    /// <summary>Creates the penalty.</summary>
    /// <param name="groups">Which coefficients belong together.</param>
    /// <param name="k">Groups wanted, from 1 to their number.</param>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="weights">d_j, positive, one per group; ones by default.</param>
    /// <exception cref="ArgumentException">k, lambda or a weight is out of its range, or the weights do not fit the groups.</exception>
    public GroupEnvelope(GroupPartition groups, int k, double strength, IReadOnlyList<double>? weights = null)
    {
        ArgumentNullException.ThrowIfNull(groups);
        EnvelopeLevel.CheckCount(k, groups.Count);
        (_groups, K, Strength) = (groups, k, Finite.Positive(strength));
        _weights = [.. weights ?? []];
        if (weights is not null) EnvelopeLevel.CheckWeights(_weights, groups.Count);
    }

    /// <inheritdoc/>
    public double Strength { get; }

    /// <summary>Groups wanted.</summary>
    public int K { get; }

    /// <inheritdoc/>
    public string Name => "group envelope";

    /// <inheritdoc/>
    public bool IsConvex => true;

    /// <inheritdoc/>
    public int? Length => _groups.Length;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new GroupEnvelope(_groups, K, strength, _weights.Length == 0 ? null : _weights);

    /// <summary>lambda GS_k(x).</summary>
    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        double[] pool = ArrayPool<double>.Shared.Rent(_groups.Count);
        try
        {
            Span<double> norms = pool.AsSpan(0, _groups.Count);
            return Norms(x, norms, nameof(x)) ? EnvelopeLevel.Value(norms, K, Strength, _weights) : double.NaN;
        }
        finally
        {
            ArrayPool<double>.Shared.Return(pool);
        }
    }

    /// <summary>
    /// The minimizer is unique. One number that is not finite makes all of the result NaN: the level couples every group.
    /// </summary>
    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Finite.Positive(step);
        Guard.SameLength(z.Length, result.Length, nameof(z), nameof(result));
        double[] pool = ArrayPool<double>.Shared.Rent(_groups.Count);
        try
        {
            Span<double> norms = pool.AsSpan(0, _groups.Count);
            if (!Norms(z, norms, nameof(z)))
            {
                result.Fill(T.NaN);
                return;
            }

            EnvelopeLevel.ScalesUnchecked(norms, K, step * Strength, norms, _weights);
            for (int g = 0; g < norms.Length; g++)
                Scale(z, Guard.To<T>(norms[g]), _groups.Members(g), result);
        }
        finally
        {
            ArrayPool<double>.Shared.Return(pool);
        }
    }

    /// <summary>
    /// The subdifferential at a group that is not zero is the point lambda d_j x_j/u_j; at zero groups it is the ball of radius
    /// lambda sqrt(d_j) theta, with theta the level of x, the k-th largest a_j where exactly k groups are not zero, and 0 where fewer are.
    /// </summary>
    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Guard.SameLength(x.Length, gradient.Length, nameof(x), nameof(gradient));
        Guard.SameLength(x.Length, result.Length, nameof(x), nameof(result));
        double[] pool = ArrayPool<double>.Shared.Rent(_groups.Count);
        try
        {
            Span<double> norms = pool.AsSpan(0, _groups.Count);
            if (!Norms(x, norms, nameof(x)))
            {
                result.Fill(T.NaN);
                return;
            }

            double theta = EnvelopeLevel.Find(norms, K, 0, _weights), radius = theta == 0 ? LeastOfExactlyK(norms) : theta;
            for (int g = 0; g < norms.Length; g++)
            {
                ReadOnlySpan<int> members = _groups.Members(g);
                double d = Weight(g), a = Math.Sqrt(d) * norms[g], slope = Strength * d * (a > 0 && a < theta ? theta / a : 1);
                var rest = default(EuclideanNorm);
                foreach (int i in members)
                {
                    double distance = Math.Abs(double.CreateTruncating(gradient[i]) + (slope * double.CreateTruncating(x[i])));
                    rest.Add(distance);
                    result[i] = Guard.To<T>(distance);
                }

                if (a != 0) continue;
                double cut = Strength * Math.Sqrt(d) * radius, length = rest.Value, shrink = length <= cut ? 0 : 1 - (cut / length);
                foreach (int i in members) result[i] *= Guard.To<T>(shrink);
            }
        }
        finally
        {
            ArrayPool<double>.Shared.Return(pool);
        }
    }

    /// <summary>
    /// Infinite unless the gradient is zero: at zero the envelope is as flat as a square, so k groups always leave it.
    /// </summary>
    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        Finite.Positive(step);
        CheckLength(gradientAtZero.Length, nameof(gradientAtZero));
        return Guard.MaxMagnitude(gradientAtZero) == 0 ? 0 : double.PositiveInfinity;
    }

    private static void Scale<T>(ReadOnlySpan<T> z, T scale, ReadOnlySpan<int> members, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (SumOfSquares.IsRun(members))
        {
            int first = members[0];
            if (scale == T.Zero) result.Slice(first, members.Length).Clear();
            else System.Numerics.Tensors.TensorPrimitives.Multiply(z.Slice(first, members.Length), scale, result.Slice(first, members.Length));
            return;
        }

        foreach (int i in members) result[i] = scale == T.Zero ? T.Zero : z[i] * scale;
    }

    /// <summary>Norms of the groups; false where one is not finite.</summary>
    private bool Norms<T>(ReadOnlySpan<T> x, Span<double> norms, string name)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckLength(x.Length, name);
        bool finite = true;
        for (int g = 0; g < norms.Length; g++)
        {
            norms[g] = SumOfSquares.Norm(x, _groups.Members(g));
            finite &= double.IsFinite(norms[g]);
        }

        return finite;
    }

    /// <summary>Least a_j of the groups that are not zero where there are exactly k of them, else 0.</summary>
    private double LeastOfExactlyK(ReadOnlySpan<double> norms)
    {
        int count = 0;
        double least = double.PositiveInfinity;
        for (int g = 0; g < norms.Length; g++)
        {
            if (norms[g] == 0) continue;
            count++;
            least = Math.Min(least, Math.Sqrt(Weight(g)) * norms[g]);
        }

        return count == K ? least : 0;
    }

    private double Weight(int group) => _weights.Length == 0 ? 1 : _weights[group];

    private void CheckLength(int length, string name)
    {
        if (length != _groups.Length)
            throw new ArgumentException($"{name} holds {length} coefficients, but the groups partition {_groups.Length}.", name);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}, strength {Strength:G6}";
}
