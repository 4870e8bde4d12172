using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Matryoshka (Bussmann et al. 2025): one choice over all latents as in <see cref="BatchTopKRule"/>, but each prefix of the latents must rebuild the activations
/// by itself, so that the first latents stay general:
/// <code>L = (1/G) sum_g mean ||x - (W_d[:w_g]^T f[:w_g] + b_d)||^2</code>
/// </summary>
/// <remarks>
/// The error of prefix g reaches all latents below w_g, so the latents between w_(g-1) and w_g see the sum of the gradients of the prefixes from g on: one
/// pass over the code forward and one back, however many prefixes there are. Some kits add the losses up in place of the mean.
/// </remarks>
public sealed class MatryoshkaRule : BatchTopKRule
{
    /// <summary>Sets k and prefixes.</summary>
    /// <param name="k">Mean number of active latents of a token, positive; need not be whole.</param>
    /// <param name="widths">w_1 &lt; ... &lt; w_G = M, such as M/16, M/8, M/4, M/2, M.</param>
    /// <param name="thresholdWeight">Weight of a new batch in the running threshold, above 0 and at most 1. Default 0.02.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the widths do not increase.</exception>
    public MatryoshkaRule(double k, IReadOnlyList<int> widths, double thresholdWeight = 0.02)
        : base("matryoshka", k, thresholdWeight)
    {
        ArgumentNullException.ThrowIfNull(widths);
        if (widths.Count == 0) throw new ArgumentException("There are no widths; the last is the number of latents.", nameof(widths));
        for (int g = 0; g < widths.Count; g++)
        {
            int before = g == 0 ? 0 : widths[g - 1];
            if (widths[g] <= before) throw new ArgumentException($"Width {g} is {widths[g]} after {before}; widths are positive and increase.", nameof(widths));
        }

        Widths = [.. widths];
    }

    /// <summary>w_1 to w_G.</summary>
    public IReadOnlyList<int> Widths { get; }

    /// <inheritdoc/>
    public override string Description => $"{base.Description}, widths {string.Join(", ", Widths)}";

    /// <inheritdoc/>
    public override void Check(int latents)
    {
        base.Check(latents);
        if (Widths[^1] != latents) throw new ArgumentException($"The widths end at {Widths[^1]}, but there are {latents} latents.", "rule");
    }

    internal override void PutLoss(AutoencoderPass pass)
    {
        int groups = Widths.Count;
        long tokens = pass.Input.shape[0];
        var supports = new Support[groups];
        Tensor[] values = new Tensor[groups], gradients = new Tensor[groups];
        Tensor columns = pass.Code.Support.ColumnIndexTensor(), error = pass.Input - pass.Autoencoder.DecoderBias;
        double loss = 0;
        for (int g = 0; g < groups; g++)
        {
            Tensor mine = columns.lt(Widths[g]).logical_and_(columns.ge(g == 0 ? 0 : Widths[g - 1]));
            (supports[g], values[g]) = (pass.Code.Support.Where(mine), pass.Code.Values.masked_select(mine));
            error = error - SparseProduct.Multiply(supports[g], values[g], pass.Autoencoder.Decoder);
            loss += error.square().sum(ScalarType.Float64).item<double>() / (tokens * groups);
            gradients[g] = error.mul(-2.0 / (tokens * groups));
        }

        for (int g = groups - 2; g >= 0; g--) gradients[g].add_(gradients[g + 1]);
        pass.Replace([.. supports.Select((support, g) => new CodePart(support, values[g], gradients[g]))], gradients[0].sum([0L]), loss);
    }
}
