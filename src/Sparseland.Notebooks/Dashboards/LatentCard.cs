using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Notebooks.Charts.Drawing;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Notebooks.Dashboards;

/// <summary>
/// One latent as a notebook shows it: the card of the page without a script. A light panel of its own, readable on dark pages, with every style inline, since
/// hosts drop style sheets.
/// </summary>
public sealed class LatentCard : IMimeRenderable
{
    private const string Mono = "font-family:ui-monospace,'Cascadia Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace", Title = "font-size:13px;font-weight:600;margin:14px 0 4px";
    private readonly LatentDashboard _dashboard;
    private readonly int _examples;

    internal LatentCard(LatentDashboard dashboard, int latent, int examples)
    {
        ArgumentNullException.ThrowIfNull(dashboard);
        ArgumentOutOfRangeException.ThrowIfNegative(examples);
        (_dashboard, _examples, Summary) = (dashboard, examples, dashboard[latent]);
    }

    /// <summary>What was measured of the latent.</summary>
    public LatentSummary Summary { get; }

    /// <inheritdoc/>
    public MimeBundle Render() => new(new Dictionary<string, JsonNode>
    {
        ["text/html"] = JsonValue.Create(Html()),
        ["text/plain"] = JsonValue.Create(ToString()),
    });

    /// <summary>Number, density and largest value, then the strongest examples, a line each.</summary>
    public override string ToString()
    {
        IEnumerable<string> examples = Summary.Top.Take(_examples).Select(e =>
            $"  {LatentNames.Short(e.Value),6}  {string.Concat(e.Tokens.Select((t, i) => i == e.Focus ? $"[{Plain(t)}]" : Plain(t)))}");
        return string.Join('\n', [$"Latent {Summary.Latent}: {Facts()}", .. examples]);
    }

    private string Plain(int token) => VisibleText.Plain(_dashboard.Spell(token));

    private string Spelled(int token, bool alone) => VisibleText.Html(_dashboard.Spell(token), alone);

    private string Facts() => Summary.Active == 0
        ? $"active on none of {LatentNames.Whole(_dashboard.Density.Tokens)} tokens"
        : $"density {LatentNames.Percent(Summary.Density)} (rank {Summary.DensityRank} of {LatentNames.Whole(_dashboard.Latents)}), largest value {LatentNames.Short(Summary.Max)}, "
            + $"mean {LatentNames.Short(Summary.Mean)}, cosine of encoder and decoder {LatentNames.Short(Summary.EncoderDecoder)}";

    private string Html()
    {
        var html = new StringBuilder(
            $"<div class=\"sl-latent\" style=\"background:{Theme.Paper};color:{Theme.Ink};border:1px solid {Theme.Border};border-radius:8px;padding:14px 16px;max-width:960px;font:13px/1.5 {Theme.Font};color-scheme:light\">");
        html.Append(CultureInfo.InvariantCulture, $"<div style=\"font-size:18px;font-weight:700\">Latent {Summary.Latent}");
        if (LatentNames.State(Summary) is { } state) html.Append($" <span style=\"font-size:12px;font-weight:600;color:#a63c00;background:#fbeadd;border-radius:99px;padding:2px 9px\">{state}</span>");
        html.Append($"</div><div style=\"color:{Theme.Muted}\">{Markup.Escape(LatentNames.Place(_dashboard.Site))}; {Markup.Escape(Facts())}</div>");
        html.Append("<div style=\"display:flex;flex-wrap:wrap;gap:0 28px\">");
        if (Summary.Active > 0) html.Append($"<div style=\"flex:1 1 240px\"><div style=\"{Title}\">Values where it is active</div>{Histogram()}</div>");
        if (_dashboard.HasLogitWeights)
        {
            double most = Summary.Promoted.Concat(Summary.Suppressed).Select(w => Math.Abs(w.Weight)).DefaultIfEmpty(1).Max();
            Weights(html, "Promotes", Summary.Promoted, Theme.Colour(0), most);
            Weights(html, "Suppresses", Summary.Suppressed, Theme.Colour(1), most);
        }

        html.Append("</div>");
        if (_dashboard.HasLogitWeights) html.Append($"<div style=\"color:{Theme.Muted};font-size:12px\">Logit weights: direct path, ignores later blocks.</div>");
        if (Summary.Removal is { } off) html.Append(Without(off));
        Examples(html, "Strongest examples", Summary.Top.Take(_examples));
        Examples(html, "Examples across its range", Across());
        Neighbours(html);
        return html.Append("</div>").ToString();
    }

    private string Without(LatentRemoval off) => string.Create(
        CultureInfo.InvariantCulture,
        $"<div style=\"margin-top:8px\"><span style=\"font-weight:600\">Without it</span>, {(off.Examples == 1 ? "at its strongest example" : $"at its {off.Examples} strongest examples")}: loss of the next token {LatentNames.Signed(off.LossIncrease)} nats, KL {LatentNames.Short(off.Divergence)}; at the strongest {Changed(off.Lowered)}, {Changed(off.Raised)}.</div>");

    private string Changed(TokenChange token) =>
        string.Create(CultureInfo.InvariantCulture, $"<span style=\"{Mono};font-size:12px;white-space:pre\">{Spelled(token.Token, alone: true)}</span> {LatentNames.Signed(100 * token.Change)} points");

    // As many as fit, spread over the tenths.
    private IEnumerable<LatentExample> Across()
    {
        LatentExample[] all = [.. Summary.Sampled.DistinctBy(e => e.Decile)];
        int count = Math.Min(all.Length, _examples);
        return Enumerable.Range(0, count).Select(i => all[i * all.Length / count]);
    }

