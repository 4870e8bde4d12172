using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// Monarch matrices: products of two block-diagonal matrices with a stride permutation between them (Dao, Chen, Sohoni, Desai, Poli, Grogan, Liu, Rao, Rudra, Ré, ICML 2022). All functions work for
/// real and complex factors, and gradients flow through the products.
/// </summary>
public static partial class Monarch
{
    /// <summary>W x for each row x of a batch: a batched product with R, a regrouping, a batched product with L.</summary>
    /// <param name="x">[..., in], of the factors' type.</param>
    /// <param name="right">R [K, b J, I].</param>
    /// <param name="left">L [J, outputs of a group, K b].</param>
    /// <param name="shape">The sizes.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public static Tensor Multiply(Tensor x, Tensor right, Tensor left, MonarchShape shape)
    {
        CheckOperand(x, nameof(x), right, left, shape, inputs: true);
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = Rows(x, shape.Inputs, shape.PaddedInputs);
        long tokens = rows.shape[0];
        // y[k, t, (r, j)], then z[j, t, (k, r)], then [j, t, l]. z is made contiguous: of a view with far strides a batched product is several times slower than the copy.
        Tensor y = rows.view(tokens, shape.InputBlocks, shape.InputBlockSize).transpose(0, 1).bmm(right.transpose(1, 2));
        Tensor z = y.view(shape.InputBlocks, tokens, shape.BlockRank, shape.OutputBlocks).permute(3, 1, 0, 2).contiguous()
            .view(shape.OutputBlocks, tokens, (long)shape.InputBlocks * shape.BlockRank);
        Tensor result = z.bmm(left.transpose(1, 2)).permute(1, 2, 0).reshape(tokens, shape.PaddedOutputs);
        return Cut(result, x, shape.Outputs).MoveToOuterDisposeScope();
    }

    /// <summary>W^* y, with W^* the conjugate transpose, for each row y of a batch.</summary>
    /// <param name="y">[..., out], of the factors' type.</param>
    /// <param name="right">R [K, b J, I].</param>
    /// <param name="left">L [J, outputs of a group, K b].</param>
    /// <param name="shape">The sizes.</param>
    /// <returns>[..., in].</returns>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public static Tensor MultiplyAdjoint(Tensor y, Tensor right, Tensor left, MonarchShape shape)
    {
        CheckOperand(y, nameof(y), right, left, shape, inputs: false);
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = Rows(y, shape.Outputs, shape.PaddedOutputs);
        long tokens = rows.shape[0];
        Tensor z = rows.view(tokens, shape.OutputBlockSize, shape.OutputBlocks).permute(2, 0, 1).bmm(left.conj().resolve_conj());
        Tensor back = z.view(shape.OutputBlocks, tokens, shape.InputBlocks, shape.BlockRank).permute(2, 1, 3, 0).contiguous()
            .view(shape.InputBlocks, tokens, (long)shape.BlockRank * shape.OutputBlocks);
        Tensor result = back.bmm(right.conj().resolve_conj()).transpose(0, 1).reshape(tokens, shape.PaddedInputs);
        return Cut(result, y, shape.Inputs).MoveToOuterDisposeScope();
    }

    /// <summary>W [out, in] of two factors.</summary>
    /// <param name="right">R [K, b J, I].</param>
    /// <param name="left">L [J, outputs of a group, K b].</param>
    /// <param name="shape">The sizes.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public static Tensor Dense(Tensor right, Tensor left, MonarchShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        shape.CheckFactors(right, left);
        using DisposeScope scope = NewDisposeScope();
        (long K, long J, long b) = (shape.InputBlocks, shape.OutputBlocks, shape.BlockRank);
        // Slices [j, k, l, i] = [j, k, l, r] [j, k, r, i].
        Tensor l = left.view(J, shape.OutputBlockSize, K, b).permute(0, 2, 1, 3).reshape(J * K, shape.OutputBlockSize, b);
        Tensor r = right.view(K, b, J, shape.InputBlockSize).permute(2, 0, 1, 3).reshape(J * K, b, shape.InputBlockSize);
        Tensor W = l.bmm(r).view(J, K, shape.OutputBlockSize, shape.InputBlockSize).permute(2, 0, 1, 3).reshape(shape.PaddedOutputs, shape.PaddedInputs);
        return W.narrow(0, 0, shape.Outputs).narrow(1, 0, shape.Inputs).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>The slices of a dense matrix, [K, J, outputs of a group, I]: slice (k, j) holds the inputs of run k and the outputs of group j. Where padded, the edge is zero. A copy always, also of a single slice.</summary>
    /// <param name="weight">W [out, in].</param>
    /// <param name="shape">The sizes.</param>
    /// <exception cref="ArgumentException">W has another shape.</exception>
    public static Tensor Slices(Tensor weight, MonarchShape shape)
    {
        CheckWeight(weight, shape);
        using DisposeScope scope = NewDisposeScope();
        Tensor padded = shape.IsPadded ? nn.functional.pad(weight, [0, shape.PaddedInputs - shape.Inputs, 0, shape.PaddedOutputs - shape.Outputs]) : weight;
        Tensor slices = padded.reshape(shape.OutputBlockSize, shape.OutputBlocks, shape.InputBlocks, shape.InputBlockSize).permute(2, 1, 0, 3);

        // With one run and one group nothing is turned, and what is contiguous already is no copy: the caller's weight would change with the slices.
        return (slices.is_contiguous() ? slices.clone() : slices.contiguous()).MoveToOuterDisposeScope();
    }

    private static Tensor Rows(Tensor x, int width, int padded)
    {
        Tensor rows = x.reshape(-1, width);
        return padded == width ? rows : nn.functional.pad(rows, [0, padded - width]);
    }

    private static Tensor Cut(Tensor rows, Tensor like, int width) => rows.narrow(1, 0, width).reshape([.. like.shape[..^1], width]);

    private static void CheckOperand(Tensor x, string name, Tensor right, Tensor left, MonarchShape shape, bool inputs)
    {
        ArgumentNullException.ThrowIfNull(x, name);
        ArgumentNullException.ThrowIfNull(shape);
        shape.CheckFactors(right, left);
        int width = inputs ? shape.Inputs : shape.Outputs;
        if (x.dim() == 0 || x.shape[^1] != width) throw new ArgumentException($"{name} must be [..., {width}], but is [{string.Join(", ", x.shape)}].", name);
        if (x.dtype != right.dtype || x.device_type != right.device_type) throw new ArgumentException($"{name} is {x.dtype} on {x.device}, the factors are {right.dtype} on {right.device}; they must agree.", name);
    }

    private static void CheckWeight(Tensor weight, MonarchShape shape)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(shape);
        if (weight.dim() != 2 || weight.shape[0] != shape.Outputs || weight.shape[1] != shape.Inputs)
            throw new ArgumentException($"weight must be [{shape.Outputs}, {shape.Inputs}], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        if (weight.dtype is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64))
            throw new ArgumentException($"weight is {weight.dtype}; it must be Float32, Float64, ComplexFloat32 or ComplexFloat64.", nameof(weight));
    }
}
