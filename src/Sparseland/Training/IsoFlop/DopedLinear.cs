using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>Sparse Doped's layer: y = W x + V (U x), a sparse "weight" [out, in] beside two dense factors, "u" [rank, in] and "v" [out, rank].</summary>
public sealed class DopedLinear : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;

    [ComponentName(Name = "u")]
    private readonly Parameter _u;

    [ComponentName(Name = "v")]
    private readonly Parameter _v;

    /// <summary>Weights of zeros.</summary>
    /// <param name="inputs">Inputs, positive.</param>
    /// <param name="outputs">Outputs, positive.</param>
    /// <param name="rank">d, positive.</param>
    /// <exception cref="ArgumentException">A number is not positive.</exception>
    public DopedLinear(int inputs, int outputs, int rank)
        : base(nameof(DopedLinear))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rank);
        _weight = nn.Parameter(zeros(outputs, inputs).DetachFromDisposeScope());
        _u = nn.Parameter(zeros(rank, inputs).DetachFromDisposeScope());
        _v = nn.Parameter(zeros(outputs, rank).DetachFromDisposeScope());
        register_parameter("weight", _weight);
        register_parameter("u", _u);
        register_parameter("v", _v);
    }

    /// <summary>The sparse part [out, in].</summary>
    public Parameter Weight => _weight;

    /// <summary>The first factor [rank, in].</summary>
    public Parameter U => _u;

    /// <summary>The second factor [out, rank].</summary>
    public Parameter V => _v;

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        Tensor sparse = nn.functional.linear(input, _weight);
        return (sparse + nn.functional.linear(nn.functional.linear(input, _u), _v)).MoveToOuterDisposeScope();
    }
}
