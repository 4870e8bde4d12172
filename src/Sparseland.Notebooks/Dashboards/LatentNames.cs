using System.Globalization;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;

namespace Sparseland.Notebooks.Dashboards;

/// <summary>Words and numbers as page and card say them.</summary>
internal static class LatentNames
{
    public static string Place(ActivationSite site) => site.Activation switch
    {
        Activation.ResidualBefore => $"residual stream before block {site.Layer}",
        Activation.ResidualAfter => $"residual stream after block {site.Layer}",
        Activation.MlpOutput => $"output of the MLP of block {site.Layer}",
        Activation.AttentionOutput => $"output of the attention of block {site.Layer}",
        _ => $"{site.Activation} of block {site.Layer}",
    };

    /// <summary>Dead, dense or rare; null for neither.</summary>
    public static string? State(LatentSummary latent) =>
        latent.Active == 0 ? "dead here" : latent.Density > LatentDensity.DenseAbove ? "dense" : latent.Density < LatentDensity.RareBelow ? "rare" : null;

    /// <summary>Four digits are more than a reader needs, and compress well.</summary>
    public static string Digits(double value) => double.IsFinite(value) ? value.ToString("G4", CultureInfo.InvariantCulture) : "null";

    public static string Short(double value)
    {
        double size = Math.Abs(value);
        string format = size == 0 ? "0" : size >= 1000 || size < 0.001 ? "0.0e+0" : size >= 100 ? "0" : size >= 10 ? "0.0" : size >= 0.1 ? "0.00" : "0.000";
        return double.IsFinite(value) ? value.ToString(format, CultureInfo.InvariantCulture) : "–";
    }

    public static string Signed(double value) => (value < 0 ? "−" : "+") + Short(Math.Abs(value));

    public static string Percent(double share)
    {
        double x = 100 * share;
        string format = x == 0 || x >= 10 ? "0" : x >= 1 ? "0.0" : x >= 0.1 ? "0.00" : x >= 0.01 ? "0.000" : "0e+0";
        return x.ToString(format, CultureInfo.InvariantCulture) + " %";
    }

    public static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}
