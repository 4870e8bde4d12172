using Lucene.Net.Analysis;
using Lucene.Net.Analysis.En;
using Lucene.Net.Analysis.TokenAttributes;
using Sparseland.Retrieval.Analysis;
using Analyzer = Sparseland.Retrieval.Analysis.Analyzer;

namespace Sparseland.Tests.Retrieval.Analysis;

/// <summary>Stems against Lucene.NET's own filters, on awkward words and on every pairing of stems and suffixes.</summary>
public class StemmerTests
{
    private static readonly string[] s_awkward =
    [
        "a", "is", "as", "s", "ss", "sss", "ies", "ties", "caresses", "ponies", "caress", "cats", "feed", "agreed", "plastered", "bled", "motoring", "sing",
        "conflated", "troubled", "sized", "hopping", "tanned", "falling", "hissing", "fizzed", "failing", "filing", "happy", "sky", "y", "yy", "yyy", "ay",
        "relational", "conditional", "rational", "valenci", "hesitanci", "digitizer", "conformabli", "radicalli", "differentli", "vileli", "analogousli",
        "vietnamization", "predication", "operator", "feudalism", "decisiveness", "hopefulness", "callousness", "formaliti", "sensitiviti", "sensibiliti",
        "triplicate", "formative", "formalize", "electriciti", "electrical", "hopeful", "goodness", "revival", "allowance", "inference", "airliner",
        "gyroscopic", "adjustable", "defensible", "irritant", "replacement", "adjustment", "dependent", "adoption", "homologou", "communism", "activate",
        "angulariti", "homologous", "effective", "bowdlerize", "probate", "rate", "cease", "controll", "roll", "geology", "logi", "theologies", "ion", "sion",
        "tion", "onion", "eed", "ed", "ing", "aing", "bing", "ling", "syzygy", "yeses", "oases", "dying", "skies", "utf8", "int32s", "naïveté", "café", "cafés",
        "überings", "x86", "123", "1ed", "e", "ee", "eee", "le", "lle", "llle", "ational", "bational", "asynchronously", "serializers", "disposing",
        "deserialization", "unescaped", "indices", "matrices", "vertices", "data", "news", "gas", "this", "bus", "buses", "running", "runner", "better",
        "generically", "generals", "universities", "universal", "organization", "organs", "policies", "police", "executives", "past", "paste", "ization",
        new('y', 60), new string('a', 49) + "ing", new string('b', 252) + "ing",
    ];

    public static TheoryData<Stemming> Stemmers => [Stemming.Porter, Stemming.Krovetz];

    [Theory]
    [MemberData(nameof(Stemmers))]
    public void Stems_are_those_of_Lucene(Stemming stemming)
    {
        string[] suffixes = ["s", "es", "ed", "ing", "ies", "ly", "ational", "ization", "fulness", "iveness", "ement", "able", "ion", "e", "y", "ll", "logi", "'", ""];
        string[] words = [.. s_awkward, .. s_awkward.Where(w => w.Length < 30).SelectMany(w => suffixes.Select(s => w + s)).Where(w => w.All(char.IsLetterOrDigit))];
        string[] expected = Lucene(words, stemming);
        var analyzer = new Analyzer(new AnalyzerOptions { Stemming = stemming });
        Assert.All(words.Zip(expected), pair => Assert.Equal(pair.Second, Assert.Single(analyzer.Analyze(pair.First)).Text));
    }

    private static string[] Lucene(string[] words, Stemming stemming)
    {
        var source = new Words(words);
        using TokenStream stream = stemming == Stemming.Porter ? new PorterStemFilter(source) : new KStemFilter(source);
        ICharTermAttribute term = stream.GetAttribute<ICharTermAttribute>();
        var stems = new List<string>();
        stream.Reset();
        while (stream.IncrementToken()) stems.Add(term.ToString());
        return [.. stems];
    }

    private sealed class Words : TokenStream
    {
        private readonly string[] _words;
        private readonly ICharTermAttribute _term;
        private int _next;

        public Words(string[] words)
        {
            _words = words;
            _term = AddAttribute<ICharTermAttribute>();
        }

        public override bool IncrementToken()
        {
            if (_next == _words.Length) return false;
            ClearAttributes();
            _term.SetEmpty().Append(_words[_next++]);
            return true;
        }
    }
}
