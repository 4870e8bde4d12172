using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.NofM;

/// <summary>
/// Two masks of one weight W by its absolute values: N of every M neighbours along the inputs, for the forward product W x, and N of every M along the outputs, for the input gradient W^T dy.
/// </summary>
public sealed class MaskPair : IDisposable
{
    private readonly Tensor _in;
    private readonly Tensor _out;
    private readonly NativeSize _size;

    /// <summary>Chooses both from W, neither from what the other left.</summary>
    /// <param name="weight">W [out, in] or [out, in, kh, kw], without NaN.</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run; it must divide the inputs and the outputs.</param>
    /// <exception cref="ArgumentException">A run does not fit along an axis, which is named, or a weight is NaN.</exception>
    public MaskPair(Tensor weight, int n, int m)
    {
        ArgumentNullException.ThrowIfNull(weight);
        _ = PruningPattern.NofM(n, m);
        (N, M) = (n, m);
        if (weight.dim() is not (2 or 4)) throw new ArgumentException($"weight must be [out, in] or [out, in, kh, kw], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        if (weight.shape[1] % m != 0) throw new ArgumentException($"{m} does not divide the {weight.shape[1]} inputs.", nameof(m));
        if (weight.shape[0] % m != 0) throw new ArgumentException($"{m} does not divide the {weight.shape[0]} outputs.", nameof(m));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor size = weight.detach().abs();
        _in = NofMLayout.Mask(size, n, m).DetachFromDisposeScope();
        _out = NofMLayout.MaskAlongOutputs(size, n, m).DetachFromDisposeScope();
        _size = NativeSize.Of(_in, _out);
    }

    /// <summary>Kept of a run.</summary>
    public int N { get; }

    /// <summary>Length of a run.</summary>
    public int M { get; }

    /// <summary>Bool, of the shape of W: N of every M along the inputs. It belongs to the pair.</summary>
    public Tensor In => _in;

    /// <summary>Bool, of the shape of W: N of every M along the outputs. It belongs to the pair.</summary>
    public Tensor Out => _out;

    /// <summary>Where the forward mask is, as a support of [out, in]; of a convolution [out, in kh kw].</summary>
    public Support InSupport => Matrix(_in);

    /// <summary>Where the backward mask is, likewise.</summary>
    public Support OutSupport => Matrix(_out);

    /// <summary>Share of what one mask keeps that the other keeps too.</summary>
    public double Overlap
    {
        get
        {
            using DisposeScope scope = NewDisposeScope();
            return (double)_in.logical_and(_out).sum().item<long>() / _in.sum().item<long>();
        }
    }

    /// <summary>Share of the runs along the outputs in which the forward mask has at most N entries: those that N:M hardware could multiply by with the forward mask alone.</summary>
    public double CompliantGroups
    {
        get
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor kept = _in.transpose(0, -1).contiguous().reshape(-1, _in.shape[0] / M, M).sum(-1L);
            return kept.le(N).to(ScalarType.Float64).mean().item<double>();
        }
    }

    /// <summary>Cosine of the angle between the two masked weights.</summary>
    /// <param name="weight">W, of the shape of the masks.</param>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public double Cosine(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (!weight.shape.SequenceEqual(_in.shape)) throw new ArgumentException($"weight must be [{string.Join(", ", _in.shape)}], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        using DisposeScope scope = NewDisposeScope();
        Tensor square = weight.detach().to(ScalarType.Float64).square();
        double Energy(Tensor mask) => where(mask, square, 0).sum().item<double>();
        return Energy(_in.logical_and(_out)) / Math.Sqrt(Energy(_in) * Energy(_out));
    }

    /// <summary>Frees the masks.</summary>
    public void Dispose()
    {
        _in.Dispose();
        _out.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"MaskPair {N}:{M} of [{string.Join(", ", _in.shape)}]";

    private static Support Matrix(Tensor mask)
    {
        using DisposeScope scope = NewDisposeScope();
        return Support.FromMask(mask.reshape(mask.shape[0], -1));
    }
}
