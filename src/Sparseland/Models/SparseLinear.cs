using Sparseland.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Models;

/// <summary>A linear layer y = W x + b that keeps W compressed and computes from it, for inference: it has no parameters and records no gradient.</summary>
/// <remarks>It goes into a network through <see cref="LinearSlots.Replace"/>, and with it into a language model's folder (Language.LanguageModelFolder).</remarks>
public sealed class SparseLinear : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "bias")]
    private readonly Tensor? _bias;

    /// <summary>A layer of a compressed matrix.</summary>
    /// <param name="matrix">W [out, in].</param>
    /// <param name="bias">b [out], Float32; copied. Null, the default, for none.</param>
    /// <exception cref="ArgumentException">The bias has another shape or type.</exception>
    public SparseLinear(SparseMatrix matrix, Tensor? bias = null)
        : base(nameof(SparseLinear))
    {
        ArgumentNullException.ThrowIfNull(matrix);
        Matrix = matrix;
        if (bias is null) return;
        if (bias.dim() != 1 || bias.shape[0] != matrix.Rows || bias.dtype != ScalarType.Float32)
            throw new ArgumentException($"bias must be Float32 [{matrix.Rows}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        _bias = bias.detach().cpu().clone().DetachFromDisposeScope();
        register_buffer("bias", _bias);
    }

    /// <summary>W.</summary>
    public SparseMatrix Matrix { get; }

    /// <summary>b [out]; null for none. It belongs to the layer.</summary>
    public Tensor? Bias => _bias;

    /// <summary>A linear layer's weight in a format, with its bias.</summary>
    /// <param name="linear">The layer; it stays as it is.</param>
    /// <param name="format">From its weight [out, in], Float32 and detached, to the matrix: CsrMatrix.FromDense and the like.</param>
    public static SparseLinear Of(Linear linear, Func<Tensor, SparseMatrix> format)
    {
        ArgumentNullException.ThrowIfNull(linear);
        ArgumentNullException.ThrowIfNull(format);
        using DisposeScope scope = NewDisposeScope();
        return new(format(linear.weight.detach()), linear.bias);
    }

    /// <summary>W X + b.</summary>
    /// <param name="input">[..., in], Float32, on the CPU.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">Another width, type or device.</exception>
    /// <exception cref="InvalidOperationException">A gradient of the input is asked for, which there is none of.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.requires_grad && is_grad_enabled())
            throw new InvalidOperationException("A SparseLinear is for inference and records no gradient; call it under no_grad, or train the dense layer.");
        using DisposeScope scope = NewDisposeScope();
        Tensor product = Matrix.Multiply(input);
        return (_bias is null ? product : product.add_(_bias)).MoveToOuterDisposeScope();
    }

    /// <summary>The same layer with a dense weight, for <see cref="LinearSlots.Merge"/>.</summary>
    public Linear ToLinear()
    {
        using IDisposable off = no_grad();
        Linear linear = nn.Linear(Matrix.Columns, Matrix.Rows, hasBias: _bias is not null);
        using Tensor dense = Matrix.ToDense();
        linear.weight!.copy_(dense);
        if (_bias is not null) linear.bias!.copy_(_bias);
        return linear;
    }

    /// <inheritdoc/>
    public override string ToString() => $"SparseLinear({Matrix})";
}
