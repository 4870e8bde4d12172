using Sparseland.Models.Language;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>Settings of <see cref="LatentDashboard"/>.</summary>
public sealed record LatentDashboardOptions
{
    /// <summary>Tokens of a window; the model's context, 256 at most, where null, the default.</summary>
    public int? Length { get; init; }

    /// <summary>Windows measured, from the beginning of the text; all where null, the default.</summary>
    public int? Windows { get; init; }

    /// <summary>Tokens at the beginning of each window that are not measured; they show in examples without a value. Default 0.</summary>
    public int SkipFirst { get; init; }

    /// <summary>Windows that go through the model at once. Default 16.</summary>
    public int Batch { get; init; } = 16;

    /// <summary>Examples with the largest values, of each latent. Default 12.</summary>
    public int Top { get; init; } = 12;

    /// <summary>Sampled examples of each tenth of the values, of each latent. Default 2.</summary>
    public int PerDecile { get; init; } = 2;

    /// <summary>Active tokens of each latent that are held as a uniform sample, from which the examples of the tenths are taken. Default 40.</summary>
    public int Sample { get; init; } = 40;

    /// <summary>Tokens shown before the one of an example. Default 10.</summary>
    public int Before { get; init; } = 10;

    /// <summary>Tokens shown after the one of an example. Default 5.</summary>
    public int After { get; init; } = 5;

    /// <summary>
    /// Tokens of its window that the model should have read before an example's: values at the beginning of a window are those of a text without a beginning. Fewer
    /// only where a latent has not enough others; half a window at most. Default 8.
    /// </summary>
    public int LeastBefore { get; init; } = 8;

    /// <summary>Most promoted tokens, and as many most suppressed. Default 10.</summary>
    public int LogitTokens { get; init; } = 10;

    /// <summary>Nearest latents by decoder, and as many by co-activation. Default 6.</summary>
    public int Neighbours { get; init; } = 6;

    /// <summary>Tokens on which two latents must be active together to count as co-active. Default 5.</summary>
    public int MinTogether { get; init; } = 5;

    /// <summary>
    /// Strongest examples of each latent on which it is taken out of the model to see what that changes; 0, the default, for none. Each costs a run of the model over a
    /// window up to the example. Decoders only.
    /// </summary>
    public int RemovalExamples { get; init; }

    /// <summary>Seed of the samples. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Checks all against model and text; gives the length of a window and their number.</summary>
    internal (int Length, int Windows) For(LanguageModel model, TokenText text)
    {
        int length = Length ?? Math.Min(256, Math.Min(model.Context, text.Count - 1));
        if (length < 1 || length > model.Context) throw Refused(nameof(Length), length, $"from 1 to the context of {model.Context}");
        if (SkipFirst < 0 || SkipFirst >= length) throw Refused(nameof(SkipFirst), SkipFirst, $"from 0 to below the window of {length}");
        int most = (text.Count - 1) / length, windows = Windows ?? most;
        if (most < 1) throw new ArgumentException($"The text has {text.Count} tokens; a window needs {length} and the one after.", nameof(text));
        if (windows < 1 || windows > most) throw Refused(nameof(Windows), windows, $"from 1 to the {most} windows of {length} tokens that the text has");
        Check();
        return (length, windows);
    }

    /// <summary>Checks what belongs to no model and no text.</summary>
    internal void Check()
    {
        foreach ((string name, int value) in ((string, int)[])[(nameof(Batch), Batch), (nameof(Top), Top), (nameof(Sample), Sample), (nameof(MinTogether), MinTogether)])
        {
            if (value < 1) throw Refused(name, value, "positive");
        }

        foreach ((string name, int value) in ((string, int)[])[(nameof(PerDecile), PerDecile), (nameof(Before), Before), (nameof(After), After), (nameof(LeastBefore), LeastBefore), (nameof(LogitTokens), LogitTokens), (nameof(Neighbours), Neighbours), (nameof(RemovalExamples), RemovalExamples)])
        {
            if (value < 0) throw Refused(name, value, "0 or more");
        }
    }

    private static ArgumentException Refused(string name, int value, string rule) => new($"{name} is {value}; it must be {rule}.", "options");
}
