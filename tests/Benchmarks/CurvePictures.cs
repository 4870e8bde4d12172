using System.Text.RegularExpressions;
using Sparseland.Notebooks.Charts;

namespace Benchmarks;

/// <summary>Curves of cost as pictures: time over what grows, ours and each peer's.</summary>
internal static partial class CurvePictures
{
    /// <summary>Writes one picture for each curve of at least two points, and removes those of curves that there are no longer.</summary>
    /// <param name="folder">Where to; made where it is missing.</param>
    /// <param name="results">All results.</param>
    public static IReadOnlyList<(string Title, string File)> Write(string folder, IEnumerable<Measured> results)
    {
        var written = new List<(string, string)>();
        foreach (IGrouping<(string Curve, string Axis), Measured> curve in results.Where(r => r.Point is not null).GroupBy(r => (r.Point!.Curve, r.Point.Axis)))
        {
            Measured[] points = [.. curve.OrderBy(r => r.Point!.At)];
            double[] places = [.. points.Select(r => r.Point!.At).Distinct()];
            if (places.Length < 2) continue;
            Directory.CreateDirectory(folder);
            var series = new List<Series> { new("Sparseland", places, places.Select(at => points.First(r => r.Point!.At == at).Ours).ToArray()) };
            foreach (IGrouping<string, Measured> peer in points.Where(r => !double.IsNaN(r.Peer)).GroupBy(r => r.PeerName))
                series.Add(new(peer.Key, peer.Select(r => r.Point!.At).ToArray(), peer.Select(r => r.Peer).ToArray()));
            string file = Slug().Replace(curve.Key.Curve.ToLowerInvariant(), "-").Trim('-') + ".svg";
            Chart.Curves(series, curve.Key.Axis, "milliseconds", curve.Key.Curve, logX: true, logY: true).SaveSvg(Path.Combine(folder, file));
            written.Add((curve.Key.Curve, file));
        }

        if (Directory.Exists(folder))
        {
            foreach (string old in Directory.EnumerateFiles(folder, "*.svg").Where(path => written.All(w => w.Item2 != Path.GetFileName(path)))) File.Delete(old);
        }

        return written;
    }

    [GeneratedRegex("[^a-z0-9]+")]
    private static partial Regex Slug();
}
