using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>A network that is looked at and left as it was: its mode and its buffers (batch norm's running means) come back on disposal.</summary>
internal sealed class ProbedNetwork : IDisposable
{
    private readonly nn.Module<Tensor, Tensor> _model;
    private readonly bool _training;
    private readonly (Tensor Buffer, Tensor Value)[] _buffers;

    public ProbedNetwork(nn.Module<Tensor, Tensor> model, bool train)
    {
        ArgumentNullException.ThrowIfNull(model);
        IReadOnlyDictionary<string, Parameter> weights = PrunableWeights.Of(model);
        (_model, _training) = (model, model.training);
        (Names, Weights) = ([.. weights.Keys], [.. weights.Values]);
        if (weights.FirstOrDefault(pair => !pair.Value.requires_grad) is { Key: not null } frozen) throw new ArgumentException($"{frozen.Key} requires no gradient; nothing says what it is worth.", nameof(model));
        _buffers = [.. model.named_buffers().Select(pair => (pair.buffer, pair.buffer.clone().DetachFromDisposeScope()))];
        model.train(train);
    }

    /// <summary>Names of the prunable weights.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The weights.</summary>
    public Tensor[] Weights { get; }

    /// <summary>Cross entropy of a batch with logits over a temperature.</summary>
    public Tensor Loss(Tensor X, Tensor labels, double temperature = 1)
    {
        Tensor loss = nn.functional.cross_entropy(_model.call(X).div(temperature), labels);
        double value = loss.to(ScalarType.Float64).item<double>();
        return double.IsFinite(value) ? loss : throw new ArgumentException($"The loss of the batch is {value}; weights and samples must be finite.", nameof(X));
    }

    public void Dispose()
    {
        using (no_grad())
        {
            foreach ((Tensor buffer, Tensor value) in _buffers)
            {
                buffer.copy_(value);
                value.Dispose();
            }
        }

        _model.train(_training);
    }
}
