using System.Text;

namespace Sparseland.Data.Documentation;

/// <summary>
/// The licence notices that ship in the SDK's folder (ThirdPartyNotices.txt): English of another kind than the documentation, and small, for fine-tunings. Read where it lies and never copied; any other text
/// file may take its place.
/// </summary>
/// <param name="Training">Paragraphs to train on.</param>
/// <param name="HeldOut">Paragraphs to measure on; none of them also stands in the training part.</param>
public sealed record LicenceNotices(IReadOnlyList<string> Training, IReadOnlyList<string> HeldOut)
{
    private const string FileName = "ThirdPartyNotices.txt";

    /// <summary>The file in a folder above the SDK's documentation.</summary>
    /// <exception cref="FileNotFoundException">There is none; some distributions leave it out.</exception>
    /// <exception cref="DirectoryNotFoundException">There is no SDK.</exception>
    public static string Find()
    {
        for (string? folder = Path.GetDirectoryName(DotNetDocs.FindFiles()[0]); folder is not null; folder = Path.GetDirectoryName(folder))
        {
            string file = Path.Combine(folder, FileName);
            if (File.Exists(file)) return file;
        }

        throw new FileNotFoundException($"No folder above the SDK's documentation has a {FileName}; name any text file of some ten thousand words in its place.", FileName);
    }

    /// <summary>Reads a text and splits it.</summary>
    /// <param name="path">The text, paragraphs between empty lines; null, the default, for <see cref="Find"/>.</param>
    /// <param name="heldOut">Share of the characters at the end that is held out, between 0 and 1; paragraphs in it that also stand before it are left out. Default 0.2.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is not between 0 and 1.</exception>
    /// <exception cref="InvalidDataException">The text has too few paragraphs for two parts.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static LicenceNotices Load(string? path = null, double heldOut = 0.2)
    {
        if (!(heldOut is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(heldOut), heldOut, "heldOut is a share between 0 and 1.");
        path ??= Find();
        string[] paragraphs = [.. Paragraphs(File.ReadLines(path))];
        double end = paragraphs.Sum(p => (double)p.Length) * (1 - heldOut), read = 0;
        int first = 0;
        while (first < paragraphs.Length && read + paragraphs[first].Length <= end) read += paragraphs[first++].Length;
        HashSet<string> known = [.. paragraphs[..first]];
        string[] rest = [.. paragraphs[first..].Where(p => !known.Contains(p))];
        return first > 0 && rest.Length > 0 ? new(paragraphs[..first], rest) : throw new InvalidDataException($"'{path}' has {paragraphs.Length} paragraphs; they give no two parts.");
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Training.Count} paragraphs to train on, {HeldOut.Count} held out";

    private static IEnumerable<string> Paragraphs(IEnumerable<string> lines)
    {
        var paragraph = new StringBuilder();
        foreach (string line in lines.Append(""))
        {
            if (line.Trim().Length > 0) paragraph.Append(paragraph.Length > 0 ? "\n" : "").Append(line.TrimEnd());
            else if (paragraph.Length > 0)
            {
                yield return paragraph.ToString();
                paragraph.Clear();
            }
        }
    }
}