    private string Histogram()
    {
        IReadOnlyList<int> counts = Summary.Values.Counts;
        const double Width = 260, Height = 96, Base = Height - 16;
        double step = Width / counts.Count, top = counts.Max();
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" style=\"display:block;width:100%;max-width:320px\" role=\"img\" aria-label=\"Histogram of {counts.Sum()} values\">");
        for (int b = 0; b < counts.Count; b++)
        {
            if (counts[b] == 0) continue;
            double height = Math.Max(1.5, (Base - 4) * counts[b] / top), strength = Math.Min(1, (b + 0.5) / counts.Count);
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{(b * step) + 0.3:0.##}\" y=\"{Base - height:0.##}\" width=\"{Math.Max(0.8, step - 0.6):0.##}\" height=\"{height:0.##}\" fill=\"#e69f00\" opacity=\"{0.3 + (0.7 * strength):0.##}\"/>");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M0 {Base + .5}H{Width}\" stroke=\"{Theme.Border}\"/><text x=\"0\" y=\"{Height - 3}\" font-size=\"10\" fill=\"{Theme.Muted}\">0</text>");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width}\" y=\"{Height - 3}\" font-size=\"10\" text-anchor=\"end\" fill=\"{Theme.Muted}\">{LatentNames.Short(Summary.Max)}</text></svg>");
        return svg.ToString();
    }

    private void Weights(StringBuilder html, string heading, IReadOnlyList<TokenWeight> weights, string colour, double most)
    {
        html.Append($"<div style=\"flex:1 1 200px\"><div style=\"{Title}\">{heading}</div>");
        foreach (TokenWeight weight in weights.Take(6))
        {
            html.Append("<div style=\"display:grid;grid-template-columns:minmax(60px,130px) minmax(50px,90px) 44px;gap:8px;align-items:center;height:20px\">")
                .Append($"<span style=\"{Mono};font-size:12px;white-space:pre;overflow:hidden;text-overflow:ellipsis\">{Spelled(weight.Token, alone: true)}</span>")
                .Append(CultureInfo.InvariantCulture, $"<span><span style=\"display:block;height:8px;border-radius:2px;background:{colour};width:{100 * Math.Abs(weight.Weight) / most:0.#}%\"></span></span>")
                .Append($"<span style=\"color:{Theme.Muted};text-align:right;font-size:12px\">{LatentNames.Signed(weight.Weight)}</span></div>");
        }

        html.Append("</div>");
    }

    private void Examples(StringBuilder html, string heading, IEnumerable<LatentExample> examples)
    {
        LatentExample[] all = [.. examples];
        if (all.Length == 0) return;
        html.Append($"<div style=\"{Title}\">{heading}</div>");
        foreach (LatentExample example in all)
        {
            const string Side = "white-space:pre;overflow:hidden;display:flex";
            html.Append($"<div style=\"display:grid;grid-template-columns:44px minmax(0,58fr) minmax(0,42fr);{Mono};font-size:12px;line-height:26px;border-top:1px solid {Theme.GridLine}\">")
                .Append($"<span style=\"color:{Theme.Muted};text-align:right;padding-right:8px\">{LatentNames.Short(example.Value)}</span><span style=\"{Side};justify-content:flex-end\">");
            for (int i = 0; i < example.Tokens.Count; i++)
            {
                if (i == example.Focus) html.Append($"</span><span style=\"{Side}\">");
                Token(html, example, i);
            }

            html.Append("</span></div>");
        }
    }

    private void Token(StringBuilder html, LatentExample example, int i)
    {
        float value = example.Values[i];
        html.Append("<span style=\"flex:none;align-self:center;line-height:20px;border-radius:3px;unicode-bidi:isolate");
        if (value > 0) html.Append(CultureInfo.InvariantCulture, $";background:rgba(230,159,0,{0.1 + (0.85 * Math.Min(1, value / Summary.Max)):0.##})");
        if (float.IsNaN(value)) html.Append(";opacity:.45");
        if (i == example.Focus) html.Append(";box-shadow:inset 0 -2px #e69f00");
        html.Append('"');
        if (value > 0) html.Append($" title=\"{LatentNames.Short(value)}\"");
        html.Append('>').Append(Spelled(example.Tokens[i], alone: false)).Append("</span>");
    }

    private void Neighbours(StringBuilder html)
    {
        string Line(string heading, IEnumerable<string> items) => $"<div style=\"margin-top:10px\"><span style=\"font-weight:600\">{heading}</span> {string.Join(", ", items)}</div>";
        if (Summary.Nearest.Count > 0) html.Append(Line("Nearest by decoder:", Summary.Nearest.Select(n => $"#{n.Latent} <span style=\"color:{Theme.Muted}\">{LatentNames.Short(n.Cosine)}</span>")));
        if (Summary.Together.Count > 0) html.Append(Line("Active together (Jaccard):", Summary.Together.Select(c => $"#{c.Latent} <span style=\"color:{Theme.Muted}\">{LatentNames.Short(c.Jaccard)}</span>")));
    }
}

/// <summary>Cards of a dashboard.</summary>
public static class LatentCards
{
    /// <summary>One latent to show as a cell's value.</summary>
    /// <param name="dashboard">What was measured.</param>
    /// <param name="latent">Number of the latent, from 0.</param>
    /// <param name="examples">Strongest examples shown, and as many across the range. Default 6.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such latent, or a negative number of examples.</exception>
    public static LatentCard Card(this LatentDashboard dashboard, int latent, int examples = 6) => new(dashboard, latent, examples);
}
