using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>Sparse Parallel's layer: the sum over branches of W_j x, of norm(W_j x) or of ReLU(norm(W_j x)). Each branch has its own weight, "branch1", "branch2", ..., and so its own mask.</summary>
public sealed class ParallelLinear : nn.Module<Tensor, Tensor>
{
    private readonly int _count;
    private readonly BatchNorm1d? _norm;

    /// <summary>Branches of zeros.</summary>
    /// <param name="inputs">Inputs, positive.</param>
    /// <param name="outputs">Outputs, positive.</param>
    /// <param name="branches">Branches, positive.</param>
    /// <param name="inner">What stands in each before the sum.</param>
    /// <exception cref="ArgumentException">A number is not positive.</exception>
    public ParallelLinear(int inputs, int outputs, int branches, InnerActivation inner)
        : base(nameof(ParallelLinear))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(branches);
        if (!Enum.IsDefined(inner)) throw new ArgumentOutOfRangeException(nameof(inner), inner, "No such activation.");
        (Inner, Outputs) = (inner, outputs);
        using DisposeScope scope = NewDisposeScope();
        _count = branches;
        for (int j = 0; j < branches; j++) register_parameter($"branch{j + 1}", nn.Parameter(zeros(outputs, inputs).DetachFromDisposeScope()));
        // One norm over all outputs of all branches is a norm for each branch.
        _norm = inner == InnerActivation.None ? null : nn.BatchNorm1d((long)outputs * branches);
        if (_norm is not null)
        {
            scope.Detach(_norm.parameters().Concat(_norm.buffers()));
            register_module("norm", _norm);
        }
    }

    /// <summary>What stands in each branch before the sum.</summary>
    public InnerActivation Inner { get; }

    /// <summary>Outputs of the layer and of each branch.</summary>
    public int Outputs { get; }

    /// <summary>The branches' weights [outputs, inputs].</summary>
    /// <remarks>Asked for by name: a module that changes its type gives its parameters new tensors.</remarks>
    public IReadOnlyList<Parameter> Branches => [.. Enumerable.Range(1, _count).Select(j => get_parameter($"branch{j}")!)];

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        Tensor each = nn.functional.linear(input, _count == 1 ? Branches[0] : cat([.. Branches]));
        if (_norm is not null) each = _norm.call(each);
        if (Inner == InnerActivation.NormAndRelu) each = nn.functional.relu(each);
        return (_count == 1 ? each : each.reshape(each.shape[0], _count, Outputs).sum(1L)).MoveToOuterDisposeScope();
    }

    /// <summary>One linear layer that computes the same at inference, the norms' scales and shifts folded in. k masks of density 1 - s leave it a density of about 1 - s^k: smaller than the branches.</summary>
    /// <returns>A new layer with bias; the caller disposes it.</returns>
    /// <exception cref="InvalidOperationException">There is a ReLU in each branch: the sum is no linear map.</exception>
    public Linear Fold()
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

        Linear folded = nn.Linear(first.shape[1], Outputs, dtype: first.dtype, device: first.device);
        folded.weight!.copy_((cat([.. Branches]) * scale.unsqueeze(1)).reshape(_count, Outputs, -1).sum(0L));
        folded.bias!.copy_(shift.reshape(_count, Outputs).sum(0L));
        scope.Detach(folded.parameters());
        return folded;
    }
}
