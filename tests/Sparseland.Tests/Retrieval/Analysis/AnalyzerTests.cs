using Sparseland.Retrieval.Analysis;

namespace Sparseland.Tests.Retrieval.Analysis;

public class AnalyzerTests
{
    private static string Terms(Analyzer analyzer, string text) => string.Join(' ', analyzer.Analyze(text).Select(t => $"{t.Text}@{t.Position}"));

    [Theory]
    [InlineData("", "")]
    [InlineData("  ,;--  ", "")]
    [InlineData("Hello, WORLD 42!", "hello@0 world@1 42@2")]
    [InlineData("a_b-c.d", "a@0 b@1 c@2 d@3")]
    [InlineData("x² ½", "x@0")]
    [InlineData("שלום עולם", "שלום@0 עולם@1")]
    [InlineData("日本語のテスト", "日@0 本@1 語@2 の@3 テスト@4")]
    [InlineData("C#で日本", "c@0 で@1 日@2 本@3")]
    [InlineData("한국어 문서", "한국어@0 문서@1")]
    [InlineData("हिन्दी", "हिन्दी@0")]
    [InlineData("می\u200Cخواهم", "می\u200Cخواهم@0")]
    [InlineData("𝒳y 𐐀𐐁", "𝒳y@0 𐐨𐐩@1")]
    [InlineData("😀a😀", "a@0")]
    [InlineData("a\uD800b\uDC00c", "a@0 b@1 c@2")]
    [InlineData("\u0301a", "a@0")]
    [InlineData("İstanbul ΣΊΣΥΦΟΣ", "İstanbul@0 σίσυφοσ@1")]
    public void Words_are_runs_of_letters_and_digits(string text, string expected) => Assert.Equal(expected, Terms(Analyzers.Words(), text));

    [Fact]
    public void Both_ways_to_write_an_accent_are_one_term()
    {
        Assert.Equal("café@0", Terms(Analyzers.Words(), "cafe\u0301"));
        Assert.Equal("café@0", Terms(Analyzers.Words(), "CAF\u00C9"));
        // A mark with no composed form stays with its letter.
        Assert.Equal("x\u0301y@0", Terms(Analyzers.Words(), "x\u0301y"));
    }

    [Theory]
    [InlineData("XMLReader", "xml@0 reader@1 xmlreader@1")]
    [InlineData("Utf8JsonReader", "utf@0 8@1 json@2 reader@3 utf8jsonreader@3")]
    [InlineData("IPv4", "i@0 pv@1 4@2 ipv4@2")]
    [InlineData("camelCase", "camel@0 case@1 camelcase@1")]
    [InlineData("HTTP", "http@0")]
    [InlineData("Http", "http@0")]
    [InlineData("http", "http@0")]
    [InlineData("A", "a@0")]
    [InlineData("aB", "a@0 b@1 ab@1")]
    [InlineData("AB", "ab@0")]
    [InlineData("ABc", "a@0 bc@1 abc@1")]
    [InlineData("2D", "2@0 d@1 2d@1")]
    [InlineData("ÉcoleNormale", "école@0 normale@1 écolenormale@1")]
    [InlineData("X\u0301MLRea\u0301der", "x\u0301ml@0 reáder@1 x\u0301mlreáder@1")]
    [InlineData("read XMLReader now", "read@0 xml@1 reader@2 xmlreader@2 now@3")]
    public void Camel_case_gives_the_parts_and_the_whole(string text, string expected) => Assert.Equal(expected, Terms(Analyzers.CamelCase(), text));

    [Theory]
    [InlineData("The type's readers", "type@1 reader@2")]
    [InlineData("The type’S reader", "type@1 reader@2")]
    [InlineData("it's 's sun", "s@1 sun@2")]
    [InlineData("don't", "don@0 t@1")]
    [InlineData("type'sx", "type@0 sx@1")]
    [InlineData("IsNotNull", "null@2 isnotnul@2")]
    [InlineData("to be or not to be", "")]
    public void English_drops_possessives_and_stop_words_and_keeps_their_places(string text, string expected) =>
        Assert.Equal(expected, Terms(Analyzers.English(), text));

