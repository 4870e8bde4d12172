using Sparseland.Tensors;

namespace Sparseland.Attention.Graphs;

/// <summary>Sizes of a <see cref="GraphLM"/>.</summary>
public sealed record GraphLMOptions
{
    /// <summary>A <see cref="GinOptions"/> or <see cref="PnaOptions"/>; null for plain softmax attention with values and an output matrix. Default null.</summary>
    public GraphAttentionOptions? Attention { get; init; }

    /// <summary>Tokens of the vocabulary. Default 512.</summary>
    public int Vocabulary { get; init; } = 512;

    /// <summary>Longest text. Default 128.</summary>
    public int Context { get; init; } = 128;

    /// <summary>Width of the residual stream. Default 64.</summary>
    public int Width { get; init; } = 64;

    /// <summary>Blocks. Default 2.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>Heads, a divisor of the width into even parts. Default 4.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Hidden units of the gated MLP of a block. Default 128.</summary>
    public int MlpWidth { get; init; } = 128;

    /// <summary>Base of the rotary frequencies. Default 10,000.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A number is out of its range, or the heads do not divide the width.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Vocabulary, 2);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Context);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Layers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MlpWidth);
        Finite.Positive(RopeTheta);
        if (Width % Heads != 0 || Width / Heads % 2 != 0) throw new ArgumentException($"{nameof(Heads)} = {Heads} must divide {nameof(Width)} = {Width} into heads of even width.", nameof(Heads));
        Attention?.Validate();
    }

    /// <summary>The same with the MLP so wide that the model has as nearly as possible a number of parameters: what one attention saves goes to the MLP.</summary>
    /// <param name="parameters">Numbers that are trained.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than without any hidden unit.</exception>
    public GraphLMOptions WithParameters(long parameters)
    {
        using var smallest = new GraphLM(this with { MlpWidth = 1 });
        long unit = 3L * Width * Layers, rest = smallest.ParameterCount - unit;
        int hidden = (int)Math.Round((parameters - rest) / (double)unit);
        return hidden > 0 ? this with { MlpWidth = hidden } : throw new ArgumentOutOfRangeException(nameof(parameters), parameters, $"Without hidden units the model has {rest} parameters already.");
    }
}
