using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>Relative squared error of a layer's outputs over kept channels and rank: |W x - W (m x) - (U S)_r V_r^T (1 - m) x|^2 / |W x|^2, summed over tokens.</summary>
/// <param name="Channels">Numbers of kept inputs: the rows.</param>
/// <param name="Ranks">Ranks: the columns.</param>
/// <param name="Errors">[channels][ranks].</param>
public sealed record ErrorMap(IReadOnlyList<int> Channels, IReadOnlyList<int> Ranks, IReadOnlyList<IReadOnlyList<double>> Errors)
{
    /// <summary>Measures a layer.</summary>
    /// <remarks>What the dropped inputs lose at rank r is the sum over i > r of (s_i v_i . (1 - m) x)^2, so one product gives all ranks.</remarks>
    /// <param name="weight">W [out, in].</param>
    /// <param name="inputs">X [tokens, in].</param>
    /// <param name="channels">Numbers of kept inputs, from 0 to in; each token keeps those of its highest |x_j| |W_j|.</param>
    /// <param name="ranks">Ranks, from 0 to min(in, out).</param>
    /// <exception cref="ArgumentException">A shape does not fit, a number is out of its range, or all outputs are zero.</exception>
    public static ErrorMap Of(Tensor weight, Tensor inputs, IReadOnlyList<int> channels, IReadOnlyList<int> ranks)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(channels);
        ArgumentNullException.ThrowIfNull(ranks);
        if (weight.dim() != 2 || inputs.dim() != 2 || inputs.shape[1] != weight.shape[1] || inputs.shape[0] == 0)
            throw new ArgumentException($"weight must be [out, in] and inputs [tokens, in], but they are [{string.Join(", ", weight.shape)}] and [{string.Join(", ", inputs.shape)}].", nameof(inputs));
        long most = weight.shape.Min();
        foreach (int k in channels)
        {
            if (k < 0 || k > weight.shape[1]) throw new ArgumentOutOfRangeException(nameof(channels), k, $"A number of channels must be from 0 to {weight.shape[1]}.");
        }

        foreach (int r in ranks)
        {
            if (r < 0 || r > most) throw new ArgumentOutOfRangeException(nameof(ranks), r, $"A rank must be from 0 to {most}.");
        }

        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = weight.detach().cpu().to(ScalarType.Float64), X = inputs.detach().cpu().to(ScalarType.Float64), scores = InputScore.Of(X, WeightInformedScore.ColumnNorms(wide));
        using LowRankFactors factors = LowRankFactors.Of(wide);
        double size = X.mm(wide.t()).square().sum().item<double>();
        if (!(size > 0) || !double.IsFinite(size)) throw new ArgumentException($"The squared outputs add up to {size}; there is no relative error of them.", nameof(inputs));
        Tensor singular = tensor(factors.SingularValues.ToArray());
        double[] Row(int kept)
        {
            using DisposeScope one = NewDisposeScope();
            Tensor dropped = X.masked_fill(Select.TopK(scores, Budget.PerRow(kept)).ToMask(), 0);
            double[] parts = (dropped.mm(factors.Right.t()) * singular).square().sum([0L]).data<double>().ToArray(), rest = new double[parts.Length + 1];
            for (int i = parts.Length - 1; i >= 0; i--) rest[i] = rest[i + 1] + parts[i];
            return [.. ranks.Select(r => rest[r] / size)];
        }

        return new([.. channels], [.. ranks], [.. channels.Select(Row)]);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
