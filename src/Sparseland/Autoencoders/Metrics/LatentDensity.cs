using Sparseland.Tensors;
using TorchSharp;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>On which share of tokens each latent is active, and what follows: latents that are dead (never active here), rare and dense.</summary>
/// <remarks>A latent that is dead on few tokens may be rare on many: the shares belong to the number of tokens they were measured on.</remarks>
public sealed record LatentDensity
{
    /// <summary>Above this density a latent is dense.</summary>
    public const double DenseAbove = 0.1;

    /// <summary>Below this density a latent is rare; the dead are not counted among the rare.</summary>
    public const double RareBelow = 1e-4;

    private const double BinWidth = 0.25, LowestBin = -10;

    private LatentDensity()
    {
    }

    /// <summary>What the activations are of.</summary>
    public required string Source { get; init; }

    /// <summary>Tokens measured.</summary>
    public required long Tokens { get; init; }

    /// <summary>Windows that the tokens came in.</summary>
    public required int Windows { get; init; }

    /// <summary>Tokens on which each latent is active [latents].</summary>
    public required long[] Active { get; init; }

    /// <summary>Share of tokens on which each latent is active [latents].</summary>
    public required double[] Density { get; init; }

    /// <summary>Standard error of each density over windows [latents]; NaN for one window.</summary>
    public required double[] StandardError { get; init; }

    /// <summary>Number of latents that are never active.</summary>
    public int Dead => Active.Count(n => n == 0);

    /// <summary>Share of latents that are never active.</summary>
    public double DeadShare => (double)Dead / Active.Length;

    /// <summary>Share of latents that are active on more than a tenth of the tokens.</summary>
    public double DenseShare => (double)Density.Count(d => d > DenseAbove) / Density.Length;

    /// <summary>Share of latents that are active, but on less than 1e-4 of the tokens.</summary>
    public double RareShare => (double)Density.Count(d => d is > 0 and < RareBelow) / Density.Length;

    /// <summary>Mean number of active latents of a token.</summary>
    public double L0 => Density.Sum();

    /// <summary>
    /// Histogram of log10(density + 1e-10) over the latents that are not dead, in bins of 0.25 up to 0; a density at the edge of two bins is in the upper one, density 1 in the last.
    /// </summary>
    /// <returns>Lower edges of the bins from the lowest that is filled, and latents in each; empty where all are dead.</returns>
    public (double[] LowerEdges, int[] Latents) Histogram()
    {
        int bins = (int)Math.Round(-LowestBin / BinWidth);
        int[] counts = new int[bins];
        foreach (double density in Density.Where(d => d > 0))
            counts[Math.Clamp((int)Math.Floor((Math.Log10(density + 1e-10) - LowestBin) / BinWidth), 0, bins - 1)]++;
        int first = Array.FindIndex(counts, n => n > 0);
        return first < 0 ? ([], []) : ([.. Enumerable.Range(first, bins - first).Select(b => LowestBin + (b * BinWidth))], counts[first..]);
    }

    /// <summary>Measures over a source in one pass; memory stays flat.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="source">The activations. Where it brings gradients, a rule that weighs by them uses them, and its codes then know the labels: leave them out to measure what a user will see.</param>
    /// <param name="progress">Windows done; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">Widths differ, or the source is empty.</exception>
    /// <exception cref="InvalidDataException">An activation is not finite; the message names window and token.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static LatentDensity Of(SparseAutoencoder autoencoder, IActivationSource source, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(source);
        var measure = new Measure(autoencoder.Latents, source);
        CodeStream.Each(autoencoder, source, "counting active latents", progress, cancel, measure.Add);
        return measure.Report();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    // Standard error of the mean of the windows' counts, over tokens of a window.
    private static double Error(long sum, double squares, int windows, long tokens)
    {
        double n = windows;
        return Math.Sqrt(Math.Max(0, squares - (sum * (sum / n))) * n / (n - 1)) / tokens;
    }

    /// <summary>The measurement as part of a pass that measures more.</summary>
    internal sealed class Measure(int latents, IActivationSource source)
    {
        private readonly WindowCounts _counts = new(latents);

        /// <summary>Takes in some tokens, as <see cref="CodeStream.Visitor"/> brings them.</summary>
        public void Add(torch.Tensor x, SparseCode code, long first)
        {
            for (int row = 0; row < code.Tokens; row++) _counts.Add(code.Support.Row(row), (int)((first + row) / source.TokensPerWindow));
        }

        /// <summary>The densities over all tokens.</summary>
        public LatentDensity Report()
        {
            long tokens = (long)source.Windows * source.TokensPerWindow;
            _counts.Close();
            return new()
            {
                Source = source.Description,
                Tokens = tokens,
                Windows = source.Windows,
                Active = _counts.Active,
                Density = [.. _counts.Active.Select(n => (double)n / tokens)],
                StandardError = [.. _counts.Active.Select((n, i) => Error(n, _counts.Squares[i], source.Windows, tokens))],
            };
        }
    }

    /// <summary>Counts of each latent over all windows, and the sum of the squares of its counts per window.</summary>
    private sealed class WindowCounts(int latents)
    {
        private readonly int[] _window = new int[latents], _inWindow = new int[latents];

        public long[] Active { get; } = new long[latents];

        public double[] Squares { get; } = new double[latents];

        public void Add(ReadOnlySpan<int> active, int window)
        {
            foreach (int i in active)
            {
                if (_window[i] != window) Close(i);
                _window[i] = window;
                _inWindow[i]++;
                Active[i]++;
            }
        }

        public void Close()
        {
            for (int i = 0; i < latents; i++) Close(i);
        }

        private void Close(int i)
        {
            Squares[i] += (double)_inWindow[i] * _inWindow[i];
            _inWindow[i] = 0;
        }
    }
}
