using System.Runtime.InteropServices;

namespace Sparseland.Models.Language;

/// <summary>
/// Interpolated n-gram model with absolute discounting (Ney, Essen and Kneser 1994): p(w | h) = max(c(h w) - d, 0)/c(h) + d N(h)/c(h)
/// p(w | h'), with N(h) the different words seen after h, h' the history without its first token, and below one token the uniform
/// distribution. The yardstick of a language model: what counting alone can do.
/// </summary>
public sealed class NgramModel
{
    private readonly Dictionary<Gram, int>[] _counts;
    private readonly Dictionary<Gram, (int Total, int Different)>[] _histories;

    private NgramModel(int order, int vocabulary, double discount)
    {
        (Order, Vocabulary, Discount) = (order, vocabulary, discount);
        _counts = [.. Enumerable.Range(0, order).Select(_ => new Dictionary<Gram, int>())];
        _histories = [.. Enumerable.Range(0, order).Select(_ => new Dictionary<Gram, (int, int)>())];
    }

    /// <summary>Tokens of a gram; the history has one fewer.</summary>
    public int Order { get; }

    /// <summary>Tokens of the vocabulary.</summary>
    public int Vocabulary { get; }

    /// <summary>d, what is taken from each count.</summary>
    public double Discount { get; }

    /// <summary>Counts a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="vocabulary">Tokens of the vocabulary.</param>
    /// <param name="order">From 1 to 4. Default 3.</param>
    /// <param name="discount">d, above 0 and below 1. Default 0.75.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or an id outside the vocabulary.</exception>
    public static NgramModel Count(TokenText text, int vocabulary, int order = 3, double discount = 0.75)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabulary);
        if (order is < 1 or > 4) throw new ArgumentOutOfRangeException(nameof(order), order, "order must be from 1 to 4.");
        if (!(discount > 0 && discount < 1)) throw new ArgumentOutOfRangeException(nameof(discount), discount, "discount must lie between 0 and 1.");
        var model = new NgramModel(order, vocabulary, discount);
        ReadOnlySpan<int> ids = text.Ids;
        for (int i = 0; i < ids.Length; i++)
        {
            if ((uint)ids[i] >= (uint)vocabulary) throw new ArgumentException($"Token {i} is {ids[i]}; the vocabulary has {vocabulary}.", nameof(text));
            for (int n = 0; n < order && n <= i; n++)
            {
                ref int count = ref CollectionsMarshal.GetValueRefOrAddDefault(model._counts[n], Gram.Of(ids.Slice(i - n, n + 1)), out bool known);
                count++;
                ref (int Total, int Different) history = ref CollectionsMarshal.GetValueRefOrAddDefault(model._histories[n], Gram.Of(ids.Slice(i - n, n)), out _);
                history = (history.Total + 1, history.Different + (known ? 0 : 1));
            }
        }

        return model;
    }

    /// <summary>p(token | history).</summary>
    /// <param name="history">Tokens before it; only the last order - 1 count.</param>
    /// <param name="token">The token.</param>
    /// <exception cref="ArgumentOutOfRangeException">The token is not of the vocabulary.</exception>
    public double Probability(ReadOnlySpan<int> history, int token)
    {
        if ((uint)token >= (uint)Vocabulary) throw new ArgumentOutOfRangeException(nameof(token), token, $"Tokens run from 0 to {Vocabulary - 1}.");
        double p = 1.0 / Vocabulary;
        Span<int> gram = stackalloc int[Order];
        for (int n = 0; n < Order && n <= history.Length; n++)
        {
            ReadOnlySpan<int> before = history[(history.Length - n)..];
            if (!_histories[n].TryGetValue(Gram.Of(before), out (int Total, int Different) seen)) break;
            before.CopyTo(gram);
            gram[n] = token;
            int count = _counts[n].GetValueOrDefault(Gram.Of(gram[..(n + 1)]));
            p = (Math.Max(count - Discount, 0) + (Discount * seen.Different * p)) / seen.Total;
        }

        return p;
    }

    /// <summary>Loss over a text, every token but the first predicted from those before it.</summary>
    /// <param name="text">The text.</param>
    /// <exception cref="ArgumentOutOfRangeException">A token is not of the vocabulary.</exception>
    public TextLoss Loss(TokenText text)
    {
        ArgumentNullException.ThrowIfNull(text);
        double sum = 0;
        ReadOnlySpan<int> ids = text.Ids;
        for (int i = 1; i < ids.Length; i++) sum -= Math.Log(Probability(ids[Math.Max(0, i - Order + 1)..i], ids[i]));
        return new(sum / (ids.Length - 1), ids.Length - 1);
    }

    private readonly record struct Gram(int A, int B, int C, int D)
    {
        public static Gram Of(ReadOnlySpan<int> ids) => new(
            ids.Length > 0 ? ids[0] : -1, ids.Length > 1 ? ids[1] : -1, ids.Length > 2 ? ids[2] : -1, ids.Length > 3 ? ids[3] : -1);
    }
}
