using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>
/// Logistic regression of two classes that weigh alike: sum_t c_t log(1 + exp(-y_t z_t)) + norm(w)^2 / 2 on standardised columns, with an intercept that
/// is free, by Newton's method with halved steps. The objective is strictly convex in w, also where the classes are separable.
/// </summary>
internal sealed class BalancedLogistic
{
    private const int MostSteps = 100;
    private readonly Tensor _mean, _scale, _weights;

    private BalancedLogistic(Tensor mean, Tensor scale, Tensor weights) => (_mean, _scale, _weights) = (mean, scale, weights);

    /// <summary>Weights of the standardised columns, the intercept last [d + 1].</summary>
    public Tensor Weights => _weights;

    /// <summary>Fits; tensors live in the caller's scope.</summary>
    /// <param name="x">[tokens, d], Float64.</param>
    /// <param name="labels">Both classes are there.</param>
    /// <param name="cancel">Looked at between steps.</param>
    public static BalancedLogistic Fit(Tensor x, bool[] labels, CancellationToken cancel)
    {
        double n = labels.Length, positives = labels.Count(y => y);
        Tensor y = tensor([.. labels.Select(l => l ? 1.0 : -1.0)]), share = tensor([.. labels.Select(l => n / (2 * (l ? positives : n - positives)))]);
        Tensor mean = x.mean([0L]), deviation = x.std(0, unbiased: false), scale = where(deviation.gt(0), deviation, ones_like(deviation));
        Tensor columns = cat([(x - mean) / scale, ones([x.shape[0], 1], dtype: ScalarType.Float64)], 1);
        int d = (int)columns.shape[1];

        // The intercept has no penalty.
        Tensor penalty = ones(d, dtype: ScalarType.Float64);
        penalty[d - 1] = 0;
        Tensor w = zeros(d, dtype: ScalarType.Float64);
        double value = Objective(w);
        for (int step = 0; step < MostSteps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            Tensor p = (-y * columns.mv(w)).sigmoid();
            Tensor gradient = (penalty * w) - columns.t().mv(share * y * p);
            Tensor hessian = Curvature(columns, share * p * (1 - p), cancel) + diag(penalty);

            // Where every token is sure, the intercept's curvature vanishes.
            hessian[d - 1, d - 1] += 1e-10 * n;
            Tensor direction = linalg.solve(hessian, gradient);
            double slope = gradient.dot(direction).item<double>();
            if (slope <= 1e-12 * Math.Max(1, value)) break;
            double length = 1, reached = value;
            Tensor next = w;
            for (int halving = 0; halving < 50; halving++, length /= 2)
            {
                next = w - (length * direction);
                reached = Objective(next);
                if (reached <= value - (1e-4 * length * slope)) break;
            }

            if (!(reached < value)) break;
            w = next.MoveToOuterDisposeScope();
            value = reached;
        }

        return new(mean, scale, w);

        double Objective(Tensor weights)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor loss = nn.functional.softplus(-y * columns.mv(weights), 1, 40);
            return ((share * loss).sum() + ((penalty * weights.square()).sum() / 2)).item<double>();
        }
    }

    // X^T diag(c) X, some rows at a time, so that a cancellation does not wait for all.
    private static Tensor Curvature(Tensor columns, Tensor weights, CancellationToken cancel)
    {
        long n = columns.shape[0], d = columns.shape[1], rows = Math.Clamp((1L << 29) / (d * d), 64, n < 64 ? 64 : n);
        Tensor sum = zeros([d, d], dtype: ScalarType.Float64);
        for (long from = 0; from < n; from += rows)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            Tensor part = columns.narrow(0, from, Math.Min(rows, n - from));
            sum.add_(part.t().mm(part * weights.narrow(0, from, part.shape[0]).unsqueeze(1)));
        }

        return sum;
    }

    /// <summary>Whether each token is said to have the concept.</summary>
    public bool[] Predict(Tensor x)
    {
        using DisposeScope scope = NewDisposeScope();
        long d = x.shape[1];
        return (((x - _mean) / _scale).mv(_weights.narrow(0, 0, d)) + _weights[d]).gt(0).data<bool>().ToArray();
    }
}
