using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// One constant that activations are multiplied with before an autoencoder sees them, and reconstructions divided by: s = sqrt(d) / mean ||x||, so that the mean
/// norm is sqrt(d). Learning rates, penalties, bandwidths and thresholds mean the same on all models then. A buffer, kept in
/// checkpoints; 1 where nothing is scaled.
/// </summary>
public sealed class ActivationScaling : nn.Module
{
    [ComponentName(Name = "factor")]
    private readonly Tensor _factor;

    internal ActivationScaling(double factor = 1)
        : base(nameof(ActivationScaling))
    {
        _factor = tensor(new[] { factor }).DetachFromDisposeScope();
        register_buffer("factor", _factor);
    }

    /// <summary>s.</summary>
    public double Factor => _factor.ToDouble();

    /// <summary>sqrt(d) over the mean norm of some activations.</summary>
    /// <param name="activations">[tokens, d], Float32 or Float64, finite.</param>
    /// <exception cref="ArgumentException">There are none, one is not finite, or all are zero.</exception>
    public static double FactorOf(Tensor activations)
    {
        TensorInput.CheckMatrix(activations, nameof(activations), "[tokens, d]");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return FactorOf(activations.to(ScalarType.Float64).norm(1).sum().item<double>() / activations.shape[0], activations.shape[1]);
    }

    internal static double FactorOf(double meanNorm, long width)
    {
        double factor = Math.Sqrt(width) / meanNorm;
        if (!(meanNorm > 0) || !double.IsFinite(factor)) throw new ArgumentException(FormattableString.Invariant($"The mean norm of the activations is {meanNorm}; it must be positive to scale by."), "activations");
        return factor;
    }

    internal void Set(double factor)
    {
        Finite.Positive(factor);
        _factor.fill_(factor);
    }

    /// <summary>s x.</summary>
    internal Tensor Apply(Tensor x) => Factor is not 1 and var s ? x.mul(s) : x;

    /// <summary>Of a reconstruction in the scaled space, or of a gradient with respect to x, which the chain rule divides too.</summary>
    internal Tensor Undo(Tensor x) => Factor is not 1 and var s ? x.div(s) : x;
}