    [Fact]
    public void English_takes_other_stop_words_and_stemmers()
    {
        Assert.Equal("the@0 matrices@1 of@2", Terms(Analyzers.English(Stemming.None, stopWords: []), "The matrices of"));
        Assert.Equal("the@0 universe@1", Terms(Analyzers.English(Stemming.Krovetz, stopWords: ["of"]), "The universes of"));
        Assert.Equal("xmlreader@0", Terms(Analyzers.English(camelCase: false), "XMLReader"));
        Assert.Equal(33, Analyzers.EnglishStopWords.Distinct().Count());
    }

    [Fact]
    public void Length_counts_terms_or_places()
    {
        Analyzer analyzer = Analyzers.English();
        Assert.Equal(4, analyzer.Length("The XMLReader reads"));
        Assert.Equal(3, analyzer.Length("The XMLReader reads", LengthCount.Positions));
        Assert.Equal(0, analyzer.Length("of the", LengthCount.Positions));
    }

    [Fact]
    public void A_word_of_a_megabyte_is_left_out_and_keeps_its_place()
    {
        string text = $"before {new string('x', 1 << 20)} after";
        Assert.Equal("before@0 after@2", Terms(Analyzers.CamelCase(), text));
        Assert.Equal(["before", "after"], Analyzers.English(Stemming.None).Analyze(text).Select(t => t.Text));
        string marks = "a" + new string('\u0301', 1 << 18) + " b";
        Assert.Equal("b@1", Terms(Analyzers.Words(), marks));
        Assert.Equal(1 << 16, Analyzers.Words().Length(new string('語', 1 << 16)));
        Assert.Equal(255, Assert.Single(Analyzers.Words().Analyze(new string('x', 255))).Text.Length);
        Assert.Empty(Analyzers.Words().Analyze(new string('x', 256)));
    }

    [Fact]
    public void The_sink_gets_what_the_list_has()
    {
        const string Text = "The Utf8JsonReader's readers: 日本 cafe\u0301";
        var sink = new Joined();
        Analyzers.English().Analyze(Text, ref sink);
        Assert.Equal(Terms(Analyzers.English(), Text), sink.Text);
    }

    private struct Joined() : ITokenSink
    {
        public string Text { get; private set; } = "";

        public void Add(ReadOnlySpan<char> text, int position) => Text += (Text.Length > 0 ? " " : "") + $"{text}@{position}";
    }

    [Fact]
    public void Options_outside_their_range_are_refused_by_name()
    {
        Assert.Contains("'The'", Assert.Throws<ArgumentException>(() => Analyzers.English(stopWords: ["The"])).Message);
        Assert.Throws<ArgumentException>(() => Analyzers.English(stopWords: [""]));
        Assert.Throws<ArgumentException>(() => Analyzers.English(stopWords: [null!]));
        Assert.Equal("Stemming", Assert.Throws<ArgumentOutOfRangeException>(() => Analyzers.English((Stemming)9)).ParamName);
        Assert.Equal("LongestWord", Assert.Throws<ArgumentOutOfRangeException>(() => new Analyzer(new() { LongestWord = 0 })).ParamName);
        Assert.Throws<ArgumentNullException>(() => Analyzers.Words().Analyze(null!));
    }

    [Fact]
    public void Equal_options_do_the_same()
    {
        Assert.Equal(Analyzers.English().Options, Analyzers.English(stopWords: [.. Analyzers.EnglishStopWords.Reverse()]).Options);
        Assert.NotEqual(Analyzers.English().Options, Analyzers.English(Stemming.Krovetz).Options);
        Assert.Equal("words, camel case, lower case, possessive, 33 stop words, Porter", Analyzers.English().ToString());
    }
}
