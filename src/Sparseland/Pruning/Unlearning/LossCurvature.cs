using Sparseland.Data;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>sigma(m), the largest eigenvalue of the loss's Hessian restricted to kept weights: one of the two factors of the paper's bound on the error of unlearning.</summary>
public static class LossCurvature
{
    /// <summary>Power iteration with Hessian products from central differences of gradients, in float64 and evaluation mode.</summary>
    /// <param name="network">The network with its masks.</param>
    /// <param name="create">Makes a network of the same make.</param>
    /// <param name="set">Images of the loss.</param>
    /// <param name="iterations">Products, positive. Default 12.</param>
    /// <param name="seed">Seed of the first direction. Default 1.</param>
    /// <param name="cancel">Checked before each product.</param>
    /// <returns>The Rayleigh quotient after the last product: a lower bound of the eigenvalue, near it once iterations suffice.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No iterations.</exception>
    public static double LargestEigenvalue(
        SparseSnapshot network, Func<nn.Module<Tensor, Tensor>> create, LabelledImages set, int iterations = 12, long seed = 1, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(set);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(iterations);
        using nn.Module<Tensor, Tensor> workbench = create();
        network.CopyTo(workbench)?.Dispose();
        workbench.to(ScalarType.Float64);
        using MaskSet? masks = network.Masks.Count == 0 ? null : MaskSet.Of(workbench, network.Masks);
        SampleGradients gradients = new(workbench, masks);
        using DisposeScope scope = NewDisposeScope();
        using Generator generator = new((ulong)seed);
        Tensor X = set.Planes().to(ScalarType.Float64), kept = Kept(workbench, masks);
        Tensor direction = randn(kept.shape, dtype: ScalarType.Float64, generator: generator) * kept;
        double largest = Power(0);

        // Of largest size and negative: seen from there all others are positive, and the largest is the farthest.
        return largest >= 0 ? largest : Power(-largest);

        double Power(double shift)
        {
            const double Step = 1e-4;
            Tensor d = direction;
            double eigenvalue = 0;
            for (int i = 0; i < iterations; i++)
            {
                cancel.ThrowIfCancellationRequested();
                Tensor length = d.norm();

                // No curvature along what is left, or nothing kept: there is no direction to go on in.
                if (length.item<double>() == 0) return eigenvalue;
                d = d / length;
                gradients.Move(d, Step);
                Tensor ahead = gradients.Of(X, set.Labels);
                gradients.Move(d, -2 * Step);
                Tensor behind = gradients.Of(X, set.Labels);
                gradients.Move(d, Step);
                Tensor product = (ahead - behind) / (2 * Step);
                eigenvalue = d.dot(product).item<double>();
                d = product + (d * shift);
            }

            return eigenvalue;
        }
    }

    private static Tensor Kept(nn.Module model, MaskSet? masks) => cat([.. model.named_parameters().Where(p => p.parameter.requires_grad).Select(p =>
        (masks is not null && masks.Names.Contains(p.name) ? masks[p.name].to(ScalarType.Float64) : ones(p.parameter.shape, dtype: ScalarType.Float64)).flatten())]);
}
