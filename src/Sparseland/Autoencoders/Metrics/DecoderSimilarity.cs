using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>
/// How alike directions of an autoencoder are: each latent's encoder and decoder row, and each decoder row and its nearest neighbour among the latents
/// that are alive. Weighted by density, so that duplicates that fire count and dead random rows do not.
/// </summary>
public sealed record DecoderSimilarity
{
    // Rows of a tile: two tiles and their products fit in a few megabytes, and the token is looked at often.
    private const int TileRows = 1024;

    private DecoderSimilarity()
    {
    }

    /// <summary>Tokens on which the densities were measured.</summary>
    public required long Tokens { get; init; }

    /// <summary>Number of latents that are active on some of them.</summary>
    public required int Alive { get; init; }

    /// <summary>cos(W_e[i], W_d[i]) of every latent [latents]; 0 where a row is zero.</summary>
    public required double[] EncoderDecoder { get; init; }

    /// <summary>The other latent whose decoder row has the largest cosine with this one's [latents]; -1 for dead latents, or where there is no other.</summary>
    public required int[] Nearest { get; init; }

    /// <summary>That cosine [latents]; NaN where there is none, 0 where a row is zero.</summary>
    public required double[] NearestCosine { get; init; }

    /// <summary>sum_i p_i max_{j != i, alive} cos(W_d[i], W_d[j]) / sum_i p_i, p the density; NaN with fewer than two latents alive.</summary>
    public required double FiringWeighted { get; init; }

    /// <summary>Standard deviation of the nearest cosine over latents, weighted alike.</summary>
    public required double FiringWeightedDeviation { get; init; }

    /// <summary>Compares the directions of an autoencoder.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="density">Its densities.</param>
    /// <param name="progress">Tiles done; null, the default, for none.</param>
    /// <param name="cancel">Looked at between tiles. Never by default.</param>
    /// <exception cref="ArgumentException">The densities are of another number of latents.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static DecoderSimilarity Of(SparseAutoencoder autoencoder, LatentDensity density, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(density);
        if (density.Density.Length != autoencoder.Latents)
            throw new ArgumentException($"The densities are of {density.Density.Length} latents, the autoencoder has {autoencoder.Latents}.", nameof(density));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor decoder = Unit(autoencoder.Decoder);
        double[] own = (Unit(autoencoder.Encoder) * decoder).sum(1).to(ScalarType.Float64).data<double>().ToArray();
        int[] alive = [.. Enumerable.Range(0, autoencoder.Latents).Where(i => density.Active[i] > 0)];
        (double[] cosines, int[] places) = NearestOf(decoder.index_select(0, tensor(alive, dtype: ScalarType.Int64)), progress, cancel);

        int[] nearest = new int[autoencoder.Latents];
        double[] nearestCosine = new double[autoencoder.Latents];
        Array.Fill(nearest, -1);
        Array.Fill(nearestCosine, double.NaN);
        double weights = 0, sum = 0, squares = 0;
        for (int a = 0; alive.Length > 1 && a < alive.Length; a++)
        {
            (nearest[alive[a]], nearestCosine[alive[a]]) = (alive[places[a]], cosines[a]);
            double weight = density.Density[alive[a]], before = weights > 0 ? sum / weights : 0;
            (weights, sum) = (weights + weight, sum + (weight * cosines[a]));
            squares += weight * (cosines[a] - before) * (cosines[a] - (sum / weights));
        }

        return new()
        {
            Tokens = density.Tokens, Alive = alive.Length, EncoderDecoder = own, Nearest = nearest, NearestCosine = nearestCosine,
            FiringWeighted = sum / weights, FiringWeightedDeviation = Math.Sqrt(squares / weights),
        };
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    /// <summary>Rows of norm one; a row of zeros stays.</summary>
    internal static Tensor Unit(Tensor rows)
    {
        // Scaled by the largest entry first: squares neither overflow nor vanish. A zero row stays zero.
        Tensor largest = rows.abs().amax([1L], keepdim: true);
        Tensor scaled = rows / where(largest.gt(0), largest, ones_like(largest));
        return scaled / scaled.norm(1, keepdim: true).clamp_min(0.5);
    }

    // Every pair of tiles once: a tile's products serve its rows and its columns.
    private static (double[] Cosines, int[] Places) NearestOf(Tensor rows, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        int n = (int)rows.shape[0], tiles = (n + TileRows - 1) / TileRows, total = tiles * (tiles + 1) / 2, done = 0;
        double[] best = new double[n];
        int[] places = new int[n];
        Array.Fill(best, double.NegativeInfinity);
        for (int a = 0; a < n; a += TileRows)
        {
            for (int b = a; b < n; b += TileRows)
            {
                cancel.ThrowIfCancellationRequested();
                using DisposeScope scope = NewDisposeScope();
                Tensor products = rows.narrow(0, a, Math.Min(TileRows, n - a)).mm(rows.narrow(0, b, Math.Min(TileRows, n - b)).t());
                if (a == b) products.diagonal().fill_(double.NegativeInfinity);
                Take(products, 1, a, b);
                if (a != b) Take(products, 0, b, a);
                progress?.Report(new(++done, total, "comparing directions"));
            }
        }

        return (best, places);

        void Take(Tensor products, int dimension, int first, int offset)
        {
            (Tensor values, Tensor indices) = products.max(dimension);
            double[] cosines = values.to(ScalarType.Float64).data<double>().ToArray();
            long[] found = indices.data<long>().ToArray();
            for (int i = 0; i < cosines.Length; i++)
            {
                if (cosines[i] > best[first + i]) (best[first + i], places[first + i]) = (cosines[i], offset + (int)found[i]);
            }
        }
    }
}
