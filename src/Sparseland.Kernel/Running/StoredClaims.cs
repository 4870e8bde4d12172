using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Running;

/// <summary>Reads the claims back from a notebook's outputs.</summary>
public static class StoredClaims
{
    /// <summary>The claims of all outputs, in their order; of a statement shown twice the last counts.</summary>
    /// <exception cref="InvalidDataException">An output says that it holds claims, but they cannot be read.</exception>
    public static IReadOnlyList<Claim> Of(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        var found = new OrderedDictionary<string, Claim>(StringComparer.Ordinal);
        var number = 0;
        foreach (var cell in notebook.Cells)
        {
            number++;
            foreach (var output in cell.Outputs)
            {
                if (output["data"] is not JsonObject data || data[Claims.MimeType] is not { } json)
                    continue;
                try
                {
                    foreach (var claim in Claims.FromJson(json.ToJsonString()))
                        found[claim.Statement] = claim;
                }
                catch (FormatException e)
                {
                    throw new InvalidDataException($"{notebook.Name}, cell {number}: the stored claims cannot be read: {e.Message}", e);
                }
            }
        }

        return [.. found.Values];
    }
}
