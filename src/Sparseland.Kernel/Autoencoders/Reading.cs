using Sparseland.Autoencoders;
using Sparseland.Kernel.Texts;
using Sparseland.Models.Language;

namespace Sparseland.Kernel.Autoencoders;

/// <summary>How activations of a text are read.</summary>
/// <param name="Site">The place.</param>
/// <param name="Context">Tokens of a window; null for the usual number.</param>
/// <param name="SkipFirst">Tokens left out at the beginning of each window of a decoder.</param>
/// <param name="MaxNormRatio">Tokens of a norm above so many medians are left out; null for none.</param>
/// <param name="Pooled">One row for each text of an encoder.</param>
internal sealed record Reading(ActivationSite Site, int? Context, int SkipFirst, double? MaxNormRatio, bool Pooled)
{
    private const int UsualContext = 256, EncoderContext = 128;

    /// <summary>Refuses what the model cannot give.</summary>
    public void Check(HostModel model, bool gradients)
    {
        if (model.Decoder is not null && Pooled) throw new ArgumentException($"--pooled is for text encoders, and {model.Name} is a decoder.");
        if (model.Decoder is null && gradients) throw new ArgumentException($"The architecture gradient needs a loss of next tokens, and {model.Name} is a text encoder.");
        if (model.Decoder is null && SkipFirst != 0) throw new ArgumentException($"--skip-first is for decoders, and {model.Name} is a text encoder.");
        if (Context is <= 0) throw new ArgumentOutOfRangeException(nameof(Context), Context, "--context must be positive.");
        if (SkipFirst < 0) throw new ArgumentOutOfRangeException(nameof(SkipFirst), SkipFirst, "--skip-first must not be negative.");
    }

    /// <summary>Tokens of a window.</summary>
    public int Length(HostModel model) => Context ?? (model.Decoder is { } decoder ? Math.Min(UsualContext, decoder.Context) : EncoderContext);

    /// <summary>Text of a decoder with about so many tokens after those left out, so that windows are whole.</summary>
    public TokenText Text(HostModel model, HostText text, IReadOnlyList<string> texts, long tokens, CancellationToken cancel)
    {
        int length = Length(model), used = Math.Max(1, length - SkipFirst);
        return text.Tokens(texts, model.Tokenizer!, ((tokens + used - 1) / used * length) + 1, cancel);
    }

    /// <summary>Activations of a decoder.</summary>
    public IActivationSource Source(HostModel model, TokenText text, bool gradients, Action<string> say, CancellationToken cancel) =>
        Ordinary(new ModelActivations(model.Decoder!, Site, text, Length(model), SkipFirst, gradients: gradients), say, cancel);

    /// <summary>Activations of an encoder.</summary>
    public IActivationSource Source(HostModel model, IReadOnlyList<string> texts, long tokens, Action<string> say, CancellationToken cancel)
    {
        IReadOnlyList<string> enough = Pooled ? [.. texts.Take((int)Math.Min(tokens, texts.Count))] : HostText.Enough(texts, model.Encoder!, tokens, cancel);
        return Ordinary(new EncoderActivations(model.Encoder!, Site, enough, new() { Pooled = Pooled, TokensPerWindow = Length(model) }, cancel), say, cancel);
    }

    private IActivationSource Ordinary(IActivationSource source, Action<string> say, CancellationToken cancel)
    {
        if (MaxNormRatio is not { } ratio) return source;
        OrdinaryTokens ordinary = OrdinaryTokens.Of(source, ratio, new Commands.ProgressLines("window", say), cancel);
        say(FormattableString.Invariant($"{ordinary.LeftOut:N0} tokens of norm above {ratio:G4} x the median {ordinary.MedianNorm:G4} are left out, and {ordinary.LeftOver:N0} more so that windows stay of one length"));
        return ordinary;
    }
}
