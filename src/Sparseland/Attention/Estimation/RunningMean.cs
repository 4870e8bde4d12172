using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Estimation;

/// <summary>The mean of all values up to each token: attention that prefers nothing. SEA mixes it in for the mass that lies outside the kept cells.</summary>
public static class RunningMean
{
    /// <summary>mean over j up to i of v_j, summed in Float64.</summary>
    /// <param name="v">[..., tokens, width], Float32 or Float64.</param>
    /// <returns>Of the same shape and type, with gradients.</returns>
    /// <exception cref="ArgumentException">Another shape or type.</exception>
    public static Tensor Of(Tensor v)
    {
        ArgumentNullException.ThrowIfNull(v);
        if (v.dim() < 2 || v.numel() == 0) throw new ArgumentException($"v must be [..., tokens, width] and not empty, but is [{string.Join(", ", v.shape)}].", nameof(v));
        if (v.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"v is {v.dtype}; it must be Float32 or Float64.", nameof(v));
        using DisposeScope scope = NewDisposeScope();
        Tensor counts = arange(1, v.shape[^2] + 1, dtype: ScalarType.Float64, device: v.device).unsqueeze(1);
        return scope.MoveToOuter(v.to(ScalarType.Float64).cumsum(-2).div(counts).to(v.dtype));
    }
}
