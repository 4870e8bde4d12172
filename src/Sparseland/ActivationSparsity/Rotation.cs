using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>
/// Changes of basis of the residual stream that leave what a decoder computes as it is, and give some of its matrices orthogonal columns (Chen et al. 2025, section on the tensor transformation; the idea is
/// SliceGPT's, Ashkboos et al. 2024).
/// </summary>
/// <remarks>
/// Each part of a block has a basis Q of its own: the attention that of k_proj's right singular vectors, the MLP that of gate_proj's. With W = U S V^T and Q = V, (W Q)^T (W Q) = S^2 is diagonal. Matrices that read
/// the stream become W Q, those that write to it Q^T W, embeddings E Q. The stream itself crosses from one basis to the next, at the attention's and at the MLP's addition, by two square matrices for each block:
/// the price. Embeddings are not centred: that would change an RMSNorm model.
/// </remarks>
public static class Rotation
{
    /// <summary>A decoder of the same function whose k_proj and gate_proj have orthogonal columns.</summary>
    /// <param name="model">The decoder; it stays as it is.</param>
    /// <param name="untie">Whether a head that shares its matrix with the embeddings may get one of its own. Default false.</param>
    /// <exception cref="ArgumentException">What <see cref="NormFolding.Fold"/> refuses.</exception>
    public static RotatedModel ColumnOrthogonal(LanguageModel model, bool untie = false)
    {
        TinyLM rotated = NormFolding.Fold(model, untie);
        try
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            (Tensor Attention, Tensor Mlp)[] bases = [.. rotated.Blocks.Select(b => (RightBasis(b.Key.weight), RightBasis(b.Gate.weight)))];
            rotated.Embeddings.copy_(rotated.Embeddings.to(ScalarType.Float64).mm(bases[0].Attention));
            var shortcuts = new List<(Tensor, Tensor?)>();
            for (int l = 0; l < bases.Length; l++)
            {
                LlamaBlock block = rotated.Blocks[l];
                (Tensor before, Tensor between) = bases[l];
                Tensor? after = l + 1 < bases.Length ? bases[l + 1].Attention : null;
                foreach (Linear reader in new[] { block.Query, block.Key, block.Value }) Read(reader, before);
                foreach (Linear reader in new[] { block.Gate, block.Up }) Read(reader, between);
                Write(block.Output, between);
                Write(block.Down, after ?? between);
                Tensor Typed(Tensor t) => t.to(rotated.Embeddings.dtype).to(rotated.Embeddings.device).DetachFromDisposeScope();
                shortcuts.Add((Typed(before.t().mm(between)), after is null ? null : Typed(between.t().mm(after))));
            }

            Parameter head = rotated.named_parameters().First(p => p.name == "lm_head.weight").parameter;
            head.copy_(head.to(ScalarType.Float64).mm(bases[^1].Mlp));
            return new(rotated, shortcuts);
        }
        catch
        {
            rotated.Dispose();
            throw;
        }
    }

    /// <summary>All right singular vectors of a matrix, also those of singular value zero.</summary>
    /// <param name="weight">W [out, in].</param>
    /// <returns>Q [in, in] in float64 with Q^T Q = 1: the columns of W Q are orthogonal.</returns>
    /// <exception cref="ArgumentException">W is no matrix, or not finite.</exception>
    public static Tensor RightBasis(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (weight.dim() != 2) throw new ArgumentException($"weight must be [out, in], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = weight.detach().cpu().to(ScalarType.Float64);
        if (!TensorInput.IsFinite(wide)) throw new ArgumentException("weight holds NaN or infinity.", nameof(weight));
        (_, _, Tensor right) = linalg.svd(wide, fullMatrices: true);
        return right.t().contiguous().MoveToOuterDisposeScope();
    }

    private static void Read(Linear layer, Tensor basis) => layer.weight.copy_(layer.weight.cpu().to(ScalarType.Float64).mm(basis));

    private static void Write(Linear layer, Tensor basis)
    {
        layer.weight.copy_(basis.t().mm(layer.weight.cpu().to(ScalarType.Float64)));
        if (layer.bias is not null) layer.bias.copy_(basis.t().mv(layer.bias.cpu().to(ScalarType.Float64)));
    }
}
