using Sparseland.Models.Language;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Values at a place with one row for each token: the outputs of the heads stand side by side, as "hook_z" of other kits has them.</summary>
internal static class SiteRows
{
    /// <summary>[batch, heads, tokens, headDim] of <see cref="Activation.HeadOutputs"/> as [batch, tokens, heads * headDim]; other values as they are.</summary>
    public static Tensor Flat(ActivationSite site, Tensor value) =>
        site.Activation == Activation.HeadOutputs && value.dim() == 4 ? value.transpose(1, 2).reshape(value.shape[0], value.shape[2], -1) : value;

    /// <summary>Rows in the shape that the value had.</summary>
    public static Tensor Shaped(Tensor rows, Tensor value) =>
        value.dim() == 4 ? rows.reshape(value.shape[0], value.shape[2], value.shape[1], value.shape[3]).transpose(1, 2) : rows;
}
