using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.ArchitectureSearch;

/// <summary>Training of some parameters of a network while the others stand still.</summary>
internal sealed class ParameterPhase : IDisposable
{
    private readonly SearchNetwork _network;
    private readonly Parameter[] _trained;
    private readonly double _clip;
    private readonly double _decay;

    /// <summary>Chooses the parameters and makes their optimizer.</summary>
    public ParameterPhase(SearchNetwork network, IEnumerable<Parameter> trained, Func<nn.Module, IOptimizer> optimizer, double clip = double.PositiveInfinity, double decay = 0)
    {
        (_network, _trained, _clip, _decay) = (network, [.. trained], clip, decay);
        Only();
        Optimizer = optimizer(network);
    }

    public IOptimizer Optimizer { get; }

    /// <summary>Masks' scores.</summary>
    public static IEnumerable<Parameter> Scores(SearchNetwork network) => network.Scored.Select(layer => layer.Scores);

    /// <summary>Shares of operations.</summary>
    public static IEnumerable<Parameter> Alphas(SearchNetwork network) => network.Mixtures.Select(mixture => mixture.Alpha);

    /// <summary>All others: convolutions, norms, stem, head.</summary>
    public static IEnumerable<Parameter> Weights(SearchNetwork network)
    {
        HashSet<nint> other = [.. Scores(network).Concat(Alphas(network)).Select(p => TensorMemory.Identity(p))];
        return network.parameters().Where(p => !other.Contains(TensorMemory.Identity(p)));
    }

    /// <summary>One step on a batch.</summary>
    /// <returns>The loss before it.</returns>
    /// <exception cref="DivergenceException">The loss is not finite.</exception>
    public double Step(Batch batch, double rate, string what)
    {
        using DisposeScope scope = NewDisposeScope();
        Only();
        Tensor loss = nn.functional.cross_entropy(_network.call(batch.Input), batch.Target);
        double value = loss.item<float>();
        if (!double.IsFinite(value)) throw new DivergenceException($"The loss of {what} is {value}; take a lower rate.");
        _network.zero_grad();
        GradientPass.Run(loss);
        if (_decay > 0) AddDecay();
        if (double.IsFinite(_clip)) GradientNorm.Clip(_trained, _clip);
        Optimizer.Step(rate);
        batch.Input.Dispose();
        batch.Target.Dispose();
        return value;
    }

    /// <summary>Lets these parameters have gradients, and no others.</summary>
    public void Only()
    {
        HashSet<nint> own = [.. _trained.Select(p => TensorMemory.Identity(p))];
        foreach (Parameter parameter in _network.parameters()) parameter.requires_grad = own.Contains(TensorMemory.Identity(parameter));
    }

    /// <summary>Decay as a term of the gradient, which Adam then scales like the rest: DARTS's form, and another than AdamW's.</summary>
    private void AddDecay()
    {
        using IDisposable off = no_grad();
        foreach (Parameter parameter in _trained)
        {
            using Tensor? gradient = parameter.grad;
            gradient?.add_(parameter, alpha: _decay);
        }
    }

    public void Dispose()
    {
        Optimizer.Dispose();
        foreach (Parameter parameter in _network.parameters()) parameter.requires_grad = true;
    }
}
