using System.Text.Json.Nodes;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Gallery;

/// <summary>Where a notebook stands in the course; stored in its metadata under "sparseland".</summary>
/// <param name="Before">What to read first: paths below the folder of all notebooks, with '/' between the parts.</param>
/// <param name="Path">Key of its learning path; null where it is on none.</param>
/// <param name="Step">Its place on that path, from 1; 0 where it is on none.</param>
/// <param name="IsOpening">Whether it opens its chapter.</param>
public sealed record CoursePlace(IReadOnlyList<string> Before, string? Path, int Step, bool IsOpening)
{
    /// <summary>The place of a notebook; null where its metadata do not say one.</summary>
    public static CoursePlace? Read(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        if (notebook.Metadata["sparseland"] is not JsonObject json || json["before"] is not JsonArray before)
            return null;
        JsonNode? path = json["path"];
        return new(
            [.. before.Select(b => b?.GetValue<string>() ?? throw new InvalidDataException("'before' in a notebook's metadata lists something that is no path."))],
            path.Text("name"),
            path?["step"]?.GetValue<int>() ?? 0,
            json["opening"]?.GetValue<bool>() ?? false);
    }
}
