using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Gradients of one matrix over several batches.</summary>
/// <param name="Name">Name of the layer.</param>
/// <param name="Spectra">Of each batch's gradient.</param>
/// <param name="MeanGradient">Of the mean of the batches' gradients.</param>
/// <param name="Cosines">Of each two successive gradients, flattened; 0 where one is zero.</param>
/// <param name="Overlaps">Of each two successive ones the norm of P_t^T P_(t+1), squared and over r, P the r leading left singular vectors: 1 for one subspace, r / out for random ones.</param>
public sealed record GradientSpectra(
    string Name, IReadOnlyList<SpectrumReport> Spectra, SpectrumReport MeanGradient, IReadOnlyList<double> Cosines, IReadOnlyList<double> Overlaps)
{
    /// <summary>Gradients of all linear layers of a network, at its weights as they are; gradients that it held are gone afterwards.</summary>
    /// <param name="model">The network.</param>
    /// <param name="loss">From a mini-batch to its loss.</param>
    /// <param name="batches">The mini-batches, at least one.</param>
    /// <param name="rank">r of the overlaps, from 1 to the smallest side. Default 8.</param>
    /// <param name="cancel">Checked between batches.</param>
    /// <exception cref="ArgumentException">No batch, no linear layer, a rank out of its range, or a gradient that is not finite; the layer is named.</exception>
    public static IReadOnlyList<GradientSpectra> Collect(nn.Module model, Func<Batch, Tensor> loss, IReadOnlyList<Batch> batches, int rank = 8, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(loss);
        ArgumentNullException.ThrowIfNull(batches);
        if (batches.Count == 0) throw new ArgumentException("There is no batch.", nameof(batches));
        (string Name, Linear Layer)[] layers = [.. LinearSlots.Of(model).Where(s => s.Module is Linear { weight.requires_grad: true }).Select(s => (s.Name, (Linear)s.Module))];
        if (layers.Length == 0) throw new ArgumentException("The network has no linear layer whose weight requires a gradient.", nameof(model));
        foreach ((string _, Linear layer) in layers) Decomposition.CheckRank(rank, layer.weight!);
        var spectra = layers.Select(_ => new List<SpectrumReport>()).ToArray();
        var cosines = layers.Select(_ => new List<double>()).ToArray();
        var overlaps = layers.Select(_ => new List<double>()).ToArray();
        using DisposeScope scope = NewDisposeScope();
        Tensor[] sums = [.. layers.Select(l => zeros_like(l.Layer.weight!, dtype: ScalarType.Float64))], last = new Tensor[layers.Length], lastLeft = new Tensor[layers.Length];
        foreach (Batch batch in batches)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            model.zero_grad();
            GradientPass.Run(loss(batch));
            using IDisposable off = no_grad();
            for (int i = 0; i < layers.Length; i++)
            {
                Tensor wide = Decomposition.Wide(layers[i].Layer.weight!.grad ?? zeros_like(layers[i].Layer.weight!), nameof(model), $"gradient of {layers[i].Name}");
                (Tensor u, Tensor s, _) = Decomposition.Svd(wide, nameof(model), layers[i].Name);
                spectra[i].Add(new(layers[i].Name, (int)wide.shape[0], (int)wide.shape[1], s.data<double>().ToArray()));
                Tensor left = u.narrow(1, 0, rank).contiguous();
                if (last[i] is { } before)
                {
                    double norms = before.norm().item<double>() * wide.norm().item<double>();
                    cosines[i].Add(norms == 0 ? 0 : (before * wide).sum().item<double>() / norms);
                    overlaps[i].Add(lastLeft[i].t().mm(left).square().sum().item<double>() / rank);
                }

                sums[i].add_(wide);
                (last[i], lastLeft[i]) = (wide.MoveToOuterDisposeScope(), left.MoveToOuterDisposeScope());
            }
        }

        model.zero_grad();
        return [.. layers.Select((l, i) => new GradientSpectra(l.Name, spectra[i], SpectrumReport.Of(sums[i] / batches.Count, l.Name), cosines[i], overlaps[i]))];
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
