using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.ArchitectureSearch;

/// <summary>
/// A layer whose mask is learned: weights theta, scores s of the same shape, mask = the k largest |s| of the layer, effective weight theta * mask. The gradient reaches the scores straight through
/// the choice, ds = sign(s) theta G with G the gradient at the effective weight (HYDRA, Sehwag et al. 2020, arXiv 2002.10509); a masked theta gets the gradient zero, by the product rule.
/// </summary>
public abstract class ScoredLayer : nn.Module<Tensor, Tensor>
{
    /// <summary>Makes weights and scores; uniform of Kaiming's scale, +-sqrt(6 / fan-in) / sqrt(6), and all kept.</summary>
    private protected ScoredLayer(string kind, long[] shape, Generator generator)
        : base(kind)
    {
        FanIn = (int)shape[1..].Aggregate(1L, (a, b) => a * b);
        double bound = 1 / Math.Sqrt(FanIn);
        using DisposeScope scope = NewDisposeScope();
        Tensor start = rand(shape, dtype: ScalarType.Float32, generator: generator).mul(2 * bound).sub(bound);
        register_parameter("weight", nn.Parameter(start.clone().DetachFromDisposeScope()));
        register_parameter("scores", nn.Parameter(start.DetachFromDisposeScope()));
        Kept = (int)Weight.numel();
        StartScores();
    }

    // Both asked for by name: a module that changes its type gives its parameters new tensors, and fills only the fields of the derived class.

    /// <summary>Weights theta.</summary>
    public Parameter Weight => get_parameter("weight")!;

    /// <summary>Scores s, of the shape of the weights.</summary>
    public Parameter Scores => get_parameter("scores")!;

    /// <summary>Inputs of an output.</summary>
    public int FanIn { get; }

    /// <summary>Weights of the layer.</summary>
    public int Count => (int)Weight.numel();

    /// <summary>k, weights that the mask keeps.</summary>
    public int Kept { get; private set; }

    /// <summary>Scores from the weights, s = sqrt(6 / fan-in) theta / max |theta|: the first mask is that of the magnitudes, and one rate fits all layers.</summary>
    public void StartScores()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor largest = Weight.abs().max();
        double scale = largest.ToDouble() is > 0 and var top ? Math.Sqrt(6.0 / FanIn) / top : 1;
        Scores.copy_(Weight.mul(scale));
    }

    /// <summary>Weights that a ratio leaves of this layer, round((1 - ratio) n).</summary>
    /// <param name="ratio">Share that goes, in [0, 1).</param>
    /// <param name="atLeastOne">Whether a layer that would lose all keeps one. Default false: it is refused and named.</param>
    /// <exception cref="ArgumentException">The ratio is outside, or leaves nothing.</exception>
    public int KeptAt(double ratio, bool atLeastOne = false)
    {
        if (!(ratio is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(ratio), ratio, "ratio must lie in [0, 1).");
        int kept = (int)Math.Round((1 - ratio) * Count, MidpointRounding.AwayFromZero);
        if (kept > 0) return kept;
        return atLeastOne ? 1 : throw new ArgumentException(FormattableString.Invariant($"A ratio of {ratio} leaves none of the {Count} weights of {this}; take less, or ask for at least one."), nameof(ratio));
    }

    /// <summary>Sets how many weights stay.</summary>
    /// <param name="kept">k, from 1 to <see cref="Count"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is outside.</exception>
    public void Keep(int kept)
    {
        if (kept < 1 || kept > Count) throw new ArgumentOutOfRangeException(nameof(kept), kept, $"{this} has {Count} weights; from 1 to all of them can stay.");
        Kept = kept;
    }

    /// <summary>The mask, of equal |scores| the lower index.</summary>
    /// <returns>Bool, of the shape of the weights.</returns>
    /// <exception cref="ArgumentException">A score is NaN.</exception>
    public Tensor Mask()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return Select.TopK(Scores.detach().abs().reshape(1, -1), Budget.Global(Kept)).ToMask(Scores.device).reshape(Scores.shape).MoveToOuterDisposeScope();
    }

    /// <summary>theta * mask, with the gradients of both.</summary>
    public Tensor Effective()
    {
        if (Kept == Count && !Scores.requires_grad) return Weight;
        using DisposeScope scope = NewDisposeScope();
        Tensor size = Scores.abs();
        return (Weight * StraightThrough.Mask(Mask(), size)).MoveToOuterDisposeScope();
    }
}

/// <summary>A convolution with a learned mask: stride 1, as many rows and columns out as in, no bias.</summary>
public sealed class ScoredConv2d : ScoredLayer
{
    /// <summary>A convolution.</summary>
    /// <param name="inputs">Channels in.</param>
    /// <param name="outputs">Channels out.</param>
    /// <param name="size">Rows and columns of the kernel, odd.</param>
    /// <param name="generator">Draws the first weights.</param>
    /// <param name="groups">Groups of channels that do not mix; divides both. Default 1.</param>
    /// <param name="dilation">Steps between the kernel's taps. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public ScoredConv2d(int inputs, int outputs, int size, Generator generator, int groups = 1, int dilation = 1)
        : base(nameof(ScoredConv2d), Shape(inputs, outputs, size, groups, dilation), generator) => (Size, Groups, Dilation) = (size, groups, dilation);

    /// <summary>Rows and columns of the kernel.</summary>
    public int Size { get; }

    /// <summary>Groups of channels.</summary>
    public int Groups { get; }

    /// <summary>Steps between taps.</summary>
    public int Dilation { get; }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        long around = Dilation * (Size / 2);
        return nn.functional.conv2d(input, Effective(), null, [1L, 1L], [around, around], [Dilation, Dilation], Groups);
    }

    /// <inheritdoc/>
    public override string ToString() => $"convolution [{string.Join(", ", Weight.shape)}]{(Groups > 1 ? $", {Groups} groups" : "")}";

    private static long[] Shape(int inputs, int outputs, int size, int groups, int dilation)
    {
        foreach ((string name, int value) in new[] { (nameof(inputs), inputs), (nameof(outputs), outputs), (nameof(groups), groups), (nameof(dilation), dilation) })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        if (size < 1 || size % 2 == 0) throw new ArgumentOutOfRangeException(nameof(size), size, "size must be odd and positive.");
        if (inputs % groups != 0 || outputs % groups != 0) throw new ArgumentException($"{groups} groups do not divide {inputs} channels in and {outputs} out.", nameof(groups));
        return [outputs, inputs / groups, size, size];
    }
}

/// <summary>A linear layer with a learned mask, no bias.</summary>
public sealed class ScoredLinear : ScoredLayer
{
    /// <summary>A linear layer.</summary>
    /// <param name="inputs">Inputs.</param>
    /// <param name="outputs">Outputs.</param>
    /// <param name="generator">Draws the first weights.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public ScoredLinear(int inputs, int outputs, Generator generator)
        : base(nameof(ScoredLinear), Shape(inputs, outputs), generator)
    {
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input) => nn.functional.linear(input, Effective());

    /// <inheritdoc/>
    public override string ToString() => $"linear layer [{string.Join(", ", Weight.shape)}]";

    private static long[] Shape(int inputs, int outputs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        return [outputs, inputs];
    }
}
