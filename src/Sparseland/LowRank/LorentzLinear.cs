using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// The fully hyperbolic linear layer (HyboNet, Chen et al. 2022): x on the Lorentz sheet goes to (sqrt(|phi(W x)|^2 - 1/K), phi(W x)), W acting on all d + 1 coordinates. No exponential map is needed, and any W, dense, of low rank or
/// spectral, gives a point of the sheet. The published layer also scales phi by a learned number; here phi is the activation alone.
/// </summary>
public sealed class LorentzLinear : nn.Module<Tensor, Tensor>
{
    private readonly nn.Module<Tensor, Tensor> inner;
    private readonly Func<Tensor, Tensor>? _activation;

    /// <summary>A layer around a linear one.</summary>
    /// <param name="inner">From [..., d + 1] to [..., e]: a Linear or what stands for one. It belongs to this layer.</param>
    /// <param name="curvature">K, negative. Default -1.</param>
    /// <param name="activation">phi; null, the default, for none.</param>
    /// <exception cref="ArgumentException">K is not negative.</exception>
    public LorentzLinear(nn.Module<Tensor, Tensor> inner, double curvature = -1, Func<Tensor, Tensor>? activation = null)
        : base(nameof(LorentzLinear))
    {
        ArgumentNullException.ThrowIfNull(inner);
        LorentzMath.CheckCurvature(curvature);
        (this.inner, Curvature, _activation) = (inner, curvature, activation);
        register_module("inner", inner);
    }

    /// <summary>The linear layer inside.</summary>
    public nn.Module<Tensor, Tensor> Inner => inner;

    /// <summary>K.</summary>
    public double Curvature { get; }

    /// <summary>The point above phi(W x).</summary>
    /// <param name="input">[..., d + 1], on the sheet.</param>
    /// <returns>[..., e + 1], on the sheet.</returns>
    /// <exception cref="ArgumentException">A point is off the sheet by more than <see cref="LorentzMath.Tolerance"/>; its row is named.</exception>
    public override Tensor forward(Tensor input)
    {
        LorentzMath.CheckOnSheet(input, Curvature, nameof(input));
        using DisposeScope scope = NewDisposeScope();
        Tensor rest = inner.call(input);
        return LorentzMath.Lift(_activation is null ? rest : _activation(rest), Curvature).MoveToOuterDisposeScope();
    }
}
