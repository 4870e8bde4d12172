using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// What is done to each token by itself before an autoencoder sees it; the reconstruction is put back with the same token's numbers. Autoencoders that others trained have it; it
/// cannot be folded into weights, and trainings here scale all tokens by one constant (<see cref="ActivationScaling"/>).
/// </summary>
public enum TokenScaling
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>x sqrt(d) / ||x||: every token has the norm sqrt(d) ("constant_norm_rescale" of SAELens).</summary>
    ConstantNorm,

    /// <summary>(x - mean) / (std + 1e-5) over the width, std with d - 1; put back as xhat std + mean ("layer_norm" of SAELens).</summary>
    LayerNorm,
}

/// <summary>The numbers that put reconstructions of some tokens back: xhat Factor + Mean.</summary>
/// <param name="Factor">[tokens, 1].</param>
/// <param name="Mean">[tokens, 1]; null for none.</param>
internal sealed record TokenFrame(Tensor Factor, Tensor? Mean) : IDisposable
{
    private const double Epsilon = 1e-5, LeastNorm = 1e-30;

    /// <summary>Scales tokens; tensors live in the caller's scope.</summary>
    /// <param name="scaling">How.</param>
    /// <param name="x">[tokens, d].</param>
    public static (Tensor X, TokenFrame? Frame) Apply(TokenScaling scaling, Tensor x)
    {
        // Squares of large values would overflow Float32 where the scale itself does not.
        switch (scaling)
        {
            case TokenScaling.ConstantNorm:
                // A token of zeros stays one.
                Tensor factor = x.to(ScalarType.Float64).norm(1, keepdim: true).clamp_min(LeastNorm).div(Math.Sqrt(x.shape[1])).to(x.dtype);
                return (x / factor, new(factor, null));
            case TokenScaling.LayerNorm:
                Tensor mean = x.mean([1L], keepdim: true), centred = x - mean, std = centred.to(ScalarType.Float64).square().sum([1L], keepdim: true).div(x.shape[1] - 1).sqrt().to(x.dtype);
                return (centred / (std + Epsilon), new(std, mean));
            default:
                return (x, null);
        }
    }

    /// <summary>Puts a reconstruction back [tokens, d].</summary>
    public Tensor Undo(Tensor rebuilt) => Mean is null ? rebuilt * Factor : (rebuilt * Factor) + Mean;

    /// <summary>Lets the numbers outlive the scope they were made in.</summary>
    public TokenFrame Keep()
    {
        Factor.MoveToOuterDisposeScope();
        Mean?.MoveToOuterDisposeScope();
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Factor.Dispose();
        Mean?.Dispose();
    }
}
