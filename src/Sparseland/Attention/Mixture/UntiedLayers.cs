using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Mixture;

/// <summary>
/// A layer of which every modality has its own copy (Liang et al. 2025): called as call(x, map) with x [batch * tokens, ...] in the order of the batch. <see cref="Sorted"/> is the same for rows that
/// <see cref="ModalityMap.Gather"/> has sorted already, so that several layers share one gather and one scatter. With one tower all modalities share it.
/// </summary>
public abstract class UntiedLayer : nn.Module<Tensor, ModalityMap, Tensor>
{
    /// <summary>Names the layer and checks its number of towers.</summary>
    /// <param name="name">Name.</param>
    /// <param name="towers">Copies: as many as modalities, or 1 to share.</param>
    /// <exception cref="ArgumentOutOfRangeException">No tower.</exception>
    protected UntiedLayer(string name, int towers)
        : base(name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(towers, 1);
        Towers = towers;
    }

    /// <summary>Copies of the layer.</summary>
    public int Towers { get; }

    /// <summary>Multiply-adds of one token of a modality.</summary>
    /// <param name="modality">Modality, from 0.</param>
    public abstract long MacsPerToken(int modality);

    /// <summary>The layer on rows that are sorted by modality.</summary>
    /// <param name="sorted">[batch * tokens, ...], as <see cref="ModalityMap.Gather"/> gives them.</param>
    /// <param name="map">Modalities of the tokens.</param>
    /// <returns>Rows in the same order.</returns>
    /// <exception cref="ArgumentException">Another number of tokens or of modalities.</exception>
    public abstract Tensor Sorted(Tensor sorted, ModalityMap map);

    /// <summary>Gathers, computes, scatters.</summary>
    /// <param name="x">[batch * tokens, ...], in the order of the batch.</param>
    /// <param name="map">Modalities of the tokens.</param>
    /// <returns>Rows in the order of the batch.</returns>
    /// <exception cref="ArgumentException">Another number of tokens or of modalities.</exception>
    public override Tensor forward(Tensor x, ModalityMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(map.Scatter(Sorted(map.Gather(x), map)));
    }

    /// <summary>The tower that a modality uses.</summary>
    private protected int Tower(int modality)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(modality);
        return Towers == 1 ? 0 : modality < Towers ? modality : throw new ArgumentOutOfRangeException(nameof(modality), modality, $"The layer has modalities 0 to {Towers - 1}.");
    }
}

/// <summary>y = W_m x + b_m with the matrix of the token's modality m. Names: 0, 1, ... (weight, bias).</summary>
public sealed class UntiedLinear : UntiedLayer
{
    private readonly Linear[] _towers;

    /// <summary>Matrices with random weights, each by itself.</summary>
    /// <param name="towers">Copies: as many as modalities, or 1 to share.</param>
    /// <param name="inputs">Numbers of a row.</param>
    /// <param name="outputs">Numbers of an output row.</param>
    /// <param name="hasBias">Whether there are biases. Default false.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public UntiedLinear(int towers, int inputs, int outputs, bool hasBias = false, long seed = 1)
        : base(nameof(UntiedLinear), towers)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        _towers = [.. Enumerable.Range(0, towers).Select(_ => nn.Linear(inputs, outputs, hasBias))];
        for (int m = 0; m < towers; m++) register_module($"{m}", _towers[m]);
        MixtureStart.Uniform(this, seed);
    }

    /// <summary>The layer of each modality.</summary>
    public IReadOnlyList<Linear> Layers => _towers;

    /// <inheritdoc/>
    public override long MacsPerToken(int modality) => _towers[Tower(modality)].weight.numel();

    /// <inheritdoc/>
    public override Tensor Sorted(Tensor sorted, ModalityMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        return map.Each(_towers, sorted);
    }
}

/// <summary>x / sqrt(mean(x^2) + eps) * gain_m with the gain of the token's modality m, over the last dimension. Names: 0, 1, ... (weight).</summary>
public sealed class UntiedNorm : UntiedLayer
{
    private readonly RootMeanSquareNorm[] _towers;

    /// <summary>Norms that scale by one at first.</summary>
    /// <param name="towers">Copies: as many as modalities, or 1 to share.</param>
    /// <param name="width">Size of the last dimension.</param>
    /// <param name="epsilon">eps. Default 1e-5.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public UntiedNorm(int towers, int width, double epsilon = 1e-5)
        : base(nameof(UntiedNorm), towers)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(epsilon);
        _towers = [.. Enumerable.Range(0, towers).Select(_ => new RootMeanSquareNorm(width, epsilon))];
        for (int m = 0; m < towers; m++) register_module($"{m}", _towers[m]);
    }

    /// <summary>The norm of each modality.</summary>
    public IReadOnlyList<RootMeanSquareNorm> Layers => _towers;

    /// <inheritdoc/>
    public override long MacsPerToken(int modality) => 0 * Tower(modality);

    /// <inheritdoc/>
    public override Tensor Sorted(Tensor sorted, ModalityMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        return map.Each(_towers, sorted);
    }
}

/// <summary>SwiGLU: down_m(silu(gate_m x) * up_m x) with the matrices of the token's modality m. Names: gate, up, down (0, 1, ...).</summary>
public sealed class UntiedFeedForward : UntiedLayer
{
    private readonly UntiedLinear _gate, _up, _down;

    /// <summary>Matrices with random weights.</summary>
    /// <param name="towers">Copies: as many as modalities, or 1 to share.</param>
    /// <param name="width">Numbers of a row.</param>
    /// <param name="hidden">Hidden units.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public UntiedFeedForward(int towers, int width, int hidden, long seed = 1)
        : base(nameof(UntiedFeedForward), towers)
    {
        (_gate, _up, _down) = (new(towers, width, hidden), new(towers, width, hidden), new(towers, hidden, width));
        register_module("gate", _gate);
        register_module("up", _up);
        register_module("down", _down);
        MixtureStart.Uniform(this, seed);
    }

    /// <inheritdoc/>
    public override long MacsPerToken(int modality) => _gate.MacsPerToken(modality) + _up.MacsPerToken(modality) + _down.MacsPerToken(modality);

    /// <inheritdoc/>
    public override Tensor Sorted(Tensor sorted, ModalityMap map)
    {
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(_down.Sorted(nn.functional.silu(_gate.Sorted(sorted, map)) * _up.Sorted(sorted, map), map));
    }
}

/// <summary>First weights of this family.</summary>
internal static class MixtureStart
{
    /// <summary>Matrices uniform in +-1/sqrt(inputs), embeddings and positions normal, biases 0, norms 1, in the order of their names: they depend on the seed and the sizes alone.</summary>
    public static void Uniform(nn.Module model, long seed)
    {
        using var generator = new Generator(unchecked((ulong)seed));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((string name, Parameter parameter) in model.named_parameters().OrderBy(p => p.name, StringComparer.Ordinal))
        {
            bool embedding = name is "embed.weight" or "positions.weight";
            if (embedding) parameter.copy_(randn(parameter.shape, generator: generator));
            else if (parameter.dim() > 1) parameter.copy_(rand(parameter.shape, generator: generator).mul_(2).sub_(1).mul_(1 / Math.Sqrt(parameter.shape[1])));
            else if (name.EndsWith("bias", StringComparison.Ordinal)) parameter.zero_();
        }
    }
}
