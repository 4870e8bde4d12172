using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// A linear layer y = W x + b whose W is block-diagonal: N blocks of neighbouring inputs and outputs that know nothing of each other. What a Monarch layer is without its second factor, and the control
/// for what the mixing between blocks is worth.
/// </summary>
public sealed class BlockDiagonalLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    private readonly Parameter blocks;
    private readonly Parameter? bias;

    /// <summary>A layer with a random start, the blocks uniform in +-1/sqrt(inputs of a block).</summary>
    /// <param name="inputs">Divisible by the number of blocks.</param>
    /// <param name="outputs">Divisible too.</param>
    /// <param name="blocks">N.</param>
    /// <param name="seed">Of the start.</param>
    /// <param name="hasBias">Whether there is a b, uniform likewise at the start. Default true.</param>
    /// <param name="dtype">Float32 or Float64. Default Float32.</param>
    /// <exception cref="ArgumentException">Sizes that the blocks do not divide, or another type.</exception>
    public BlockDiagonalLinear(int inputs, int outputs, int blocks, long seed, bool hasBias = true, ScalarType dtype = ScalarType.Float32)
        : this(Start(inputs, outputs, blocks, seed, hasBias, dtype))
    {
    }

    private BlockDiagonalLinear((Tensor Blocks, Tensor? Bias) start)
        : base(nameof(BlockDiagonalLinear))
    {
        blocks = new Parameter(start.Blocks.DetachFromDisposeScope());
        bias = start.Bias is null ? null : new Parameter(start.Bias.DetachFromDisposeScope());
        RegisterComponents();
    }

    /// <summary>The blocks [N, out / N, in / N], a parameter.</summary>
    public Parameter Blocks => blocks;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>Width of the input.</summary>
    public int Inputs => (int)(blocks.shape[0] * blocks.shape[2]);

    /// <summary>Width of the output.</summary>
    public int Outputs => (int)(blocks.shape[0] * blocks.shape[1]);

    /// <inheritdoc/>
    public long ParameterCount => blocks.numel() + (bias?.numel() ?? 0);

    /// <inheritdoc/>
    public long MacsPerToken => blocks.numel();

    /// <summary>The diagonal blocks of a dense layer, with its bias: the nearest layer of this kind.</summary>
    /// <param name="linear">The dense layer; it stays as it is.</param>
    /// <param name="blocks">N.</param>
    /// <exception cref="ArgumentException">Sizes that the blocks do not divide.</exception>
    public static BlockDiagonalLinear FromDense(Linear linear, int blocks)
    {
        ArgumentNullException.ThrowIfNull(linear);
        (int inputs, int outputs) = ((int)linear.weight.shape[1], (int)linear.weight.shape[0]);
        CheckSizes(inputs, outputs, blocks);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        if (!TensorInput.IsFinite(linear.weight)) throw new ArgumentException("The weight holds NaN or infinity.", nameof(linear));
        // [N, out/N, N, in/N] with both Ns equal.
        Tensor kept = linear.weight.detach().reshape(blocks, outputs / blocks, blocks, inputs / blocks).diagonal(0, 0, 2).permute(2, 0, 1).contiguous().clone();
        return new((kept, linear.bias?.detach().clone()));
    }

    /// <summary>W x + b.</summary>
    /// <param name="input">[..., in], of the parameters' type.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != Inputs) throw new ArgumentException($"input must be [..., {Inputs}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        if (input.dtype != blocks.dtype) throw new ArgumentException($"input is {input.dtype}; it must be {blocks.dtype}.", nameof(input));
        using DisposeScope scope = NewDisposeScope();
        Tensor x = input.reshape(-1, blocks.shape[0], blocks.shape[2]).transpose(0, 1);
        Tensor product = x.bmm(blocks.transpose(1, 2)).transpose(0, 1).reshape([.. input.shape[..^1], Outputs]);
        return (bias is null ? product : product + bias).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor EffectiveWeight()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return block_diag([.. blocks.detach().unbind(0)]).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, bias);
    }

    /// <inheritdoc/>
    public override string ToString() => $"BlockDiagonalLinear({Inputs} to {Outputs}, {blocks.shape[0]} blocks)";

    private static void CheckSizes(int inputs, int outputs, int blocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(blocks, 1);
        if (inputs % blocks != 0 || outputs % blocks != 0) throw new ArgumentException($"{blocks} blocks do not divide a layer from {inputs} to {outputs}.", nameof(blocks));
    }

    private static (Tensor, Tensor?) Start(int inputs, int outputs, int blocks, long seed, bool hasBias, ScalarType dtype)
    {
        CheckSizes(inputs, outputs, blocks);
        if (dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"dtype is {dtype}; it must be Float32 or Float64.", nameof(dtype));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed) ^ 0xb10c));
        int width = inputs / blocks;
        Tensor first = Factors.Uniform(width, [blocks, outputs / blocks, width], generator).to(dtype);
        Tensor? b = hasBias ? Factors.Uniform(width, [outputs], generator).to(dtype) : null;
        return (first.DetachFromDisposeScope(), b?.DetachFromDisposeScope());
    }
}
