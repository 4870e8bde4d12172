namespace Sparseland.Models.Language;

/// <summary>How the vectors of a text's tokens become one.</summary>
public enum Pooling
{
    /// <summary>The vector of the first token, [CLS].</summary>
    Cls,

    /// <summary>The mean over the text's tokens, the two special ones among them.</summary>
    Mean,
}

/// <summary>How <see cref="BertEncoder.Encode"/> makes vectors of texts.</summary>
public sealed record EmbeddingOptions
{
    /// <summary>How the vectors of a text's tokens become one; null, the default, for the encoder's own <see cref="BertEncoder.Pooling"/>.</summary>
    public Pooling? Pooling { get; init; }

    /// <summary>Whether every vector gets length one, so that products are cosines; true by default.</summary>
    public bool Normalize { get; init; } = true;

    /// <summary>Written before every text; empty by default. <see cref="BertEncoder.EncodeQueries"/> sets it.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>Most tokens of a text, prefix and special tokens among them; null, the default, for the encoder's own <see cref="BertEncoder.MostTokens"/>. Shorter texts take less time.</summary>
    public int? MostTokens { get; init; }

    /// <summary>Most tokens that are computed together; 1024 by default. A longer text is computed alone. More take more memory; on a CPU they are no faster.</summary>
    public int BatchTokens { get; init; } = 1024;

    /// <summary>Throws when a setting is out of its range.</summary>
    /// <exception cref="ArgumentException">A setting is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BatchTokens);
        ArgumentNullException.ThrowIfNull(Prefix);
        if (MostTokens < 2) throw new ArgumentOutOfRangeException(nameof(MostTokens), MostTokens, "A text has at least two tokens, the special ones.");
        if (Pooling is { } pooling && !Enum.IsDefined(pooling)) throw new ArgumentOutOfRangeException(nameof(Pooling), pooling, "Pooling is Cls or Mean.");
    }
}
