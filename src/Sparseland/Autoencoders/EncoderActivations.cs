using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Settings of <see cref="EncoderActivations"/>.</summary>
public sealed record EncoderActivationsOptions
{
    /// <summary>Whether a text gives one row, the mean over its tokens, in place of a row for each of them. Default false.</summary>
    public bool Pooled { get; init; }

    /// <summary>
    /// Rows of a window. Texts are packed one after another and cut into windows of this length, whatever the length of a text; what fills none at the end is
    /// left out. Default 128; pooled texts are windows of their own.
    /// </summary>
    public int TokensPerWindow { get; init; } = 128;

    /// <summary>Most tokens that go through the encoder at once. Default 1,024; more are no faster on a CPU.</summary>
    public int BatchTokens { get; init; } = 1024;
}

/// <summary>
/// Activations at one place of a text encoder over many short texts, computed as they are needed; blocks above the place are not run. Each token of a text is a row,
/// the special ones around it too, padding is none; or each text is one, the mean of its tokens.
/// </summary>
public sealed class EncoderActivations : IActivationSource
{
    private readonly BertEncoder _encoder;
    private readonly EncoderActivationsOptions _options;
    private readonly int[][] _texts;

    // Number of the first row of each text, and of all rows at the end.
    private readonly long[] _starts;

    /// <summary>Names encoder, place and texts.</summary>
    /// <param name="encoder">The encoder; stays the caller's.</param>
    /// <param name="site">The place; its values must be [batch, tokens, d], or outputs of heads, which stand side by side then.</param>
    /// <param name="texts">Texts; what is longer than the encoder's <see cref="BertEncoder.MostTokens"/> is cut.</param>
    /// <param name="options">Settings; null, the default, for their defaults.</param>
    /// <param name="cancel">Checked while texts are split into tokens. Never by default.</param>
    /// <exception cref="ArgumentException">A number is out of its range, a text is null, there are fewer rows than a window has, or the encoder has no such place.</exception>
    public EncoderActivations(BertEncoder encoder, ActivationSite site, IReadOnlyList<string> texts, EncoderActivationsOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(texts);
        _options = options ?? new();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(_options.TokensPerWindow, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(_options.BatchTokens, nameof(options));
        for (int i = 0; i < texts.Count; i++)
        {
            if (texts[i] is null) throw new ArgumentException($"Text {i} is null.", nameof(texts));
        }

        (_encoder, Site, Width) = (encoder, site, WidthOf(encoder, site));
        _texts = encoder.Split(texts, "", cancel);
        _starts = new long[_texts.Length + 1];
        for (int i = 0; i < _texts.Length; i++) _starts[i + 1] = _starts[i] + (_options.Pooled ? 1 : _texts[i].Length);
        TokensPerWindow = _options.Pooled ? 1 : _options.TokensPerWindow;
        Windows = checked((int)(_starts[^1] / TokensPerWindow));
        if (Windows == 0) throw new ArgumentException($"The {texts.Count} texts give {_starts[^1]} rows; a window needs {TokensPerWindow}.", nameof(texts));
    }

    /// <summary>The place.</summary>
    public ActivationSite Site { get; }

    /// <inheritdoc/>
    public string Description => _options.Pooled
        ? $"{HookNames.Name(Site)}, mean over the tokens of each of {_texts.Length} texts"
        : $"{HookNames.Name(Site)}, {_starts[^1]} tokens of {_texts.Length} texts in windows of {TokensPerWindow}";

    /// <inheritdoc/>
    public int Width { get; }

    /// <inheritdoc/>
    public int Windows { get; }

    /// <inheritdoc/>
    public int TokensPerWindow { get; }

    /// <inheritdoc/>
    public bool HasGradients => false;

    /// <inheritdoc/>
    public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = empty([(long)windows.Length * TokensPerWindow, Width]);
        Part[] parts = Parts(windows);
        int[] wanted = [.. parts.Select(part => part.Text).Distinct()];
        int[][] ids = [.. wanted.Select(text => _texts[text])];
        ILookup<int, Part> byText = parts.ToLookup(part => part.Text);
        foreach (int[] batch in BertEncoder.Batches(ids, _options.BatchTokens))
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            (Tensor tokens, Tensor? mask) = _encoder.Pad([.. batch.Select(i => ids[i])]);
            using var recorder = new ActivationRecorder(Site);
            _encoder.Visit(tokens, recorder, mask, cancel);
            Tensor values = SiteRows.Flat(Site, recorder[Site]).to(CPU).to(ScalarType.Float32);
            if (_options.Pooled) values = Mean(values, mask);
            for (int b = 0; b < batch.Length; b++)
            {
                foreach (Part part in byText[wanted[batch[b]]]) rows.narrow(0, part.Row, part.Count).copy_(values[b].narrow(0, part.From, part.Count));
            }
        }

        return new(rows.MoveToOuterDisposeScope());
    }

    /// <summary>Ids of the tokens behind the rows of all windows; null where a row is a whole text.</summary>
    internal int[]? Ids() => _options.Pooled ? null : [.. _texts.SelectMany(text => text).Take(Windows * TokensPerWindow)];

    /// <summary>d at a place of an encoder, from one token.</summary>
    /// <exception cref="ArgumentException">The encoder has no such place, or its values are of another shape.</exception>
    internal static int WidthOf(BertEncoder encoder, ActivationSite site)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using var recorder = new ActivationRecorder(site);
        encoder.Visit(zeros(1, 1, dtype: ScalarType.Int64), recorder);
        return ModelActivations.WidthOf(site, SiteRows.Flat(site, recorder[site]));
    }

    /// <summary>Mean over the tokens that stand [batch, 1, d].</summary>
    private static Tensor Mean(Tensor values, Tensor? mask)
    {
        if (mask is null) return values.mean([1L], keepdim: true);
        Tensor weights = mask.to(values.dtype).unsqueeze(2);
        return (values * weights).sum(1, keepdim: true) / weights.sum(1, keepdim: true);
    }

    /// <summary>Which tokens of which texts the windows hold.</summary>
    private Part[] Parts(ReadOnlySpan<int> windows)
    {
        var parts = new List<Part>();
        for (int w = 0; w < windows.Length; w++)
        {
            long first = (long)windows[w] * TokensPerWindow, end = first + TokensPerWindow;
            int text = Array.BinarySearch(_starts, first);
            if (text < 0) text = ~text - 1;
            for (; text < _texts.Length && _starts[text] < end; text++)
            {
                long from = Math.Max(first, _starts[text]), to = Math.Min(end, _starts[text + 1]);
                if (to > from) parts.Add(new(text, (int)(from - _starts[text]), (int)(to - from), ((long)w * TokensPerWindow) + from - first));
            }
        }

        return [.. parts];
    }

    /// <summary>Some neighbouring tokens of a text and the row where they go.</summary>
    private readonly record struct Part(int Text, int From, int Count, long Row);
}
