using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Autoencoders.Metrics;
using Sparseland.IO;

namespace Sparseland.Notebooks.Dashboards;

/// <summary>
/// A page on which one reads the latents of an autoencoder: one HTML file that needs nothing else and fetches nothing. A list to search, sort and filter, and a
/// card for each latent.
/// </summary>
public static partial class LatentPage
{
    /// <summary>The page.</summary>
    /// <param name="dashboard">What was measured.</param>
    /// <param name="options">Names of model, autoencoder and text; null for the defaults.</param>
    /// <param name="progress">Latents done; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static string Render(LatentDashboard dashboard, LatentPageOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(dashboard);
        options ??= new();
        string heading = $"Features of {options.Model}", script = Resource("page.js");
        string[] about = [LatentNames.Place(dashboard.Site), dashboard.Architecture, .. options.Autoencoder is { } name ? [name] : Array.Empty<string>()];
        byte[] data = LatentPageData.Pack(dashboard, $"{options.Model}, {LatentNames.Place(dashboard.Site)}", Foot(dashboard, options), progress, cancel);

        // In one pass, so that nothing that is put in is taken for a place to fill.
        return Slot().Replace(Resource("page.html"), slot => slot.Groups[1].Value switch
        {
            "title" => Markup.Escape($"{heading}: {LatentNames.Place(dashboard.Site)}"),
            "heading" => Markup.Escape(heading),
            "subtitle" => Markup.Escape(string.Join(" · ", about)),
            "facts" => Facts(dashboard),
            "style" => Resource("page.css"),
            "hash" => "sha256-" + Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script))),
            "script" => script,
            "data" => Convert.ToBase64String(data),
            string other => throw new InvalidOperationException($"The template has a slot '{other}' that nothing fills."),
        });
    }

    /// <summary>Writes the page. The file appears when it is whole; until then an older one stays.</summary>
    /// <param name="path">The file; its folder is made where it is missing.</param>
    /// <param name="dashboard">What was measured.</param>
    /// <param name="options">Names of model, autoencoder and text; null for the defaults.</param>
    /// <param name="progress">Latents done; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="IOException">The folder cannot be written or the disk is full; the message names the file.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static long Write(string path, LatentDashboard dashboard, LatentPageOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        byte[] page = Encoding.UTF8.GetBytes(Render(dashboard, options, progress, cancel));
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            ReplacedFile.Write(path, stream => stream.Write(page), page.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"The page '{path}' cannot be written: {e.Message}", e);
        }

        return page.Length;
    }

    private static string Facts(LatentDashboard dashboard)
    {
        (ReconstructionReport report, LatentDensity density) = (dashboard.Reconstruction, dashboard.Density);
        int alive = dashboard.Latents - density.Dead;
        var html = new StringBuilder();
        void Fact(string name, string value, string more) =>
            html.Append($"<div><dt>{Markup.Escape(name)}</dt><dd>{Markup.Escape(value)}{(more.Length > 0 ? $" <small>{Markup.Escape(more)}</small>" : "")}</dd></div>\n");
        Fact("latents", LatentNames.Whole(dashboard.Latents), $"{LatentNames.Whole(alive)} active");
        Fact("active on a token (L0)", LatentNames.Short(report.L0), "");
        Fact("variance unexplained (FVU)", report.Fvu.ToString("0.000", CultureInfo.InvariantCulture), double.IsNaN(report.FvuError) ? "" : FormattableString.Invariant($"± {report.FvuError:0.000}"));
        Fact("tokens measured", LatentNames.Whole(report.Tokens), $"in {LatentNames.Whole(report.Windows)} windows");
        return html.ToString();
    }

    private static string Foot(LatentDashboard dashboard, LatentPageOptions options)
    {
        var foot = new StringBuilder($"Measured on {LatentNames.Whole(dashboard.Density.Tokens)} tokens");
        if (options.Text is { } text) foot.Append($" of {text}");
        foot.Append(". Of each window only the largest value can be among the strongest examples, not from its first tokens where there are others, and repeated surroundings are shown once.");
        if (dashboard.HasLogitWeights)
            foot.Append(" Logit weights are decoder row, gain of the final norm and unembedding, minus their mean over the vocabulary; they ignore later blocks.");
        if (dashboard.CoActivationTokens < dashboard.Density.Tokens) foot.Append($" Latents active together were counted on {LatentNames.Whole(dashboard.CoActivationTokens)} of the tokens.");
        return foot.ToString();
    }

    private static string Resource(string name)
    {
        using Stream stream = typeof(LatentPage).Assembly.GetManifestResourceStream("Sparseland.Notebooks.Dashboards.Resources." + name)
            ?? throw new InvalidOperationException($"The resource '{name}' is not in the assembly.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }

    [GeneratedRegex(@"\{\{(\w+)\}\}")]
    private static partial Regex Slot();
}
