using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>
/// How far two sets of features are apart, as the squared Frechet distance of the normal distributions with their means and covariances (Heusel et al. 2017, there called FID):
/// norm(m_1 - m_2)^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)).
/// </summary>
public static class FrechetDistance
{
    // Covariances are multiplied with each other: fourth powers of features beyond these leave the range of float64.
    private const double LeastPlain = 1e-70, MostPlain = 1e70;

    /// <summary>The squared distance; 0 for equal means and covariances. Features of any size are taken; infinite where the squared distance itself is beyond the range of float64.</summary>
    /// <param name="first">Features [samples, features], at least two samples.</param>
    /// <param name="second">Features [samples, features], of as many features.</param>
    /// <exception cref="ArgumentException">No matrix, a number that is not finite, fewer than two samples, or another number of features.</exception>
    public static double Of(Tensor first, Tensor second)
    {
        double largest = Math.Max(TensorInput.CheckMatrix(first, nameof(first), "[samples, features]"), TensorInput.CheckMatrix(second, nameof(second), "[samples, features]"));
        if (first.shape[1] != second.shape[1]) throw new ArgumentException($"first has {first.shape[1]} features and second {second.shape[1]}.", nameof(second));
        foreach ((Tensor set, string name) in new[] { (first, nameof(first)), (second, nameof(second)) })
        {
            if (set.shape[0] < 2) throw new ArgumentException("A covariance needs at least two samples.", name);
        }

        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        PowerOfTwoScale scale = largest is 0 or (>= LeastPlain and <= MostPlain) ? new(0) : PowerOfTwoScale.Of(largest);
        (Tensor mean1, Tensor cov1) = Moments(first, scale);
        (Tensor mean2, Tensor cov2) = Moments(second, scale);

        // C_1 C_2 and the symmetric R C_2 R, with R the root of C_1, have the same eigenvalues.
        (Tensor values, Tensor vectors) = linalg.eigh(cov1);
        Tensor root = (vectors * values.clamp_min(0).sqrt()).mm(vectors.t());
        double mixed = linalg.eigvalsh(root.mm(cov2).mm(root)).clamp_min(0).sqrt().sum().item<double>();
        double distance = mean1.sub(mean2).square().sum().item<double>() + cov1.trace().item<double>() + cov2.trace().item<double>() - (2 * mixed);
        return scale.Squared.Up(Math.Max(0, distance));
    }

    private static (Tensor Mean, Tensor Covariance) Moments(Tensor features, PowerOfTwoScale scale)
    {
        Tensor x = features.detach().to(ScalarType.Float64);
        if (scale.Exponent != 0) x = scale.Down(x);
        Tensor mean = x.mean([0]), centred = x - mean;
        return (mean, centred.t().mm(centred).div(features.shape[0] - 1));
    }
}
