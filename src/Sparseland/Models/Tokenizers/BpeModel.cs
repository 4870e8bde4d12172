using System.Text.RegularExpressions;
using Sparseland.Tensors;

namespace Sparseland.Models.Tokenizers;

/// <summary>A byte-level byte-pair vocabulary: what <see cref="BpeTrainer"/> learns and a tokenizer.json holds.</summary>
/// <param name="Tokens">The tokens by id, in the characters of <see cref="ByteAlphabet"/>; special tokens as they are written.</param>
/// <param name="Merges">Pairs in the order of their learning: the earlier one is applied first.</param>
/// <param name="SpecialTokens">Tokens that text never produces and that are never split, such as "&lt;|endoftext|&gt;".</param>
/// <param name="Pattern">Regular expression whose matches are the pieces that no token crosses.</param>
public sealed record BpeModel(IReadOnlyList<string> Tokens, IReadOnlyList<(string Left, string Right)> Merges, IReadOnlyList<string> SpecialTokens, string Pattern)
{
    /// <summary>
    /// The pattern of GPT-2: English contractions, then runs of letters, of digits or of signs with one blank before them, then white
    /// space.
    /// </summary>
    public const string Gpt2Pattern = @"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>Compiles the pattern.</summary>
    /// <exception cref="FormatException">It is no regular expression.</exception>
    internal Regex PatternRegex()
    {
        try
        {
            return new Regex(Pattern, RegexOptions.Compiled | RegexOptions.CultureInvariant);
        }
        catch (ArgumentException error)
        {
            throw new FormatException($"The tokenizer's pattern '{Pattern}' is not a regular expression of .NET: {error.Message}", error);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
