using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Tests.Retrieval.Indexing;

public class Bm25Tests
{
    private static readonly string[] s_texts = ["a b c a", "b c", "", "a a a d e f g h", "c d e", "a", "a b", "h h h h h h h"];

    private static InvertedIndex Index(IImpactModel model) => InvertedIndex.Build(
        s_texts.Select((t, i) => new RetrievalDocument($"d{i}", t)), new IndexOptions { Analyzer = Analyzers.Words(), Model = model });

    public static TheoryData<Bm25Variant> Variants => [.. Enum.GetValues<Bm25Variant>()];

    [Theory]
    [MemberData(nameof(Variants))]
    public void Contributions_are_the_formulas(Bm25Variant variant)
    {
        foreach ((double k1, double b, double d) in new[] { (1.2, 0.75, 0.5), (1.5, 0.75, 0.5), (0.9, 0.4, 1.0), (0, 0.5, 0.5), (2, 0, 0.3), (1.2, 1, 0) })
        {
            var model = new Bm25(variant, k1, b, d);
            using InvertedIndex index = Index(model);
            double average = s_texts.Average(t => t.Split(' ', StringSplitOptions.RemoveEmptyEntries).Length), all = s_texts.Length;
            for (int term = 0; term < index.Terms; term++)
            {
                double n = s_texts.Count(t => t.Split(' ').Contains(index.Term(term)));
                for (int document = 0; document < s_texts.Length; document++)
                {
                    string[] words = s_texts[document].Split(' ', StringSplitOptions.RemoveEmptyEntries);
                    double f = words.Count(w => w == index.Term(term)), norm = 1 - b + (b * words.Length / average), c = f / norm;
                    double idf = variant switch
                    {
                        Bm25Variant.Robertson => Math.Log(Math.Max(1, (all - n + 0.5) / (n + 0.5))),
                        Bm25Variant.Lucene or Bm25Variant.Lucene48 => Math.Log(1 + ((all - n + 0.5) / (n + 0.5))),
                        Bm25Variant.Atire => Math.Log(all / n),
                        Bm25Variant.Bm25L => Math.Log((all + 1) / (n + 0.5)),
                        _ => Math.Log((all + 1) / n),
                    };
                    double part = variant switch
                    {
                        Bm25Variant.Robertson or Bm25Variant.Lucene => f / (f + (k1 * norm)),
                        Bm25Variant.Bm25L => (k1 + 1) * (c + d) / (k1 + c + d),
                        Bm25Variant.Bm25Plus => ((k1 + 1) * f / (f + (k1 * norm))) + d,
                        _ => (k1 + 1) * f / (f + (k1 * norm)),
                    };
                    // Of a term that the document lacks there is only what the variant gives to all.
                    if (f == 0) Assert.Equal(0, index.Contribution(term, document));
                    else Assert.Equal(idf * part, index.Contribution(term, document) + (idf * model.Absent), 1e-12 * Math.Max(1, idf * part));
                }
            }
        }
    }

    [Theory]
    [InlineData(LengthEncoding.Lucene48, 2, 2.56)]
    [InlineData(LengthEncoding.Lucene48, 5, 5.2245)]
    [InlineData(LengthEncoding.Lucene48, 8, 10.24)]
    [InlineData(LengthEncoding.Lucene48, 100, 113.78)]
    [InlineData(LengthEncoding.Lucene48, 1, 1)]
    [InlineData(LengthEncoding.Lucene7, 0, 0)]
    [InlineData(LengthEncoding.Lucene7, 40, 40)]
    [InlineData(LengthEncoding.Lucene7, 41, 40)]
    [InlineData(LengthEncoding.Lucene7, 100, 96)]
    [InlineData(LengthEncoding.Lucene7, 1000, 984)]
    [InlineData(LengthEncoding.Exact, 1001, 1001)]
    public void Lengths_lose_what_Lucene_loses(LengthEncoding encoding, int length, double expected) =>
        Assert.Equal(expected, LossyLengths.Decode(length, encoding), 5e-5 * Math.Max(1, expected));

    [Fact]
    public void Lossy_lengths_are_those_of_Lucene_for_every_length()
    {
        for (int length = 1; length < 100_000; length += length < 2000 ? 1 : 37)
        {
            float decoded = Lucene.Net.Util.SmallSingle.SByte315ToSingle(Lucene.Net.Util.SmallSingle.SingleToSByte315((float)(1 / Math.Sqrt(length))));
            Assert.Equal(1 / (decoded * decoded), (float)LossyLengths.Decode(length, LengthEncoding.Lucene48));
        }
    }

    [Fact]
    public void Settings_outside_their_range_are_refused_by_name()
    {
        foreach ((Bm25 model, string name) in new[]
        {
            (new Bm25(K1: -0.1), "K1"), (new Bm25(K1: double.NaN), "K1"), (new Bm25(B: 1.01), "B"), (new Bm25(B: -1), "B"), (new Bm25(B: double.NaN), "B"),
            (new Bm25(Delta: -1), "Delta"), (new Bm25((Bm25Variant)17), "Variant"), (new Bm25(Lengths: (LengthEncoding)9), "Lengths"),
        })
        {
            Assert.Equal(name, Assert.ThrowsAny<ArgumentException>(() => Index(model)).ParamName);
        }
    }
}
