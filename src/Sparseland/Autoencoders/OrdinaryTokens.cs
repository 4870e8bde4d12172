using Sparseland.Autoencoders.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// A source without tokens whose norm is far above the usual: real models have some, often the first of a text, with norms hundreds of times the median, which
/// would rule every loss. Windows stay windows of neighbours and are of one length: of each the same number of tokens is kept, the number that keeps most tokens in all.
/// </summary>
/// <remarks>The whole source is read once to measure it. Sources whose windows are of one token lose those windows alone.</remarks>
public sealed class OrdinaryTokens : IActivationSource
{
    private readonly IActivationSource _source;

    // Numbers of the windows that are kept, and of each the places of its tokens.
    private readonly int[] _windows;
    private readonly int[][] _places;

    private OrdinaryTokens(IActivationSource source, double ratio, double median, float[] norms)
    {
        (_source, MaxNormRatio, MedianNorm) = (source, ratio, median);
        int length = source.TokensPerWindow, windows = source.Windows;
        int[][] ordinary = [.. Enumerable.Range(0, windows).Select(w => Enumerable.Range(0, length).Where(t => norms[((long)w * length) + t] <= ratio * median).ToArray())];
        int[] atLeast = new int[length + 1];
        foreach (int[] places in ordinary) atLeast[places.Length]++;
        for (int n = length - 1; n >= 0; n--) atLeast[n] += atLeast[n + 1];
        TokensPerWindow = Enumerable.Range(1, length).MaxBy(n => ((long)n * atLeast[n], n));
        _windows = [.. Enumerable.Range(0, windows).Where(w => ordinary[w].Length >= TokensPerWindow)];
        _places = [.. _windows.Select(w => ordinary[w][..TokensPerWindow])];
        LeftOut = ((long)windows * length) - ordinary.Sum(places => (long)places.Length);
        LeftOver = ((long)windows * length) - LeftOut - ((long)_windows.Length * TokensPerWindow);
    }

    /// <summary>Largest norm of a token that is kept, in medians.</summary>
    public double MaxNormRatio { get; }

    /// <summary>Median of the norms of all tokens.</summary>
    public double MedianNorm { get; }

    /// <summary>Tokens left out for their norm.</summary>
    public long LeftOut { get; }

    /// <summary>Ordinary tokens left out because windows are of one length.</summary>
    public long LeftOver { get; }

    /// <inheritdoc/>
    public string Description => FormattableString.Invariant($"{_source.Description}, without {LeftOut} tokens of norm above {MaxNormRatio:R} medians");

    /// <inheritdoc/>
    public int Width => _source.Width;

    /// <inheritdoc/>
    public int Windows => _windows.Length;

    /// <inheritdoc/>
    public int TokensPerWindow { get; }

    /// <inheritdoc/>
    public bool HasGradients => _source.HasGradients;

    /// <summary>Measures a source.</summary>
    /// <param name="source">The source; stays in use.</param>
    /// <param name="maxNormRatio">Largest norm of a token that is kept, as a multiple of the median norm, at least 1; 10 is usual for real models.</param>
    /// <param name="progress">Windows measured; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">The ratio is below 1, the source is empty, or half of its tokens are zero.</exception>
    /// <exception cref="InvalidDataException">An activation is not finite; the message names window and token.</exception>
    public static OrdinaryTokens Of(IActivationSource source, double maxNormRatio, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (!(maxNormRatio >= 1) || !double.IsFinite(maxNormRatio)) throw new ArgumentOutOfRangeException(nameof(maxNormRatio), maxNormRatio, "maxNormRatio must be finite and at least 1.");
        int length = source.TokensPerWindow, some = Math.Max(1, 4096 / Math.Max(1, length));
        if (source.Windows < 1 || length < 1) throw new ArgumentException($"The source is empty ({source.Description}).", nameof(source));
        float[] norms = new float[checked(source.Windows * length)];
        for (int from = 0; from < source.Windows; from += some)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            int count = Math.Min(some, source.Windows - from);
            Tensor rows = CheckedRows.Of(source, [.. Enumerable.Range(from, count)], cancel).Activations;
            CodeStream.CheckFinite(rows, (long)from * length, CodeStream.PlaceIn(source));
            SparseAutoencoder.RowNorms(rows).to(ScalarType.Float32).data<float>().ToArray().CopyTo(norms, from * length);
            progress?.Report(new(from + count, source.Windows, "measuring norms"));
        }

        float[] sorted = [.. norms];
        Array.Sort(sorted);
        double median = sorted[(sorted.Length - 1) / 2];
        if (!(median > 0)) throw new ArgumentException($"Half of the activations are zero, so no norm is usual ({source.Description}).", nameof(source));
        return new(source, maxNormRatio, median, norms);
    }

    /// <inheritdoc/>
    public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        int[] inner = new int[windows.Length];
        var places = new List<long>();
        for (int w = 0; w < windows.Length; w++)
        {
            inner[w] = _windows[windows[w]];
            foreach (int place in _places[windows[w]]) places.Add(((long)w * _source.TokensPerWindow) + place);
        }

        ActivationRows all = CheckedRows.Of(_source, inner, cancel);
        Tensor index = tensor(places.ToArray());
        return new(all.Activations.index_select(0, index).MoveToOuterDisposeScope(), all.Gradients?.index_select(0, index).MoveToOuterDisposeScope());
    }
}
