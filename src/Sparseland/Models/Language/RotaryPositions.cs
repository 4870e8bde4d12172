using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// Rotary positions (Su et al. 2021): the pair (x_i, x_{i + d/2}) of a head is turned by the angle position * theta^(-2i/d), so that the
/// product of a query and a key depends on their distance. Pairs are halves apart, as Hugging Face's weights have them.
/// </summary>
internal sealed class RotaryPositions : IDisposable
{
    private Tensor _cos;
    private Tensor _sin;
    private readonly int _turned;

    /// <summary>Angles for all positions.</summary>
    /// <param name="context">Positions.</param>
    /// <param name="turned">Leading entries of a head that are turned, even; the rest stays.</param>
    /// <param name="theta">Base of the frequencies.</param>
    public RotaryPositions(int context, int turned, double theta)
    {
        _turned = turned;
        using var scope = NewDisposeScope();
        Tensor frequency = pow(theta, arange(0, turned, 2, dtype: ScalarType.Float64).div(-turned));
        Tensor angles = arange(context, dtype: ScalarType.Float64).outer(frequency);
        Tensor both = cat([angles, angles], 1);
        _cos = both.cos().to(ScalarType.Float32).DetachFromDisposeScope();
        _sin = both.sin().to(ScalarType.Float32).DetachFromDisposeScope();
    }

    /// <summary>Turns the tokens of positions from, from + 1, ...</summary>
    /// <param name="x">[batch, heads, tokens, headDim].</param>
    /// <param name="from">Position of the first token.</param>
    public Tensor Apply(Tensor x, int from)
    {
        long tokens = x.shape[2], width = x.shape[3];
        if (x.device_type != _cos.device_type) Move(x.device);
        Tensor cos = _cos.narrow(0, from, tokens), sin = _sin.narrow(0, from, tokens);
        if (x.dtype != cos.dtype) (cos, sin) = (cos.to(x.dtype), sin.to(x.dtype));
        Tensor part = _turned == width ? x : x.narrow(3, 0, _turned);
        Tensor swapped = cat([part.narrow(3, _turned / 2, _turned / 2).neg(), part.narrow(3, 0, _turned / 2)], 3);
        Tensor turned = part.mul(cos).add(swapped.mul(sin));
        return _turned == width ? turned : cat([turned, x.narrow(3, _turned, width - _turned)], 3);
    }

    /// <summary>Follows the model to another device.</summary>
    private void Move(Device device)
    {
        (Tensor cos, Tensor sin) = (_cos, _sin);
        _cos = cos.to(device).DetachFromDisposeScope();
        _sin = sin.to(device).DetachFromDisposeScope();
        cos.Dispose();
        sin.Dispose();
    }

    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
    }
}
