using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// Rotary positions (Su et al. 2021): the pair (x_i, x_{i + d/2}) of a head is turned by the angle position * theta^(-2i/d), so that the
/// product of a query and a key depends on their distance. Pairs are halves apart, as Hugging Face's weights have them.
/// </summary>
internal sealed class RotaryPositions : IDisposable
{
    private readonly int _turned;
    private Tensor _cos;
    private Tensor _sin;

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
        Tensor cos = angles.cos(), sin = angles.sin();
        _cos = cat([cos, cos], 1).to(ScalarType.Float32).DetachFromDisposeScope();
        _sin = cat([sin.neg(), sin], 1).to(ScalarType.Float32).DetachFromDisposeScope();
    }

    /// <summary>The turn of the tokens at positions from, from + 1, ...; the same for all blocks.</summary>
    /// <param name="from">Position of the first token.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="type">Element type of the model.</param>
    /// <param name="device">Where the model is.</param>
    public Rotation At(int from, long tokens, ScalarType type, Device device)
    {
        if (_cos.device_type != device.type) Move(device);
        Tensor cos = _cos.narrow(0, from, tokens), sin = _sin.narrow(0, from, tokens);
        return cos.dtype == type ? new(cos, sin, _turned) : new(cos.to(type), sin.to(type), _turned);
    }

    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
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
}

/// <summary>Angles of some tokens.</summary>
/// <param name="Cos">Cosines [tokens, turned], each pair's twice.</param>
/// <param name="Sin">Sines [tokens, turned], negative for the first of each pair.</param>
/// <param name="Turned">Leading entries of a head that are turned.</param>
internal readonly record struct Rotation(Tensor Cos, Tensor Sin, int Turned)
{
    /// <summary>Turns the heads.</summary>
    /// <param name="x">[batch, heads, tokens, headDim].</param>
    public Tensor Apply(Tensor x)
    {
        long width = x.size(3);
        if (Turned == width) return Turn(x);
        return cat([Turn(x.narrow(3, 0, Turned)), x.narrow(3, Turned, width - Turned)], 3);
    }

    // Rolling by half a head puts the other one of a pair in each place.
    private Tensor Turn(Tensor x) => x.mul(Cos).add(x.roll(Turned / 2, -1).mul(Sin));
}
