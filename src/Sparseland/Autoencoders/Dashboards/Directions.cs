using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>What the decoder's rows say by themselves: the tokens that they promote, and the rows near them.</summary>
internal static class Directions
{
    // Numbers of a tile: some megabytes, and some hundredths of a second between two looks at the token.
    private const long TileNumbers = 1 << 21;

    private static readonly Activation[] s_stream = [Activation.ResidualBefore, Activation.ResidualAfter, Activation.MlpOutput, Activation.AttentionOutput];

    /// <summary>Whether values at a place are added to the residual stream, so that a direction there has logits.</summary>
    public static bool ReachLogits(LanguageModel model, SparseAutoencoder autoencoder, ActivationSite site) => s_stream.Contains(site.Activation) && autoencoder.Width == model.Width;

    /// <summary>The most promoted and the most suppressed tokens of every latent, among the first of the vocabulary.</summary>
    public static (TokenWeight[][] Promoted, TokenWeight[][] Suppressed) Logits(
        LanguageModel model, SparseAutoencoder autoencoder, int vocabulary, int count, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        int most = Math.Min(count, vocabulary);
        var promoted = new TokenWeight[autoencoder.Latents][];
        var suppressed = new TokenWeight[autoencoder.Latents][];
        Tiles(autoencoder.Latents, model.Vocabulary, "weighing tokens", progress, cancel, (first, rows) =>
        {
            Tensor directions = autoencoder.Scaling.Undo(autoencoder.Decoder.narrow(0, first, rows)).to(model.Embeddings.dtype).to(model.Embeddings.device);
            Tensor logits = model.DirectLogits(directions).narrow(1, 0, vocabulary).to(ScalarType.Float32).cpu();
            logits -= logits.mean([1L], keepdim: true);
            Largest(logits, most, (row, tokens, weights) => promoted[first + row] = [.. tokens.Select((t, i) => new TokenWeight(t, weights[i]))]);
            Largest(-logits, most, (row, tokens, weights) => suppressed[first + row] = [.. tokens.Select((t, i) => new TokenWeight(t, -weights[i]))]);
        });
        return (promoted, suppressed);
    }

    /// <summary>The latents among those alive whose decoder rows have the largest cosines with each latent's.</summary>
    public static LatentNeighbour[][] Nearest(SparseAutoencoder autoencoder, int[] alive, int count, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        var found = new LatentNeighbour[autoencoder.Latents][];
        Array.Fill(found, []);
        if (alive.Length == 0 || count == 0) return found;
        using DisposeScope scope = NewDisposeScope();
        Tensor unit = DecoderSimilarity.Unit(autoencoder.Decoder), others = unit.index_select(0, tensor(alive, dtype: ScalarType.Int64)).t();
        Tiles(autoencoder.Latents, Math.Max(alive.Length, autoencoder.Width), "comparing directions", progress, cancel, (first, rows) =>

            // One more than wanted: the latent itself is nearest.
            Largest(unit.narrow(0, first, rows).mm(others), (int)Math.Min(count + 1L, alive.Length), (row, places, cosines) =>
                found[first + row] = [.. places.Select((p, i) => new LatentNeighbour(alive[p], cosines[i])).Where(n => n.Latent != first + row).Take(count)]));
        return found;
    }

    /// <summary>cos(W_e[i], W_d[i]).</summary>
    public static double[] EncoderDecoder(SparseAutoencoder autoencoder)
    {
        using DisposeScope scope = NewDisposeScope();
        return (DecoderSimilarity.Unit(autoencoder.Encoder) * DecoderSimilarity.Unit(autoencoder.Decoder)).sum(1).to(ScalarType.Float64).data<double>().ToArray();
    }

    private static void Tiles(int rows, int columns, string what, IProgress<ProgressReport>? progress, CancellationToken cancel, Action<int, int> tile)
    {
        int some = (int)Math.Clamp(TileNumbers / columns, 1, rows);
        for (int first = 0; first < rows; first += some)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int count = Math.Min(some, rows - first);
            tile(first, count);
            progress?.Report(new(first + count, rows, what));
        }
    }

    // Largest entries of each row, largest first; of equal ones the lower column.
    private static void Largest(Tensor scores, int count, Action<int, int[], double[]> row)
    {
        if (count == 0)
        {
            for (int r = 0; r < scores.shape[0]; r++) row(r, [], []);
            return;
        }

        Support chosen = Select.TopK(scores, Budget.PerRow(count));
        double[] values = chosen.Gather(scores).to(ScalarType.Float64).data<double>().ToArray();
        for (int r = 0; r < chosen.Rows; r++)
        {
            int[] columns = chosen.Row(r).ToArray();
            double[] keys = [.. values.AsSpan(chosen.RowOffsets[r], columns.Length).ToArray().Select(v => -v)];
            int[] order = [.. Enumerable.Range(0, columns.Length).OrderBy(i => keys[i])];
            row(r, [.. order.Select(i => columns[i])], [.. order.Select(i => -keys[i])]);
        }
    }
}
