using Sparseland.Models.Language;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>Settings of <see cref="DownstreamFaithfulness"/>.</summary>
public sealed record DownstreamFaithfulnessOptions
{
    /// <summary>Tokens of a window; the model's context, 256 at most, where null, the default.</summary>
    public int? Length { get; init; }

    /// <summary>Windows measured, from the beginning of the text; all where null, the default.</summary>
    public int? Windows { get; init; }

    /// <summary>Tokens at the beginning of each window that keep their value and are not counted. Default 0.</summary>
    public int SkipFirst { get; init; }

    /// <summary>Windows at once; as many as keep the logits within 2^22 numbers, 16 at most, where null, the default.</summary>
    public int? Batch { get; init; }

    /// <summary>Checks all against model and text; gives length, number of windows and batch.</summary>
    internal (int Length, int Windows, int Batch) For(LanguageModel model, TokenText text)
    {
        int length = Length ?? Math.Min(256, Math.Min(model.Context, text.Count - 1));
        if (length < 1 || length > model.Context) throw new ArgumentException($"{nameof(Length)} is {length}; it must be from 1 to the context of {model.Context}.", "options");
        if (SkipFirst < 0 || SkipFirst >= length) throw new ArgumentException($"{nameof(SkipFirst)} is {SkipFirst}; it must be from 0 to below the window of {length}.", "options");
        int most = (text.Count - 1) / length, windows = Windows ?? most;
        if (most < 1) throw new ArgumentException($"The text has {text.Count} tokens; a window needs {length} and the one after.", nameof(text));
        if (windows < 1 || windows > most) throw new ArgumentException($"{nameof(Windows)} is {windows}; the text has from 1 to {most} windows of {length} tokens.", "options");
        int batch = Batch ?? (int)Math.Clamp((1L << 22) / ((long)length * model.Vocabulary), 1, 16);
        if (batch < 1) throw new ArgumentException($"{nameof(Batch)} is {batch}; it must be positive.", "options");
        return (length, windows, batch);
    }
}
