using System.Text.RegularExpressions;
using Microsoft.DotNet.Interactive.Formatting;
using Sparseland.Models.Language;
using Sparseland.Notebooks;
using Sparseland.Notebooks.Dashboards;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Kernel.Tests.Dashboards;

public class ExplanationCardTests
{
    private const string Text = "StreamReader.DisposeAsync frees the readers\nof <b>streams</b>.";
    private static readonly string[] s_pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "stream", "##s", "dispos", "##ing", "free", ".", "<", "a"];

    public ExplanationCardTests() => NotebookFormatters.Register();

    [Fact]
    public void Words_of_an_index_of_texts_are_marked_where_they_stand()
    {
        using InvertedIndex index = InvertedIndex.Build([new("a", Text), new("b", "something else, a stream")]);
        Explanation explanation = Explanation.Of(index, index.Query("dispose the reading streams else"), 0);
        ExplanationCard card = explanation.Card(Text, index.Analyzer!);
        Assert.Equal(["dispos", "stream"], card.InText.Select(t => t.Term).Order());
        Assert.Equal(["els"], card.Absent.Select(t => t.Term));
        Assert.Empty(card.Expansions);
        string html = card.ToDisplayString("text/html");
        Assert.Equal(["Stream", "Dispose", "streams"], Marked(html));
        Assert.Equal(explanation.Score, card.InText.Sum(t => t.Impact), 12);
        Assert.StartsWith("a: score ", card.ToDisplayString("text/plain"), StringComparison.Ordinal);
        Assert.Contains("[Stream]Reader.[Dispose]Async frees", card.ToString(), StringComparison.Ordinal);
        Sound(html);
    }

    [Fact]
    public void Pieces_of_an_index_of_vectors_are_marked_and_expansions_stand_apart()
    {
        using BertEncoder encoder = new(new() { Vocabulary = s_pieces.Length, Width = 8, MlpWidth = 8, Layers = 1, Heads = 1, Context = 16 }, s_pieces);
        using InvertedIndex index = InvertedIndex.FromVectors(["a"], [SparseVector.Of([5, 6, 9, 10, 7], [2, 0.5f, 1.5f, 0.25f, 1])], s_pieces);
        Explanation explanation = Explanation.Of(index, SparseVector.Of([5, 6, 7, 9, 10, 12], [1, 1, -3, 2, 1, 1]), 0);
        ExplanationCard card = explanation.Card("Streams a.", encoder);
        Assert.Equal(["stream", "##s", "."], card.InText.Select(t => t.Term));
        Assert.Equal(["free", "dispos"], card.Expansions.Select(t => t.Term));
        Assert.Equal(["a"], card.Absent.Select(t => t.Term));
        string html = card.ToDisplayString("text/html");
        Assert.Equal(["Stream", "s", "."], Marked(html));
        Assert.Contains("2.00 × 1.50 = 3.00", html, StringComparison.Ordinal);
        Assert.Contains("-3.00 × 1.00 = -3.00", html, StringComparison.Ordinal);
        Assert.Equal(2 + 0.5 - 3 + 3 + 0.25, card.Explanation.Score, 6);
        Assert.Contains("score 2.75 = sum of 5 impacts", card.ToString(), StringComparison.Ordinal);
        Assert.Contains("expansions <span style=\"font-weight:400;color:#52606d\">0</span>", html, StringComparison.Ordinal);
        Assert.Contains("and 1 more, together -3.00", explanation.Card("Streams a.", encoder, terms: 1).ToDisplayString("text/html"), StringComparison.Ordinal);
        Sound(html);
    }

    [Fact]
    public void Hostile_and_long_and_unmatched_documents_show_as_text()
    {
        const string Bad = "</div><script>alert(1)</script>\" onload=\"x\u202e\u0000";
        using InvertedIndex index = InvertedIndex.Build([new(Bad, Bad + new string('x', 200) + string.Concat(Enumerable.Repeat(" word", 1000)))]);
        foreach (string query in (string[])["script word", "nothing here", ""])
        {
            ExplanationCard card = Explanation.Of(index, index.Query(query), 0).Card(Bad + string.Concat(Enumerable.Repeat(" word", 1000)), index.Analyzer!);
            string html = card.ToDisplayString("text/html");
            Sound(html);
            Assert.True(html.Length < 80_000, $"{html.Length} characters");
            Assert.Contains("…", card.ToString(), StringComparison.Ordinal);
        }

        Assert.Contains("no term of the query", Explanation.Of(index, SparseVector.Empty, 0).Card("", index.Analyzer!).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void An_explanation_alone_shows_its_bars()
    {
        using InvertedIndex index = InvertedIndex.Build([new("a", Text)]);
        string html = Explanation.Of(index, index.Query("streams"), 0).ToDisplayString("text/html");
        Assert.Contains(">Terms <", html, StringComparison.Ordinal);
        Assert.Empty(Marked(html));
        Sound(html);
    }

    [Theory]
    [InlineData("GetHashCode", "hashcode|hash", "Hash")]
    [InlineData("GetHashCode", "gethashcode", "Get|Hash|Code")]
    [InlineData("the reader's caf\u0065\u0301", "reader|café", "reader|café")]
    [InlineData("東京都", "京", "京")]
    public void Parts_of_a_text_are_the_text_again(string text, string terms, string marked)
    {
        Analyzer analyzer = Analyzers.CamelCase();
        TextMark[] marks = [.. TextMarks.Of(text, word => TextMarks.Words(word, analyzer), terms.Split('|').ToHashSet())];
        Assert.Equal(text, string.Concat(marks.Select(m => m.Text)));
        Assert.Equal(marked.Split('|').Select(m => m.Normalize()), marks.Where(m => m.Terms.Count > 0).Select(m => m.Text.Normalize()));
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using InvertedIndex index = InvertedIndex.Build([new("a", Text)]);
        Explanation explanation = Explanation.Of(index, index.Query("streams"), 0);
        Assert.Throws<ArgumentOutOfRangeException>("terms", () => explanation.Card(Text, index.Analyzer!, 0));
        Assert.Throws<ArgumentNullException>("text", () => explanation.Card(null!, index.Analyzer!));
        Assert.Throws<ArgumentNullException>("analyzer", () => explanation.Card(Text, (Analyzer)null!));
    }

    private static string[] Marked(string html) => [.. Regex.Matches(html, "<span style=\"background:rgba[^>]*>([^<]*)</span>").Select(m => m.Groups[1].Value)];

    private static void Sound(string html)
    {
        Assert.Equal(html.Split('<').Length - 1, Regex.Count(html, "</?(?:div|span)[^<>]*>"));
        foreach (string tag in (string[])["div", "span"]) Assert.Equal(Regex.Count(html, $"<{tag}[ >]"), Regex.Count(html, $"</{tag}>"));
        Assert.DoesNotMatch("[\u0000-\u001f\u202e]", html);
        Assert.DoesNotContain("NaN", html, StringComparison.Ordinal);
    }
}
