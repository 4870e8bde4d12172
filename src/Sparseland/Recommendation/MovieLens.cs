using System.Globalization;
using Sparseland.Tensors;

namespace Sparseland.Recommendation;

/// <summary>Ratings of a MovieLens file.</summary>
/// <param name="Interactions">Pairs of users and items whose rating reaches the least one, numbered from 0.</param>
/// <param name="UserIds">The file's number of each user, ascending.</param>
/// <param name="ItemIds">The file's number of each item, ascending.</param>
/// <param name="Lines">Ratings in the file.</param>
/// <param name="BelowLeast">Ratings below the least one.</param>
public sealed record MovieLensRatings(Interactions Interactions, IReadOnlyList<long> UserIds, IReadOnlyList<long> ItemIds, int Lines, int BelowLeast)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Reads the rating files of MovieLens (Harper and Konstan 2015): u.data of 100k with tabs, ratings.dat of 1M and 10M with "::", ratings.csv of 20M
/// and later. Their numbers have gaps; users and items are numbered anew.
/// </summary>
public static class MovieLens
{
    private static readonly string[] s_files = ["u.data", "ratings.dat", "ratings.csv"];

    /// <summary>Reads ratings.</summary>
    /// <param name="path">The file, or the folder that has it.</param>
    /// <param name="least">Least rating that is an interaction: 4 in the protocol of MultVAE. Default 0, all.</param>
    /// <param name="progress">Reported every 100,000 lines.</param>
    /// <param name="cancel">Checked every 10,000 lines and pairs.</param>
    /// <exception cref="FileNotFoundException">There is no such file; a folder has none of the known names.</exception>
    /// <exception cref="InvalidDataException">A line is malformed, or there is no rating at all; the message has file and line.</exception>
    public static MovieLensRatings Read(string path, double least = 0, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (!double.IsFinite(least)) throw new ArgumentOutOfRangeException(nameof(least), least, "least must be finite.");
        string file = FileOf(path);
        var pairs = new List<(long User, long Item)>();
        int lines = 0, below = 0;
        long at = 0;
        foreach (string line in File.ReadLines(file))
        {
            at++;
            if (at % 10_000 == 0) cancel.ThrowIfCancellationRequested();
            if (at % 100_000 == 0) progress?.Report(new(at, 0, "ratings"));
            string text = line.TrimStart('\uFEFF').TrimEnd('\r');
            if (text.Length == 0 || (at == 1 && text.StartsWith("userId", StringComparison.OrdinalIgnoreCase))) continue;
            (long user, long item, double rating) = Parse(text, file, at);
            lines++;
            if (rating < least) below++;
            else pairs.Add((user, item));
        }

        if (pairs.Count == 0) throw new InvalidDataException($"'{file}' has {lines} ratings, none of them from {least.ToString(CultureInfo.InvariantCulture)} on.");
        long[] users = Distinct(Watched(pairs, cancel).Select(p => p.User)), items = Distinct(Watched(pairs, cancel).Select(p => p.Item));
        var interactions = Interactions.Of(users.Length, items.Length, Watched(pairs, cancel).Select(p => (Array.BinarySearch(users, p.User), Array.BinarySearch(items, p.Item))));
        return new(interactions, users, items, lines, below);
    }

    private static string FileOf(string path)
    {
        if (File.Exists(path)) return path;
        if (!Directory.Exists(path)) throw new FileNotFoundException($"There is no file or folder '{path}'.", path);
        return s_files.Select(name => Path.Combine(path, name)).FirstOrDefault(File.Exists)
            ?? throw new FileNotFoundException($"'{path}' has none of {string.Join(", ", s_files)}.", path);
    }

    private static (long User, long Item, double Rating) Parse(string text, string file, long line)
    {
        string[] fields = text.Contains("::", StringComparison.Ordinal) ? text.Split("::") : text.Contains('\t', StringComparison.Ordinal) ? text.Split('\t') : text.Split(',');
        if (fields.Length is < 3 or > 4) throw Malformed($"{fields.Length} fields where user, item, rating and time are expected");
        if (!long.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out long user)) throw Malformed($"the user '{fields[0]}'");
        if (!long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out long item)) throw Malformed($"the item '{fields[1]}'");
        if (!double.TryParse(fields[2], NumberStyles.Float, CultureInfo.InvariantCulture, out double rating) || !double.IsFinite(rating)) throw Malformed($"the rating '{fields[2]}'");
        return (user, item, rating);

        InvalidDataException Malformed(string what) => new($"'{file}', line {line}: {what}, in \"{(text.Length > 60 ? text[..60] + "..." : text)}\".");
    }

    // Twenty-five million pairs take seconds each time.
    private static IEnumerable<(long User, long Item)> Watched(List<(long User, long Item)> pairs, CancellationToken cancel)
    {
        for (int i = 0; i < pairs.Count; i++)
        {
            if (i % 10_000 == 0) cancel.ThrowIfCancellationRequested();
            yield return pairs[i];
        }
    }

    private static long[] Distinct(IEnumerable<long> ids)
    {
        long[] sorted = [.. ids.Distinct()];
        Array.Sort(sorted);
        return sorted;
    }
}
