using System.Globalization;
using System.Text;
using Sparseland.Tensors;

namespace Sparseland.Retrieval.Collections;

/// <summary>Statistics of a <see cref="GeneratedCollection"/>; the defaults are near those of the .NET documentation's cards.</summary>
public sealed record GeneratedCollectionOptions
{
    /// <summary>Documents, at least 1. Default 10_000.</summary>
    public int Documents { get; init; } = 10_000;

    /// <summary>Queries, at least 0. Default 100.</summary>
    public int Queries { get; init; } = 100;

    /// <summary>Words of the language, at least 100. Default 30_000.</summary>
    public int Words { get; init; } = 30_000;

    /// <summary>Exponent of Zipf's law: the r-th word has a share like r^-s; above 0. Default 1.05.</summary>
    public double Zipf { get; init; } = 1.05;

    /// <summary>Median length of a document in words, at least 1. Lengths are log-normal, deviation 0.6 of the logarithm. Default 24.</summary>
    public double MedianLength { get; init; } = 24;

    /// <summary>Words of a query, at least 1. Default 8.</summary>
    public int QueryLength { get; init; } = 8;

    /// <summary>Documents of a topic, at least 1: the answers of a query are the documents of its topic. Default 20.</summary>
    public int TopicDocuments { get; init; } = 20;

    /// <summary>Share of a document's and a query's words that come from the words of its topic, in [0, 1]. Default 0.3.</summary>
    public double TopicShare { get; init; } = 0.3;

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Documents, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(Queries);
        ArgumentOutOfRangeException.ThrowIfLessThan(Words, 100);
        ArgumentOutOfRangeException.ThrowIfLessThan(QueryLength, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(TopicDocuments, 1);
        Finite.Positive(Zipf);
        if (!(MedianLength >= 1) || !double.IsFinite(MedianLength)) throw new ArgumentOutOfRangeException(nameof(MedianLength), MedianLength, "A median length is finite and at least 1.");
        if (!(TopicShare is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(TopicShare), TopicShare, "A share lies in [0, 1].");
    }
}

/// <summary>
/// A collection with planted statistics, for curves against size and for tests: words by Zipf's law, log-normal lengths, and topics of twelve words
/// of their own, which make some documents the answers to a query. Document i does not depend on how many there are.
/// </summary>
public static class GeneratedCollection
{
    private const int TopicWords = 12;
    private const double LengthDeviation = 0.6;

    /// <summary>Makes a collection; a million documents take some seconds.</summary>
    /// <param name="seed">Seed.</param>
    /// <param name="options">Statistics; null, the default, for the record's defaults.</param>
    /// <param name="cancel">Checked at each document.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static RetrievalCollection Make(int seed, GeneratedCollectionOptions? options = null, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        double[] cumulative = Cumulative(options);
        var documents = new RetrievalDocument[options.Documents];
        Parallel.For(0, documents.Length, new ParallelOptions { CancellationToken = cancel }, d =>
        {
            var random = new SeededRandom(seed, (2L * d) + 1);
            int length = Math.Max(1, (int)Math.Round(options.MedianLength * Math.Exp(LengthDeviation * random.NextGaussian())));
            documents[d] = new(Invariant($"d{d}"), Words(ref random, length, Topic(seed, d / options.TopicDocuments, cumulative), options, cumulative));
        });

        int topics = (documents.Length + options.TopicDocuments - 1) / options.TopicDocuments;
        var queries = new RetrievalQuery[options.Queries];
        var judgements = new List<Judgement>();
        for (int q = 0; q < queries.Length; q++)
        {
            cancel.ThrowIfCancellationRequested();
            var random = new SeededRandom(seed, (2L * q) + 2 + (1L << 40));
            int topic = random.NextInt(topics);
            queries[q] = new(Invariant($"q{q}"), Words(ref random, options.QueryLength, Topic(seed, topic, cumulative), options, cumulative));
            int first = topic * options.TopicDocuments, end = Math.Min(documents.Length, first + options.TopicDocuments);
            for (int d = first; d < end; d++) judgements.Add(new(queries[q].Id, documents[d].Id, 1));
        }

        return new("generated", documents, queries, new Qrels(judgements));
    }

    // A topic's words are drawn like all others, so that some are frequent and say little.
    private static int[] Topic(int seed, int topic, double[] cumulative)
    {
        var random = new SeededRandom(seed, (1L << 41) + topic);
        int[] words = new int[TopicWords];
        for (int i = 0; i < words.Length; i++) words[i] = Draw(ref random, cumulative);
        return words;
    }

    private static string Words(ref SeededRandom random, int length, int[] topic, GeneratedCollectionOptions options, double[] cumulative)
    {
        var text = new StringBuilder(7 * length);
        for (int i = 0; i < length; i++)
        {
            int word = random.NextDouble() < options.TopicShare ? topic[random.NextInt(topic.Length)] : Draw(ref random, cumulative);
            if (i > 0) text.Append(' ');

            // "w" keeps a number from being cut or stemmed.
            text.Append('w').Append(word);
        }

        return text.ToString();
    }

    private static int Draw(ref SeededRandom random, double[] cumulative)
    {
        int place = Array.BinarySearch(cumulative, random.NextDouble() * cumulative[^1]);
        return Math.Min(place < 0 ? ~place : place + 1, cumulative.Length - 1);
    }

    private static double[] Cumulative(GeneratedCollectionOptions options)
    {
        double[] sums = new double[options.Words];
        double sum = 0;
        for (int r = 0; r < sums.Length; r++) sums[r] = sum += Math.Pow(r + 1, -options.Zipf);
        return sums;
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
