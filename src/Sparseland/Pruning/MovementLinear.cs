using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Movement pruning (MvP; Sanh, Wolf and Rush 2020): weights W [n, k] and a full matrix of scores S [n, k] are both trained. S begins at zero and receives
/// dL/dM = G * W through the mask, so that under plain gradient descent of rate eta it is -eta times the sum of G * W over the steps: weights that move away from zero
/// rise, those that move towards it fall. It trains twice as many numbers as the layer has weights.
/// </summary>
public sealed class MovementLinear : LearnedMaskLinear
{
    /// <summary>A layer that begins with a weight.</summary>
    /// <param name="weight">W [n, k], Float32 or Float64, finite; copied.</param>
    /// <param name="bias">b [n]; copied and not trained. Null, the default, for none.</param>
    /// <param name="options">How often the mask is chosen; null for the defaults of the record.</param>
    /// <param name="name">What messages call the layer. Default "layer".</param>
    /// <exception cref="ArgumentException">A weight of another kind or not finite, a bias that does not fit, or an option out of its range.</exception>
    public MovementLinear(Tensor weight, Tensor? bias = null, MovementOptions? options = null, string name = "layer")
        : base(nameof(MovementLinear), name, CheckedWeight(weight, options ??= new(), name), bias, options.MaskEvery)
    {
        Weight = new Parameter(weight.detach().clone().DetachFromDisposeScope());
        Scores = new Parameter(zeros_like(weight.detach()).DetachFromDisposeScope());
        register_parameter("weight", Weight);
        register_parameter("scores", Scores);
    }

    /// <summary>W [n, k].</summary>
    [field: ComponentName(Name = "weight")]
    public Parameter Weight { get; }

    /// <summary>S [n, k].</summary>
    [field: ComponentName(Name = "scores")]
    public Parameter Scores { get; }

    /// <summary>W itself.</summary>
    public override Tensor EffectiveWeight() => Weight.alias();

    private protected override Tensor Importance(Tensor effective) => Scores.alias();

    private static Tensor CheckedWeight(Tensor weight, MovementOptions options, string name)
    {
        options.Validate();
        CheckWeight(weight, name);
        return weight;
    }
}

/// <summary>Settings of <see cref="MovementLinear"/>.</summary>
public sealed record MovementOptions
{
    /// <summary>Steps for which a mask stays in training, 1 for a new one at every step; see <see cref="PstOptions.MaskEvery"/>. Default 1.</summary>
    public int MaskEvery { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate() => ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaskEvery);
}
