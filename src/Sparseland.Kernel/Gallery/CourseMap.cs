using System.Globalization;
using System.Text;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Kernel.Gallery;

/// <summary>The learning paths as lines with a station for each notebook: a picture for README files, and a list for the gallery that also fits a telephone.</summary>
internal static class CourseMap
{
    private const double Width = 960, Side = 20, Radius = 12, LabelSize = 11;

    /// <summary>The paths as one picture.</summary>
    public static string Svg(Course course)
    {
        var canvas = new Canvas();
        double y = 0;
        for (int p = 0; p < course.Paths.Count; p++)
        {
            LearningPath path = course.Paths[p];
            double step = (Width - (2 * Side)) / path.Cards.Count;
            canvas.Text(Side, y + 28, path.Title, size: 17, fill: Theme.TextColour(p), bold: true);
            IReadOnlyList<string> about = TextMetrics.Wrap(path.About, Width - (2 * Side));
            canvas.Lines(Side, y + 48, about, fill: Theme.Muted);
            double line = y + 62 + (about.Count * Theme.TextSize * Theme.LineHeight);
            canvas.Line(Side + (step / 2), line, Width - Side - (step / 2), line, Theme.Colour(p), 5);
            double lowest = line;
            for (int i = 0; i < path.Cards.Count; i++)
            {
                double x = Side + (step * (i + 0.5));
                canvas.Marker(0, x, line, Radius, Theme.Colour(p));
                canvas.Text(x, line + 4.5, (i + 1).ToString(CultureInfo.InvariantCulture), "middle", 13, Theme.Paper, bold: true);
                IReadOnlyList<string> title = TextMetrics.Wrap(Plain(path.Cards[i].Notebook.Title), step - 8, LabelSize);
                canvas.Lines(x, line + Radius + 18, title, LabelSize, anchor: "middle");
                double below = line + Radius + 18 + (title.Count * LabelSize * Theme.LineHeight);
                canvas.Text(x, below, HtmlPage.Time(path.Cards[i].Seconds), "middle", LabelSize, Theme.Muted);
                lowest = Math.Max(lowest, below);
            }

            y = lowest + 22;
        }

        return Picture(canvas, Width, y, "Learning paths", string.Join(" ", course.Paths.Select(p => $"{p.Title}: {string.Join(", ", p.Cards.Select(c => Plain(c.Notebook.Title)))}.")));
    }

    /// <summary>The paths as a part of a page.</summary>
    /// <param name="course">The paths.</param>
    /// <param name="address">Address of a notebook's page.</param>
    public static string Html(Course course, Func<Card, string> address)
    {
        if (course.Paths.Count == 0)
            return "";
        var html = new StringBuilder("<section class=\"paths\" id=\"paths\">\n<h2>Learning paths</h2>\n");
        for (int p = 0; p < course.Paths.Count; p++)
        {
            LearningPath path = course.Paths[p];
            html.Append($"<div class=\"path\" style=\"--line:{Theme.Colour(p)}\">\n<h3>{HtmlPage.Encode(path.Title)}</h3>\n<p class=\"meta\">{HtmlPage.Encode(path.About)}</p>\n<ol>\n");
            foreach (Card card in path.Cards)
                html.Append($"<li><a href=\"{HtmlPage.Encode(address(card))}\">{MarkdownHtml.Line(card.Notebook.Title)}</a> <span class=\"meta\">{HtmlPage.Time(card.Seconds)}</span></li>\n");
            html.Append("</ol>\n</div>\n");
        }

        return html.Append("</section>\n").ToString();
    }

    /// <summary>The paths as Markdown lists.</summary>
    public static string Markdown(Course course, string folder)
    {
        var text = new StringBuilder();
        foreach (LearningPath path in course.Paths)
        {
            text.Append(CultureInfo.InvariantCulture, $"- **{path.Title}** ({path.Cards.Count} notebooks, {HtmlPage.Time(path.Seconds)}). You need {path.Needs}; in the end you can {path.Leads}. ");
            text.AppendJoin(" → ", path.Cards.Select(c => $"[{c.Notebook.Title}]({folder}{HtmlPage.Address(c.Path)})")).Append('\n');
        }

        return text.ToString();
    }

    /// <summary>A canvas as a picture of its own, with a light ground that reads on dark pages too.</summary>
    internal static string Picture(Canvas canvas, double width, double height, string title, string description) =>
        $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Canvas.N(width)} {Canvas.N(height)}\" width=\"{Canvas.N(width)}\" height=\"{Canvas.N(height)}\" role=\"img\" font-family=\"{Theme.Font}\" font-size=\"12\" fill=\"{Theme.Ink}\">"
        + $"<title>{Canvas.Escape(title)}</title><desc>{Canvas.Escape(description)}</desc><rect width=\"100%\" height=\"100%\" fill=\"{Theme.Paper}\"/>{canvas.Body}</svg>";

    private static string Plain(string title) => title.Replace("`", "", StringComparison.Ordinal).Replace("*", "", StringComparison.Ordinal).Replace("$", "", StringComparison.Ordinal);
}
