using System.Globalization;
using System.Net;

namespace Sparseland.Kernel.Gallery;

/// <summary>The frame of every page: one file, nothing fetched.</summary>
internal static class HtmlPage
{
    private static readonly Lazy<string> Style = new(() =>
    {
        using var stream = typeof(HtmlPage).Assembly.GetManifestResourceStream("Sparseland.Kernel.Gallery.Resources.style.css")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    });

    /// <summary>A whole page.</summary>
    public static string Of(string title, string body, bool wide = false) => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{Encode(title)}</title>
        <link rel="icon" href="data:,">
        <style>
        {Style.Value}</style>
        </head>
        <body>
        <main{(wide ? " class=\"wide\"" : "")}>
        {body}
        </main>
        </body>
        </html>

        """.ReplaceLineEndings("\n");

    /// <summary>Text in HTML.</summary>
    public static string Encode(string? text) => WebUtility.HtmlEncode(text ?? "");

    /// <summary>A path with '/' between its parts as the address in a link.</summary>
    public static string Address(string path) => string.Join('/', path.Split('/').Select(Uri.EscapeDataString));

    /// <summary>Seconds as readers say them.</summary>
    public static string Time(double seconds) => double.IsNaN(seconds) ? "-"
        : seconds < 90 ? seconds.ToString("0", CultureInfo.InvariantCulture) + " s"
        : (seconds / 60).ToString("0.0", CultureInfo.InvariantCulture) + " min";
}
