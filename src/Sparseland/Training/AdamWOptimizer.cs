using Sparseland.Tensors;
using System.Globalization;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2): with m and v the decaying means of the gradient and of its
/// square, theta = (1 - rate lambda) theta - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
/// </summary>
public sealed class AdamWOptimizer : IOptimizer
{
    private readonly Slot[] _slots;
    private readonly bool _decayAll;
    private readonly Tensor _since;
    private readonly NativeSize _size;

    /// <summary>Prepares the moments, all zero.</summary>
    /// <param name="model">Its parameters that require a gradient are stepped.</param>
    /// <param name="weightDecay">lambda. Default 0.01.</param>
    /// <param name="beta1">Decay of m. Default 0.9.</param>
    /// <param name="beta2">Decay of v. Default 0.999.</param>
    /// <param name="epsilon">eps. Default 1e-8.</param>
    /// <param name="decayAll">Whether norms, biases and embeddings decay too; see <see cref="TrainingOptions.DecayAll"/>. Default false.</param>
    /// <exception cref="ArgumentException">The model has no parameter that requires a gradient.</exception>
    public AdamWOptimizer(nn.Module model, double weightDecay = 0.01, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8, bool decayAll = false)
        : this(Named(model), weightDecay, beta1, beta2, epsilon, decayAll, Embeddings(model))
    {
    }

    /// <summary>Prepares the moments for some parameters of a network, or for tensors of one's own; the rest is not stepped.</summary>
    /// <param name="parameters">Names, each once, and parameters; weights of more than one dimension decay, others only with <paramref name="decayAll"/>.</param>
    /// <param name="weightDecay">lambda. Default 0.01.</param>
    /// <param name="beta1">Decay of m. Default 0.9.</param>
    /// <param name="beta2">Decay of v. Default 0.999.</param>
    /// <param name="epsilon">eps. Default 1e-8.</param>
    /// <param name="decayAll">Whether parameters of one dimension decay too. Default false.</param>
    /// <exception cref="ArgumentException">No parameter, a name or parameter twice, or one that requires no gradient.</exception>
    public AdamWOptimizer(
        IEnumerable<(string Name, Parameter Parameter)> parameters, double weightDecay = 0.01, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8, bool decayAll = false)
        : this(OptimizerState.Checked(parameters), weightDecay, beta1, beta2, epsilon, decayAll, [])
    {
    }

    /// <summary>For some parameters of a network, with its embeddings kept from decaying.</summary>
    internal static AdamWOptimizer Of(nn.Module model, (string Name, Parameter Parameter)[] parameters, GaLoreOptions options) =>
        new(parameters, options.WeightDecay, options.Beta1, options.Beta2, options.Epsilon, false, Embeddings(model));

    private AdamWOptimizer(
        (string Name, Parameter Parameter)[] parameters, double weightDecay, double beta1, double beta2, double epsilon, bool decayAll, HashSet<string> embeddings)
    {
        new TrainingOptions { WeightDecay = weightDecay, Beta1 = beta1, Beta2 = beta2, Epsilon = epsilon }.Validate();
        (WeightDecay, Beta1, Beta2, Epsilon) = (weightDecay, beta1, beta2, epsilon);
        _decayAll = decayAll;
        _slots = [.. parameters.Select(p => new Slot(
            p.Name, p.Parameter, decayAll || (p.Parameter.dim() > 1 && !embeddings.Contains(p.Name)), OptimizerState.Zeros(p.Parameter), OptimizerState.Zeros(p.Parameter)))];
        _since = zeros(_slots.Length, dtype: ScalarType.Int64).DetachFromDisposeScope();
        _size = NativeSize.Of(_slots.SelectMany(slot => new[] { slot.First, slot.Second }).Append(_since));
    }

    /// <inheritdoc/>
    public string Name => "adamw";

    /// <summary>lambda.</summary>
    public double WeightDecay { get; }

    /// <summary>Decay of the mean of the gradients.</summary>
    public double Beta1 { get; }

    /// <summary>Decay of the mean of their squares.</summary>
    public double Beta2 { get; }

