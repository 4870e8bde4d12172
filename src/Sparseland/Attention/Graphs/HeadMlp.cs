using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>One MLP for each head, all computed at once: y = W2 silu(norm(dropout(W1 z + b1))) + b2.</summary>
/// <remarks>Names: weight1 [heads, in, hidden], bias1, gain [heads, hidden], weight2 [heads, hidden, out], bias2.</remarks>
public sealed class HeadMlp : nn.Module<Tensor, Tensor>
{
    private const double Epsilon = 1e-6;
    private readonly Parameter weight1, bias1, weight2, bias2;
    private readonly Parameter? gain;
    private readonly double _dropout;

    /// <summary>MLPs with random weights: matrices uniform in +-1/sqrt(inputs), biases 0, gains 1.</summary>
    /// <param name="heads">Heads.</param>
    /// <param name="inputs">Numbers of a token that a head is given.</param>
    /// <param name="hidden">Hidden units of a head.</param>
    /// <param name="outputs">Numbers of a token that a head gives.</param>
    /// <param name="normed">Whether the hidden units are divided by their root mean square. Default true.</param>
    /// <param name="dropout">Share of hidden units dropped in training, from 0 to below 1. Default 0.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public HeadMlp(int heads, int inputs, int hidden, int outputs, bool normed = true, double dropout = 0, long seed = 1)
        : base(nameof(HeadMlp))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(hidden);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        if (!(dropout is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(dropout), dropout, "dropout must be from 0 to below 1.");
        _dropout = dropout;
        (weight1, bias1) = (nn.Parameter(zeros(heads, inputs, hidden)), nn.Parameter(zeros(heads, 1, hidden)));
        (weight2, bias2) = (nn.Parameter(zeros(heads, hidden, outputs)), nn.Parameter(zeros(heads, 1, outputs)));
        gain = normed ? nn.Parameter(ones(heads, 1, hidden)) : null;
        register_parameter(nameof(weight1), weight1);
        register_parameter(nameof(bias1), bias1);
        if (gain is not null) register_parameter(nameof(gain), gain);
        register_parameter(nameof(weight2), weight2);
        register_parameter(nameof(bias2), bias2);
        GraphStart.Uniform(this, seed);
    }

    /// <summary>Each head's MLP on each of its tokens.</summary>
    /// <param name="input">[..., heads, tokens, in].</param>
    /// <returns>[..., heads, tokens, out].</returns>
    /// <exception cref="ArgumentException">Another number of heads or of inputs.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() < 3 || input.shape[^3] != weight1.shape[0] || input.shape[^1] != weight1.shape[1])
            throw new ArgumentException($"The input must be [..., {weight1.shape[0]}, tokens, {weight1.shape[1]}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        using DisposeScope scope = NewDisposeScope();
        Tensor hidden = input.MatMul(weight1).add(bias1);
        if (_dropout > 0 && training) hidden = nn.functional.dropout(hidden, _dropout, training: true);
        if (gain is not null) hidden = hidden.mul(hidden.square().mean([-1L], keepdim: true).add(Epsilon).rsqrt()).mul(gain);
        return scope.MoveToOuter(nn.functional.silu(hidden).MatMul(weight2).add(bias2));
    }
}

/// <summary>First weights of this room.</summary>
internal static class GraphStart
{
    /// <summary>Matrices uniform in +-1/sqrt(inputs) times a factor of the name, embeddings normal with deviation 0.1, biases 0 or, if so asked, as the matrix of their layer, in the order of their names: they depend on the seed and the sizes alone.</summary>
    public static void Uniform(nn.Module model, long seed, Func<string, double>? scale = null, bool biases = false)
    {
        using var generator = new Generator(unchecked((ulong)seed));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor Even(long[] shape, long inputs, string name) => rand(shape, generator: generator).mul_(2).sub_(1).mul_((scale?.Invoke(name) ?? 1) / Math.Sqrt(inputs));
        Dictionary<string, Parameter> all = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        foreach ((string name, Parameter parameter) in all.Select(p => (name: p.Key, p.Value)).OrderBy(p => p.name, StringComparer.Ordinal))
        {
            string last = name[(name.LastIndexOf('.') + 1)..];
            if (name == "embed.weight") parameter.copy_(randn(parameter.shape, generator: generator).mul_(0.1));
            else if (biases && last == "bias") parameter.copy_(Even(parameter.shape, all[name[..^4] + "weight"].shape[1], name));
            else if (last.StartsWith("bias", StringComparison.Ordinal)) parameter.zero_();
            else if (last.StartsWith("weight", StringComparison.Ordinal) && parameter.dim() > 1) parameter.copy_(Even(parameter.shape, parameter.shape[1], name));
        }
    }
}
