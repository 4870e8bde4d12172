using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Minus the sum over the steps of a training of dL/dw w (Sanh, Wolf and Rush 2020): a weight scores high whose gradient pushed it away from zero all along. It comes
/// from training, not from a look at the network: <see cref="Add"/> after each backward pass, such as in <see cref="TrainingHooks.OnGradients"/>.
/// </summary>
public sealed class MovementScore : IDisposable
{
    private readonly (string Name, Func<Tensor?> Step, Tensor Sum)[] _entries;
    private readonly NativeSize _size;

    private MovementScore(IEnumerable<(string Name, Tensor Like, Func<Tensor?> Step)> entries)
    {
        using IDisposable off = no_grad();
        _entries = [.. entries.Select(e => (e.Name, e.Step, zeros(e.Like.shape, dtype: ScalarType.Float64).DetachFromDisposeScope()))];
        _size = NativeSize.Of(_entries.Select(e => e.Sum));
    }

    /// <summary>Steps added.</summary>
    public long Steps { get; private set; }

    /// <summary>Of some parameters of a network that is trained.</summary>
    /// <param name="model">The network.</param>
    /// <param name="names">Names of the parameters; null, the default, for those of <see cref="PrunableWeights"/>.</param>
    /// <exception cref="ArgumentException">There is no such parameter.</exception>
    public static MovementScore Of(nn.Module model, IReadOnlyList<string>? names = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new(PrunableWeights.Named(model, names).Select(p => (p.Name, (Tensor)p.Parameter, (Func<Tensor?>)(() =>
        {
            using Tensor? gradient = p.Parameter.grad;
            return gradient is null ? null : Step(p.Parameter, gradient);
        }))));
    }

    /// <summary>Of the layers of movement pruning: all entries count, pruned ones too, for the gradient of S is that of the mask.</summary>
    /// <param name="model">A network all of whose layers are <see cref="MovementLinear"/>.</param>
    /// <exception cref="ArgumentException">A layer of another kind; it is named.</exception>
    public static MovementScore Of(PstModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new([.. model.Layers.Select(l =>
        {
            if (l.Layer is not MovementLinear layer) throw new ArgumentException($"{l.Name} is a {l.Layer.GetType().Name}, which has no full matrix of scores.", nameof(model));
            return (l.Name, (Tensor)layer.Scores, (Func<Tensor?>)(() =>
            {
                using Tensor? gradient = layer.Scores.grad;
                return gradient?.neg();
            }));
        })]);
    }

    /// <summary>What one step adds: -dL/dw w.</summary>
    /// <param name="weight">w, any shape.</param>
    /// <param name="gradient">dL/dw, of its shape.</param>
    /// <exception cref="ArgumentException">Shapes differ.</exception>
    public static Tensor Step(Tensor weight, Tensor gradient)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(gradient);
        if (!weight.shape.SequenceEqual(gradient.shape))
            throw new ArgumentException($"The gradient is [{string.Join(", ", gradient.shape)}], the weight [{string.Join(", ", weight.shape)}].", nameof(gradient));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return weight.mul(gradient).neg_().MoveToOuterDisposeScope();
    }

    /// <summary>Adds what the gradients say now.</summary>
    /// <exception cref="InvalidOperationException">A parameter has no gradient; it is named, and nothing has been added.</exception>
    /// <exception cref="ArithmeticException">A gradient is not finite; the parameter is named, and nothing has been added.</exception>
    public void Add()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor[] steps = [.. _entries.Select(e => e.Step() ?? throw new InvalidOperationException($"{e.Name} has no gradient; call this after a backward pass."))];
        for (int i = 0; i < steps.Length; i++)
        {
            if (!TensorInput.IsFinite(steps[i])) throw new ArithmeticException($"The gradient of {_entries[i].Name} is not finite.");
        }

        for (int i = 0; i < steps.Length; i++) _entries[i].Sum.add_(steps[i].cpu().to(ScalarType.Float64));
        Steps++;
    }

    /// <summary>The scores so far, to be ranked under a pattern.</summary>
    /// <exception cref="InvalidOperationException">No step was added.</exception>
    public ParameterScores Scores()
    {
        if (Steps == 0) throw new InvalidOperationException("No step has been added; movement is a score of a training.");
        return new($"movement over {Steps} steps", _entries.Select(e => KeyValuePair.Create(e.Name, e.Sum.clone())));
    }

    /// <summary>Frees the sums.</summary>
    public void Dispose()
    {
        foreach ((_, _, Tensor sum) in _entries) sum.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"MovementScore of {_entries.Length} parameters over {Steps} steps";
}
