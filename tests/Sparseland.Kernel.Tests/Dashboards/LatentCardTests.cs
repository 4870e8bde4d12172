using System.Text.RegularExpressions;
using Microsoft.DotNet.Interactive.Formatting;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Notebooks;
using Sparseland.Notebooks.Dashboards;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Dashboards;

public class LatentCardTests
{
    private static readonly Lazy<LatentDashboard> s_dashboard = new(() => LatentBed.Dashboard());

    public LatentCardTests() => NotebookFormatters.Register();

    [Fact]
    public void A_card_shows_what_was_measured_without_script_or_style_sheet()
    {
        LatentDashboard dashboard = s_dashboard.Value;
        int latent = Enumerable.Range(0, dashboard.Latents).MaxBy(i => dashboard[i].Active);
        LatentCard card = dashboard.Card(latent, examples: 3);
        string html = ValueFormatting.Format(card).Data["text/html"].GetValue<string>();
        Assert.Equal(html, card.ToDisplayString("text/html"));
        Assert.Contains($"Latent {latent}", html, StringComparison.Ordinal);
        Assert.Contains("direct path, ignores later blocks", html, StringComparison.Ordinal);
        Assert.Contains("background:#fff", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("<style", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("NaN", html, StringComparison.Ordinal);
        Assert.Equal(card.Summary.Values.Counts.Count(n => n > 0), html.Split("<rect").Length - 1);
        Assert.All(card.Summary.Nearest, n => Assert.Contains($"#{n.Latent} ", html, StringComparison.Ordinal));
        string text = card.ToDisplayString("text/plain");
        Assert.Equal((1 + 3, $"Latent {latent}: density "), (text.Split('\n').Length, text[..$"Latent {latent}: density ".Length]));
    }

    [Fact]
    public void Every_latent_has_a_card_in_which_tags_are_whole_and_tokens_are_text()
    {
        LatentDashboard dashboard = s_dashboard.Value;
        Assert.Equal(0, dashboard[5].Active);
        string dead = dashboard.Card(5).Render().Data["text/html"].GetValue<string>();
        Assert.Contains("dead here", dead, StringComparison.Ordinal);
        Assert.Contains("active on none of", dashboard.Card(5).ToString(), StringComparison.Ordinal);
        var seen = new HashSet<string>();
        for (int i = 0; i < dashboard.Latents; i++)
        {
            string html = dashboard.Card(i, 12).Render().Data["text/html"].GetValue<string>();
            foreach (Match tag in Regex.Matches(html, "<(/?[a-z]+)[^<>]*>")) seen.Add(tag.Groups[1].Value);
            Assert.Equal(html.Split('<').Length - 1, Regex.Matches(html, "</?(?:div|span|svg|rect|path|text)[^<>]*>").Count);
            foreach (string tag in (string[])["div", "span", "svg", "text"]) Assert.Equal(Regex.Count(html, $"<{tag}[ >]"), Regex.Count(html, $"</{tag}>"));
            Assert.DoesNotMatch("[\u0000-\u001f\u202e\u2028]", html);
            Assert.DoesNotMatch("[\u0000-\u0009\u000b-\u001f\u202e\u2028]", dashboard.Card(i).ToString());
        }

        Assert.Subset(new HashSet<string> { "div", "/div", "span", "/span", "svg", "/svg", "rect", "path", "text", "/text" }, seen);
    }

    [Theory]
    [InlineData("a\n\tb", "a<span>↵</span><span>⇥</span>b")]
    [InlineData("</script>", "&lt;/script&gt;")]
    [InlineData("\u202eab\0", "<span>U+202E</span>ab<span>\\x00</span>")]
    [InlineData(" the ", "<span>·</span>the<span>·</span>")]
    [InlineData("  ", "<span>··</span>")]
    [InlineData("日本\ud83d\ude00", "&#128512;")]
    public void Text_alone_shows_what_cannot_be_seen(string text, string shown)
    {
        string html = Regex.Replace(VisibleText.Html([new(TokenPartKind.Text, text)], alone: true), "<span [^>]*>", "<span>");
        Assert.EndsWith(shown, html, StringComparison.Ordinal);
        Assert.Contains("‹E2›", VisibleText.Html([new(TokenPartKind.Byte, "E2")], alone: false), StringComparison.Ordinal);
        Assert.DoesNotContain("·", VisibleText.Html([new(TokenPartKind.Text, " the ")], alone: false), StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>("latent", () => s_dashboard.Value.Card(48));
        Assert.Throws<ArgumentOutOfRangeException>("examples", () => s_dashboard.Value.Card(0, -1));
        Assert.Throws<ArgumentNullException>("dashboard", () => LatentPage.Render(null!));
    }
}
