using Sparseland.Tensors;

namespace Sparseland.Retrieval.Indexing;

/// <summary>The forms of BM25 in use (Kamphuis et al., Which BM25 do you mean?, ECIR 2020).</summary>
public enum Bm25Variant
{
    /// <summary>idf ln max(1, (N - n + 0.5)/(n + 0.5)), part f / (f + k1 B). A term of more than half the documents counts nothing.</summary>
    Robertson,

    /// <summary>idf ln(1 + (N - n + 0.5)/(n + 0.5)), part f / (f + k1 B). Lucene from 8 on.</summary>
    Lucene,

    /// <summary>As <see cref="Lucene"/> with the part times k1 + 1. Lucene up to 7, Lucene.NET 4.8; the order is the same.</summary>
    Lucene48,

    /// <summary>idf ln(N/n), part (k1 + 1) f / (f + k1 B). Trotman et al. 2014.</summary>
    Atire,

    /// <summary>idf ln((N + 1)/(n + 0.5)), part (k1 + 1)(c + d)/(k1 + c + d) with c = f/B. Lv and Zhai 2011.</summary>
    Bm25L,

    /// <summary>idf ln((N + 1)/n), part (k1 + 1) f / (f + k1 B) + d. Lv and Zhai 2011.</summary>
    Bm25Plus,
}

/// <summary>
/// BM25 (Robertson and Zaragoza 2009). B = 1 - b + b length/average. BM25L and BM25+ give a document something for a term that it lacks; the
/// index holds the difference to that, which is sparse, and <see cref="Absent"/> is what the absolute score has on top. Every part is then
/// proportional to f / (f + norm): for BM25L (k1 + 1) k1/(k1 + d) f / (f + (k1 + d) B).
/// </summary>
/// <param name="Variant">The form. Default <see cref="Bm25Variant.Lucene"/>.</param>
/// <param name="K1">How slowly a term's repetitions saturate, at least 0. Default 1.2.</param>
/// <param name="B">Share of length normalisation, from 0 to 1. Default 0.75.</param>
/// <param name="Delta">The d of BM25L and BM25+, at least 0; others do not use it. Default 0.5.</param>
/// <param name="Lengths">How precisely lengths are known. Default <see cref="LengthEncoding.Exact"/>.</param>
public sealed record Bm25(Bm25Variant Variant = Bm25Variant.Lucene, double K1 = 1.2, double B = 0.75, double Delta = 0.5, LengthEncoding Lengths = LengthEncoding.Exact) : IImpactModel
{
    /// <summary>As Lucene.NET 4.8 computes it, its lengths included.</summary>
    public static Bm25 LuceneNet { get; } = new(Bm25Variant.Lucene48, Lengths: LengthEncoding.Lucene48);

    /// <summary>How rare a term is to the variant.</summary>
    /// <param name="documents">Documents of the index.</param>
    /// <param name="documentFrequency">Documents that hold the term, from 1 to <paramref name="documents"/>.</param>
    public double Idf(int documents, int documentFrequency)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(documentFrequency, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(documentFrequency, documents);
        double all = documents, with = documentFrequency;
        return Variant switch
        {
            Bm25Variant.Robertson => Math.Log(Math.Max(1, (all - with + 0.5) / (with + 0.5))),
            Bm25Variant.Lucene or Bm25Variant.Lucene48 => Math.Log(1 + ((all - with + 0.5) / (with + 0.5))),
            Bm25Variant.Atire => Math.Log(all / with),
            Bm25Variant.Bm25L => Math.Log((all + 1) / (with + 0.5)),
            _ => Math.Log((all + 1) / with),
        };
    }

    /// <summary>What a document without the term has, in shares of its idf: 0 but for BM25L and BM25+.</summary>
    public double Absent => Variant switch
    {
        Bm25Variant.Bm25L => Delta == 0 ? 0 : (K1 + 1) * Delta / (K1 + Delta),
        Bm25Variant.Bm25Plus => Delta,
        _ => 0,
    };

    /// <inheritdoc/>
    public double TermWeight(int documents, int documentFrequency)
    {
        Validate();
        return Idf(documents, documentFrequency) * Variant switch
        {
            Bm25Variant.Robertson or Bm25Variant.Lucene => 1,
            // With k1 = d = 0 the part is 1 where the term is and where it is not: the limit of d to 0 keeps the term.
            Bm25Variant.Bm25L => K1 + Delta == 0 ? 1 : (K1 + 1) * K1 / (K1 + Delta),
            _ => K1 + 1,
        };
    }

    /// <inheritdoc/>
    public double[] Norms(ReadOnlySpan<int> lengths, long totalTerms)
    {
        Validate();
        double sum = 0;
        foreach (int length in lengths) sum += length;
        if (Lengths == LengthEncoding.Lucene48) sum = totalTerms;
        double average = sum > 0 ? sum / lengths.Length : 1, saturation = Variant == Bm25Variant.Bm25L ? K1 + Delta : K1;
        if (Lengths == LengthEncoding.Lucene48) average = (float)average;
        var norms = new double[lengths.Length];
        for (int i = 0; i < norms.Length; i++)
        {
            double length = LossyLengths.Decode(lengths[i], Lengths);
            norms[i] = Lengths == LengthEncoding.Lucene48
                ? (float)saturation * ((1 - (float)B) + ((float)B * (float)length / (float)average))
                : saturation * (1 - B + (B * length / average));
        }

        return norms;
    }

    internal void Validate()
    {
        if (!Enum.IsDefined(Variant)) throw new ArgumentOutOfRangeException(nameof(Variant), Variant, "Not one of the variants.");
        if (!Enum.IsDefined(Lengths)) throw new ArgumentOutOfRangeException(nameof(Lengths), Lengths, "Not one of the encodings.");
        Finite.NotNegative(K1);
        if (!(B is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(B), B, "b is from 0 to 1.");
        Finite.NotNegative(Delta);
    }
}
