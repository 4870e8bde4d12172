using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>Sparse Doped's layer: y = W x + V (U x), a sparse "weight" beside two dense factors, "u" of as many outputs as the rank and "v" back from them.</summary>
/// <remarks><see cref="DopedLinear"/> and <see cref="DopedConvolution"/> differ in the products alone.</remarks>
public abstract class DopedLayer : nn.Module<Tensor, Tensor>
{
    /// <summary>Weights of zeros.</summary>
    /// <param name="name">Name of the type.</param>
    /// <param name="weight">Shape of W, outputs and inputs first; U has the same but for its outputs.</param>
    /// <param name="rank">d, positive.</param>
    private protected DopedLayer(string name, long[] weight, int rank)
        : base(name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rank);
        long[] second = [weight[0], rank, .. weight.Skip(2).Select(_ => 1L)];
        register_parameter("weight", nn.Parameter(zeros(weight).DetachFromDisposeScope()));
        register_parameter("u", nn.Parameter(zeros([rank, .. weight[1..]]).DetachFromDisposeScope()));
        register_parameter("v", nn.Parameter(zeros(second).DetachFromDisposeScope()));
    }

    /// <summary>The sparse part [out, in] or [out, in, kh, kw].</summary>
    /// <remarks>Asked for by name, as the factors: a module that changes its type gives its parameters new tensors.</remarks>
    public Parameter Weight => get_parameter("weight")!;

    /// <summary>The first factor [rank, in] or [rank, in, kh, kw].</summary>
    public Parameter U => get_parameter("u")!;

    /// <summary>The second factor [out, rank] or [out, rank, 1, 1].</summary>
    public Parameter V => get_parameter("v")!;

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        Tensor sparse = Product(input, Weight);
        return (sparse + Back(Product(input, U), V)).MoveToOuterDisposeScope();
    }

    /// <summary>W x or U x.</summary>
    private protected abstract Tensor Product(Tensor input, Tensor weight);

    /// <summary>V times what the first factor gave.</summary>
    private protected abstract Tensor Back(Tensor inner, Tensor weight);
}
