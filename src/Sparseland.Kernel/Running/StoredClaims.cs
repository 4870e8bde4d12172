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
        var found = new OrderedDictionary<string, Claim>(StringComparer.Ordinal);
        foreach (var claim in Lists(notebook).SelectMany(list => list))
            found[claim.Statement] = claim;
        return [.. found.Values];
    }

    /// <summary>The lists of claims that the outputs show, in their order; a list shown twice stands twice.</summary>
    /// <exception cref="InvalidDataException">An output says that it holds claims, but they cannot be read.</exception>
    public static IReadOnlyList<Claims> Lists(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        var lists = new List<Claims>();
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
                    lists.Add(Claims.FromJson(json.ToJsonString()));
                }
                catch (FormatException e)
                {
                    throw new InvalidDataException($"{notebook.Name}, cell {number}: the stored claims cannot be read: {e.Message}", e);
                }
            }
        }

        return lists;
    }
}
