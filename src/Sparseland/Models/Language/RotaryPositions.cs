using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// Rotary positions (Su et al. 2021): the pair (x_i, x_{i + d/2}) of a head is turned by the angle position * theta^(-2i/d), so that the
/// product of a query and a key depends on their distance. Pairs are halves apart, as Hugging Face's weights have them.
/// </summary>
internal sealed class RotaryPositions : IDisposable
{
    private const int FirstRows = 4096;
    private readonly int _context;
    private readonly int _turned;
    private readonly double _theta;
    private readonly RotaryScaling? _scaling;
    private readonly Lock _lock = new();
    private Tensor _cos;
    private Tensor _sin;

    /// <summary>Angles for all positions; tables grow with the longest sequence seen, for a context can be far longer than any text.</summary>
    /// <param name="context">Positions before scaling: max_position_embeddings.</param>
    /// <param name="turned">Leading entries of a head that are turned, even; the rest stays.</param>
    /// <param name="theta">Base of the frequencies.</param>
    /// <param name="scaling">How positions reach further; null for not.</param>
    public RotaryPositions(int context, int turned, double theta, RotaryScaling? scaling = null)
    {
        (_context, _turned, _theta, _scaling) = (context, turned, theta, scaling);
        (_cos, _sin) = Table(0, Math.Min(Longest, FirstRows), context);
        _cos = _cos.DetachFromDisposeScope();
        _sin = _sin.DetachFromDisposeScope();
    }

    /// <summary>Positions there are.</summary>
    private int Longest => _scaling?.Longest(_context) ?? _context;

    /// <summary>The turn of the tokens at positions from, from + 1, ...; the same for all blocks.</summary>
    /// <param name="from">Position of the first token.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="type">Element type of the model.</param>
    /// <param name="device">Where the model is.</param>
    public Rotation At(int from, long tokens, ScalarType type, Device device)
    {
        Tensor cos, sin;
        if (_scaling?.Kind == RotaryScalingKind.Dynamic && from + tokens > _context)
        {
            // The base follows the sequence, so no table serves two lengths.
            (cos, sin) = Table(from, tokens, from + tokens);
            (cos, sin) = (cos.to(device), sin.to(device));
        }
        else
        {
            lock (_lock)
            {
                if (from + tokens > _cos.shape[0]) Grow(from + tokens);
                if (_cos.device_type != device.type) Replace(_cos.to(device), _sin.to(device));
                (cos, sin) = (_cos.narrow(0, from, tokens), _sin.narrow(0, from, tokens));
            }
        }

        return cos.dtype == type ? new(cos, sin, _turned) : new(cos.to(type), sin.to(type), _turned);
    }

    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
    }

    private void Grow(long rows)
    {
        (Tensor cos, Tensor sin) = Table(0, Math.Min(Longest, Math.Max(rows, 2 * _cos.shape[0])), _context);
        Replace(cos.to(_cos.device), sin.to(_sin.device));
    }

    private void Replace(Tensor cos, Tensor sin)
    {
        // Views that another thread was given keep the memory of the old ones.
        (Tensor oldCos, Tensor oldSin) = (_cos, _sin);
        (_cos, _sin) = (cos.DetachFromDisposeScope(), sin.DetachFromDisposeScope());
        oldCos.Dispose();
        oldSin.Dispose();
    }

    /// <summary>Cosines and signed sines of some positions [positions, turned], float32 from angles in float64.</summary>
    private (Tensor Cos, Tensor Sin) Table(int from, long positions, long length)
    {
        using var scope = NewDisposeScope();
        double[] frequencies = _scaling?.Frequencies(_turned, _theta, _context, length) ?? RotaryScaling.Plain(_turned, _theta);
        Tensor angles = arange(from, from + positions, dtype: ScalarType.Float64).outer(tensor(frequencies));
        double amplitude = _scaling?.Amplitude ?? 1;
        Tensor cos = angles.cos().mul(amplitude), sin = angles.sin().mul(amplitude);
        return (scope.MoveToOuter(cat([cos, cos], 1).to(ScalarType.Float32)), scope.MoveToOuter(cat([sin.neg(), sin], 1).to(ScalarType.Float32)));
    }
}

/// <summary>Angles of some tokens.</summary>
/// <param name="Cos">Cosines [tokens, turned], each pair's twice.</param>
/// <param name="Sin">Sines [tokens, turned], negative for the first of each pair.</param>
/// <param name="Turned">Leading entries of a head that are turned.</param>
/// <param name="Hidden">[tokens, keys]: what the tokens do not see, where it is not just what comes later; else null.</param>
internal readonly record struct Rotation(Tensor Cos, Tensor Sin, int Turned, Tensor? Hidden = null)
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