    /// <summary>eps.</summary>
    public double Epsilon { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
    {
        [nameof(WeightDecay)] = Text(WeightDecay), [nameof(TrainingOptions.DecayAll)] = _decayAll.ToString(), [nameof(Beta1)] = Text(Beta1), [nameof(Beta2)] = Text(Beta2), [nameof(Epsilon)] = Text(Epsilon),
    };

    /// <summary>t, the steps done.</summary>
    public long Count { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _slots.Select(s => (s.Name, s.Parameter));

    /// <summary>Names of the parameters that decay.</summary>
    public IEnumerable<string> Decaying => _slots.Where(s => s.Decays).Select(s => s.Name);

    /// <summary>
    /// The moments by name: "first.NAME" is m of a parameter, "second.NAME" its v; "since" holds for each parameter the step of its last <see cref="Reset"/>, 0 where there was none.
    /// They belong to the optimizer.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> State =>
        _slots.SelectMany(s => new[] { ("first." + s.Name, s.First), ("second." + s.Name, s.Second) }).Append(("since", _since)).ToDictionary(p => p.Item1, p => p.Item2);

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => [.. _slots.Where(s => s.Name == parameter).SelectMany(s => new[] { s.First, s.Second })];

    /// <summary>Forgets the moments of one parameter, and counts the steps of its bias correction anew.</summary>
    /// <param name="parameter">Name as in <see cref="Parameters"/>.</param>
    /// <exception cref="ArgumentException">It does not step such a parameter.</exception>
    public void Reset(string parameter)
    {
        int at = Array.FindIndex(_slots, s => s.Name == parameter);
        if (at < 0) throw OptimizerState.Unknown(parameter, Parameters);
        using IDisposable off = no_grad();
        _slots[at].First.zero_();
        _slots[at].Second.zero_();
        _since.data<long>()[at] = _slots[at].Since = Count;
    }

    /// <inheritdoc/>
    public void Step(double rate)
    {
        Finite.NotNegative(rate);
        using IDisposable off = no_grad();
        Count++;
        foreach (Slot slot in _slots)
        {
            long t = Count - slot.Since;
            double first = 1 - Math.Pow(Beta1, t), second = Math.Sqrt(1 - Math.Pow(Beta2, t));
            using Tensor? gradient = slot.Parameter.grad;
            if (gradient is null) continue;
            if (AdamStep.Serves(slot.Parameter, gradient))
            {
                AdamStep.Run(
                    slot.Parameter, gradient, slot.First, slot.Second, slot.Decays ? 1 - (rate * WeightDecay) : 1, Beta1, Beta2, rate / first, second, Epsilon);
                continue;
            }

            using DisposeScope scope = NewDisposeScope();
            if (slot.Decays && WeightDecay > 0) slot.Parameter.mul_(1 - (rate * WeightDecay));
            slot.First.mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
            slot.Second.mul_(Beta2).addcmul_(gradient, gradient, 1 - Beta2);
            slot.Parameter.addcdiv_(slot.First, slot.Second.sqrt().div_(second).add_(Epsilon), -rate / first);
        }
    }

    /// <inheritdoc/>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        CheckState(state, count);
        OptimizerState.CopyInto(State, state, count);
        long[] since = _since.data<long>().ToArray();
        for (int i = 0; i < since.Length; i++) _slots[i].Since = since[i];
        Count = count;
    }

    /// <inheritdoc/>
    public void CheckState(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        OptimizerState.CheckSince(state, count);
        OptimizerState.CheckShapes(State, state, count);
    }

    /// <summary>Frees the moments; the parameters stay.</summary>
    public void Dispose()
    {
        foreach (Slot slot in _slots)
        {
            slot.First.Dispose();
            slot.Second.Dispose();
        }

        _since.Dispose();
        _size.Dispose();
    }

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static (string Name, Parameter Parameter)[] Named(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        (string, Parameter)[] parameters = OptimizerState.Trainable(model);
        return parameters.Length > 0 ? parameters : throw new ArgumentException("The model has no parameter that requires a gradient; there is nothing to train.", nameof(model));
    }

    private static HashSet<string> Embeddings(nn.Module model) => [.. model.named_modules().Where(m => m.module is Embedding).Select(m => m.name + ".weight")];

    private sealed record Slot(string Name, Parameter Parameter, bool Decays, Tensor First, Tensor Second)
    {
        /// <summary>Steps done at the last reset.</summary>
        public long Since { get; set; }
    }
}
