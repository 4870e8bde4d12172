using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>Sparse Parallel's layer: the sum over branches of W_j x, of norm(W_j x) or of ReLU(norm(W_j x)). Each branch has its own weight, "branch1", "branch2", ..., and so its own mask.</summary>
/// <remarks><see cref="ParallelLinear"/> and <see cref="ParallelConvolution"/> differ in the product alone.</remarks>
public abstract class ParallelLayer : nn.Module<Tensor, Tensor>
{
    private readonly int _count;
    private readonly BatchNorm? _norm;

    /// <summary>Branches of zeros.</summary>
    /// <param name="name">Name of the type.</param>
    /// <param name="weight">Shape of one branch's weight, outputs first.</param>
    /// <param name="branches">Branches, positive.</param>
    /// <param name="inner">What stands in each before the sum.</param>
    /// <param name="norm">From a number of outputs to a batch norm.</param>
    private protected ParallelLayer(string name, long[] weight, int branches, InnerActivation inner, Func<long, BatchNorm> norm)
        : base(name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(branches);
        if (!Enum.IsDefined(inner)) throw new ArgumentOutOfRangeException(nameof(inner), inner, "No such activation.");
        (Inner, Outputs) = (inner, checked((int)weight[0]));
        using DisposeScope scope = NewDisposeScope();
        _count = branches;
        for (int j = 0; j < branches; j++) register_parameter($"branch{j + 1}", nn.Parameter(zeros(weight).DetachFromDisposeScope()));
        // One norm over all outputs of all branches is a norm for each branch.
        _norm = inner == InnerActivation.None ? null : norm(weight[0] * branches);
        if (_norm is not null)
        {
            scope.Detach(_norm.parameters().Concat(_norm.buffers()));
            register_module("norm", _norm);
        }
    }

    /// <summary>What stands in each branch before the sum.</summary>
    public InnerActivation Inner { get; }

    /// <summary>Outputs, or channels out, of the layer and of each branch.</summary>
    public int Outputs { get; }

    /// <summary>The branches' weights [outputs, inputs] or [outputs, inputs, kh, kw].</summary>
    /// <remarks>Asked for by name: a module that changes its type gives its parameters new tensors.</remarks>
    public IReadOnlyList<Parameter> Branches => [.. Enumerable.Range(1, _count).Select(j => get_parameter($"branch{j}")!)];

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        Tensor each = Product(input, _count == 1 ? Branches[0] : cat([.. Branches]));
        if (_norm is not null) each = _norm.call(each);
        if (Inner == InnerActivation.NormAndRelu) each = nn.functional.relu(each);
        return (_count == 1 ? each : each.reshape([each.shape[0], _count, Outputs, .. each.shape[2..]]).sum(1L)).MoveToOuterDisposeScope();
    }

    /// <summary>The layer's product with a weight, without bias; outputs are the second dimension.</summary>
    private protected abstract Tensor Product(Tensor input, Tensor weight);

    /// <summary>Writes the one weight and bias that compute the same at inference into a new layer, the norms' scales and shifts folded in.</summary>
    /// <param name="create">Makes the layer, of this type and on this device.</param>
    /// <param name="parameters">Its weight and bias.</param>
    /// <exception cref="InvalidOperationException">There is a ReLU in each branch: the sum is no linear map.</exception>
    private protected T FoldInto<T>(Func<ScalarType, Device, T> create, Func<T, (Tensor Weight, Tensor Bias)> parameters)
        where T : nn.Module
    {
        if (Inner == InnerActivation.NormAndRelu) throw new InvalidOperationException("Each branch has a ReLU before the sum; such branches cannot be folded into one matrix.");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Parameter first = Branches[0];
        Tensor scale = ones(_count * Outputs, dtype: first.dtype, device: first.device), shift = zeros(_count * Outputs, dtype: first.dtype, device: first.device);
        if (_norm is not null)
        {
            scale = _norm.weight! / (_norm.running_var! + _norm.eps).sqrt();
            shift = _norm.bias! - (_norm.running_mean! * scale);
        }

        T folded = create(first.dtype, first.device);
        (Tensor weight, Tensor bias) = parameters(folded);
        weight.copy_((cat([.. Branches]).flatten(1) * scale.unsqueeze(1)).reshape(_count, Outputs, -1).sum(0L).reshape(first.shape));
        bias.copy_(shift.reshape(_count, Outputs).sum(0L));
        scope.Detach(folded.parameters());
        return folded;
    }
}
