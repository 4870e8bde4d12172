using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// AuxK (Gao et al. 2024, section A.2): the dead latents with the largest pre-activations rebuild what the others left over, so that gradients reach
/// them. With e = x - xhat, D the dead latents and k_aux = min(d/2, |D|) of them for each token:
/// <code>L_aux = alpha min(1, |D| / (d/2)) [sum (ehat - e)^2 / sum (e - mean e)^2] mean ||e||^2</code>
/// where e and the last factor are data. The bracket is the paper's; the factor keeps its gradient on the scale of the loss.
/// </summary>
public static class DeadLatentLoss
{
    /// <summary>Adds the loss to a pass.</summary>
    /// <returns>L_aux; 0 without dead latents.</returns>
    internal static double AddTo(AutoencoderPass pass, int[] dead, double alpha)
    {
        int half = pass.Autoencoder.Width / 2, most = Math.Min(half, dead.Length);
        if (most == 0 || alpha == 0) return 0;
        using IDisposable off = no_grad();
        Tensor columns = tensor(dead, ScalarType.Int64), pre = pass.Pre.index_select(1, columns);
        SparseCode code = CodeRule.Positive(Selection.Select.TopK(pre, Budget.PerRow(most)), pre);

        // The dead ascend, so their places in all latents do too.
        int[] places = new int[code.Support.Count];
        for (int i = 0; i < places.Length; i++) places[i] = dead[code.Support.ColumnIndices[i]];
        var support = new Support(code.Tokens, pass.Autoencoder.Latents, code.Support.RowOffsets, places);
        Tensor rebuilt = SparseProduct.Multiply(support, code.Values, pass.Autoencoder.Decoder), gap = rebuilt - pass.Error;
        double variance = (pass.Error - pass.Error.mean([0L], keepdim: true)).square().sum(ScalarType.Float64).item<double>();
        if (!(variance > 0)) return 0;
        double scale = alpha * Math.Min(1, (double)dead.Length / half) * pass.Loss / variance;
        pass.Add(new(support, code.Values, gap.mul(2 * scale)));
        return scale * gap.square().sum(ScalarType.Float64).item<double>();
    }
}
