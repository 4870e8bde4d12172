using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>Codes of all tokens of a source, some at a time: memory stays flat whatever the source's length.</summary>
internal static class CodeStream
{
    private const int TokensAtOnce = 4096;

    // Multiplications between two looks at the token: some hundredths of a second.
    private const long Work = 1L << 31;

    /// <summary>Receives some tokens, in the source's order.</summary>
    /// <param name="x">Activations [tokens, d] in the autoencoder's type.</param>
    /// <param name="code">Their codes.</param>
    /// <param name="first">Number of the first token, counted over all windows.</param>
    public delegate void Visitor(Tensor x, SparseCode code, long first);

    /// <summary>Shows all tokens.</summary>
    /// <exception cref="ArgumentException">The widths differ, or the source is empty.</exception>
    /// <exception cref="InvalidDataException">An activation is not finite; the message names window and token.</exception>
    public static void Each(SparseAutoencoder autoencoder, IActivationSource source, string what, IProgress<ProgressReport>? progress, CancellationToken cancel, Visitor visit)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        ArgumentNullException.ThrowIfNull(source);
        CheckWidth(autoencoder, source.Width, source.Description, nameof(source));
        int length = source.TokensPerWindow;
        if (source.Windows < 1 || length < 1) throw new ArgumentException($"The source is empty ({source.Description}).", nameof(source));
        using IDisposable off = no_grad();
        int windows = Math.Max(1, TokensAtOnce / length);
        for (int from = 0; from < source.Windows; from += windows)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int count = Math.Min(windows, source.Windows - from);
            ActivationRows rows = CheckedRows.Of(source, [.. Enumerable.Range(from, count)], cancel);
            Rows(autoencoder, rows, (long)from * length, PlaceIn(source), cancel, visit);
            progress?.Report(new(from + count, source.Windows, what));
        }
    }

    /// <summary>Shows the tokens of a matrix.</summary>
    public static void Each(SparseAutoencoder autoencoder, Tensor x, string name, CancellationToken cancel, Visitor visit)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Rows(autoencoder, new(x), 0, token => $"token {token} of {name}", cancel, visit);
    }

    /// <summary>Refuses activations of another width.</summary>
    public static void CheckWidth(SparseAutoencoder autoencoder, long width, string what, string name)
    {
        if (width != autoencoder.Width)
            throw new ArgumentException($"The activations have width {width} ({what}), the autoencoder {autoencoder.Width}; they must agree.", name);
    }

    /// <summary>Refuses activations that are not finite.</summary>
    /// <param name="x">Some rows of a source.</param>
    /// <param name="first">Number of the first.</param>
    /// <param name="place">Names a row.</param>
    /// <exception cref="InvalidDataException">One is not finite; the message names it.</exception>
    public static void CheckFinite(Tensor x, long first, Func<long, string> place)
    {
        if (FiniteRows.FirstBad(x) is { } bad) throw new InvalidDataException($"An activation is not finite: {place(first + bad)}.");
    }

    /// <summary>Names a token of a source by window and place in it.</summary>
    public static Func<long, string> PlaceIn(IActivationSource source) =>
        token => $"token {token % source.TokensPerWindow} of window {token / source.TokensPerWindow} ({source.Description})";

    private static void Rows(SparseAutoencoder autoencoder, ActivationRows rows, long first, Func<long, string> place, CancellationToken cancel, Visitor visit)
    {
        Tensor all = rows.Activations.to(autoencoder.Encoder.dtype);
        Tensor? gradients = rows.Gradients?.to(autoencoder.Encoder.dtype);
        long some = Math.Clamp(Work / ((long)autoencoder.Latents * autoencoder.Width), 8, TokensAtOnce);
        for (long from = 0; from < all.shape[0]; from += some)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            long count = Math.Min(some, all.shape[0] - from);
            Tensor x = all.narrow(0, from, count);
            CheckFinite(x, first + from, place);
            using SparseCode code = autoencoder.Encode(x, gradients?.narrow(0, from, count));
            visit(x, code, first + from);
        }
    }
}
