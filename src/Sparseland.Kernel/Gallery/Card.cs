using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Gallery;

/// <summary>What the gallery and the ledger show of a notebook.</summary>
/// <param name="Notebook">The notebook with its outputs.</param>
/// <param name="Path">Its path below the folder of all notebooks, with '/' between the parts.</param>
/// <param name="Failure">Why its run did not complete, or null.</param>
public sealed record Card(Notebook Notebook, string Path, string? Failure = null)
{
    private IReadOnlyList<Claim>? claims;
    private IReadOnlyList<string>? pictures;

    /// <summary>Name of its chapter, or empty.</summary>
    public string Chapter => Path.Contains('/', StringComparison.Ordinal) ? Words(Path[..Path.IndexOf('/', StringComparison.Ordinal)]) : "";

    /// <summary>Folder of its chapter, or "start" for notebooks above all chapters: the section of the page.</summary>
    public string ChapterFolder => Path.Contains('/', StringComparison.Ordinal) ? Path[..Path.IndexOf('/', StringComparison.Ordinal)] : "start";

    /// <summary>Path below the gallery of the file with one of its pictures.</summary>
    public string PictureFile(int index) => $"pictures/{System.IO.Path.ChangeExtension(Path, null)!.Replace('/', '-')}-{index + 1}.svg";

    /// <summary>Path of its reading copy below the gallery.</summary>
    public string Page => System.IO.Path.ChangeExtension(Path, ".html");

    /// <summary>Its claims, stored in its outputs.</summary>
    public IReadOnlyList<Claim> Claims => claims ??= StoredClaims.Of(Notebook);

    /// <summary>How many of them held, by origin.</summary>
    public ClaimCounts Counts => ClaimCounts.Of(Claims);

    /// <summary>What must be said before its claims: that few are judged at this scale, that only an abstract could be read.</summary>
    public IReadOnlyList<string> Remarks =>
    [
        .. StoredClaims.Lists(Notebook).Where(list => list.JudgesOnlyExact || list.Read == PaperRead.AbstractOnly).Select(list => list.Remark).Distinct(),
    ];

    /// <summary>How long its run took, in seconds; NaN when none is recorded.</summary>
    public double Seconds => RunRecord.Read(Notebook)?.Seconds ?? double.NaN;

    /// <summary>How long the recorded runs of some notebooks took together, in seconds.</summary>
    internal static double SecondsOf(IEnumerable<Card> cards) => cards.Select(c => c.Seconds).Where(s => !double.IsNaN(s)).Sum();

    /// <summary>Its pictures as svg elements; the one of the cell with the tag "thumbnail" first.</summary>
    public IReadOnlyList<string> Pictures => pictures ??=
    [
        .. Notebook.CodeCells.OrderBy(c => c.HasTag("thumbnail") ? 0 : 1).SelectMany(c => c.Outputs).SelectMany(OutputHtml.Pictures),
    ];

    /// <summary>The paragraph with the question: the one that says so, or the first longer one.</summary>
    public string Question
    {
        get
        {
            var paragraphs = Notebook.Cells.Where(c => c.Type == "markdown").Take(2)
                .SelectMany(c => c.Source.Split("\n\n"))
                .Select(p => p.Trim())
                .Where(p => p.Length > 0 && p[0] is not ('#' or '|' or '!' or '<'))
                .ToList();
            return paragraphs.FirstOrDefault(p => p.Contains("question", StringComparison.OrdinalIgnoreCase))
                ?? paragraphs.FirstOrDefault(p => p.Length > 80 && !(p[0] == '*' && p[^1] == '*'))
                ?? paragraphs.FirstOrDefault() ?? "";
        }
    }

    private static string Words(string folder)
    {
        var name = folder.TrimStart("0123456789-".ToCharArray()).Replace('-', ' ');
        return name.Length == 0 ? folder : char.ToUpperInvariant(name[0]) + name[1..];
    }
}
