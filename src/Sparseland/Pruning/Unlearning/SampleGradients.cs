using Sparseland.Data;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>Gradients of the cross entropy as one vector over all trainable parameters, in evaluation mode: batch norm's statistics are part of the network here, not of the sample.</summary>
/// <remarks>Pruned weights have the gradient 0: they are no coordinates of a sparse network.</remarks>
public sealed class SampleGradients
{
    private readonly nn.Module<Tensor, Tensor> _model;
    private readonly Func<MaskSet?> _masks;
    private readonly Parameter[] _parameters;

    /// <summary>For a network, which is put into evaluation mode and must stay in it.</summary>
    /// <param name="model">The network.</param>
    /// <param name="masks">Its masks; null, the default, for none.</param>
    public SampleGradients(nn.Module<Tensor, Tensor> model, MaskSet? masks = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        model.eval();
        (_model, _masks, _parameters) = (model, () => masks, [.. model.parameters().Where(p => p.requires_grad)]);
    }

    /// <summary>Gradient of the mean loss of a set [parameters]; the caller disposes it.</summary>
    /// <param name="set">The images.</param>
    /// <param name="batch">Images of one call. Default 500.</param>
    /// <param name="cancel">Checked before each call.</param>
    /// <exception cref="InvalidOperationException">The network is in training mode.</exception>
    public Tensor Mean(LabelledImages set, int batch = 500, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(set);
        using DisposeScope scope = NewDisposeScope();
        Tensor planes = set.Planes(), sum = zeros(_parameters.Sum(p => p.numel()), dtype: _parameters[0].dtype);
        for (int from = 0; from < set.Count; from += batch)
        {
            cancel.ThrowIfCancellationRequested();
            long count = Math.Min(batch, set.Count - from);
            sum.add_(Of(planes.narrow(0, from, count), set.Labels.narrow(0, from, count)), alpha: (double)count / set.Count);
        }

        return scope.MoveToOuter(sum);
    }

    /// <summary>Gradient of the mean loss of some samples [parameters]; the caller disposes it.</summary>
    /// <param name="X">[samples, channels, rows, columns].</param>
    /// <param name="labels">[samples], int64.</param>
    /// <exception cref="InvalidOperationException">The network is in training mode.</exception>
    public Tensor Of(Tensor X, Tensor labels)
    {
        CheckMode();
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(Flat(autograd.grad([nn.functional.cross_entropy(_model.call(X), labels)], _parameters)));
    }

    /// <summary>Expectation, over the network's own label distribution at one sample, of the squared gradient [parameters]; the caller disposes it.</summary>
    /// <param name="x">[1, channels, rows, columns].</param>
    /// <exception cref="InvalidOperationException">The network is in training mode.</exception>
    public Tensor FisherOf(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        CheckMode();
        using DisposeScope scope = NewDisposeScope();
        Tensor log = nn.functional.log_softmax(_model.call(x), 1);
        float[] p = log.exp().detach().flatten().cpu().to(ScalarType.Float32).data<float>().ToArray();
        Tensor sum = zeros(_parameters.Sum(q => q.numel()), dtype: _parameters[0].dtype);
        for (int y = 0; y < p.Length; y++)
        {
            Tensor one = Flat(autograd.grad([log[0, y]], _parameters, retain_graph: true));
            sum.add_(one.square(), alpha: p[y]);
        }

        return scope.MoveToOuter(sum);
    }

    /// <summary>The parameters, to read parts of a vector back.</summary>
    internal IReadOnlyList<Parameter> Parameters => _parameters;

    /// <summary>theta + step times a vector, written into the network.</summary>
    internal void Move(Tensor vector, double step)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        long at = 0;
        foreach (Parameter parameter in _parameters)
        {
            parameter.add_(vector.narrow(0, at, parameter.numel()).view(parameter.shape).to(parameter.dtype), alpha: step);
            at += parameter.numel();
        }

        _masks()?.Apply();
    }

    private Tensor Flat(IList<Tensor> gradients)
    {
        using IDisposable off = no_grad();
        MaskSet? masks = _masks();
        if (masks is not null)
        {
            var kept = masks.Names.ToDictionary(name => Tensors.TensorMemory.Identity(masks.ParameterOf(name)), name => masks[name]);
            for (int i = 0; i < gradients.Count; i++)
            {
                if (kept.TryGetValue(Tensors.TensorMemory.Identity(_parameters[i]), out Tensor? mask)) gradients[i].masked_fill_(mask.logical_not(), 0);
            }
        }

        return cat([.. gradients.Select(g => g.flatten())]);
    }

    private void CheckMode()
    {
        if (_model.training) throw new InvalidOperationException("The network is in training mode: batch norm would make each gradient depend on the other samples of its batch. Call eval().");
    }
}
